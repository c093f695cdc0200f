//! What lies in hub directories that nothing needs: interrupted downloads of other tools, and contents that nothing leads to?
//! What `du` tells and `clean` removes.

use super::super::layout::safe_path::Root;
use super::super::layout::{LayoutError, held};
use super::bucket::{Bucket, Foreign, Map};
use super::known::Cache;
use super::owners::{Owners, repositories};
use super::walk::{Next, walk_below};
use rustix::fs::{FileType, Stat};
use std::collections::HashSet;

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

/// What nothing needs in the hub directories of a volume's caches: interrupted downloads in all repositories, and contents
/// that nothing leads to in those of the caches.
pub fn of(root: &Root, caches: &[Cache], owners: &Owners) -> Result<Vec<Leftover>, LayoutError> {
    let map = Map::of(caches);
    let (mut found, mut wanted): (Vec<Leftover>, HashSet<String>) = (Vec::new(), HashSet::new());
    for hub in &map.hubs {
        walk_below(root, hub, |path, stat| {
            let kind = FileType::from_raw_mode(stat.st_mode);
            // What is no text is no name that a client of the hub gives.
            let Ok(path) = std::str::from_utf8(path) else { return Next::Pass };
            let owned = owners.get(path).is_some();
            if kind == FileType::Symlink && !owned {
                wanted.extend(held::target(root, path).ok().flatten());
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
                found.extend(found_one);
            }
            Next::Enter
        })?;
    }
    found.retain(|it| it.incomplete || !wanted.contains(&it.path));
    Ok(found)
}

/// Whether a leftover lies in a repository of one of these caches.
pub fn is_of(path: &str, caches: &[Cache]) -> bool {
    repositories(caches).iter().any(|it| path.strip_prefix(it.as_str()).is_some_and(|rest| rest.starts_with("/blobs/")))
}

fn is_incomplete(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    parts.next().is_some_and(|name| name.ends_with(".incomplete")) && parts.next() == Some("blobs")
}
