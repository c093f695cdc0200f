//! Where on a claim does a path lead? Links are followed as long as they stay on it, and never out of it.

use super::super::super::layout::LayoutError;
use super::super::super::layout::safe_path::Root;
use std::collections::VecDeque;

/// Links that are followed for one path, as the kernel does.
const HOPS: usize = 40;

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Led {
    /// To this path, with no link on it. Whether something is there is another question.
    To(String),
    /// Off the claim: above its root, or to an absolute path.
    Out,
    /// In a circle.
    Nowhere,
}

/// Follows the links of a path. What it gives is opened without following any, so that a link that changes meanwhile leads
/// nowhere either.
pub fn follow(root: &Root, path: &str) -> Result<Led, LayoutError> {
    let mut left: VecDeque<String> = path.split('/').map(str::to_owned).collect();
    let (mut done, mut hops) = (Vec::<String>::new(), 0);
    while let Some(part) = left.pop_front() {
        match part.as_str() {
            "" | "." => continue,
            ".." => match done.pop() {
                Some(_) => continue,
                None => return Ok(Led::Out),
            },
            _ => done.push(part),
        }
        let Some(link) = root.link(&done.join("/"))? else { continue };
        hops += 1;
        if hops > HOPS {
            return Ok(Led::Nowhere);
        }
        if link.starts_with('/') {
            return Ok(Led::Out);
        }
        done.pop();
        for part in link.split('/').rev() {
            left.push_front(part.to_owned());
        }
    }
    Ok(Led::To(done.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_on_the_claim_and_never_out_of_it() {
        let claim = tempfile::tempdir().unwrap();
        let at = |name: &str| claim.path().join(name);
        std::fs::create_dir_all(at("hub/blobs")).unwrap();
        std::fs::create_dir_all(at("hub/snapshots/c")).unwrap();
        std::fs::write(at("hub/blobs/x"), "x").unwrap();
        for (link, target) in [
            ("hub/snapshots/c/f", "../../blobs/x"),
            ("twice", "hub/snapshots/c/f"),
            ("directory", "hub"),
            ("absolute", "/etc/passwd"),
            ("above", "../outside"),
            ("up-and-down", "hub/../../../etc/passwd"),
            ("hub/up", "../above"),
            ("loop", "loop"),
            ("dangling", "nothing/there"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        let root = Root::open(claim.path()).unwrap();
        for (path, led) in [
            ("hub/blobs/x", Led::To("hub/blobs/x".into())),
            ("hub/snapshots/c/f", Led::To("hub/blobs/x".into())),
            ("twice", Led::To("hub/blobs/x".into())),
            ("directory/blobs/x", Led::To("hub/blobs/x".into())),
            ("directory/up", Led::Out),
            ("absolute", Led::Out),
            ("above", Led::Out),
            ("up-and-down", Led::Out),
            ("loop", Led::Nowhere),
            ("dangling", Led::To("nothing/there".into())),
            (".", Led::To(String::new())),
        ] {
            assert_eq!(follow(&root, path).unwrap(), led, "{path}");
        }
    }
}
