//! Does the manifest in a store of Ollama name the parts that were pulled? Two manifests are often of one length, so that size says
//! nothing of it.

use super::super::fetch::hex;
use super::super::layout::manifest::{Entry, Manifest, What};
use super::super::layout::safe_path::Root;
use super::finding::{Kind, Wrong};
use crate::agent::sha256::Sha256;
use serde_json::Value;

/// Largest manifest of a registry, in bytes.
const LIMIT: u64 = 4 << 20;

/// Whether an entry is the manifest: the one file that hashes to the revision.
pub fn is_manifest(manifest: &Manifest, entry: &Entry) -> bool {
    let What::File { size, sha256 } = &entry.what else { return false };
    let of_registry = || manifest.layout.get(0).and_then(Value::as_str) == Some("oci");
    *size <= LIMIT && manifest.revision.strip_prefix("sha256:") == Some(sha256.as_str()) && of_registry()
}

/// Whether it is the one of the revision.
pub fn check_manifest(root: &Root, path: &str, revision: &str) -> Result<(), Wrong> {
    match root.read(path, LIMIT + 1) {
        Ok(Some(bytes)) if format!("sha256:{}", hex(&Sha256::digest(&bytes))) == revision => Ok(()),
        Ok(Some(_)) => Err(Wrong::new(Kind::Content, format!("is another manifest than {revision}"))),
        Ok(None) => Err(Wrong::new(Kind::Content, "is not a plain file")),
        Err(error) => Err(Wrong::new(Kind::Unreadable, format!("cannot be read: {error}"))),
    }
}
