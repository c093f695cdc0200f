//! What is a thing on a volume that no revision needs? Told by its path alone.

use super::super::layout::OWN;
use super::super::layout::safe_path::split;
use super::super::verify::{foreign, hub};
use super::known::Cache;
use super::owners::repositories;
use serde::Serialize;
use std::collections::BTreeSet;

/// What it counts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Half fetched, of a cache.
    Staging(String),
    /// Thrown away and kept for a while, of a cache; of none in particular when it is empty.
    Trash(String),
    /// What a cache remembers; of none in particular when it is empty.
    State(String),
    /// Of another tool, in a hub's cache: what, and the directory or file that it is counted under.
    Foreign(Foreign, String),
    /// A directory that holds more than one of all these.
    Directory,
    /// Anything else on the volume.
    Other,
}

/// What other tools put into a hub's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Foreign {
    /// A repository that no cache asked for.
    Repository,
    /// A snapshot that no cache asked for, in a repository that one did.
    Snapshot,
    /// A blob that no cache asked for and a snapshot links to.
    Blob,
    /// A blob that nothing links to.
    LooseBlob,
    /// What an interrupted download left.
    Incomplete,
    /// The shared blob store, as far as no blob of ours is in it.
    SharedStore,
    /// Locks of the hub's clients.
    Locks,
    /// What the hub's transfer protocol keeps for itself.
    Xet,
    /// Anything else in a hub's cache.
    Other,
}

/// Where things are on a volume.
#[derive(Clone, Debug, Default)]
pub struct Map {
    /// Hub directories.
    pub hubs: BTreeSet<String>,
    /// Directories of repositories that a cache asked for.
    pub repositories: BTreeSet<String>,
    /// Names of the caches.
    pub caches: BTreeSet<String>,
}

impl Map {
    /// Where things are on a volume that has these caches.
    pub fn of(caches: &[Cache]) -> Self {
        let manifests = caches.iter().flat_map(|it| &it.revisions).map(|it| &it.manifest);
        let mut hubs: BTreeSet<String> = manifests.filter_map(foreign::hub_of).collect();
        hubs.insert("huggingface/hub".to_owned());
        Self { hubs, repositories: repositories(caches), caches: caches.iter().map(|it| it.name.clone()).collect() }
    }

    /// What a path counts as.
    pub fn bucket(&self, path: &str, is_directory: bool) -> Bucket {
        if let Some(inside) = below(path, OWN) {
            return self.own(inside);
        }
        for hub in &self.hubs {
            if let Some(inside) = below(path, hub) {
                return self.in_hub(hub, inside, is_directory);
            }
            // `HF_HOME/xet` stands beside `HF_HOME/hub`.
            let home = split(hub).0;
            let xet = if home.is_empty() { "xet".to_owned() } else { format!("{home}/xet") };
            if path == xet || below(path, &xet).is_some() {
                return Bucket::Foreign(Foreign::Xet, xet);
            }
        }
        if is_directory { Bucket::Directory } else { Bucket::Other }
    }

    fn own(&self, inside: &str) -> Bucket {
        let (first, rest) = inside.split_once('/').unwrap_or((inside, ""));
        let cache = if self.caches.contains(first) { first.to_owned() } else { String::new() };
        match rest.split('/').next() {
            _ if cache.is_empty() && first == "trash" => Bucket::Trash(cache),
            Some("staging" | "unpack") if !cache.is_empty() => Bucket::Staging(cache),
            Some("trash") if !cache.is_empty() => Bucket::Trash(cache),
            _ => Bucket::State(cache),
        }
    }

    fn in_hub(&self, hub: &str, inside: &str, is_directory: bool) -> Bucket {
        let (first, rest) = inside.split_once('/').unwrap_or((inside, ""));
        let top = format!("{hub}/{first}");
        if self.repositories.contains(&top) {
            if is_directory && matches!(rest, "" | "blobs" | "snapshots" | "refs" | "trees") {
                return Bucket::Directory;
            }
            return in_repository(top, rest, is_directory);
        }
        let what = match first {
            ".locks" => Foreign::Locks,
            "blobs" => Foreign::SharedStore,
            _ if hub::KINDS.iter().any(|it| first.starts_with(it)) => Foreign::Repository,
            _ => Foreign::Other,
        };
        Bucket::Foreign(what, top)
    }
}

fn in_repository(top: String, rest: &str, is_directory: bool) -> Bucket {
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    match kind {
        "blobs" if name.ends_with(".incomplete") => Bucket::Foreign(Foreign::Incomplete, top),
        // Whether something links to it shows when all links have been seen.
        "blobs" => Bucket::Foreign(Foreign::LooseBlob, format!("{top}/{rest}")),
        // Directories of our own snapshots are not told from those of others by their path.
        "snapshots" | "refs" if is_directory => Bucket::Directory,
        "snapshots" => {
            let commit = name.split('/').next().unwrap_or_default();
            Bucket::Foreign(Foreign::Snapshot, format!("{top}/snapshots/{commit}"))
        }
        _ => Bucket::Foreign(Foreign::Other, top),
    }
}

fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    path.strip_prefix(directory)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_whose_it_is() {
        let set = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let map = Map { hubs: set(&["hf/hub"]), repositories: set(&["hf/hub/models--a"]), caches: set(&["studio"]) };
        let foreign = |what, path: &str| Bucket::Foreign(what, path.to_owned());
        for (path, directory, bucket) in [
            (".modelcache/studio/staging/x", false, Bucket::Staging("studio".into())),
            (".modelcache/studio/manifests/x.json", false, Bucket::State("studio".into())),
            (".modelcache/trash/7/x", false, Bucket::Trash(String::new())),
            (".modelcache/marker.json", false, Bucket::State(String::new())),
            ("hf/hub/models--a/blobs/ab.incomplete", false, foreign(Foreign::Incomplete, "hf/hub/models--a")),
            ("hf/hub/models--a/blobs/ab", false, foreign(Foreign::LooseBlob, "hf/hub/models--a/blobs/ab")),
            ("hf/hub/models--a/snapshots/c/x", false, foreign(Foreign::Snapshot, "hf/hub/models--a/snapshots/c")),
            ("hf/hub/models--b/blobs/ab", false, foreign(Foreign::Repository, "hf/hub/models--b")),
            ("hf/hub/models--b", true, foreign(Foreign::Repository, "hf/hub/models--b")),
            ("hf/hub/blobs/ab/x.refs", false, foreign(Foreign::SharedStore, "hf/hub/blobs")),
            ("hf/hub/lost+found", true, foreign(Foreign::Other, "hf/hub/lost+found")),
            ("hf/xet/staging/x", false, foreign(Foreign::Xet, "hf/xet")),
            ("hf", true, Bucket::Directory),
            ("hf/hub/models--a/snapshots", true, Bucket::Directory),
            ("notes.txt", false, Bucket::Other),
        ] {
            assert_eq!(map.bucket(path, directory), bucket, "{path}");
        }
    }
}
