//! Where do files go on a volume, and what do clients need to find them there?
//!
//! Own state lies under `.modelcache/` only:
//!
//! ```text
//! .modelcache/<cache>/staging/            the engine's partial files
//! .modelcache/<cache>/manifests/<source>.json
//! .modelcache/<cache>/retired/…           manifests of what the cache no longer asks for
//! .modelcache/<cache>/current             content hash of the plan that is complete
//! .modelcache/<cache>/mend/               where a link or a branch is made before it takes its place
//! .modelcache/<cache>/pins.json           without a cluster: what the sources resolved to
//! ```

pub mod current;
pub mod environment;
pub mod held;
pub mod hugging_face;
pub mod manifest;
pub mod plain;
pub mod publish;
pub mod safe_path;
pub mod sound;

use super::failure::Failure;
use super::fetch::Digest;
use super::source::listing::Listing;
use super::source::name;
use crate::api::Reason;
use crate::api::source::{Kind, Source};
use serde_json::Value;
use std::io;
use std::path::PathBuf;

/// Directory of everything that is ours on a volume.
pub const OWN: &str = ".modelcache";

/// The directory of a cache's state.
pub fn state(cache: &str) -> String {
    format!("{OWN}/{cache}")
}

/// The directory of a cache's partial files.
pub fn staging(cache: &str) -> String {
    format!("{OWN}/{cache}/staging")
}

/// Why something could not be read or put on a volume.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A link stands where a directory must be.
    #[error("{path} is a symbolic link, and no link on a volume is followed: replace it by a directory")]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// The system's error.
    #[error("{path}: {source}")]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl LayoutError {
    pub(super) fn new(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { path: path.into(), source: source.into() }
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl From<LayoutError> for Failure {
    fn from(error: LayoutError) -> Self {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        let reason = match &error {
            LayoutError::Io { source, .. } if full.contains(&source.kind()) => Reason::InsufficientSpace,
            _ => Reason::VolumeError,
        };
        Self::new(reason, error.to_string())
    }
}

/// Where everything of a source goes: pure, made from the listing alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// What is laid out and where, endpoints aside: equal for two listings means the same files in the same places.
    pub key: Value,
    /// Contents, one for each path on the volume.
    pub contents: Vec<Placed>,
    /// Links: path and target.
    pub links: Vec<(String, String)>,
    /// Small files of ours beside them, once contents and links are there: path and bytes.
    pub documents: Vec<(String, Vec<u8>)>,
    /// The file that makes the new revision visible, last of all.
    pub last: Option<(String, Vec<u8>)>,
}

/// A content in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Path on the volume.
    pub path: String,
    /// Index in the listing's files of the first file that has this content.
    pub index: usize,
    /// Files of the listing that have this content.
    pub files: u64,
    /// Size in bytes, if known.
    pub size: Option<u64>,
    /// Digest, if known.
    pub digest: Option<Digest>,
}

/// What a source's files are laid out as, whatever the revision turns out to be.
///
/// # Errors
/// `InvalidSpec` when the spec's paths cannot be used.
pub fn key(source: &Source) -> Result<Value, Failure> {
    match source.kind().ok_or_else(not_one_kind)? {
        Kind::HuggingFace(hub) => {
            if hub.effective_path() != "." {
                usable(source, hub.effective_path())?;
            }
            // Below `refs/` on the volume, so it is a path too.
            usable(source, hub.effective_revision())?;
        }
        Kind::Http(http) => usable(source, &http.effective_path().unwrap_or_default())?,
        Kind::Oci(oci) => {
            let bad = |what| Failure::new(Reason::InvalidSpec, format!("source `{}`: {what}", source.name));
            oci.effective_reference().map_err(bad)?;
            if let Some(path) = oci.path.as_deref().filter(|path| *path != ".") {
                usable(source, path)?;
            }
        }
        Kind::Pip(pip) => usable(source, pip.effective_path())?,
    }
    Ok(source.identity())
}

/// Where the files of a source go.
///
/// # Errors
/// As [`key`].
pub fn place(source: &Source, listing: &Listing) -> Result<Placement, Failure> {
    let key = key(source)?;
    Ok(match source.kind().ok_or_else(not_one_kind)? {
        Kind::HuggingFace(hub) => hugging_face::place(hub, listing, key),
        Kind::Http(_) | Kind::Oci(_) | Kind::Pip(_) => plain::place(listing, key),
    })
}

fn not_one_kind() -> Failure {
    Failure::new(Reason::InvalidSpec, "exactly one kind of source must be set")
}

fn usable(source: &Source, path: &str) -> Result<(), Failure> {
    let ours = path.split('/').any(|part| part == OWN);
    let bad = name::check(path).err().map(|bad| bad.to_string());
    match bad.or_else(|| ours.then(|| format!("has a part `{OWN}`"))) {
        None => Ok(()),
        Some(bad) => Err(Failure::new(
            Reason::InvalidSpec,
            format!("source `{}`: `{path}` {bad}: use a relative path that stays on the volume", source.name),
        )),
    }
}
