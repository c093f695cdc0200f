//! Whose repository is this? Written once, read by every command first.

use super::names;
use super::seal::Seal;
use super::store::Store;
use crate::agent::failure::Failure;
use crate::api::Reason;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Version of the repository's format.
pub const VERSION: u32 = 1;
/// Largest marker that is read, in bytes.
const LIMIT: u64 = 64 << 10;

/// The cache that a repository is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its namespace; `default` when a YAML has none.
    pub namespace: String,
    /// Its name.
    pub cache: String,
}

/// The identity marker of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marker {
    /// Version of the repository's format.
    pub version: u32,
    /// Namespace of the cache.
    pub namespace: String,
    /// Name of the cache.
    pub cache: String,
    /// Identity of the repository: snapshots carry it, too.
    pub repository: String,
    /// The public half of the key that everything is encrypted for; nothing is encrypted when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
}

impl Owner {
    /// The owner that a ModelCache is.
    pub fn of(cache: &crate::api::ModelCache) -> Self {
        Self {
            namespace: cache.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            cache: cache.metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.cache)
    }
}

impl Marker {
    /// The marker of a new repository.
    pub fn new(owner: &Owner, seal: &Seal) -> Result<Self, Failure> {
        Ok(Self {
            version: VERSION,
            namespace: owner.namespace.clone(),
            cache: owner.cache.clone(),
            repository: names::unique()?,
            recipient: seal.recipient(),
        })
    }

    /// The marker of a store. `None` when there is none.
    ///
    /// # Errors
    /// `ForeignBackup` when what is there cannot be understood.
    pub async fn read(store: &Store) -> Result<Option<Self>, Failure> {
        let Some(bytes) = store.get(names::MARKER, LIMIT).await? else { return Ok(None) };
        let marker: Option<Self> = serde_json::from_slice(&bytes).ok();
        marker.map(Some).ok_or_else(|| {
            let message = format!(
                "{} is no marker that this version understands: choose another place, or restore the marker",
                store.shown_name(names::MARKER)
            );
            Failure::new(Reason::ForeignBackup, message)
        })
    }

    /// Writes the marker, unless there is one.
    pub async fn write(&self, store: &Store) -> Result<bool, Failure> {
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        store.put_new(names::MARKER, bytes.into()).await
    }

    /// Whether this is the repository of `owner`, in a form that is understood and with the key that is given.
    ///
    /// # Errors
    /// `ForeignBackup`, with what differs.
    pub fn check(&self, store: &Store, owner: &Owner, seal: &Seal) -> Result<(), Failure> {
        let refused = |what: String| {
            let message = format!("{} {what}; nothing was read or written", store.shown());
            Err(Failure::new(Reason::ForeignBackup, message))
        };
        if self.version != VERSION {
            return refused(format!("is a repository of version {}, and this is version {VERSION}", self.version));
        }
        if (&self.namespace, &self.cache) != (&owner.namespace, &owner.cache) {
            return refused(format!("holds the backups of {}/{}, not of {owner}", self.namespace, self.cache));
        }
        match (&self.recipient, seal.recipient()) {
            (mine, theirs) if *mine == theirs => Ok(()),
            (None, _) => refused("is not encrypted: give an encrypted backup a place of its own".into()),
            (Some(mine), None) => refused(format!("is encrypted for {mine}: name that key in `encryption`")),
            (Some(mine), Some(theirs)) => refused(format!("is encrypted for {mine}, and the key given is {theirs}")),
        }
    }
}
