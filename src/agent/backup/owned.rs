//! Which of the files on a volume did sources put there, and with which hash? What our manifests say.

use crate::agent::failure::Failure;
use crate::agent::fetch::unhex_array;
use crate::agent::layout::manifest::{Manifest, What};
use crate::agent::layout::safe_path::Root;
use crate::agent::layout::{LayoutError, OWN};
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
    /// Paths that other caches on the same volume put there, and this one did not.
    pub of_others: HashSet<String>,
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
