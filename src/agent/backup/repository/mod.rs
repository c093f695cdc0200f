//! Where is a cache's backup kept, and whose is it? One repository for each cache, with a marker that says so.
//!
//! ```text
//! <prefix>/<namespace>/<cache>/modelcache.json      whose repository this is; written once
//!   blobs/sha256/<2 hex>/<64 hex>[.zst][.age]       one object for each content; its name is the SHA-256 of the plain bytes
//!   packs/<2 hex>/<id>                              blocks of small files; the list says pack, offset, length
//!   snapshots/<YYYYmmddTHHMMSSZ>-<id>.json[.age]    written last, create-only: what has no snapshot does not exist
//!   archives/<YYYYmmddTHHMMSSZ>-<id>.tar.zst[.age]   `format: Archive`: everything in one file
//!   running/<id>.json, pruning/<id>.json            who is at work
//!   tmp/                                            half-written files of a directory (a bucket has none)
//! ```

pub mod at_work;
mod bucket;
mod directory;
pub mod list;
pub mod marker;
pub mod names;
pub mod place;
pub mod renewing;
pub mod seal;
mod settle;
pub mod snapshot;
pub mod store;
pub mod upload;

use super::super::failure::Failure;
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use bytes::Bytes;
use marker::{Marker, Owner};
use seal::{Form, Seal};
use snapshot::Snapshot;
use store::Store;

/// The repository of one cache, opened: its marker was read and is this cache's.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Where the objects are. Names are relative to the repository.
    pub store: Store,
    /// Whose it is.
    pub marker: Marker,
    /// How objects are compressed and encrypted.
    pub seal: Seal,
}

impl Repository {
    /// Opens the repository of a cache. It is never made here.
    ///
    /// # Errors
    /// `NotFound` when there is none; `ForeignBackup` when what is there is another's, or was encrypted otherwise.
    pub async fn open(store: Store, owner: &Owner, seal: Seal) -> Result<Self, Failure> {
        let Some(marker) = Marker::read(&store).await? else {
            // Whether it is the bucket that is missing is said in the answer to a listing alone: that to a `HEAD` has no words.
            store.list("snapshots/").await?;
            let message = format!("{} holds no backup of {owner}: check `destination` and the names", store.shown());
            return Err(Failure::new(Reason::NotFound, message));
        };
        marker.check(&store, owner, &seal)?;
        Ok(Self { store, marker, seal })
    }

    /// Opens the repository of a cache, or makes it where there is none yet.
    ///
    /// # Errors
    /// As [`Repository::open`]; `ForeignBackup`, too, when there are snapshots without a marker.
    pub async fn open_or_create(store: Store, owner: &Owner, seal: Seal) -> Result<Self, Failure> {
        if let Some(marker) = Marker::read(&store).await? {
            marker.check(&store, owner, &seal)?;
            return Ok(Self { store, marker, seal });
        }
        if !store.list("snapshots/").await?.is_empty() {
            let message = format!(
                "{} has snapshots and no {}: put the marker back, or choose another place",
                store.shown(),
                names::MARKER
            );
            return Err(Failure::new(Reason::ForeignBackup, message));
        }
        Marker::new(owner, &seal)?.write(&store).await?;
        // Another may have been first: the one that is there now counts.
        Self::open(store, owner, seal).await
    }

    /// All snapshots, oldest first. One that cannot be read is a failure: nothing is decided on half the truth.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, Failure> {
        let mut found = self.store.list("snapshots/").await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let mut snapshots = Vec::with_capacity(found.len());
        for object in found.iter().filter(|it| names::is_snapshot(&it.name)) {
            snapshots.push(self.snapshot(&object.name).await?);
        }
        snapshots.sort_by(|a, b| (&a.time, &a.id).cmp(&(&b.time, &b.id)));
        Ok(snapshots)
    }

    /// The newest snapshot.
    pub async fn last(&self) -> Result<Option<Snapshot>, Failure> {
        let found = self.store.list("snapshots/").await?;
        let names = found.into_iter().map(|it| it.name).filter(|it| names::is_snapshot(it));
        match names.max() {
            Some(name) => Ok(Some(self.snapshot(&name).await?)),
            None => Ok(None),
        }
    }

    /// The snapshot of a name.
    ///
    /// # Errors
    /// `ChecksumMismatch` when it cannot be understood.
    pub async fn snapshot(&self, name: &str) -> Result<Snapshot, Failure> {
        let damaged = |what: String| {
            let shown = self.store.shown_name(name);
            Failure::new(Reason::ChecksumMismatch, format!("the snapshot {shown} cannot be read: {what}"))
        };
        let bytes = self.store.get(name, snapshot::LIMIT).await?.ok_or_else(|| damaged("it is gone".into()))?;
        let form = Form { zstd: false, age: name.ends_with(Form::AGE) };
        let plain = self.seal.open(&bytes, form, snapshot::LIMIT).map_err(|error| damaged(error.to_string()))?;
        Snapshot::parse(&plain, &self.marker).map_err(damaged)
    }

    /// Makes a snapshot exist. Everything that it names must be durable: this is the last thing that is written.
    pub async fn write(&self, snapshot: &Snapshot) -> Result<String, Failure> {
        let form = self.seal.form(false);
        let name = names::snapshot(snapshot.time, &snapshot.id, form);
        let plain = serde_json::to_vec_pretty(snapshot).unwrap_or_default();
        let sealed = self.seal.seal(&plain, form).map_err(internal)?;
        self.store.sync().await?;
        if !self.store.put_new(&name, sealed.into()).await? {
            let message = format!("{} is there already: nothing was written", self.store.shown_name(&name));
            return Err(Failure::new(Reason::InternalError, message));
        }
        Ok(name)
    }

    /// A content of at most `limit` bytes, proven by its name.
    ///
    /// # Errors
    /// `ChecksumMismatch` when it is missing or is not what its name says.
    pub async fn blob(&self, sha256: &str, form: Form, limit: u64) -> Result<Bytes, Failure> {
        let name = names::blob(sha256, form);
        let shown = self.store.shown_name(&name);
        let bad = |what: &str| Failure::new(Reason::ChecksumMismatch, format!("{shown} {what}"));
        let sealed = self.store.get(&name, limit + seal::OVERHEAD).await?.ok_or_else(|| bad("is missing"))?;
        let plain = self.seal.open(&sealed, form, limit).map_err(|error| bad(&format!("cannot be read: {error}")))?;
        if crate::api::name::hex(&Sha256::digest(&plain)) != sha256 {
            return Err(bad("does not hold what its name says"));
        }
        Ok(plain.into())
    }
}

pub(in crate::agent) fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::new(Reason::InternalError, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(cache: &str) -> Owner {
        Owner { namespace: "studio".into(), cache: cache.into() }
    }

    fn store(base: &std::path::Path, cache: &str) -> Store {
        Store::in_directory(base, &names::directory("studio", cache), true).unwrap()
    }

    #[tokio::test]
    async fn a_repository_is_made_once_and_is_of_one_cache_for_ever() {
        let base = tempfile::tempdir().unwrap();
        let missing = Repository::open(store(base.path(), "a"), &owner("a"), Seal::default()).await.unwrap_err();
        assert_eq!(missing.reason, Reason::NotFound);
        let made = Repository::open_or_create(store(base.path(), "a"), &owner("a"), Seal::default()).await.unwrap();
        let again = Repository::open_or_create(store(base.path(), "a"), &owner("a"), Seal::default()).await.unwrap();
        assert_eq!(made.marker, again.marker);
        let foreign =
            Repository::open_or_create(store(base.path(), "a"), &owner("b"), Seal::default()).await.unwrap_err();
        assert_eq!(foreign.reason, Reason::ForeignBackup);
        assert!(foreign.message.contains("studio/a, not of studio/b"), "{foreign}");
    }

    #[tokio::test]
    async fn what_is_encrypted_is_opened_with_its_key_only() {
        let base = tempfile::tempdir().unwrap();
        let seal = Seal::with_key(&seal::new_key(), "x").unwrap();
        let (store, owner) = (store(base.path(), "a"), owner("a"));
        let open = |seal: Seal| Repository::open_or_create(store.clone(), &owner, seal);
        open(seal.clone()).await.unwrap();
        open(seal).await.unwrap();
        for other in [Seal::default(), Seal::with_key(&seal::new_key(), "x").unwrap()] {
            assert_eq!(open(other).await.unwrap_err().reason, Reason::ForeignBackup);
        }
    }

    #[tokio::test]
    async fn a_marker_that_is_not_understood_or_was_taken_away_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let (store, owner) = (store(base.path(), "a"), owner("a"));
        let open = || Repository::open_or_create(store.clone(), &owner, Seal::default());
        for marker in [&b"{"[..], br#"{"version": 9, "namespace": "studio", "cache": "a", "repository": "x"}"#] {
            store.replace(names::MARKER, Bytes::from_static(marker)).await.unwrap();
            assert_eq!(open().await.unwrap_err().reason, Reason::ForeignBackup);
        }
        store.remove(vec![names::MARKER.into()]).await.unwrap();
        store.put_new("snapshots/20261121T020304Z-0f.json", Bytes::from_static(b"{}")).await.unwrap();
        assert!(open().await.unwrap_err().message.contains("put the marker back"));
    }

    #[tokio::test]
    async fn a_blob_is_what_its_name_says_or_it_is_refused_by_name() {
        let base = tempfile::tempdir().unwrap();
        let repository =
            Repository::open_or_create(store(base.path(), "a"), &owner("a"), Seal::default()).await.unwrap();
        let sha256 = crate::api::name::hex(&Sha256::digest(b"right"));
        let name = names::blob(&sha256, Form::default());
        let read = || repository.blob(&sha256, Form::default(), 100);
        assert!(read().await.unwrap_err().message.contains("is missing"));
        repository.store.put_new(&name, Bytes::from_static(b"wrong")).await.unwrap();
        let planted = read().await.unwrap_err();
        assert_eq!(planted.reason, Reason::ChecksumMismatch);
        assert!(planted.message.contains(&name), "{planted}");
        repository.store.replace(&name, Bytes::from_static(b"right")).await.unwrap();
        assert_eq!(read().await.unwrap().as_ref(), b"right");
    }
}
