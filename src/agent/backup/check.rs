//! Is a snapshot whole? By the sizes of its objects, or by reading every byte of them.

use super::repository::Repository;
use super::repository::list::{At, Chunk, File};
use super::repository::names;
use super::repository::seal::Form;
use super::repository::snapshot::Snapshot;
use super::repository::store::Found;
use crate::agent::failure::Failure;
use crate::agent::fetch::unhex_array;
use crate::agent::restore::bytes::Objects;
use crate::agent::restore::fill::{Damage, Wanted, fill};
use crate::agent::restore::volume::MANIFEST_LIMIT;
use crate::api::Reason;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Everything that snapshots may need.
pub async fn all(repository: &Repository) -> Result<Vec<Found>, Failure> {
    let mut found = repository.store.list("blobs/").await?;
    found.extend(repository.store.list("packs/").await?);
    Ok(found)
}

/// Looks at snapshots of one repository, at what they share only once.
pub struct Check<'a> {
    repository: &'a Repository,
    blobs: HashMap<([u8; 32], Form), u64>,
    packs: HashMap<String, u64>,
    looked_at: HashMap<String, Vec<Damage>>,
    read: HashSet<u64>,
}

impl<'a> Check<'a> {
    /// With the objects that there are.
    pub fn new(repository: &'a Repository, objects: &[Found]) -> Self {
        let (mut blobs, mut packs) = (HashMap::new(), HashMap::new());
        for found in objects {
            if let Some((sha256, form)) = names::parse_blob(&found.name)
                && let Some(hash) = unhex_array(&sha256)
            {
                blobs.insert((hash, form), found.size);
            } else {
                packs.insert(found.name.clone(), found.size);
            }
        }
        Self { repository, blobs, packs, looked_at: HashMap::new(), read: HashSet::new() }
    }

    /// Files whose object is missing, or shorter than it was.
    ///
    /// # Errors
    /// When a list cannot be read.
    pub async fn quick(&mut self, snapshot: &Snapshot) -> Result<Vec<Damage>, Failure> {
        let mut damaged = Vec::new();
        for (source, manifest) in snapshot.volumes.iter().flat_map(|it| &it.manifests) {
            let why = self.lacks_blob(&manifest.sha256, manifest.form, manifest.stored);
            damaged.extend(why.map(|why| Damage { path: of_source(source), why }));
        }
        for chunk in lists(snapshot) {
            if !self.looked_at.contains_key(&chunk.sha256) {
                let entries = self.repository.entries(chunk).await?;
                let lacks = |path: &str, file: &File| self.lacks(file).map(|why| Damage { path: path.to_owned(), why });
                let found = entries.iter().filter_map(|it| lacks(&it.path, it.file()?)).collect();
                self.looked_at.insert(chunk.sha256.clone(), found);
            }
            damaged.extend(self.looked_at.get(&chunk.sha256).into_iter().flatten().cloned());
        }
        Ok(damaged)
    }

    /// Files whose bytes are not what they were: every object is read.
    ///
    /// # Errors
    /// When a list cannot be read, or the store not at all.
    pub async fn deep(&mut self, snapshot: &Snapshot) -> Result<Vec<Damage>, Failure> {
        let mut damaged = Vec::new();
        for (source, kept) in snapshot.volumes.iter().flat_map(|it| &it.manifests) {
            match self.repository.blob(&kept.sha256, kept.form, MANIFEST_LIMIT).await {
                Ok(_) => {}
                Err(failure) if failure.reason == Reason::ChecksumMismatch => {
                    damaged.push(Damage { path: of_source(source), why: failure.message });
                }
                Err(failure) => return Err(failure),
            }
        }
        for chunk in lists(snapshot) {
            let entries = self.repository.entries(chunk).await?;
            let wanted = entries.into_iter().filter_map(|it| {
                let file = it.file()?.clone();
                let mode = it.mode;
                (!matches!(file.at, At::Origin { .. })).then_some(Wanted { path: it.path, mode, file })
            });
            // What another snapshot has too was read for that one, and was good if it is in here.
            let wanted: Vec<Wanted> = wanted.filter(|it| !self.read.contains(&place(&it.file))).collect();
            let objects = Objects::new(self.repository);
            let found = tokio::task::block_in_place(|| fill(&objects, None, &wanted))?;
            let bad: HashSet<&str> = found.iter().map(|it| it.path.as_str()).collect();
            let good = wanted.iter().filter(|it| !bad.contains(it.path.as_str()));
            self.read.extend(good.map(|it| place(&it.file)));
            damaged.extend(found);
        }
        Ok(damaged)
    }

    fn lacks(&self, file: &File) -> Option<String> {
        match &file.at {
            At::Origin { .. } | At::Empty => None,
            At::Blob { form, stored } => self.lacks_blob(&file.sha256, *form, *stored),
            At::Pack { pack, offset, length, .. } => {
                let name = names::pack(pack);
                let shown = self.repository.store.shown_name(&name);
                match self.packs.get(&name) {
                    None => Some(format!("{shown} is missing")),
                    Some(size) if offset.saturating_add(*length) > *size => {
                        Some(format!("{shown} ends after {size} bytes, before the file"))
                    }
                    Some(_) => None,
                }
            }
        }
    }
}

impl Check<'_> {
    fn lacks_blob(&self, sha256: &str, form: Form, stored: u64) -> Option<String> {
        let name = self.repository.store.shown_name(&names::blob(sha256, form));
        let hash: Option<[u8; 32]> = unhex_array(sha256);
        match hash.and_then(|hash| self.blobs.get(&(hash, form))) {
            None => Some(format!("{name} is missing")),
            Some(size) if *size != stored => Some(format!("{name} has {size} bytes instead of {stored}")),
            Some(_) => None,
        }
    }
}

fn of_source(source: &str) -> String {
    format!("the manifest of source `{source}`")
}

/// The content, and where it is.
fn place(file: &File) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&file.sha256, format!("{:?}", file.at)).hash(&mut hasher);
    hasher.finish()
}

fn lists(snapshot: &Snapshot) -> impl Iterator<Item = &Chunk> {
    snapshot.volumes.iter().flat_map(|it| &it.list)
}
