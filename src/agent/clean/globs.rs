//! Which paths does a rule mean? Globs as shells and `find` users know them, over names of any bytes.

use super::super::failure::Failure;
use crate::api::Reason;
use crate::api::cleanup::CleanupRule;
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What begins a part of a glob that is more than a name.
const SPECIAL: [char; 5] = ['*', '?', '[', '{', '\\'];

/// The paths of a rule.
#[derive(Clone, Debug)]
pub struct Globs {
    include: GlobSet,
    exclude: GlobSet,
    starts: Vec<String>,
}

impl Globs {
    /// The globs of a rule.
    ///
    /// # Errors
    /// `InvalidSpec`, with the glob and what is wrong in it.
    pub fn of(rule: &CleanupRule) -> Result<Self, Failure> {
        let bad = |what: String| Failure::new(Reason::InvalidSpec, format!("rule `{}`: {what}", rule.name));
        for path in rule.paths.iter().chain(&rule.exclude) {
            let wrong = |part: &str| matches!(part, "" | "." | ".." | super::super::layout::OWN);
            if path.split('/').any(wrong) {
                return Err(bad(format!(
                    "`{path}` must be a relative glob without `.`, `..`, empty parts or `.modelcache`"
                )));
            }
        }
        let set = |globs: &[String]| -> Result<GlobSet, globset::Error> {
            let mut set = GlobSetBuilder::new();
            for text in globs {
                set.add(glob(text)?);
            }
            set.build()
        };
        Ok(Self {
            include: set(&rule.paths).map_err(|error| bad(error.to_string()))?,
            exclude: set(&rule.exclude).map_err(|error| bad(error.to_string()))?,
            starts: starts(&rule.paths),
        })
    }

    /// Whether a path is meant.
    pub fn matches(&self, path: &[u8]) -> bool {
        let path = OsStr::from_bytes(path);
        self.include.is_match(path) && !self.exclude.is_match(path)
    }

    /// The directories that all the paths are in, none of them within another; the empty path is the volume's root.
    pub fn starts(&self) -> &[String] {
        &self.starts
    }
}

fn glob(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build()
}

fn starts(globs: &[String]) -> Vec<String> {
    let start = |glob: &String| {
        let directories = glob.rsplit_once('/').map_or("", |(directories, _)| directories);
        let plain = directories.split('/').take_while(|part| !part.contains(SPECIAL));
        plain.collect::<Vec<_>>().join("/")
    };
    let all: BTreeSet<String> = globs.iter().map(start).collect();
    let within = |path: &str, other: &str| {
        path != other && (other.is_empty() || path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/')))
    };
    all.iter().filter(|path| !all.iter().any(|other| within(path, other))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(paths: &[&str], exclude: &[&str]) -> Globs {
        let owned = |globs: &[&str]| globs.iter().map(|it| (*it).to_owned()).collect();
        Globs::of(&CleanupRule { paths: owned(paths), exclude: owned(exclude), ..CleanupRule::default() }).unwrap()
    }

    #[test]
    fn a_star_stays_in_its_directory_and_two_do_not() {
        for (glob, path, matches) in [
            ("logs/*.log", &b"logs/a.log"[..], true),
            ("logs/*.log", b"logs/app/a.log", false),
            ("logs/**/*.log", b"logs/a.log", true),
            ("logs/**/*.log", b"logs/app/x/a.log", true),
            ("**/*.log", b"a.log", true),
            ("assets/**", b"assets/images/a.png", true),
            ("assets/**", b"assets", false),
            ("a/?.{png,jpg}", b"a/x.jpg", true),
            ("a/*", b"a/.hidden", true),
            ("a/*", b"a/two\nlines", true),
            ("**", b"two\nlines/and\nmore", true),
            ("a/*", b"a/no-utf-8-\xff", true),
            ("a/[0-9]*", b"a/7", true),
            ("a/\\*", b"a/*", true),
            ("a/\\*", b"a/b", false),
        ] {
            assert_eq!(of(&[glob], &[]).matches(path), matches, "{glob} {}", String::from_utf8_lossy(path));
        }
        assert!(!of(&["**"], &["keep/**"]).matches(b"keep/a"));
    }

    #[test]
    fn only_the_directories_that_globs_begin_with_are_looked_into() {
        for (globs, starts) in [
            (&["logs/app/*.log"][..], &["logs/app"][..]),
            (&["**/*.log", "logs/*"], &[""]),
            (&["a/b/*", "a/*", "ab/*"], &["a", "ab"]),
            (&["a/file"], &["a"]),
            (&["a/{b,c}/d/*"], &["a"]),
        ] {
            assert_eq!(of(globs, &[]).starts(), starts, "{globs:?}");
        }
    }

    #[test]
    fn a_glob_that_leaves_the_volume_or_cannot_be_read_is_refused() {
        for glob in ["../x", "/etc/*", "a//b", ".modelcache/**", "a/./b", "a/[", "{a"] {
            let rule = CleanupRule { paths: vec![glob.into()], ..CleanupRule::default() };
            assert_eq!(Globs::of(&rule).unwrap_err().reason, Reason::InvalidSpec, "{glob}");
        }
    }
}
