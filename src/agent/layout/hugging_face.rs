//! How does a hub repository lie on the disk, so that the hub's own clients take it as their cache?
//!
//! The smallest layout that versions 0.36 to 2.4 of `huggingface_hub` accept offline alike:
//!
//! ```text
//! <home>/hub/models--ORG--NAME/blobs/<sha256 or git sha1>       the content; the name is its hash
//!                              snapshots/<commit>/<path>        relative link to the blob
//!                              trees/<commit>.json              only for a complete snapshot
//!                              refs/<branch>                    the commit, 40 characters and nothing else; last
//! ```
//!
//! Nothing else may be in the hub directory: `scan_cache_dir` takes every other name for damage, and the older ones
//! `CACHEDIR.TAG` too.

use super::super::fetch::{Digest, hex};
use super::super::source::hugging_face::is_commit;
use super::super::source::listing::{ListedFile, Listing};
use super::{Placed, Placement};
use crate::api::name::below;
use crate::api::source::{HuggingFace, RepoType};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The hub directory: `HF_HOME/hub`.
pub fn hub_directory(home: &str) -> String {
    below(home, "hub")
}

/// Places the files of a repository.
pub fn place(hub: &HuggingFace, listing: &Listing, key: Value) -> Placement {
    let repository = repository(hub);
    let commit = &listing.revision;
    let mut contents: BTreeMap<String, Placed> = BTreeMap::new();
    let mut links = Vec::with_capacity(listing.files.len());
    for (index, file) in listing.files.iter().enumerate() {
        let Some(blob) = blob(file) else { continue };
        let path = format!("{repository}/blobs/{blob}");
        let (size, digest) = (file.size, file.digest);
        let placed = Placed { path: path.clone(), index, files: 0, size, digest, validator: None, tree: None };
        contents.entry(path).or_insert(placed).files += 1;
        // Two levels up from the snapshot, and one for each directory in the file's own path.
        let up = "../".repeat(2 + file.path.matches('/').count());
        links.push((format!("{repository}/snapshots/{commit}/{}", file.path), format!("{up}blobs/{blob}")));
    }
    let tree = tree(listing).map(|bytes| (format!("{repository}/trees/{commit}.json"), bytes));
    let revision = hub.effective_revision();
    // A newline at its end breaks every version of the clients. A commit needs no ref: it is asked for by itself.
    let last = (!is_commit(revision)).then(|| (format!("{repository}/refs/{revision}"), commit.as_bytes().to_vec()));
    Placement { key, contents: contents.into_values().collect(), links, documents: tree.into_iter().collect(), last }
}

/// Directory of the repository in the hub directory.
fn repository(hub: &HuggingFace) -> String {
    let kind = match hub.effective_repo_type() {
        RepoType::Model => "models",
        RepoType::Dataset => "datasets",
        RepoType::Space => "spaces",
    };
    format!("{}/{kind}--{}", hub_directory(hub.effective_path()), hub.repo.replace('/', "--"))
}

/// The hash that the hub gives as the file's `ETag`, which is what clients name the blob.
fn blob(file: &ListedFile) -> Option<String> {
    match file.digest? {
        Digest::Sha256(bytes) => Some(hex(&bytes)),
        Digest::GitBlob(bytes) => Some(hex(&bytes)),
        // No hub lists such a thing.
        Digest::Sha256Prefix(_) => None,
    }
}

/// The listing as versions from 1.22 on keep it (`huggingface_hub/_tree_cache.py`, format 1). From 1.31 on they refuse
/// to answer by commit offline without it; and with one that names more files than are there, they refuse everything:
/// so it is written for complete snapshots only.
fn tree(listing: &Listing) -> Option<Vec<u8>> {
    if !listing.complete {
        return None;
    }
    let mut files = Map::new();
    for file in &listing.files {
        let mut entry = json!({"size": file.size?, "blob_id": file.git_oid.as_ref()?});
        if let (Some(Digest::Sha256(sha256)), Some(object)) = (&file.digest, entry.as_object_mut()) {
            object.insert("lfs_sha256".into(), hex(sha256).into());
            object.insert("lfs_size".into(), file.size.into());
        }
        files.insert(file.path.clone(), entry);
    }
    serde_json::to_vec_pretty(&json!({"format_version": 1, "files": files})).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn hub(revision: Option<&str>, path: Option<&str>) -> HuggingFace {
        serde_json::from_value(json!({"repo": "org/name", "revision": revision, "path": path})).unwrap()
    }

    fn listing(complete: bool) -> Listing {
        let file = |path: &str, digest| ListedFile {
            path: path.into(),
            size: Some(3),
            digest: Some(digest),
            validator: None,
            git_oid: Some("e".repeat(40)),
            url: Url::parse("http://hub/x").unwrap(),
            unpack: None,
        };
        let files = vec![
            file("config.json", Digest::GitBlob([0xaa; 20])),
            file("a/b/copy.json", Digest::GitBlob([0xaa; 20])),
            file("model.bin", Digest::Sha256([0xbb; 32])),
        ];
        Listing::new("c".repeat(40), files, complete, None, "http://hub/org/name".into()).unwrap()
    }

    #[test]
    fn links_go_up_two_levels_and_one_for_each_directory() {
        let hub = hub(None, None);
        let placement = place(&hub, &listing(true), hub.identity());
        let commit = "c".repeat(40);
        let base = "huggingface/hub/models--org--name";
        let blob = "aa".repeat(20);
        assert!(
            placement
                .links
                .contains(&(format!("{base}/snapshots/{commit}/config.json"), format!("../../blobs/{blob}")))
        );
        assert!(
            placement
                .links
                .contains(&(format!("{base}/snapshots/{commit}/a/b/copy.json"), format!("../../../../blobs/{blob}")))
        );
        assert_eq!(placement.last, Some((format!("{base}/refs/main"), commit.into_bytes())));
    }

    #[test]
    fn two_files_of_one_content_are_one_blob() {
        let hub = hub(None, None);
        let placement = place(&hub, &listing(true), hub.identity());
        assert_eq!(placement.contents.iter().map(|it| it.files).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn only_a_complete_snapshot_has_a_tree() {
        let hub = hub(None, None);
        assert!(place(&hub, &listing(false), hub.identity()).documents.is_empty());
        let placement = place(&hub, &listing(true), hub.identity());
        let tree: Value = serde_json::from_slice(&placement.documents[0].1).unwrap();
        assert_eq!(tree["format_version"], 1);
        assert_eq!(tree["files"]["config.json"], json!({"size": 3, "blob_id": "e".repeat(40)}));
        assert_eq!(tree["files"]["model.bin"]["lfs_sha256"], "bb".repeat(32));
    }

    #[test]
    fn a_home_at_the_root_of_the_volume_has_its_hub_there() {
        let hub = hub(Some(&"c".repeat(40)), Some("."));
        let placement = place(&hub, &listing(true), hub.identity());
        assert!(placement.contents[0].path.starts_with("hub/models--org--name/blobs/"));
        assert_eq!(placement.last, None);
    }
}
