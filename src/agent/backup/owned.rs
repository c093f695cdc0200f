//! Which of the files on a volume did sources put there, and with which hash? What our manifests say.

use super::repository::internal;
use crate::agent::failure::Failure;
use crate::agent::fetch::unhex_array;
use crate::agent::layout::manifest::{Manifest, What};
use crate::agent::layout::safe_path::Root;
use crate::agent::layout::{LayoutError, OWN, held};
use crate::agent::verify::foreign;
use crate::contract::plan::Pin;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a cache's manifests list on one volume.
#[derive(Debug, Default)]
pub struct Owned {
    /// By path.
    pub entries: HashMap<String, OwnedEntry>,
    /// Names of the sources that an entry's index means.
    pub sources: Vec<String>,
    /// What they were pinned to.
    pub pins: BTreeMap<String, Pin>,
    /// The manifests themselves. What a backup holds and what it says of it come from one reading.
    pub manifests: Vec<Document>,
    /// Paths that other caches on the same volume put there, and this one did not.
    pub of_others: HashSet<String>,
    /// Files of the store that clients of the hub share: what sources put elsewhere was moved there, and links lead to it.
    pub in_store: HashMap<String, OwnedEntry>,
}

/// A manifest, as it goes into a backup.
#[derive(Debug)]
pub struct Document {
    /// Name of its source.
    pub source: String,
    /// Its entries.
    pub entries: u64,
    /// The document.
    pub plain: Vec<u8>,
}

/// An entry of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedEntry {
    /// A file.
    File {
        /// Size in bytes.
        size: u64,
        /// SHA-256 of its bytes.
        sha256: [u8; 32],
        /// Index of its source.
        source: usize,
    },
    /// A link.
    Link,
}

impl Owned {
    /// Reads the manifests.
    pub fn read(root: &Root, cache: &str) -> Result<Self, Failure> {
        let mut owned = Self::default();
        for manifest in Manifest::read_all(root, cache)? {
            owned.add(&manifest);
            owned.add_store(root, &manifest)?;
            let plain = serde_json::to_vec(&manifest).map_err(internal)?;
            owned.manifests.push(Document { source: manifest.source, entries: manifest.entries.len() as u64, plain });
        }
        for other in root.names(OWN).or_else(none_when_missing)? {
            if other == cache {
                continue;
            }
            for manifest in Manifest::read_all(root, &other)? {
                let theirs = manifest.entries.into_iter().map(|it| it.path);
                owned.of_others.extend(theirs.filter(|path| !owned.entries.contains_key(path)));
            }
        }
        Ok(owned)
    }

    fn add_store(&mut self, root: &Root, manifest: &Manifest) -> Result<(), Failure> {
        let Some(hub) = foreign::hub_of(manifest) else { return Ok(()) };
        if root.size(&format!("{hub}/blobs/{}", foreign::MARKER))?.is_none() {
            return Ok(());
        }
        for entry in &manifest.entries {
            let What::File { size, sha256 } = &entry.what else { continue };
            if let (Some(target), Some(sha256)) = (held::target(root, &entry.path)?, unhex_array(sha256)) {
                // No source fetches it to there.
                self.in_store.insert(target, OwnedEntry::File { size: *size, sha256, source: usize::MAX });
            }
        }
        Ok(())
    }

    fn add(&mut self, manifest: &Manifest) {
        let source = self.sources.len();
        self.sources.push(manifest.source.clone());
        let pin = Pin {
            revision: manifest.revision.clone(),
            files: manifest.files,
            bytes: manifest.bytes,
            digest: manifest.digest.clone(),
        };
        self.pins.insert(manifest.source.clone(), pin);
        for entry in &manifest.entries {
            let what = match &entry.what {
                What::File { size, sha256 } => match unhex_array(sha256) {
                    Some(sha256) => OwnedEntry::File { size: *size, sha256, source },
                    None => continue,
                },
                What::Link { .. } => OwnedEntry::Link,
            };
            self.entries.insert(entry.path.clone(), what);
        }
    }
}

fn none_when_missing(error: LayoutError) -> Result<Vec<String>, LayoutError> {
    match &error {
        LayoutError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
        _ => Err(error),
    }
}
