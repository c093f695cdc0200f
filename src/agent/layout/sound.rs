//! Can a manifest be believed? What lies on a disk for months may have turned, and others may have written it.

use super::super::source::name;
use super::OWN;
use super::manifest::{Entry, Manifest, What};

/// What is wrong with a manifest by itself, if something is. One that is not sound is as good as none.
pub fn unsound(manifest: &Manifest) -> Option<String> {
    if manifest.entries.is_empty() && manifest.files > 0 && manifest.expired_at.is_none() {
        return Some(format!("speaks of {} files and lists none", manifest.files));
    }
    manifest.entries.iter().find_map(entry)
}

fn entry(entry: &Entry) -> Option<String> {
    let path = &entry.path;
    if let Err(bad) = name::check(path) {
        return Some(format!("lists {path:?}, which {bad}"));
    }
    if path.split('/').next() == Some(OWN) {
        return Some(format!("lists {path:?}, which is our own state"));
    }
    let What::File { sha256, .. } = &entry.what else { return None };
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hash(sha256) {
        return Some(format!("gives no hash of {path:?}"));
    }
    // A hub's blob is called by its hash: the two cannot differ, whatever the bytes are.
    let blob = path.rsplit_once("/blobs/").map(|(_, name)| name).filter(|name| is_hash(name));
    blob.filter(|name| name != sha256).map(|name| format!("gives another hash of the blob {name} than its name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::plan::Pin;
    use serde_json::Value;

    #[test]
    fn a_manifest_that_contradicts_itself_or_leaves_the_volume_is_as_good_as_none() {
        let hash = |digit: char| digit.to_string().repeat(64);
        let pin = Pin { revision: "r".into(), files: 1, bytes: 1, digest: "d".into() };
        for (path, sha256, sound) in [
            ("files/a".to_owned(), hash('a'), true),
            (format!("hub/models--a/blobs/{}", hash('a')), hash('a'), true),
            (format!("hub/models--a/blobs/{}", "b".repeat(40)), hash('a'), true),
            (format!("hub/models--a/blobs/{}", hash('b')), hash('a'), false),
            ("files/a".to_owned(), "zz".to_owned(), false),
            ("files/../../a".to_owned(), hash('a'), false),
            ("/etc/passwd".to_owned(), hash('a'), false),
            (".modelcache/other/current".to_owned(), hash('a'), false),
        ] {
            let mut manifest = Manifest::new("s", "http://x", &pin, Value::Null);
            manifest.entries = vec![Entry::new(path.clone(), What::File { size: 1, sha256 })];
            assert_eq!(unsound(&manifest).is_none(), sound, "{path}");
        }
        assert!(unsound(&Manifest::new("s", "http://x", &pin, Value::Null)).is_some(), "nothing is no content");
    }
}
