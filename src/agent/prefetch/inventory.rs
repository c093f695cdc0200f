//! What of a source is on the volume already, and may be trusted?
//!
//! A file that a manifest of ours lists was hashed when it was published: size and kind are enough. Any other file of the
//! right name and size is hashed before it is taken: a crash, another program or a broken disk may have left it.

use super::super::failure::Failure;
use super::super::fetch::{Digest, git_blob_of_file, hex, over_cores, sha256_of_file, unhex_array};
use super::super::layout::archive::Tree;
use super::super::layout::manifest::{Entry, Manifest, What};
use super::super::layout::safe_path::Root;
use super::super::layout::{LayoutError, Placed, Placement, held};
use super::super::unpack;
use rustix::fs::{Mode, fchmod};
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

/// What is known of the files on a volume, from the manifests of the cache.
#[derive(Clone, Debug, Default)]
pub struct Known {
    by_path: HashMap<String, Published>,
    /// A path that holds this content.
    by_hash: HashMap<[u8; 32], String>,
    /// What came out of an archive.
    trees: HashMap<Tree, Vec<Entry>>,
}

/// A file as it was published.
#[derive(Clone, Debug)]
struct Published {
    size: u64,
    sha256: [u8; 32],
    damaged: bool,
    /// The revision of its source, its origin, and the tag that it had there.
    pin: Pinned,
}

/// What content without a digest is known by.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// Revision of the source.
    pub revision: Arc<str>,
    /// Where the source comes from: a tag is the origin's own.
    pub origin: Arc<str>,
    /// The entity tag of the file itself.
    pub validator: Option<String>,
}

impl Pinned {
    /// Whether two of these mean the same bytes: of one revision, or with one tag at one origin.
    fn is_same(&self, other: &Self) -> bool {
        let tagged = self.validator.is_some() && self.validator == other.validator && self.origin == other.origin;
        self.revision == other.revision || tagged
    }
}

/// What a placement finds.
#[derive(Debug, Default)]
pub struct Inventory {
    /// SHA-256 of the contents that are there, by path.
    pub there: HashMap<String, (u64, [u8; 32])>,
    /// Archives whose content is there: the archives themselves are not kept.
    pub trees: HashMap<Tree, Found>,
    /// Contents that are not.
    pub missing: Vec<Placed>,
    /// Nothing was missing when it was looked at.
    pub all_there: bool,
    /// How many files were read and hashed to say so.
    pub hashed: u64,
    /// It is all somebody's own, and stays where it is.
    pub adopted: bool,
}

/// What came out of an archive.
#[derive(Clone, Debug)]
pub struct Found {
    /// Files and links, by their paths on the volume.
    pub entries: Vec<Entry>,
    /// Whether that is where they are; or else they are aside, to be put there.
    pub in_place: bool,
}

impl Inventory {
    /// Whether a content is there, and if so its bytes.
    pub fn has(&self, placed: &Placed) -> Option<u64> {
        match placed.tree.as_ref().and_then(|tree| self.trees.get(tree)) {
            Some(_) => Some(placed.size.unwrap_or_default()),
            None => self.there.get(&placed.path).map(|(size, _)| *size),
        }
    }

    /// Bytes that are unpacked and not in their place yet.
    pub fn bytes_aside(&self) -> u64 {
        self.trees.values().filter(|it| !it.in_place).flat_map(|it| &it.entries).map(Entry::size).sum()
    }
}

impl Known {
    /// What the manifests of a cache list.
    pub fn of(manifests: &[Manifest]) -> Self {
        let mut known = Self::default();
        for manifest in manifests {
            known.learn_all(manifest);
        }
        known
    }

    /// What a manifest lists.
    pub fn learn_all(&mut self, manifest: &Manifest) {
        let (revision, origin): (Arc<str>, Arc<str>) =
            (manifest.revision.as_str().into(), manifest.origin.as_str().into());
        for entry in &manifest.entries {
            if let What::File { size, sha256 } = &entry.what
                && let Some(sha256) = unhex_array(sha256)
            {
                let (revision, origin, validator) = (revision.clone(), origin.clone(), entry.validator.clone());
                let pin = Pinned { revision, origin, validator };
                self.learn(&entry.path, *size, sha256, pin, entry.damaged);
            }
        }
        for (number, tree) in manifest.archives.iter().enumerate() {
            let of_it = |it: &&Entry| it.archive.and_then(|it| usize::try_from(it).ok()) == Some(number);
            self.trees.insert(tree.clone(), manifest.entries.iter().filter(of_it).cloned().collect());
        }
    }

    /// What came out of an archive, if all of it is as it was put there.
    fn tree(&self, root: &Root, tree: &Tree) -> Result<Option<Vec<Entry>>, LayoutError> {
        let Some(entries) = self.trees.get(tree) else { return Ok(None) };
        for entry in entries {
            let intact = !entry.damaged
                && match &entry.what {
                    What::Link { link } => root.link(&entry.path)?.as_ref() == Some(link),
                    // Another version may have been there since.
                    What::File { size, sha256 } => {
                        let newest = self.by_path.get(&entry.path);
                        newest.is_some_and(|it| !it.damaged && text(it.sha256) == *sha256)
                            && root.size(&entry.path)? == Some(*size)
                    }
                };
            if !intact {
                return Ok(None);
            }
        }
        Ok(Some(entries.clone()))
    }

    /// A file that was published just now.
    pub fn learn(&mut self, path: &str, size: u64, sha256: [u8; 32], pin: Pinned, damaged: bool) {
        let published = Published { size, sha256, damaged, pin };
        self.by_path.insert(path.to_owned(), published);
        if !damaged && self.by_hash.get(&sha256).is_none_or(|known| !self.holds(known, sha256)) {
            self.by_hash.insert(sha256, path.to_owned());
        }
    }

    /// Whether the newest word on a path is that it holds this content. Another version may have taken its place, or damage.
    fn holds(&self, path: &str, sha256: [u8; 32]) -> bool {
        self.by_path.get(path).is_some_and(|it| !it.damaged && it.sha256 == sha256)
    }

    /// Whether a path is one of ours.
    pub fn lists(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// Bytes of the files that are listed and there: what the cache holds of its budget. Links of one file count once.
    pub fn bytes_on(&self, root: &Root) -> Result<u64, LayoutError> {
        let (mut bytes, mut seen) = (0, HashSet::new());
        for path in self.by_path.keys() {
            let stat = held::stat(root, path)?.filter(|it| seen.insert((it.st_dev, it.st_ino)));
            bytes += stat.and_then(|it| u64::try_from(it.st_size).ok()).unwrap_or_default();
        }
        Ok(bytes)
    }

    /// Another path on the volume that holds the content, trusted as everything that is listed.
    pub fn same(&self, root: &Root, wanted: &Placed) -> Result<Option<(String, u64, [u8; 32])>, LayoutError> {
        let Some(Digest::Sha256(sha256)) = wanted.digest else { return Ok(None) };
        let other = |path: &&String| **path != wanted.path && self.holds(path, sha256);
        let Some(path) = self.by_hash.get(&sha256).filter(other) else { return Ok(None) };
        let Some(published) = self.by_path.get(path) else { return Ok(None) };
        let intact = root.size(path)? == Some(published.size) && wanted.size.is_none_or(|it| it == published.size);
        Ok(intact.then(|| (path.clone(), published.size, sha256)))
    }

    /// The hash of a file that we published as this content, if it is still as long as it was then.
    fn trusted(&self, root: &Root, placed: &Placed, pin: &Pinned) -> Result<Option<(u64, [u8; 32])>, LayoutError> {
        let Some(published) = self.by_path.get(&placed.path).filter(|it| !it.damaged) else { return Ok(None) };
        let same = match placed.digest {
            Some(Digest::Sha256(sha256)) => sha256 == published.sha256,
            // The path of such a blob is its hash.
            Some(Digest::GitBlob(_)) => true,
            // Pinned by its tag: the manifest says of which tag it is.
            Some(Digest::Sha256Prefix(_)) | None => published.pin.is_same(pin),
        };
        let same = same && placed.size.is_none_or(|size| size == published.size);
        Ok((same && held::size(root, &placed.path)? == Some(published.size))
            .then_some((published.size, published.sha256)))
    }
}

/// Looks for the contents of a placement. Blocking: it may have to hash.
pub fn look(
    root: &Root,
    cache: &str,
    placement: &Placement,
    (revision, origin): (&str, &str),
    known: &Known,
) -> Result<Inventory, Failure> {
    let mut inventory = Inventory::default();
    let mut doubtful = Vec::new();
    let (revision, origin): (Arc<str>, Arc<str>) = (revision.into(), origin.into());
    for placed in &placement.contents {
        if let Some(tree) = &placed.tree {
            if let Some(entries) = known.tree(root, tree)? {
                inventory.trees.insert(tree.clone(), Found { entries, in_place: true });
                continue;
            }
            if let Some(found) = unpack::left(root, cache, tree)? {
                inventory.trees.insert(tree.clone(), found);
                continue;
            }
        }
        let (revision, origin, validator) = (revision.clone(), origin.clone(), placed.validator.clone());
        if let Some(found) = known.trusted(root, placed, &Pinned { revision, origin, validator })? {
            inventory.there.insert(placed.path.clone(), found);
        } else if let Some(size) = held::size(root, &placed.path)?
            && placed.size.is_none_or(|expected| expected == size)
            && matches!(placed.digest, Some(Digest::Sha256(_) | Digest::GitBlob(_)))
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
    inventory.all_there = inventory.missing.is_empty();
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
        // Too little to know a file by that nobody vouches for.
        Some(Digest::Sha256Prefix(_)) | None => false,
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
    use crate::agent::sha256::Sha256;
    use serde_json::Value;

    fn placement(bytes: &[u8]) -> Placement {
        let digest = Some(Digest::Sha256(Sha256::digest(bytes)));
        let placed = Placed {
            path: "files/a".into(),
            index: 0,
            files: 1,
            size: Some(bytes.len() as u64),
            digest,
            validator: None,
            tree: None,
        };
        Placement { key: Value::Null, contents: vec![placed], links: vec![], documents: vec![], last: None }
    }

    const FROM: (&str, &str) = ("r", "http://a");

    fn at(revision: &str) -> Pinned {
        Pinned { revision: revision.into(), origin: "http://a".into(), validator: None }
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
        let found = look(&root, "c", &placement(b"right"), FROM, &Known::default()).unwrap();
        assert_eq!((found.there.len(), found.missing.len(), found.hashed), (1, 0, 1));
        let found = look(&root, "c", &placement(b"wrong"), FROM, &Known::default()).unwrap();
        assert_eq!((found.there.len(), found.missing.len()), (0, 1));
    }

    #[test]
    fn a_file_of_ours_is_trusted_by_its_size_until_it_is_found_damaged() {
        let (_volume, root) = volume(b"right");
        let sha256 = Sha256::digest(b"right");
        let mut known = Known::default();
        known.learn("files/a", 5, sha256, at("r"), false);
        assert_eq!(look(&root, "c", &placement(b"right"), FROM, &known).unwrap().hashed, 0);
        known.learn("files/a", 5, sha256, at("r"), true);
        assert_eq!(look(&root, "c", &placement(b"right"), FROM, &known).unwrap().hashed, 1);
    }

    #[test]
    fn a_path_that_holds_another_version_by_now_lends_its_bytes_to_nobody() {
        let (volume, root) = volume(b"newer");
        let old: [u8; 32] = Sha256::digest(b"older");
        let mut known = Known::default();
        known.learn("files/a", 5, old, at("1"), false);
        known.learn("files/a", 5, Sha256::digest(b"newer"), at("2"), false);
        let mut wanted = placement(b"older").contents.remove(0);
        wanted.path = "files/b".into();
        assert_eq!(known.same(&root, &wanted).unwrap(), None);
        // Where it is intact elsewhere, that is found, whichever was learned first.
        std::fs::write(volume.path().join("files/c"), b"older").unwrap();
        known.learn("files/c", 5, old, at("1"), false);
        assert_eq!(known.same(&root, &wanted).unwrap().map(|it| it.0).as_deref(), Some("files/c"));
        known.learn("files/c", 5, old, at("1"), true);
        assert_eq!(known.same(&root, &wanted).unwrap(), None, "damage is not spread");
    }

    #[test]
    fn two_names_of_one_file_count_once() {
        let (volume, root) = volume(b"right");
        std::fs::hard_link(volume.path().join("files/a"), volume.path().join("files/b")).unwrap();
        let mut known = Known::default();
        let sha256 = Sha256::digest(b"right");
        known.learn("files/a", 5, sha256, at("r"), false);
        known.learn("files/b", 5, sha256, at("r"), false);
        assert_eq!(known.bytes_on(&root).unwrap(), 5);
    }

    #[test]
    fn a_file_pinned_by_its_tag_is_trusted_for_that_tag_only() {
        let (_volume, root) = volume(b"right");
        let mut known = Known::default();
        known.learn("files/a", 5, Sha256::digest(b"right"), at("etag:1"), false);
        let mut placement = placement(b"right");
        placement.contents[0].digest = None;
        assert_eq!(look(&root, "c", &placement, ("etag:1", "http://a"), &known).unwrap().missing.len(), 0);
        assert_eq!(look(&root, "c", &placement, ("etag:2", "http://a"), &known).unwrap().missing.len(), 1);
    }

    #[test]
    fn a_file_of_a_list_that_has_changed_elsewhere_is_trusted_for_its_own_tag_at_its_own_origin() {
        let (_volume, root) = volume(b"right");
        let missing = |known: Option<&str>, wanted: Option<&str>, origin: &str| {
            let mut there = Known::default();
            let pin = Pinned { validator: known.map(str::to_owned), ..at("list:1") };
            there.learn("files/a", 5, Sha256::digest(b"right"), pin, false);
            let mut placement = placement(b"right");
            placement.contents[0].digest = None;
            placement.contents[0].validator = wanted.map(str::to_owned);
            look(&root, "c", &placement, ("list:2", origin), &there).unwrap().missing.len()
        };
        assert_eq!(missing(Some("x"), Some("x"), "http://a"), 0);
        assert_eq!(missing(Some("x"), Some("y"), "http://a"), 1, "it was changed");
        assert_eq!(missing(Some("x"), Some("x"), "http://b"), 1, "another origin's tag says nothing");
        assert_eq!(missing(None, Some("x"), "http://a"), 1, "a manifest of an earlier version");
        assert_eq!(missing(None, None, "http://a"), 1, "no tag is no proof");
    }
}
