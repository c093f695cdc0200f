//! What was there at one time? The document that makes a backup exist.

use super::list::Chunk;
use super::marker::{Marker, VERSION};
use crate::api::backup::BackupContent;
use crate::contract::plan::Pin;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Largest snapshot document that is read, in bytes.
pub const LIMIT: u64 = 16 << 20;

/// One backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Version of the document.
    pub version: u32,
    /// Its name: hexadecimal digits.
    pub id: String,
    /// When the run began.
    pub time: Timestamp,
    /// Identity of the repository that it belongs to.
    pub repository: String,
    /// Namespace of the cache.
    pub namespace: String,
    /// Name of the cache.
    pub cache: String,
    /// How much of each file was to be kept.
    pub content: BackupContent,
    /// The `spec` of the ModelCache, as it was.
    pub spec: Value,
    /// The volumes, in the order of the spec.
    pub volumes: Vec<VolumeSnapshot>,
    /// Files of all volumes.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that this run wrote to the destination.
    pub new_bytes: u64,
    /// Seconds that the run took.
    pub seconds: u64,
    /// SHA-256 over the file lists of all volumes.
    pub digest: String,
}

/// What was on one volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshot {
    /// Name of the volume.
    pub name: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files whose bytes are not kept, but come from their source again.
    #[serde(default)]
    pub from_origin: u64,
    /// What is on the volume and not in this backup, by why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_covered: BTreeMap<NotCovered, Count>,
    /// What the sources on it were pinned to, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Pin>,
    /// What is on the volume for each source, by name, as our manifests there say it: blobs of JSON. A restore puts them back,
    /// so that the files need not be listed or fetched again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub manifests: BTreeMap<String, Chunk>,
    /// The list of files, in pieces; each is a blob of JSON lines.
    pub list: Vec<Chunk>,
}

/// Why something is not in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NotCovered {
    /// `include` and `exclude` leave it out.
    Excluded,
    /// It is on a per-node volume, and no source put it there.
    NotOfASource,
    /// Another cache on the same claim put it there.
    OfAnotherCache,
    /// It is neither a file, a directory nor a link.
    Special,
    /// It is on another file system that is mounted there.
    OtherFileSystem,
    /// No source put it there, and `content: Manifest` keeps no bytes.
    NoBytesAskedFor,
    /// It was there when the run came by, and went away, or became something else, before it was read.
    Vanished,
}

/// How much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Snapshot {
    /// Reads a snapshot of a repository.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &[u8], marker: &Marker) -> Result<Self, String> {
        let snapshot: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if snapshot.version != VERSION {
            return Err(format!("it is of version {}, and this is version {VERSION}", snapshot.version));
        }
        if snapshot.repository != marker.repository {
            return Err("it belongs to another repository".into());
        }
        Ok(snapshot)
    }

    /// What is not covered, over all volumes.
    pub fn not_covered(&self) -> Count {
        let counts = self.volumes.iter().flat_map(|it| it.not_covered.values());
        counts.fold(Count::default(), |sum, it| Count { files: sum.files + it.files, bytes: sum.bytes + it.bytes })
    }
}
