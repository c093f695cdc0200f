//! May a file be called this? What an origin lists is not trusted: a name must stay inside the directory it is for.

/// Longest path and longest part of one that common file systems take, in bytes.
const PATH_LIMIT: usize = 1024;
const PART_LIMIT: usize = 255;

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing, or nothing between two slashes.
    #[error("has an empty part")]
    Empty,
    /// Begins with a slash.
    #[error("is absolute")]
    Absolute,
    /// `.` or `..`.
    #[error("has a part `.` or `..`")]
    Dots,
    /// A backslash: a separator to some readers.
    #[error("has a backslash")]
    Backslash,
    /// A control character, a line break or a NUL.
    #[error("has a control character")]
    Control,
    /// Longer than file systems take.
    #[error("is too long")]
    Long,
}

/// Whether a relative path from an origin can be used on a volume.
pub fn check(path: &str) -> Result<(), BadName> {
    if path.starts_with('/') {
        return Err(BadName::Absolute);
    }
    if path.len() > PATH_LIMIT || path.split('/').any(|part| part.len() > PART_LIMIT) {
        return Err(BadName::Long);
    }
    if path.chars().any(char::is_control) {
        return Err(BadName::Control);
    }
    if path.contains('\\') {
        return Err(BadName::Backslash);
    }
    for part in path.split('/') {
        match part {
            "" => return Err(BadName::Empty),
            "." | ".." => return Err(BadName::Dots),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_would_leave_its_directory_is_refused() {
        for (name, expected) in [
            ("a", Ok(())),
            ("a/b.c/d..e", Ok(())),
            ("ünïcode 🎉/x", Ok(())),
            (".hidden", Ok(())),
            ("", Err(BadName::Empty)),
            ("a//b", Err(BadName::Empty)),
            ("a/", Err(BadName::Empty)),
            ("/a", Err(BadName::Absolute)),
            ("..", Err(BadName::Dots)),
            ("a/../b", Err(BadName::Dots)),
            ("./a", Err(BadName::Dots)),
            ("a\\..\\b", Err(BadName::Backslash)),
            ("a\nb", Err(BadName::Control)),
            ("a\0b", Err(BadName::Control)),
            ("a\u{85}b", Err(BadName::Control)),
        ] {
            assert_eq!(check(name), expected, "{name:?}");
        }
        assert_eq!(check(&"x".repeat(256)), Err(BadName::Long));
        assert_eq!(check(&"x/".repeat(600)), Err(BadName::Long));
    }

    proptest! {
        #[test]
        fn a_good_name_joined_to_a_directory_stays_below_it(name in "[a./\\\\ ]{0,12}") {
            if check(&name).is_ok() {
                let joined = std::path::Path::new("/volume").join(&name);
                prop_assert!(joined.components().all(|part| part != std::path::Component::ParentDir));
                prop_assert!(joined.starts_with("/volume"));
                prop_assert!(joined != std::path::Path::new("/volume"));
            }
        }
    }
}
