//! Which files are below a directory of a claim?

use super::super::super::failure::Failure;
use super::super::super::layout::OWN;
use super::super::super::layout::safe_path::Root;
use super::super::fnmatch::Patterns;
use super::links::{Led, follow};
use super::{below, refused, trouble};
use crate::api::Reason;
use crate::api::source::Claim;
use rustix::fs::{Dir, FileType};

/// Deepest directory that is looked into: what goes deeper goes in a circle.
const DEPTH: usize = 64;

/// A file.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Its path below the directory.
    pub path: String,
    /// Where it is on the claim, with no link on the way.
    pub real: String,
}

struct Walk<'a> {
    root: &'a Root,
    claim: &'a Claim,
    patterns: Patterns,
    found: Vec<Found>,
    /// Directories on the way to where it is, as device and inode.
    above: Vec<(u64, u64)>,
}

/// The files that are wanted. What other programs keep beside their content is left out; see [`left_out`].
pub fn walk(root: &Root, claim: &Claim) -> Result<Vec<Found>, Failure> {
    let directory = claim.effective_directory();
    let patterns = Patterns::new(&claim.include, &claim.exclude);
    let mut walk = Walk { root, claim, patterns, found: vec![], above: vec![] };
    let real = match follow(root, directory).map_err(trouble)? {
        Led::To(real) => real,
        Led::Out | Led::Nowhere => return Err(refused(claim, directory, "is a link that leads off the claim")),
    };
    let is_directory = real.is_empty()
        || root.stat(&real).map_err(trouble)?.is_some_and(|it| FileType::from_raw_mode(it.st_mode).is_dir());
    if !is_directory {
        let message = format!("claim `{}` has no directory `{directory}`: correct `directory`", claim.claim_name);
        return Err(Failure::new(Reason::NotFound, message));
    }
    walk.directory(&real, "")?;
    Ok(walk.found)
}

impl Walk<'_> {
    fn directory(&mut self, real: &str, shown: &str) -> Result<(), Failure> {
        let handle = self.root.directory(real).map_err(trouble)?;
        let io = |error: rustix::io::Errno| trouble(self.root.failure(real, error));
        let stat = rustix::fs::fstat(&handle).map_err(io)?;
        let identity = (stat.st_dev, stat.st_ino);
        if self.above.contains(&identity) || self.above.len() >= DEPTH {
            return self.unless_excluded(shown, "leads back to a directory that it is in");
        }
        let mut names = Vec::new();
        for entry in Dir::read_from(&handle).map_err(io)? {
            let entry = entry.map_err(io)?;
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(name) => names.push(name.to_owned()),
                Err(_) => {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    return Err(refused(self.claim, &below(shown, &name), "has a name that is not UTF-8"));
                }
            }
        }
        names.sort();
        let home_of_hub = names.iter().any(|it| it == "hub");
        self.above.push(identity);
        for name in names.iter().filter(|it| !left_out(it, shown.is_empty(), home_of_hub)) {
            self.entry(&below(real, name), &below(shown, name))?;
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, path: &str, shown: &str) -> Result<(), Failure> {
        let kind = |path: &str| {
            let stat = self.root.stat(path).map_err(trouble)?;
            Ok::<_, Failure>(stat.map(|it| FileType::from_raw_mode(it.st_mode)))
        };
        let (real, kind) = match kind(path)? {
            Some(FileType::Symlink) => match follow(self.root, path).map_err(trouble)? {
                Led::To(real) if real.is_empty() => (real, Some(FileType::Directory)),
                Led::To(real) => {
                    let kind = kind(&real)?;
                    (real, kind)
                }
                Led::Out => return self.unless_excluded(shown, "is a link that leads off the claim"),
                Led::Nowhere => return self.unless_excluded(shown, "is a link that leads in a circle"),
            },
            kind => (path.to_owned(), kind),
        };
        match kind {
            Some(FileType::Directory) => self.directory(&real, shown),
            Some(FileType::RegularFile) => {
                if self.patterns.want(shown) {
                    self.found.push(Found { path: shown.to_owned(), real });
                }
                Ok(())
            }
            // A link to nothing; or gone between two looks, which the digest of the listing tells.
            None if real != path => self.unless_excluded(shown, "is a link to nothing"),
            // Sockets, pipes and devices hold no content.
            _ => Ok(()),
        }
    }

    /// What cannot be taken over is said, unless nobody asks for it.
    fn unless_excluded(&self, shown: &str, what: &str) -> Result<(), Failure> {
        if self.patterns.want(shown) && self.patterns.want(&format!("{shown}/")) {
            Err(refused(self.claim, shown, what))
        } else {
            Ok(())
        }
    }
}

/// What is no content, whoever left it: our own state, locks and half-fetched files of the hub's clients, the tokens that they
/// keep beside `hub`, and what a fresh file system has at its root.
fn left_out(name: &str, at_the_top: bool, beside_hub: bool) -> bool {
    let partial = [".incomplete", ".lock"].iter().any(|ending| name.ends_with(ending));
    let token = beside_hub && matches!(name, "token" | "stored_tokens");
    name == OWN || name == ".locks" || partial || token || (at_the_top && name == "lost+found")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn home(claim: &Path) {
        for directory in [
            ".modelcache/x",
            "lost+found",
            "hub/.locks/models--o--n",
            "hub/models--o--n/blobs",
            "hub/models--o--n/snapshots/c",
        ] {
            std::fs::create_dir_all(claim.join(directory)).unwrap();
        }
        for file in [
            "token",
            "stored_tokens",
            "lost+found/x",
            ".modelcache/x/current",
            "hub/.locks/models--o--n/a.lock",
            "hub/models--o--n/blobs/a",
            "hub/models--o--n/blobs/b.incomplete",
        ] {
            std::fs::write(claim.join(file), file).unwrap();
        }
        symlink("../../blobs/a", claim.join("hub/models--o--n/snapshots/c/f")).unwrap();
    }

    #[expect(clippy::needless_pass_by_value, reason = "`json!` is written in place")]
    fn paths(claim: &Path, spec: serde_json::Value) -> Result<Vec<String>, Failure> {
        let mut document = json!({"claimName": "home"});
        document.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let root = Root::open(claim).unwrap();
        let found = walk(&root, &serde_json::from_value(document).unwrap())?;
        Ok(found.into_iter().map(|it| it.path).collect())
    }

    #[test]
    fn a_home_of_the_hub_gives_its_content_and_neither_tokens_nor_locks_nor_halves() {
        let claim = tempfile::tempdir().unwrap();
        home(claim.path());
        let all = ["hub/models--o--n/blobs/a", "hub/models--o--n/snapshots/c/f"];
        assert_eq!(paths(claim.path(), json!({})).unwrap(), all);
        let below = json!({"directory": "hub/models--o--n", "exclude": ["snapshots/"]});
        assert_eq!(paths(claim.path(), below).unwrap(), ["blobs/a"]);
        let missing = paths(claim.path(), json!({"directory": "huggingface"})).unwrap_err();
        assert_eq!(missing.reason, Reason::NotFound);
    }

    #[test]
    fn a_link_that_cannot_be_taken_over_is_named_unless_it_is_excluded() {
        for (target, word) in [
            ("/etc/passwd", "off the claim"),
            ("../x", "off the claim"),
            ("nothing", "to nothing"),
            (".", "leads back"),
        ] {
            let claim = tempfile::tempdir().unwrap();
            std::fs::write(claim.path().join("a"), "a").unwrap();
            symlink(target, claim.path().join("bad")).unwrap();
            let failure = paths(claim.path(), json!({})).unwrap_err();
            assert_eq!(failure.reason, Reason::InvalidSpec);
            assert!(failure.message.contains(word) && failure.message.contains("`bad`"), "{failure}");
            assert_eq!(paths(claim.path(), json!({"exclude": ["bad", "bad/"]})).unwrap(), ["a"]);
        }
    }
}
