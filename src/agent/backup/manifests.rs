//! How do our own words about the files get into a backup? Each source's manifest is a blob; the snapshot names it. A restore
//! puts it back, so that what sources put on a volume need not be listed, hashed or fetched again.

use super::repository::list::Chunk;
use super::repository::{Repository, internal, names};
use crate::agent::failure::Failure;
use crate::agent::layout::manifest::Manifest;
use crate::agent::layout::safe_path::Root;
use crate::api::name::hex;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Sees to it that the repository has the manifests of a cache's sources on a volume. `last`: those of the snapshot before;
/// what is the same is not written again.
///
/// # Errors
/// When a manifest cannot be read, or the store refuses it.
pub async fn keep(
    repository: &Repository,
    root: &Root,
    cache: &str,
    last: &BTreeMap<String, Chunk>,
) -> Result<BTreeMap<String, Chunk>, Failure> {
    let mut kept = BTreeMap::new();
    for manifest in Manifest::read_all(root, cache)? {
        let plain = serde_json::to_vec(&manifest).map_err(internal)?;
        let (sha256, form) = (hex(&Sha256::digest(&plain)), repository.seal.form(true));
        let name = names::blob(&sha256, form);
        if let Some(same) = last.get(&manifest.source).filter(|it| it.sha256 == sha256 && it.form == form)
            && repository.store.size(&name).await? == Some(same.stored)
        {
            kept.insert(manifest.source, same.clone());
            continue;
        }
        let sealed = repository.seal.seal(&plain, form).map_err(internal)?;
        let stored = sealed.len() as u64;
        // Over whatever is there: nobody has proven that.
        repository.store.replace(&name, sealed.into()).await?;
        kept.insert(manifest.source, Chunk { sha256, form, stored, entries: manifest.entries.len() as u64 });
    }
    Ok(kept)
}
