//! Is everything there that a snapshot names? Reads every byte of every snapshot.

use modelcache::agent::backup::repository::list::{At, Entry, What};
use modelcache::agent::backup::repository::marker::Owner;
use modelcache::agent::backup::repository::seal::Seal;
use modelcache::agent::backup::repository::snapshot::Snapshot;
use modelcache::agent::backup::repository::store::Store;
use modelcache::agent::backup::repository::{Repository, names};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// The content of each snapshot of a repository in a directory, by path; a failure of this test when one is not whole.
pub fn contents(to: &Path, cache: &str, key: Option<&str>) -> Vec<(Snapshot, BTreeMap<String, Vec<u8>>)> {
    let store = Store::in_directory(to, &format!("default/{cache}"), false).unwrap();
    read(store, cache, key)
}

/// The same of any store.
pub fn read(store: Store, cache: &str, key: Option<&str>) -> Vec<(Snapshot, BTreeMap<String, Vec<u8>>)> {
    let seal = key.map_or_else(Seal::default, |key| Seal::with_key(key, "the test's key").unwrap());
    let owner = Owner { namespace: "default".into(), cache: cache.into() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let repository = Repository::open(store, &owner, seal).await.unwrap();
        let mut found = vec![];
        for snapshot in repository.snapshots().await.unwrap() {
            let mut files = BTreeMap::new();
            for volume in &snapshot.volumes {
                let mut count = 0;
                for chunk in &volume.list {
                    for entry in repository.entries(chunk).await.unwrap() {
                        count += u64::from(entry.file().is_some());
                        let bytes = content(&repository, &entry).await;
                        files.insert(entry.path, bytes);
                    }
                }
                assert_eq!(count, volume.files);
            }
            found.push((snapshot, files));
        }
        found
    })
}

async fn content(repository: &Repository, entry: &Entry) -> Vec<u8> {
    let file = match &entry.what {
        What::File(file) => file,
        What::Link { target } => return target.clone().into_bytes(),
        What::Directory => return vec![],
    };
    let bytes = match &file.at {
        At::Empty => vec![],
        At::Origin { source } => return format!("from {source}").into_bytes(),
        At::Blob { form, .. } => repository.blob(&file.sha256, *form, 1 << 30).await.unwrap().to_vec(),
        At::Pack { pack, offset, length, form, start } => {
            let block = repository.store.range(&names::pack(pack), *offset, *length).await.unwrap().unwrap();
            let plain = repository.seal.open(&block, *form, 64 << 20).unwrap();
            let start = usize::try_from(*start).unwrap();
            plain[start..start + usize::try_from(file.size).unwrap()].to_vec()
        }
    };
    assert_eq!(bytes.len() as u64, file.size, "{}", entry.path);
    assert_eq!(modelcache::api::name::hex(&Sha256::digest(&bytes)), file.sha256, "{}", entry.path);
    bytes
}
