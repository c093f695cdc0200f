//! Which files is an artifact in a registry made of? One call for its manifest, two where it is behind an index.
//!
//! ```text
//! tag ──► manifest (an index leads to the model's own) ──► its digest is the revision ──► its layers are the files
//! ```
//!
//! The manifest names each layer by its SHA-256, so that all that is fetched is held to the one digest of the pin. The
//! engine fetches the layers in ranges; see [`door`] for how it is let in.

mod door;
mod index;
mod login;
mod manifest;
mod ollama;
mod registry;

use super::super::failure::Failure;
use super::Origins;
use super::access::Access;
use super::fnmatch::Patterns;
use super::listing::{ListedFile, Listing};
use super::unpack::Unpack;
use crate::api::Reason;
use crate::api::name::{below, sha256_digits};
use crate::api::source::{Layout, Oci, Reference};
use manifest::Format;
use registry::{Manifest, Registry};
use std::collections::HashSet;

pub use login::{Login, local as local_config};

/// Asks the registry which manifest the reference is now, and lists its files.
pub async fn resolve(origins: &Origins, oci: &Oci, source: &str, access: &Access) -> Result<Listing, Failure> {
    let reference = reference(oci)?;
    let mut registry = Registry::new(origins, oci, &reference, access)?;
    let mut manifest = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => registry.at_digest(digest).await?,
        (None, tag) => registry.at_tag(tag.as_deref().unwrap_or("latest")).await?,
    };
    if let Some(entries) = manifest.document.manifests.take() {
        let chosen = index::choose(&entries).map_err(|what| unsupported(&reference, &what))?;
        manifest = registry.at_digest(&chosen).await?;
    }
    listing(oci, source, &reference, &registry, manifest)
}

/// The files of a manifest, whatever its tag has become.
pub async fn list(
    origins: &Origins,
    oci: &Oci,
    source: &str,
    revision: &str,
    access: &Access,
) -> Result<Listing, Failure> {
    let reference = reference(oci)?;
    let Some(digest) = sha256_digits(revision) else {
        let message = format!("the pin `{revision}` is not `sha256:` and 64 hex digits");
        return Err(Failure::new(Reason::InvalidSpec, message));
    };
    let mut registry = Registry::new(origins, oci, &reference, access)?;
    let manifest = registry.at_digest(digest).await?;
    listing(oci, source, &reference, &registry, manifest)
}

/// The files of a manifest, as the spec wants them laid out.
fn listing(
    oci: &Oci,
    source: &str,
    reference: &Reference,
    registry: &Registry<'_>,
    manifest: Manifest,
) -> Result<Listing, Failure> {
    let Manifest { digest, bytes, document } = manifest;
    let format = Format::of(&document).map_err(|what| unsupported(reference, &what))?;
    let layout = match (oci.effective_layout(), format) {
        (Layout::Ollama, Format::Ollama) => Layout::Ollama,
        (Layout::Files, Format::ModelPack | Format::ModelKit) => Layout::Files,
        (Layout::Files, Format::Ollama) => {
            let what = "a model of Ollama, whose layers have no file names: set `layout: Ollama`";
            return Err(unsupported(reference, what));
        }
        (Layout::Ollama, _) => {
            let what = format!("{format}, which Ollama's store cannot hold: leave `layout` out");
            return Err(unsupported(reference, &what));
        }
    };
    let base = oci.effective_path(source, layout);
    let (contents, last) = match layout {
        Layout::Files => (manifest::files(&document, format), None),
        Layout::Ollama if !(oci.include.is_empty() && oci.exclude.is_empty()) => {
            let what =
                "a model of Ollama, and one without all of its parts does not load: remove `include` and `exclude`";
            return Err(unsupported(reference, what));
        }
        Layout::Ollama => {
            let path = ollama::manifest(reference).map_err(|what| unsupported(reference, what))?;
            (ollama::blobs(&document), Some((below(&base, &path), bytes)))
        }
    };
    let contents = contents.map_err(|what| unsupported(reference, &what))?;
    let total = contents.len();
    let patterns = Patterns::new(&oci.include, &oci.exclude);
    let wanted = contents.into_iter().filter(|it| patterns.want(&it.path));
    let mut files: Vec<ListedFile> = wanted
        .map(|it| ListedFile {
            // The paths in an archive are those in the artifact.
            path: if it.archive.is_some() { base.clone() } else { below(&base, &it.path) },
            unpack: it.archive.map(Unpack::whole),
            size: Some(it.size),
            digest: Some(it.digest),
            validator: None,
            git_oid: None,
            url: registry.blob(&it.digest),
        })
        .collect();
    if base == "." && files.iter().any(|it| it.unpack.is_some()) {
        let what = "made of archives, which need a directory of their own: set `path` to another than `.`";
        return Err(unsupported(reference, what));
    }
    let complete = files.len() == total;
    // The same archive twice is the same files.
    let mut archives = HashSet::new();
    files.retain(|it| it.unpack.is_none() || archives.insert(it.digest));
    let listing = Listing::new(format!("sha256:{digest}"), files, complete, None, reference.name())?;
    Ok(Listing { authorizer: registry.authorizer(), last, ..listing })
}

fn reference(oci: &Oci) -> Result<Reference, Failure> {
    oci.effective_reference().map_err(|what| Failure::new(Reason::InvalidSpec, what))
}

fn unsupported(reference: &Reference, what: &str) -> Failure {
    Failure::new(Reason::InvalidSpec, format!("{reference} is {what}"))
}
