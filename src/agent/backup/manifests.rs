//! How do our own words about the files get into a backup? Each source's manifest is a blob; the snapshot names it. A restore
//! puts it back, so that what sources put on a volume need not be listed, hashed or fetched again.

use super::owned::Document;
use super::repository::list::Chunk;
use super::repository::{Repository, internal, names};
use crate::agent::failure::Failure;
use crate::agent::sha256::Sha256;
use crate::api::name::hex;
use std::collections::BTreeMap;

/// Sees to it that the repository has the manifests of a cache's sources on a volume. `last`: those of the snapshot before;
/// what is the same is not written again.
///
/// # Errors
/// When the store refuses one.
pub async fn keep(
    repository: &Repository,
    manifests: &[Document],
    last: &BTreeMap<String, Chunk>,
) -> Result<BTreeMap<String, Chunk>, Failure> {
    let mut kept = BTreeMap::new();
    for Document { source, entries, plain } in manifests {
        let (sha256, form) = (hex(&Sha256::digest(plain)), repository.seal.form(true));
        let name = names::blob(&sha256, form);
        if let Some(same) = last.get(source).filter(|it| it.sha256 == sha256 && it.form == form)
            && repository.store.size(&name).await? == Some(same.stored)
        {
            kept.insert(source.clone(), same.clone());
            continue;
        }
        let sealed = repository.seal.seal(plain, form).map_err(internal)?;
        let stored = sealed.len() as u64;
        // Over whatever is there: nobody has proven that.
        repository.store.replace(&name, sealed.into()).await?;
        kept.insert(source.clone(), Chunk { sha256, form, stored, entries: *entries });
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::super::owned::Owned;
    use super::super::repository::marker::Owner;
    use super::super::repository::seal::Seal;
    use super::super::repository::store::Store;
    use super::*;
    use crate::agent::layout::manifest::Manifest;
    use crate::agent::layout::publish::Publisher;
    use crate::agent::layout::safe_path::Root;
    use crate::contract::plan::Pin;
    use serde_json::Value;

    #[tokio::test]
    async fn what_a_backup_says_of_a_source_is_what_it_went_by_although_a_prefetch_has_moved_it_since() {
        let (volume, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = Root::open(volume.path()).unwrap();
        let prefetch = |revision: &str| {
            let pin = Pin { revision: revision.into(), files: 0, bytes: 0, digest: "d".into() };
            let mut publisher = Publisher::new(&root, ".modelcache/c/new".into()).unwrap();
            Manifest::new("s", "http://hub/x", &pin, Value::Null).write(&root, &mut publisher, "c").unwrap();
        };
        let store = Store::in_directory(to.path(), "default/c", true).unwrap();
        let owner = Owner { namespace: "default".into(), cache: "c".into() };
        let repository = Repository::open_or_create(store, &owner, Seal::default()).await.unwrap();
        prefetch("then");
        let read = Owned::read(&root, "c").unwrap();
        prefetch("now");
        let kept = keep(&repository, &read.manifests, &BTreeMap::new()).await.unwrap();
        let blob = repository.blob(&kept["s"].sha256, kept["s"].form, 1 << 20).await.unwrap();
        assert_eq!(Manifest::parse(&blob, "s").unwrap().revision, read.pins["s"].revision);
        assert_eq!(read.pins["s"].revision, "then");
    }
}
