//! What can be done with a place that holds a repository? The same for a bucket and for a directory.

use super::bucket::Bucket;
use super::directory::Directory;
use crate::agent::failure::Failure;
use crate::agent::layout::safe_path::Root;
use crate::api::Reason;
use bytes::Bytes;
use jiff::Timestamp;

/// Bytes that are read at once from a large object.
const PIECE: u64 = 8 << 20;

/// A place for one repository. Names are relative to it.
#[derive(Clone, Debug)]
pub enum Store {
    /// A directory.
    Directory(Directory),
    /// A directory of a bucket.
    Bucket(Bucket),
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name, relative to the repository.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When it was written, by the clock of the store.
    pub modified: Timestamp,
}

impl Store {
    /// What messages call it.
    pub fn shown(&self) -> String {
        match self {
            Self::Directory(it) => it.root().shown("").display().to_string().trim_end_matches('/').to_owned(),
            Self::Bucket(it) => it.shown(),
        }
    }

    /// What messages call an object.
    pub fn shown_name(&self, name: &str) -> String {
        match self {
            Self::Directory(it) => it.root().shown(name).display().to_string(),
            Self::Bucket(it) => format!("{name} in {}", it.shown()),
        }
    }

    /// The directory, if it is one.
    pub fn root(&self) -> Option<&Root> {
        match self {
            Self::Directory(it) => Some(it.root()),
            Self::Bucket(_) => None,
        }
    }

    /// A small object. `None` when there is none.
    ///
    /// # Errors
    /// `ChecksumMismatch` when it is larger than `limit`: it is not what it should be.
    pub async fn get(&self, name: &str, limit: u64) -> Result<Option<Bytes>, Failure> {
        let found = match self {
            Self::Directory(it) => on_disk(it, name, move |it, name| it.get(name, limit)).await?,
            Self::Bucket(it) => it.get(name, limit).await?,
        };
        match found {
            Some(bytes) if bytes.len() as u64 > limit => {
                let message = format!("{} is larger than such an object is", self.shown_name(name));
                Err(Failure::new(Reason::ChecksumMismatch, message))
            }
            found => Ok(found),
        }
    }

    /// Part of an object. `None` when there is none.
    ///
    /// # Errors
    /// `ChecksumMismatch` when it ends before.
    pub async fn range(&self, name: &str, start: u64, length: u64) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Directory(it) => on_disk(it, name, move |it, name| it.range(name, start, length)).await,
            Self::Bucket(it) => it.range(name, start, length).await,
        }
    }

    /// Hands a large object over, piece by piece, while `take` says so. Whether it is there.
    pub async fn read(&self, name: &str, mut take: impl FnMut(Bytes) -> Result<(), Failure>) -> Result<bool, Failure> {
        let Some(size) = self.size(name).await? else { return Ok(false) };
        let mut at = 0;
        while at < size {
            let length = PIECE.min(size - at);
            let Some(bytes) = self.range(name, at, length).await? else { return Ok(false) };
            take(bytes)?;
            at += length;
        }
        Ok(true)
    }

    /// Bytes of an object. `None` when there is none.
    pub async fn size(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self {
            Self::Directory(it) => on_disk(it, name, Directory::size).await,
            Self::Bucket(it) => it.size(name).await,
        }
    }

    /// Writes a small object unless there is one of this name. Whether it did. Durable when this returns.
    pub async fn put_new(&self, name: &str, bytes: Bytes) -> Result<bool, Failure> {
        self.put(name, bytes, false).await
    }

    /// Writes a small object, also over one of this name: only for what nobody relies on.
    pub async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), Failure> {
        self.put(name, bytes, true).await.map(drop)
    }

    async fn put(&self, name: &str, bytes: Bytes, replace: bool) -> Result<bool, Failure> {
        match self {
            Self::Directory(it) => on_disk(it, name, move |it, name| it.put(name, &bytes, replace)).await,
            Self::Bucket(it) => it.put(name, bytes, replace).await,
        }
    }

    /// Every object whose name begins so, in no order.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Found>, Failure> {
        match self {
            Self::Directory(it) => on_disk(it, prefix, Directory::list).await,
            Self::Bucket(it) => it.list(prefix).await,
        }
    }

    /// Removes objects; that one is gone already is fine.
    pub async fn remove(&self, names: Vec<String>) -> Result<(), Failure> {
        match self {
            Self::Directory(it) => {
                on_disk(it, "", move |it, _| names.iter().try_for_each(|name| it.remove(name))).await
            }
            Self::Bucket(it) => it.remove(names).await,
        }
    }

    /// Everything written so far is durable. A bucket's objects are when they are acknowledged.
    pub async fn sync(&self) -> Result<(), Failure> {
        match self {
            Self::Directory(it) => on_disk(it, "", |it, _| it.sync()).await,
            Self::Bucket(_) => Ok(()),
        }
    }

    /// Names of what was begun in a directory and not finished.
    pub async fn half_written(&self) -> Result<Vec<String>, Failure> {
        match self {
            Self::Directory(it) => on_disk(it, "", |it, _| it.half_written()).await,
            Self::Bucket(_) => Ok(vec![]),
        }
    }

    /// Removes what was begun and not finished.
    pub async fn remove_half_written(&self, names: Vec<String>) -> Result<(), Failure> {
        match self {
            Self::Directory(it) => {
                on_disk(it, "", move |it, _| names.iter().try_for_each(|name| it.remove_half_written(name))).await
            }
            Self::Bucket(_) => Ok(()),
        }
    }

    /// Gives up an upload in parts that a killed run began.
    pub async fn abort(&self, name: &str, id: &str) -> Result<(), Failure> {
        match self {
            Self::Directory(_) => Ok(()),
            Self::Bucket(it) => it.abort(name, id).await,
        }
    }
}

/// A disk may take its time, and a network's disk even more.
async fn on_disk<T: Send + 'static>(
    directory: &Directory,
    name: &str,
    work: impl FnOnce(&Directory, &str) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (directory, name) = (directory.clone(), name.to_owned());
    tokio::task::spawn_blocking(move || work(&directory, &name)).await.map_err(super::internal)?
}
