//! What lies in hub directories that nothing needs: interrupted downloads of other tools, and contents that nothing leads to?
//! What `du` tells and `clean` removes.

use super::super::layout::safe_path::Root;
use super::super::layout::{LayoutError, held};
use super::bucket::{Bucket, Foreign, Map};
use super::known::Cache;
use super::owners::{Owners, repositories};
use super::walk::{Next, Skipped, walk_below};
use rustix::fs::{FileType, Stat};
use std::collections::{BTreeSet, HashMap};

/// A file that nothing needs.
#[derive(Clone, Debug)]
pub struct Leftover {
    /// Its path.
    pub path: String,
    /// What it is.
    pub stat: Stat,
    /// Whether it is an interrupted download; else nothing leads to it.
    pub incomplete: bool,
}

/// What nothing needs in the hub directories of a volume's caches.
#[derive(Clone, Debug, Default)]
pub struct Leftovers {
    /// Interrupted downloads in all repositories, and contents that nothing leads to in those of the caches.
    pub files: Vec<Leftover>,
    /// What links that no cache lists lead to, and those links.
    pub led_to: Links,
    /// What could not be looked at.
    pub skipped: Skipped,
}

/// Links, by what they lead to.
pub type Links = HashMap<String, BTreeSet<String>>;

/// Looks for it.
pub fn of(root: &Root, caches: &[Cache], owners: &Owners) -> Result<Leftovers, LayoutError> {
    let map = Map::of(caches);
    let Leftovers { mut files, mut led_to, mut skipped } = Leftovers::default();
    for hub in &map.hubs {
        let walked = walk_below(root, hub, |path, stat| {
            let kind = FileType::from_raw_mode(stat.st_mode);
            // What is no text is no name that a client of the hub gives.
            let Ok(path) = std::str::from_utf8(path) else { return Next::Pass };
            let owned = owners.get(path).is_some();
            if kind == FileType::Symlink
                && !owned
                && let Some(target) = held::target(root, path).ok().flatten()
            {
                led_to.entry(target).or_default().insert(path.to_owned());
            }
            if kind == FileType::RegularFile && !owned {
                let incomplete = match map.bucket(path, false) {
                    Bucket::Foreign(Foreign::Incomplete, _) => Some(true),
                    Bucket::Foreign(Foreign::Repository, _) if is_incomplete(path) => Some(true),
                    Bucket::Foreign(Foreign::LooseBlob, _) => Some(false),
                    _ => None,
                };
                let found_one =
                    incomplete.map(|incomplete| Leftover { path: path.to_owned(), stat: *stat, incomplete });
                files.extend(found_one);
            }
            Next::Enter
        })?;
        skipped.unreadable.extend(walked.unreadable);
        skipped.mounts.extend(walked.mounts);
    }
    files.retain(|it| it.incomplete || !led_to.contains_key(&it.path));
    Ok(Leftovers { files, led_to, skipped })
}

impl Leftovers {
    /// Why nobody knows what links to contents of these caches there are: something in their repositories could not be looked at.
    pub fn unseen(&self, caches: &[Cache]) -> Option<String> {
        let repositories = repositories(caches);
        let inside = |it: &&String| {
            let rest = |repository: &String| it.strip_prefix(repository.as_str()).map(str::as_bytes);
            repositories.iter().any(|repository| matches!(rest(repository), Some([] | [b'/' | b':', ..])))
        };
        let unreadable = self.skipped.unreadable.iter().find(inside);
        let unreadable = unreadable.map(|it| format!("{it}: run as a user that may read it"));
        let mount = || self.skipped.mounts.iter().find(inside);
        unreadable.or_else(|| mount().map(|it| format!("{it} is another file system, which is not looked into")))
    }
}

/// Whether a leftover lies in a repository of one of these caches.
pub fn is_of(path: &str, caches: &[Cache]) -> bool {
    repositories(caches).iter().any(|it| path.strip_prefix(it.as_str()).is_some_and(|rest| rest.starts_with("/blobs/")))
}

fn is_incomplete(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    parts.next().is_some_and(|name| name.ends_with(".incomplete")) && parts.next() == Some("blobs")
}
