//! What of a volume belongs into its backup, and which file holds it?

use super::known::Hash;
use super::owned::{Owned, OwnedEntry};
use super::repository::snapshot::NotCovered;
use super::walk::{Found, Kind};
use crate::agent::failure::Failure;
use crate::agent::layout::held;
use crate::agent::layout::safe_path::Root;
use crate::agent::source::fnmatch::Patterns;
use crate::api::Reason;
use crate::api::backup::BackupContent;
use std::collections::BTreeSet;

/// What is asked of one volume.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its directory.
    pub root: &'a Root,
    /// What our manifests list.
    pub owned: &'a Owned,
    /// Whether only what sources put there counts: a copy on a node.
    pub per_node: bool,
    /// How much of each file.
    pub content: BackupContent,
    /// Sources that fetch again what they put there.
    pub origins: &'a BTreeSet<String>,
    /// Only some paths.
    pub patterns: &'a Patterns,
    /// Where backups go, if that may lie on the volume: device and inode.
    pub forbidden: Option<(u64, u64)>,
}

impl Asked<'_> {
    /// Something that a source put there is gone: a backup without it would look whole.
    pub(super) fn missing(&self) -> Result<(), Failure> {
        let root = self.root;
        let mut gone = Vec::new();
        for (path, entry) in &self.owned.entries {
            if self.patterns.want(path) && root.stat(path)?.is_none() {
                gone.push((path, entry));
            }
        }
        gone.sort_by_key(|(path, _)| *path);
        let Some((path, _)) = gone.first() else { return Ok(()) };
        let message = format!(
            "{path} and {} more that sources put there are gone: `modelcache prefetch` brings them back; nothing half is \
             backed up",
            gone.len() - 1
        );
        Err(Failure::new(Reason::Damaged, message))
    }

    /// Why something is not covered. `None` when it is.
    pub(super) fn not_covered(&self, found: &Found, owned: Option<&OwnedEntry>) -> Option<NotCovered> {
        match found.kind {
            Kind::Special => return Some(NotCovered::Special),
            Kind::OtherFileSystem => return Some(NotCovered::OtherFileSystem),
            Kind::Closed => return Some(NotCovered::Excluded),
            // What is in it is looked at, and counted, by itself.
            Kind::Directory => return None,
            Kind::File | Kind::Link(_) => {}
        }
        if !self.patterns.want(&found.path) {
            return Some(NotCovered::Excluded);
        }
        if owned.is_some() {
            return None;
        }
        if self.owned.of_others.contains(&found.path) {
            return Some(NotCovered::OfAnotherCache);
        }
        match (self.per_node, self.content) {
            (true, _) => Some(NotCovered::NotOfASource),
            (false, BackupContent::Manifest) => Some(NotCovered::NoBytesAskedFor),
            (false, _) => None,
        }
    }

    /// Turns the link that a client of the hub has left in the place of a blob into the file that it leads to: its bytes belong
    /// into the backup, under the path that the manifest names. Gives the path to read, when it is another. Where what it leads
    /// to is in the backup by itself, the link is kept as the link that it is.
    ///
    /// # Errors
    /// `Damaged` when a source's file is no file of this volume any more: a backup without its bytes would look whole.
    pub(super) fn held(&self, found: &mut Found, owned: Option<&OwnedEntry>) -> Result<Option<String>, Failure> {
        let is_file = matches!(owned, Some(OwnedEntry::File { .. }));
        if !is_file || found.kind == Kind::File || !self.patterns.want(&found.path) {
            return Ok(None);
        }
        if let (Some(target), Some(stat)) = (held::target(self.root, &found.path)?, held::stat(self.root, &found.path)?)
        {
            if self.owned.in_store.contains_key(&target) && self.covers(&target) {
                return Ok(None);
            }
            (found.kind, found.stat) = (Kind::File, stat);
            return Ok(Some(target));
        }
        Err(lost(&found.path))
    }

    /// Whether a file of nobody's is in the backup with its bytes.
    fn covers(&self, path: &str) -> bool {
        !self.per_node
            && self.content != BackupContent::Manifest
            && self.patterns.want(path)
            && !self.owned.of_others.contains(path)
    }

    /// What is known of the bytes of a file: of one that a source put there, and of one that such a file was moved to.
    pub(super) fn known<'a>(&'a self, path: &str, owned: Option<&'a OwnedEntry>) -> Option<&'a OwnedEntry> {
        owned.or_else(|| self.owned.in_store.get(path))
    }

    /// The source that fetches a file again.
    pub(super) fn origin(&self, owned: Option<&OwnedEntry>) -> Option<&str> {
        let Some(OwnedEntry::File { source, .. }) = owned else { return None };
        let name = self.owned.sources.get(*source)?;
        self.origins.contains(name).then_some(name.as_str())
    }
}

/// The hash that a source promises.
pub(super) fn promised(owned: Option<&OwnedEntry>) -> Option<Hash> {
    match owned {
        Some(OwnedEntry::File { sha256, .. }) => Some(*sha256),
        _ => None,
    }
}

/// A file that a source put there, and that no file of the volume holds any more.
pub(super) fn lost(path: &str) -> Failure {
    let message = format!(
        "{path} was put there by a source and is no file of this volume any more: `modelcache prefetch` brings it back; nothing \
         half is backed up"
    );
    Failure::new(Reason::Damaged, message)
}
