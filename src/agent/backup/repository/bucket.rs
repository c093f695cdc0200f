//! How is a repository kept in a bucket? By the client that sources list with, and its words for what was refused.

use super::store::Found;
use crate::agent::failure::Failure;
use crate::agent::source::Origins;
use crate::agent::source::access::Access;
use crate::agent::source::object_store::Destination;
use crate::api::Reason;
use crate::api::source::ObjectStore;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use std::sync::Arc;

/// A directory of a bucket that holds one repository.
#[derive(Clone, Debug)]
pub struct Bucket {
    client: Arc<Destination>,
    /// The repository's directory in the bucket, with a slash at its end.
    directory: String,
}

impl Bucket {
    /// The directory `below` the spec's prefix. Nobody is asked yet.
    pub(super) fn new(origins: &Origins, spec: ObjectStore, access: &Access, below: &str) -> Result<Self, Failure> {
        let prefix = spec.effective_prefix().trim_matches('/');
        let directory = if prefix.is_empty() { format!("{below}/") } else { format!("{prefix}/{below}/") };
        Ok(Self { client: Arc::new(Destination::new(origins, spec, access)?), directory })
    }

    pub(super) fn shown(&self) -> String {
        format!("{}, directory {}", self.client.name(), self.directory.trim_end_matches('/'))
    }

    pub(super) async fn get(&self, name: &str, limit: u64) -> Result<Option<Bytes>, Failure> {
        let Some(size) = self.size(name).await? else { return Ok(None) };
        // Never more than is asked for, whatever is there.
        self.range(name, 0, size.min(limit + 1)).await
    }

    pub(super) async fn range(&self, name: &str, start: u64, length: u64) -> Result<Option<Bytes>, Failure> {
        if length == 0 {
            return Ok(Some(Bytes::new()));
        }
        match self.client.objects().get_range(&self.path(name)?, start..start + length).await {
            Ok(bytes) if bytes.len() as u64 == length => Ok(Some(bytes)),
            Ok(_) => {
                let message = format!("{name} in {} ends before byte {}", self.shown(), start + length);
                Err(Failure::new(Reason::ChecksumMismatch, message))
            }
            Err(error) => self.missing(&error),
        }
    }

    pub(super) async fn size(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.client.objects().head(&self.path(name)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(error) => self.missing(&error),
        }
    }

    pub(super) async fn put(&self, name: &str, bytes: Bytes, replace: bool) -> Result<bool, Failure> {
        let mode = if replace { PutMode::Overwrite } else { PutMode::Create };
        let options = PutOptions { mode, ..PutOptions::default() };
        let path = self.path(name)?;
        match self.client.objects().put_opts(&path, PutPayload::from_bytes(bytes), options).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.client.failure(&error)),
        }
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Found>, Failure> {
        let (directory, _) = prefix.rsplit_once('/').unwrap_or_default();
        let below = self.path(directory)?;
        let mut found = Vec::new();
        let mut objects = self.client.objects().list(Some(&below));
        while let Some(object) = objects.try_next().await.map_err(|error| self.client.failure(&error))? {
            let Some(name) = object.location.as_ref().strip_prefix(&self.directory) else { continue };
            if name.starts_with(prefix) {
                let modified = Timestamp::from_second(object.last_modified.timestamp()).unwrap_or_default();
                found.push(Found { name: name.to_owned(), size: object.size, modified });
            }
        }
        Ok(found)
    }

    pub(super) async fn remove(&self, names: Vec<String>) -> Result<(), Failure> {
        let paths: Result<Vec<Path>, Failure> = names.iter().map(|name| self.path(name)).collect();
        let paths = futures::stream::iter(paths?.into_iter().map(Ok)).boxed();
        let mut removed = self.client.objects().delete_stream(paths);
        loop {
            match removed.next().await {
                None => return Ok(()),
                Some(Ok(_) | Err(Error::NotFound { .. })) => {}
                Some(Err(error)) => return Err(self.client.failure(&error)),
            }
        }
    }

    /// Begins an upload in parts; what it is called until it is complete.
    pub(super) async fn begin(&self, name: &str) -> Result<String, Failure> {
        let path = self.path(name)?;
        self.client.parts().create_multipart(&path).await.map_err(|error| self.client.failure(&error))
    }

    pub(super) async fn part(&self, name: &str, id: &str, index: usize, bytes: Bytes) -> Result<PartId, Failure> {
        let (path, id) = (self.path(name)?, id.to_owned());
        let sent = self.client.parts().put_part(&path, &id, index, PutPayload::from_bytes(bytes)).await;
        sent.map_err(|error| self.client.failure(&error))
    }

    pub(super) async fn complete(&self, name: &str, id: &str, parts: Vec<PartId>) -> Result<(), Failure> {
        let done = self.client.parts().complete_multipart(&self.path(name)?, &id.to_owned(), parts).await;
        done.map(drop).map_err(|error| self.client.failure(&error))
    }

    /// Gives an upload up; that it is gone already is fine.
    pub(super) async fn abort(&self, name: &str, id: &str) -> Result<(), Failure> {
        match self.client.parts().abort_multipart(&self.path(name)?, &id.to_owned()).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.client.failure(&error)),
        }
    }

    /// Nothing, where what is missing is the object; a missing bucket is a failure.
    fn missing<T>(&self, error: &Error) -> Result<Option<T>, Failure> {
        match error {
            Error::NotFound { .. } if !self.client.bucket_is_missing() => Ok(None),
            error => Err(self.client.failure(error)),
        }
    }

    fn path(&self, name: &str) -> Result<Path, Failure> {
        Path::parse(format!("{}{name}", self.directory)).map_err(super::internal)
    }
}
