//! What of a source is on the volume already, and may be trusted?
//!
//! A file that a manifest of ours lists was hashed when it was published: size and kind are enough. Any other file of the
//! right name and size is hashed before it is taken: a crash, another program or a broken disk may have left it.

use super::super::failure::Failure;
use super::super::fetch::{Digest, git_blob_of_file, hex, over_cores, sha256_of_file, unhex};
use super::super::layout::manifest::{Manifest, What};
use super::super::layout::safe_path::Root;
use super::super::layout::{LayoutError, Placed, Placement, held};
use rustix::fs::{Mode, fchmod};
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;

/// What is known of the files on a volume, from the manifests of the cache.
#[derive(Clone, Debug, Default)]
pub struct Known {
    by_path: HashMap<String, Published>,
    /// A path that holds this content.
    by_hash: HashMap<[u8; 32], String>,
}

/// A file as it was published.
#[derive(Clone, Debug)]
struct Published {
    size: u64,
    sha256: [u8; 32],
    damaged: bool,
    revision: String,
}

/// What a placement finds.
#[derive(Debug, Default)]
pub struct Inventory {
    /// SHA-256 of the contents that are there, by path.
    pub there: HashMap<String, (u64, [u8; 32])>,
    /// Contents that are not.
    pub missing: Vec<Placed>,
    /// How many files were read and hashed to say so.
    pub hashed: u64,
}

impl Known {
    /// What the manifests of a cache list.
    pub fn of(manifests: &[Manifest]) -> Self {
        let mut known = Self::default();
        for manifest in manifests {
            for entry in &manifest.entries {
                if let What::File { size, sha256 } = &entry.what
                    && let Some(sha256) = unhex(sha256).and_then(|it| it.try_into().ok())
                {
                    known.learn(&entry.path, *size, sha256, &manifest.revision, entry.damaged);
                }
            }
        }
        known
    }

    /// A file that was published just now.
    pub fn learn(&mut self, path: &str, size: u64, sha256: [u8; 32], revision: &str, damaged: bool) {
        if !damaged {
            self.by_hash.entry(sha256).or_insert_with(|| path.to_owned());
        }
        let published = Published { size, sha256, damaged, revision: revision.to_owned() };
        self.by_path.insert(path.to_owned(), published);
    }

    /// Whether a path is one of ours.
    pub fn lists(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// Bytes of the files that are listed and there: what the cache holds of its budget.
    pub fn bytes_on(&self, root: &Root) -> Result<u64, LayoutError> {
        let mut bytes = 0;
        for path in self.by_path.keys() {
            bytes += held::size(root, path)?.unwrap_or_default();
        }
        Ok(bytes)
    }

    /// Another path on the volume that holds the content, trusted as everything that is listed.
    pub fn same(&self, root: &Root, wanted: &Placed) -> Result<Option<(String, u64, [u8; 32])>, LayoutError> {
        let Some(Digest::Sha256(sha256)) = wanted.digest else { return Ok(None) };
        let Some(path) = self.by_hash.get(&sha256).filter(|path| **path != wanted.path) else { return Ok(None) };
        let Some(published) = self.by_path.get(path) else { return Ok(None) };
        let intact = root.size(path)? == Some(published.size) && wanted.size.is_none_or(|it| it == published.size);
        Ok(intact.then(|| (path.clone(), published.size, sha256)))
    }

    /// The hash of a file that we published as this content, if it is still as long as it was then.
    fn trusted(&self, root: &Root, placed: &Placed, revision: &str) -> Result<Option<(u64, [u8; 32])>, LayoutError> {
        let Some(published) = self.by_path.get(&placed.path).filter(|it| !it.damaged) else { return Ok(None) };
        let same = match placed.digest {
            Some(Digest::Sha256(sha256)) => sha256 == published.sha256,
            // The path of such a blob is its hash.
            Some(Digest::GitBlob(_)) => true,
            // Pinned by its tag: the manifest says of which tag it is.
            None => published.revision == revision,
        };
        let same = same && placed.size.is_none_or(|size| size == published.size);
        Ok((same && held::size(root, &placed.path)? == Some(published.size))
            .then_some((published.size, published.sha256)))
    }
}

/// Looks for the contents of a placement. Blocking: it may have to hash.
pub fn look(root: &Root, placement: &Placement, revision: &str, known: &Known) -> Result<Inventory, Failure> {
    let mut inventory = Inventory::default();
    let mut doubtful = Vec::new();
    for placed in &placement.contents {
        if let Some(found) = known.trusted(root, placed, revision)? {
            inventory.there.insert(placed.path.clone(), found);
        } else if let Some(size) = held::size(root, &placed.path)?
            && placed.size.is_none_or(|expected| expected == size)
            && placed.digest.is_some()
        {
            doubtful.push((placed, size));
        } else {
            inventory.missing.push(placed.clone());
        }
    }
    inventory.hashed = doubtful.len() as u64;
    let judged = over_cores(&doubtful, |(placed, _)| judge(root, placed));
    for ((placed, size), judgement) in doubtful.iter().zip(judged) {
        match judgement? {
            Some(sha256) => _ = inventory.there.insert(placed.path.clone(), (*size, sha256)),
            None => inventory.missing.push((*placed).clone()),
        }
    }
    Ok(inventory)
}

/// The SHA-256 of a file that has the digest it must have.
fn judge(root: &Root, placed: &Placed) -> Result<Option<[u8; 32]>, Failure> {
    let Some(file) = held::file(root, &placed.path)? else { return Ok(None) };
    // A file that cannot be read through is replaced, not trusted.
    let Ok((_, sha256)) = sha256_of_file(&file) else { return Ok(None) };
    let right = match placed.digest {
        Some(Digest::Sha256(expected)) => sha256 == expected,
        Some(Digest::GitBlob(expected)) => git_blob_of_file(&file).is_ok_and(|found| found == expected),
        None => false,
    };
    if right && !file.metadata().is_ok_and(|it| it.permissions().mode() & 0o444 == 0o444) {
        // Readers have other user ids. Where the file is not ours to change, it is as it is.
        let _ = fchmod(&file, Mode::from_raw_mode(0o644));
    }
    Ok(right.then_some(sha256))
}

/// A file's hash, as manifests write it.
pub fn text(sha256: [u8; 32]) -> String {
    hex(&sha256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use sha2::{Digest as _, Sha256};

    fn placement(bytes: &[u8]) -> Placement {
        let digest = Some(Digest::Sha256(Sha256::digest(bytes).into()));
        let placed = Placed { path: "files/a".into(), index: 0, files: 1, size: Some(bytes.len() as u64), digest };
        Placement { key: Value::Null, contents: vec![placed], links: vec![], documents: vec![], last: None }
    }

    fn volume(bytes: &[u8]) -> (tempfile::TempDir, Root) {
        let volume = tempfile::tempdir().unwrap();
        std::fs::create_dir(volume.path().join("files")).unwrap();
        std::fs::write(volume.path().join("files/a"), bytes).unwrap();
        let root = Root::open(volume.path()).unwrap();
        (volume, root)
    }

    #[test]
    fn a_file_that_nobody_vouches_for_is_hashed_before_it_is_taken() {
        let (_volume, root) = volume(b"right");
        let found = look(&root, &placement(b"right"), "r", &Known::default()).unwrap();
        assert_eq!((found.there.len(), found.missing.len(), found.hashed), (1, 0, 1));
        let found = look(&root, &placement(b"wrong"), "r", &Known::default()).unwrap();
        assert_eq!((found.there.len(), found.missing.len()), (0, 1));
    }

    #[test]
    fn a_file_of_ours_is_trusted_by_its_size_until_it_is_found_damaged() {
        let (_volume, root) = volume(b"right");
        let sha256 = Sha256::digest(b"right").into();
        let mut known = Known::default();
        known.learn("files/a", 5, sha256, "r", false);
        assert_eq!(look(&root, &placement(b"right"), "r", &known).unwrap().hashed, 0);
        known.learn("files/a", 5, sha256, "r", true);
        assert_eq!(look(&root, &placement(b"right"), "r", &known).unwrap().hashed, 1);
    }

    #[test]
    fn a_file_pinned_by_its_tag_is_trusted_for_that_tag_only() {
        let (_volume, root) = volume(b"right");
        let mut known = Known::default();
        known.learn("files/a", 5, Sha256::digest(b"right").into(), "etag:1", false);
        let mut placement = placement(b"right");
        placement.contents[0].digest = None;
        assert_eq!(look(&root, &placement, "etag:1", &known).unwrap().missing.len(), 0);
        assert_eq!(look(&root, &placement, "etag:2", &known).unwrap().missing.len(), 1);
    }
}
