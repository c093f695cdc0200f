//! What is a source, as a list of files? One file or room per kind of source; the engine knows only the list.
//!
//! ```text
//! spec ──► pin (asks the origin what is there now) ──► listing at the pin (asks what belongs to it) ──► contents
//! ```

pub mod access;
pub mod civitai;
pub mod claim;
pub mod fnmatch;
pub mod http;
pub mod hugging_face;
pub mod listing;
pub mod name;
pub mod nltk;
pub mod object_store;
pub mod oci;
pub mod pip;
pub mod preset;
pub mod requirements;
pub mod spacy;
pub mod torch_hub;
pub mod unpack;
pub mod wheel;
pub mod whisper;

use super::failure::Failure;
use super::fetch::{FetchOptions, HttpClient};
use crate::api::Reason;
use crate::api::source::{Kind, Source};
use crate::contract::plan::Pin;
use access::Access;
use listing::Listing;
use std::time::Duration;

/// How long an origin that does not answer, or asks for fewer requests, is asked again before a listing fails. The next
/// attempt is the operator's business, which knows the whole fleet.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long signed addresses last. Clocks may differ by as much.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

/// An origin's API, and how to talk to it.
#[derive(Clone, Debug)]
pub struct Origins {
    /// Makes the connections.
    pub client: HttpClient,
    /// Patience.
    pub options: FetchOptions,
    /// The hub of sources that name none; the public one when there is none here either.
    pub endpoint: Option<String>,
    /// How long a signed address lets in. Short, since whoever sees one may read the object; a fresh one costs nothing.
    pub signed_for: Duration,
}

impl Origins {
    /// Origins that are asked for at most two minutes.
    pub fn new(client: HttpClient, endpoint: Option<String>) -> Self {
        let options = FetchOptions { give_up_after: PATIENCE, ..FetchOptions::default() };
        Self { client, options, endpoint, signed_for: SIGNED_FOR }
    }

    /// Asks the origin what the source is now: its revision, and the files of it.
    pub async fn resolve(&self, source: &Source, access: &Access) -> Result<Listing, Failure> {
        match source.kind().ok_or_else(not_one_kind)? {
            Kind::HuggingFace(hub) => hugging_face::resolve(self, hub, access).await,
            Kind::Http(http) => http::resolve(self, http, access).await,
            Kind::Whisper(model) => whisper::resolve(self, model, access).await,
            Kind::Civitai(file) => civitai::resolve(self, file, access).await,
            Kind::Claim(it) => claim::resolve(it, access).await,
            Kind::Nltk(data) => nltk::resolve(self, data).await,
            Kind::Spacy(spacy) => spacy::resolve(self, spacy, access).await,
            Kind::TorchHub(hub) => torch_hub::resolve(self, hub, access).await,
            Kind::ObjectStore(store) => object_store::resolve(self, store, access).await,
            Kind::Oci(artifact) => oci::resolve(self, artifact, &source.name, access).await,
            Kind::Pip(pip) => pip::resolve(self, pip, access).await,
        }
    }

    /// Lists the files of a source at its pin. They must be the files that were resolved.
    pub async fn list(&self, source: &Source, pin: &Pin, access: &Access) -> Result<Listing, Failure> {
        let listing = match source.kind().ok_or_else(not_one_kind)? {
            Kind::HuggingFace(hub) => hugging_face::list(self, hub, &pin.revision, access).await?,
            Kind::Http(http) => http::list(http, pin, access)?,
            Kind::Whisper(model) => whisper::list(self, model, pin, access).await?,
            Kind::Civitai(file) => civitai::list(self, file, pin, access).await?,
            Kind::Claim(it) => claim::resolve(it, access).await?,
            Kind::Nltk(data) => nltk::resolve(self, data).await?,
            Kind::Spacy(spacy) => spacy::list(spacy, pin, access)?,
            Kind::TorchHub(hub) => torch_hub::list(hub, pin, access)?,
            Kind::ObjectStore(store) => object_store::list(self, store, access).await?,
            Kind::Oci(artifact) => oci::list(self, artifact, &source.name, &pin.revision, access).await?,
            Kind::Pip(pip) => pip::resolve(self, pip, access).await?,
        };
        let found = listing.pin();
        if found == *pin {
            return Ok(listing);
        }
        if let Some(Kind::Claim(it)) = source.kind() {
            return Err(Failure::new(
                Reason::ListingMismatch,
                format!(
                    "claim `{}` changed since it was resolved: it had {} files and {} bytes, and has {} files and {} bytes of \
                     other content (digest {:.12} instead of {:.12}); nothing was taken; resolve it again when nothing writes \
                     there",
                    it.claim_name, pin.files, pin.bytes, found.files, found.bytes, found.digest, pin.digest
                ),
            ));
        }
        Err(Failure::new(
            Reason::ListingMismatch,
            format!(
                "the origin lists {} files and {} bytes (digest {:.12}) at {}, but {} files and {} bytes (digest {:.12}) \
                 were resolved: the origin changed what a fixed revision is, or another origin answers; nothing was taken",
                found.files, found.bytes, found.digest, pin.revision, pin.files, pin.bytes, pin.digest
            ),
        ))
    }
}

/// What a source without a kind, or with several, is told.
pub(super) fn not_one_kind() -> Failure {
    Failure::new(Reason::InvalidSpec, "exactly one kind of source must be set")
}
