//! Where do files go on a volume, and what do clients need to find them there?
//!
//! Own state lies under `.modelcache/` only:
//!
//! ```text
//! .modelcache/<cache>/staging/            the engine's partial files
//! .modelcache/<cache>/manifests/<source>.json
//! .modelcache/<cache>/retired/…           manifests of what the cache no longer asks for
//! .modelcache/<cache>/unpack/…            what is on its way out of an archive
//! .modelcache/<cache>/current             content hash of the plan that is complete
//! .modelcache/<cache>/mend/               where a link or a branch is made before it takes its place
//! .modelcache/<cache>/pins.json           without a cluster: what the sources resolved to
//! ```

pub mod archive;
pub mod current;
pub mod environment;
pub mod expired;
pub mod held;
pub mod hugging_face;
pub mod manifest;
pub mod plain;
pub mod publish;
pub mod safe_path;
pub mod sound;
pub mod torch_hub;

use super::failure::Failure;
use super::fetch::Digest;
use super::source::listing::Listing;
use super::source::{name, not_one_kind, whisper};
use crate::api::Reason;
use crate::api::source::{Kind, Source, WhisperEngine};
use crate::contract::plan::Plan;
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
    pub(in crate::agent) fn new(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { path: path.into(), source: source.into() }
    }

    pub(in crate::agent) fn is_missing(&self) -> bool {
        // Below a file there is nothing either; below a link is another error.
        let missing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        matches!(self, Self::Io { source, .. } if missing.contains(&source.kind()))
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
    /// The entity tag that tells this content from another at its origin.
    pub validator: Option<String>,
    /// What becomes of it, if it is an archive: its path is then one of our own, where it waits to be unpacked.
    pub tree: Option<archive::Tree>,
}

impl Placed {
    /// Whether a hash of all its bytes is known.
    pub fn is_known_by_hash(&self) -> bool {
        matches!(self.digest, Some(Digest::Sha256(_) | Digest::GitBlob(_)))
    }
}

/// What a source's files are laid out as, whatever the revision turns out to be.
///
/// # Errors
/// `InvalidSpec` when the spec's paths cannot be used.
pub fn key(source: &Source) -> Result<Value, Failure> {
    let kind = source.kind().ok_or_else(not_one_kind)?;
    crate::api::expiry::parse(source.expire_after()).map_err(|bad| {
        Failure::new(Reason::InvalidSpec, format!("source `{}`: `expireAfter`: {bad}, or Forever", source.name))
    })?;
    match kind {
        Kind::HuggingFace(hub) => {
            directory(source, hub.effective_path())?;
            // Below `refs/` on the volume, so it is a path too.
            usable(source, hub.effective_revision())?;
        }
        Kind::Http(http) => usable(source, &http.effective_path().unwrap_or_default())?,
        Kind::Whisper(model) => {
            directory(source, model.effective_path())?;
            match model.effective_engine() {
                WhisperEngine::OpenAI => _ = whisper::path(model)?,
                WhisperEngine::Faster => _ = whisper::repository(model)?,
            }
        }
        Kind::Civitai(file) => directory(source, file.effective_path())?,
        Kind::Claim(claim) => {
            directory(source, claim.effective_directory())?;
            directory(source, claim.effective_path())?;
            let name = &claim.claim_name;
            let inner =
                name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, b'-' | b'.'));
            if !inner || name.starts_with(['-', '.']) || name.is_empty() || name.len() > 253 {
                let message = format!("source `{}`: `claimName` is not the name of a claim: {name:?}", source.name);
                return Err(Failure::new(Reason::InvalidSpec, message));
            }
        }
        Kind::Nltk(data) => directory(source, data.effective_path())?,
        Kind::Spacy(spacy) => usable(source, &spacy.directory())?,
        Kind::TorchHub(hub) => usable(source, &hub.target())?,
        Kind::ObjectStore(store) => {
            if store.effective_path() != "." {
                usable(source, &store.effective_path())?;
            }
        }
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

/// What a source of a plan is laid out as, with what it shares with others of that plan.
///
/// # Errors
/// As [`key`].
pub fn key_in(plan: &Plan, source: &Source) -> Result<Value, Failure> {
    let key = key(source)?;
    Ok(match torch_hub::trusted_list(plan, source) {
        Some((_, list)) => serde_json::json!([key, String::from_utf8_lossy(&list)]),
        None => key,
    })
}

/// Where the files of a source of a plan go.
///
/// # Errors
/// As [`key`].
pub fn place(plan: &Plan, source: &Source, listing: &Listing) -> Result<Placement, Failure> {
    let key = key_in(plan, source)?;
    Ok(match source.kind().ok_or_else(not_one_kind)? {
        Kind::HuggingFace(hub) => hugging_face::place(hub, listing, key),
        Kind::Whisper(model) if model.effective_engine() == WhisperEngine::Faster => {
            hugging_face::place(&whisper::repository(model)?, listing, key)
        }
        Kind::Http(_)
        | Kind::Whisper(_)
        | Kind::Civitai(_)
        | Kind::Claim(_)
        | Kind::Nltk(_)
        | Kind::ObjectStore(_)
        | Kind::Oci(_)
        | Kind::Pip(_)
        | Kind::Spacy(_) => plain::place(&plan.cache, listing, key),
        Kind::TorchHub(_) => Placement {
            documents: torch_hub::trusted_list(plan, source).into_iter().collect(),
            ..plain::place(&plan.cache, listing, key)
        },
    })
}

/// A directory on the volume, or its root.
fn directory(source: &Source, path: &str) -> Result<(), Failure> {
    if path == "." { Ok(()) } else { usable(source, path) }
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
