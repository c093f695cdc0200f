//! What did we put on a volume for a source? Written last, so that what it lists was complete once.

use super::archive::Tree;
use super::publish::Publisher;
use super::safe_path::Root;
use super::sound::unsound;
use super::{LayoutError, state};
use crate::api::name::short_hash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the document. One of another version is as good as none: its files are hashed before they are trusted.
const VERSION: u32 = 1;
/// Largest manifest that is read, in bytes: a million files of 300 bytes.
const LIMIT: u64 = 512 << 20;

/// The manifest of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of the document.
    pub version: u32,
    /// Name of the source.
    pub source: String,
    /// Where it came from, for people.
    pub origin: String,
    /// The pin's revision.
    pub revision: String,
    /// The pin's digest of the listing.
    pub digest: String,
    /// What is laid out where; see [`super::Placement::key`].
    pub layout: Value,
    /// Files of the source.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Everything that is on the volume for it.
    pub entries: Vec<Entry>,
    /// Archives that some of the entries came out of; they are not kept themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archives: Vec<Tree>,
    /// When its content came to the volume. Manifests of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<Timestamp>,
    /// Seconds after which it may be removed; never when there are none. See [`super::expired`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_after_seconds: Option<u64>,
    /// When it was removed because it had expired: there are no entries then, and nothing is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<Timestamp>,
    /// Its files were on the volume before, and are somebody's own: only this record of them is ever removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

/// A file or a link on the volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Path, relative to the volume's root.
    pub path: String,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    /// The entity tag that it was fetched under, where the origin gave no hash: with the same one it need not be fetched
    /// again, whatever else of the source has changed. Manifests of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator: Option<String>,
    /// A verification found other bytes than these: the file is not trusted before it is hashed again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// Which of the archives it came out of: that one is fetched again when it is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<u32>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", untagged)]
pub enum What {
    /// A file, by size in bytes and SHA-256 in hex.
    File {
        /// Size in bytes.
        size: u64,
        /// SHA-256 of its bytes, in hex.
        sha256: String,
    },
    /// A link.
    Link {
        /// Where it points.
        link: String,
    },
}

impl Entry {
    /// What is at a path, as it was put there.
    pub fn new(path: String, what: What) -> Self {
        Self { path, what, validator: None, damaged: false, archive: None }
    }

    /// Size in bytes; a link has none to speak of.
    pub fn size(&self) -> u64 {
        match &self.what {
            What::File { size, .. } => *size,
            What::Link { .. } => 0,
        }
    }
}

impl Manifest {
    /// A manifest of the present version, without entries.
    pub fn new(source: &str, origin: &str, pin: &crate::contract::plan::Pin, layout: Value) -> Self {
        Self {
            version: VERSION,
            source: source.to_owned(),
            origin: origin.to_owned(),
            revision: pin.revision.clone(),
            digest: pin.digest.clone(),
            layout,
            files: pin.files,
            bytes: pin.bytes,
            entries: vec![],
            archives: vec![],
            fetched_at: None,
            expire_after_seconds: None,
            expired_at: None,
            adopted: false,
        }
    }

    /// The manifest of a source. `None` when there is none that can be read.
    pub fn read(root: &Root, cache: &str, source: &str) -> Result<Option<Self>, LayoutError> {
        let bytes = root.read(&path(cache, source), LIMIT)?;
        Ok(bytes.and_then(|bytes| Self::parse(&bytes, source)))
    }

    /// The manifest of a source, from its bytes. `None` when they cannot be believed.
    pub fn parse(bytes: &[u8], source: &str) -> Option<Self> {
        let manifest = serde_json::from_slice::<Self>(bytes).ok();
        manifest.filter(|it| it.version == VERSION && it.source == source && unsound(it).is_none())
    }

    /// All manifests of a cache.
    pub fn read_all(root: &Root, cache: &str) -> Result<Vec<Self>, LayoutError> {
        let sources = names(root, &directory(cache))?;
        sources.iter().filter_map(|source| Self::read(root, cache, source).transpose()).collect()
    }

    /// What is on the volume from revisions and sources that the cache no longer asks for: it counts against the budget,
    /// is good for going back, and is what clean-up may remove.
    pub fn read_retired(root: &Root, cache: &str) -> Result<Vec<Self>, LayoutError> {
        Ok(Self::look_at_retired(root, cache)?.into_iter().filter_map(Result::ok).collect())
    }

    /// The same; of one that cannot be believed, its path on the volume.
    pub fn look_at_retired(root: &Root, cache: &str) -> Result<Vec<Result<Self, String>>, LayoutError> {
        let directory = retired(cache);
        let look = |name: &String| {
            let path = format!("{directory}/{name}.json");
            let Some(bytes) = root.read(&path, LIMIT)? else { return Ok(None) };
            let manifest = serde_json::from_slice::<Self>(&bytes).ok();
            let sound = manifest.filter(|it| it.version == VERSION && unsound(it).is_none());
            Ok(Some(sound.ok_or(path)))
        };
        names(root, &directory)?.iter().filter_map(|it| look(it).transpose()).collect()
    }

    /// Writes the manifest, and retires the one that it replaces, if that is of other content. Synced when this returns.
    pub fn write(&self, root: &Root, publisher: &mut Publisher<'_>, cache: &str) -> Result<(), LayoutError> {
        if let Some(before) =
            Self::read(root, cache, &self.source)?.filter(|it| it.retired_name() != self.retired_name())
        {
            before.retire(publisher, cache)?;
        }
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        publisher.file(&path(cache, &self.source), &bytes)?;
        publisher.sync()?;
        root.remove(&self.retired_path(cache))
    }

    /// Marks entries of a source that are about to be replaced or removed: from here on nobody trusts what is there.
    pub fn distrust(
        root: &Root,
        publisher: &mut Publisher<'_>,
        cache: &str,
        source: &str,
        is_replaced: impl Fn(&Entry) -> bool,
    ) -> Result<(), LayoutError> {
        let Some(mut manifest) = Self::read(root, cache, source)? else { return Ok(()) };
        let mut changed = false;
        for entry in manifest.entries.iter_mut().filter(|it| !it.damaged) {
            entry.damaged = is_replaced(entry);
            changed |= entry.damaged;
        }
        if changed { manifest.write(root, publisher, cache) } else { Ok(()) }
    }

    /// Retires the manifests of sources that the cache no longer has. Their files are left to clean-up.
    pub fn retain(
        root: &Root,
        publisher: &mut Publisher<'_>,
        cache: &str,
        sources: &[&str],
    ) -> Result<(), LayoutError> {
        for gone in names(root, &directory(cache))?.iter().filter(|it| !sources.contains(&it.as_str())) {
            if let Some(manifest) = Self::read(root, cache, gone)? {
                manifest.retire(publisher, cache)?;
            }
            root.remove(&path(cache, gone))?;
        }
        Ok(())
    }

    fn retire(&self, publisher: &mut Publisher<'_>, cache: &str) -> Result<(), LayoutError> {
        publisher.file(&self.retired_path(cache), &serde_json::to_vec(self).unwrap_or_default())?;
        publisher.sync()
    }

    /// Where the manifest is once the cache no longer asks for its content.
    pub fn retired_path(&self, cache: &str) -> String {
        format!("{}/{}.json", retired(cache), self.retired_name())
    }

    /// One name for each content and place of it.
    fn retired_name(&self) -> String {
        let layout = self.layout.to_string();
        format!("{}-{}", self.source, short_hash(&[&self.revision, &self.digest, &layout]))
    }
}

/// The directory of a cache's manifests.
pub fn directory(cache: &str) -> String {
    format!("{}/manifests", state(cache))
}

fn retired(cache: &str) -> String {
    format!("{}/retired", state(cache))
}

/// The path of a source's manifest.
pub fn path(cache: &str, source: &str) -> String {
    format!("{}/{source}.json", directory(cache))
}

/// Names of the sources that have a manifest, also one that cannot be believed.
pub fn sources(root: &Root, cache: &str) -> Result<Vec<String>, LayoutError> {
    names(root, &directory(cache))
}

fn names(root: &Root, directory: &str) -> Result<Vec<String>, LayoutError> {
    let names = root.names(directory)?;
    Ok(names.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::plan::Pin;

    #[test]
    fn a_manifest_comes_back_as_it_was_written_and_goes_with_its_source() {
        let volume = tempfile::tempdir().unwrap();
        let root = Root::open(volume.path()).unwrap();
        let mut publisher = Publisher::new(&root, ".modelcache/c/new".into()).unwrap();
        let pin = Pin { revision: "r".into(), files: 1, bytes: 2, digest: "d".into() };
        let mut manifest = Manifest::new("s", "http://hub/x", &pin, Value::Null);
        manifest.entries = vec![
            Entry { damaged: true, ..Entry::new("a".into(), What::File { size: 2, sha256: "00".repeat(32) }) },
            Entry::new("b".into(), What::Link { link: "a".into() }),
        ];
        manifest.write(&root, &mut publisher, "c").unwrap();
        assert_eq!(Manifest::read_all(&root, "c").unwrap(), [manifest.clone()]);
        assert_eq!(Manifest::read_retired(&root, "c").unwrap(), []);
        Manifest::retain(&root, &mut publisher, "c", &["other"]).unwrap();
        assert_eq!(Manifest::read_all(&root, "c").unwrap(), []);
        assert_eq!(Manifest::read_retired(&root, "c").unwrap(), [manifest]);
    }

    #[test]
    fn a_manifest_of_other_content_is_remembered_until_that_content_is_wanted_again() {
        let volume = tempfile::tempdir().unwrap();
        let root = Root::open(volume.path()).unwrap();
        let mut publisher = Publisher::new(&root, ".modelcache/c/new".into()).unwrap();
        let pin = |revision: &str| Pin { revision: revision.into(), files: 0, bytes: 0, digest: "d".into() };
        let manifest = |revision| Manifest::new("s", "http://hub/x", &pin(revision), Value::Null);
        for (revision, retired) in [("1", vec![]), ("2", vec!["1"]), ("2", vec!["1"]), ("1", vec!["2"])] {
            manifest(revision).write(&root, &mut publisher, "c").unwrap();
            let found = Manifest::read_retired(&root, "c").unwrap();
            assert_eq!(found.iter().map(|it| it.revision.as_str()).collect::<Vec<_>>(), retired);
        }
    }

    #[test]
    fn a_broken_manifest_is_as_good_as_none() {
        let volume = tempfile::tempdir().unwrap();
        let root = Root::open(volume.path()).unwrap();
        root.make_directory(&directory("c")).unwrap();
        std::fs::write(volume.path().join(path("c", "s")), "{\"version\": 1, \"sour").unwrap();
        assert_eq!(Manifest::read_all(&root, "c").unwrap(), []);
        let earlier = format!("{}/s-1.json", retired("c"));
        root.make_directory(&retired("c")).unwrap();
        std::fs::write(volume.path().join(&earlier), "{\"version\": 1, \"sour").unwrap();
        assert_eq!(Manifest::read_retired(&root, "c").unwrap(), []);
        assert_eq!(
            Manifest::look_at_retired(&root, "c").unwrap(),
            [Err(earlier)],
            "it is not forgotten without a word"
        );
    }
}
