//! Where does the content of an archive go, and where is it on the way there?
//!
//! ```text
//! .modelcache/<cache>/unpack/<id>.archive       the archive, whole and verified, until it is unpacked
//! .modelcache/<cache>/unpack/<id>/tree/         its content, while it is written
//! .modelcache/<cache>/unpack/<id>/index.json    what is in `tree`: written once all of it is on the disk
//! .modelcache/<cache>/unpack/<id>/moved.json    the same, from the moment on at which `tree` is moved into place
//! ```

use super::super::source::listing::{ListedFile, Listing};
use super::super::source::unpack::Unpack;
use super::state;
use crate::agent::sha256::Sha256;
use crate::api::name::hex;
use serde::{Deserialize, Serialize};

/// Longest name of an archive in messages, in characters.
const NAME_LIMIT: usize = 80;

/// A tree that comes out of an archive. Two that are equal are the same files in the same places, whatever a mirror calls the
/// archive.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tree {
    /// What people call the archive.
    pub name: String,
    /// What pins its bytes: a digest, or an entity tag.
    pub content: String,
    /// The directory on the volume that its content goes to.
    pub directory: String,
    /// What of it is wanted.
    pub unpack: Unpack,
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        let Self { name: _, content, directory, unpack } = self;
        (content, directory, unpack) == (&other.content, &other.directory, &other.unpack)
    }
}

impl Eq for Tree {}

impl std::hash::Hash for Tree {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let Self { name: _, content, directory, unpack } = self;
        (content, directory, unpack).hash(state);
    }
}

impl Tree {
    /// The tree of a listed file, if that is an archive.
    pub fn of(listing: &Listing, file: &ListedFile) -> Option<Self> {
        let unpack = file.unpack.clone()?;
        let digest = file.digest.map(|it| it.to_string());
        let tag = || file.validator.as_ref().map(|it| format!("etag:{it}"));
        let name = file.url.path_segments().and_then(|mut it| it.next_back()).filter(|it| !it.is_empty());
        Some(Self {
            name: name.unwrap_or("archive").chars().take(NAME_LIMIT).collect(),
            content: digest.or_else(tag).unwrap_or_else(|| listing.revision.clone()),
            directory: file.path.clone(),
            unpack,
        })
    }

    /// Where the archive is until it is unpacked.
    pub fn landing(&self, cache: &str) -> String {
        format!("{}.archive", self.aside(cache))
    }

    /// The directory of our own that holds `tree` and its index until all of the source is there.
    pub fn aside(&self, cache: &str) -> String {
        format!("{}/{}", directory(cache), self.id())
    }

    /// The content while nobody sees it.
    pub fn tree_aside(&self, cache: &str) -> String {
        format!("{}/tree", self.aside(cache))
    }

    /// The list of that content.
    pub fn index(&self, cache: &str) -> String {
        format!("{}/index.json", self.aside(cache))
    }

    /// The list of that content, once `tree` may hold something else.
    pub fn moved(&self, cache: &str) -> String {
        format!("{}/moved.json", self.aside(cache))
    }

    fn id(&self) -> String {
        let Self { name: _, content, directory, unpack } = self;
        let key = serde_json::json!([content, directory, unpack]).to_string();
        hex(&Sha256::digest(key.as_bytes())).chars().take(32).collect()
    }
}

/// The directory of everything that is on its way out of an archive.
pub fn directory(cache: &str) -> String {
    format!("{}/unpack", state(cache))
}
