//! What does the repository hold already, and may that be trusted?
//!
//! A content is trusted when the last snapshot names it, or this run wrote it: its bytes were hashed by us on their way. What
//! merely lies there under the right name, from a killed run or put there by somebody, is read and hashed once.

use super::packed::Packed;
use super::repository::list::{At, Chunk, File};
use super::repository::seal::Form;
use super::repository::snapshot::Snapshot;
use super::repository::{Repository, names};
use crate::agent::failure::Failure;
use crate::agent::fetch::unhex_array;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A SHA-256.
pub type Hash = [u8; 32];

/// What a repository holds.
#[derive(Debug, Default)]
pub struct Known {
    /// Contents in the store, by what their names say: form and bytes.
    blobs: HashMap<Hash, (Form, u64)>,
    /// Packs in the store, and their bytes.
    packs: HashMap<String, u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    trusted: HashMap<Hash, (Form, u64)>,
    small: Packed,
}

/// What is to be done with a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there: nothing is sent.
    Held(At),
    /// Something of its name is there that nobody of us vouches for.
    Unproven(Form),
    /// It is not there.
    Missing,
}

impl Known {
    /// Asks the store, and the lists of the last snapshot.
    pub async fn read(repository: &Repository, last: Option<&Snapshot>) -> Result<Self, Failure> {
        let mut known = Self::default();
        for found in repository.store.list("blobs/").await? {
            if let Some((sha256, form)) = names::parse_blob(&found.name)
                && let Some(hash) = unhex_array(&sha256)
            {
                known.blobs.insert(hash, (form, found.size));
            }
        }
        for found in repository.store.list("packs/").await? {
            if let Some((_, id)) = found.name.rsplit_once('/') {
                known.packs.insert(id.to_owned(), found.size);
            }
        }
        for chunk in last.iter().flat_map(|it| &it.volumes).flat_map(|it| &it.list) {
            known.trust_chunk(chunk);
            for entry in repository.entries(chunk).await? {
                if let Some(file) = entry.file() {
                    known.trust(file);
                }
            }
        }
        Ok(known)
    }

    fn trust_chunk(&self, chunk: &Chunk) {
        if let Some(hash) = unhex_array(&chunk.sha256) {
            self.trust_blob(hash, chunk.form, chunk.stored);
        }
    }

    /// A content that a snapshot names, if the store still has it.
    fn trust(&self, file: &File) {
        let Some(hash) = unhex_array(&file.sha256).filter(|_| self.holds(hash_of(file), &file.at)) else { return };
        match &file.at {
            At::Blob { form, stored } => self.trust_blob(hash, *form, *stored),
            At::Pack { .. } => self.state().small.put(hash, &file.at),
            At::Empty | At::Origin { .. } => {}
        }
    }

    fn trust_blob(&self, hash: Hash, form: Form, stored: u64) {
        if self.blobs.get(&hash) == Some(&(form, stored)) {
            self.state().trusted.insert(hash, (form, stored));
        }
    }

    /// Whether what a list names is still in the store, with as many bytes.
    pub fn holds(&self, hash: Option<Hash>, at: &At) -> bool {
        match at {
            At::Blob { form, stored } => hash.is_some_and(|it| self.blobs.get(&it) == Some(&(*form, *stored))),
            At::Pack { pack, offset, length, .. } => self.packs.get(pack).is_some_and(|size| offset + length <= *size),
            At::Empty => true,
            At::Origin { .. } => false,
        }
    }

    /// How a content stands.
    pub fn standing(&self, hash: &Hash) -> Standing {
        let state = self.state();
        if let Some((form, stored)) = state.trusted.get(hash) {
            return Standing::Held(At::Blob { form: *form, stored: *stored });
        }
        if let Some(at) = state.small.get(hash) {
            return Standing::Held(at);
        }
        match self.blobs.get(hash) {
            Some((form, _)) => Standing::Unproven(*form),
            None => Standing::Missing,
        }
    }

    /// This run wrote it, or read and hashed it.
    pub fn proven(&self, hash: Hash, at: &At) {
        let mut state = self.state();
        match at {
            At::Blob { form, stored } => _ = state.trusted.insert(hash, (*form, *stored)),
            _ => state.small.put(hash, at),
        }
    }

    /// Bytes that something of this name takes in the store.
    pub fn stored(&self, hash: &Hash) -> Option<u64> {
        self.blobs.get(hash).map(|(_, stored)| *stored)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hash of a file in a list.
pub fn hash_of(file: &File) -> Option<Hash> {
    unhex_array(&file.sha256)
}
