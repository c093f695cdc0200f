//! Which files are below a prefix of an object store? One listing, page by page; the bytes are the engine's, by addresses that
//! are signed for a short while.
//!
//! The pin is the digest of the listing: name, size and ETag of every object. Each node lists for itself and must find the
//! same, and every answer of the store must carry the ETag that was listed: an object that is overwritten is never mixed.
//!
//! - `destination`: a store that is written to.
//! - `bucket`: the crate's client of a store, and how to get in; `connect`: its requests over our connections.
//! - `permit`: signed addresses and tokens for the engine. `sas`: Azure's signatures. `key`: names in URLs and listings. `refusal`: what went wrong.

mod bucket;
mod connect;
mod destination;
mod key;
mod permit;
mod refusal;
mod sas;

pub use self::destination::Destination;

use super::super::failure::{Failure, reason};
use super::super::fetch::Origin;
use super::Origins;
use super::access::Access;
use super::fnmatch::Patterns;
use super::listing::{ListedFile, Listing};
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use crate::api::name::{self, hex};
use crate::api::source::ObjectStore;
use bucket::Bucket;
use futures::TryStreamExt as _;
use object_store::path::Path;
use permit::{Entry, Permit};
use refusal::Purpose;

/// Largest listing, in objects: more is a prefix that was forgotten.
const OBJECTS_LIMIT: usize = 1_000_000;

/// Asks the store what is below the prefix now, and for the first byte of one object: who may list may not always read.
pub async fn resolve(origins: &Origins, spec: &ObjectStore, access: &Access) -> Result<Listing, Failure> {
    let bucket = Bucket::new(origins, spec, access)?;
    let listing = listed(origins, spec, &bucket).await?;
    // The largest: an empty one has no first byte.
    let Some(file) = listing.files.iter().max_by_key(|file| file.size) else { return Ok(listing) };
    let content = listing.content(file);
    let origin = Origin { token: None, ..content.origin };
    let name = refusal::name(spec, &bucket);
    let probe = origins.client.probe(&file.path, &origin, &origins.options).await.map_err(|error| {
        let failure = Failure::new(reason(&error), error.to_string());
        match failure.reason {
            Reason::Unauthorized => {
                let message = format!("{name} may be listed and not read: {}", refusal::kept(spec, Purpose::Read));
                Failure::new(Reason::Unauthorized, message)
            }
            _ => failure,
        }
    })?;
    let (read, found) = (probe.etag.as_deref().map(plain), file.validator.as_deref());
    if read != found {
        let message = format!(
            "{name} lists {} with the ETag {} and sends it with {}: it changes just now, or nothing tells its content from another",
            file.path,
            found.unwrap_or("none"),
            read.unwrap_or("none")
        );
        return Err(Failure::new(Reason::ListingMismatch, message));
    }
    Ok(listing)
}

/// What is below the prefix. The caller holds it against the pin.
pub async fn list(origins: &Origins, spec: &ObjectStore, access: &Access) -> Result<Listing, Failure> {
    let bucket = Bucket::new(origins, spec, access)?;
    listed(origins, spec, &bucket).await
}

async fn listed(origins: &Origins, spec: &ObjectStore, bucket: &Bucket) -> Result<Listing, Failure> {
    let prefix = spec.effective_prefix();
    let name = refusal::name(spec, bucket);
    let below = Path::parse(prefix)
        .map_err(|error| Failure::new(Reason::InvalidSpec, format!("`prefix` is no directory of a bucket: {error}")))?;
    let directory = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let patterns = Patterns::new(&spec.include, &spec.exclude);
    let (mut files, mut seen) = (Vec::new(), 0);
    let mut objects = bucket.client.list(Some(&below));
    while let Some(object) =
        objects.try_next().await.map_err(|error| refusal::failure(spec, bucket, &error, Purpose::Read))?
    {
        seen += 1;
        if seen > OBJECTS_LIMIT {
            let message =
                format!("{name} has more than {OBJECTS_LIMIT} objects below `{directory}`: `prefix` must name less");
            return Err(Failure::new(Reason::InvalidSpec, message));
        }
        let key = object.location.as_ref();
        // A store lists what begins with the prefix; anything else is no answer to the question.
        let Some(relative) = key.strip_prefix(&directory) else { continue };
        if !patterns.want(relative) {
            continue;
        }
        let tag = object.e_tag.as_deref().map(plain).filter(|it| !it.is_empty()).ok_or_else(|| {
            let message =
                format!("{name} lists {key} without an ETag, so that nothing would tell its content from another");
            Failure::new(Reason::InvalidSpec, message)
        })?;
        files.push(ListedFile {
            path: relative.to_owned(),
            size: Some(object.size),
            digest: None,
            validator: Some(tag.to_owned()),
            git_oid: None,
            unpack: None,
            url: bucket.address(key)?,
        });
    }
    if seen == 0 {
        let message = format!(
            "{name} has no object below `{directory}`: `prefix` must be a directory, `include` names single files"
        );
        return Err(Failure::new(Reason::NoFiles, message));
    }
    // See `sas`: for the pod's own identity the crate signs.
    if matches!(bucket.entry, Entry::Delegated(_))
        && let Some(file) = files.iter().find(|file| file.url.path().contains('%'))
    {
        let message = format!(
            "{name} has {:?}, whose name the pod's own identity cannot sign for: give `accountKeySecretRef` or `sasTokenSecretRef`, or \
             `exclude` it",
            file.path
        );
        return Err(Failure::new(Reason::InvalidSpec, message));
    }
    let complete = files.len() == seen;
    let revision = revision(&mut files);
    let path = spec.effective_path();
    for file in &mut files {
        file.path = name::below(&path, &file.path);
    }
    let mut listing = Listing::new(revision, files, complete, None, format!("{}{directory}", bucket.base))?;
    listing.authorizer = Permit::to(&bucket.entry, &bucket.base, origins.signed_for);
    Ok(listing)
}

/// A short name for what is listed: 16 digits of the digest over name, size and tag of every object.
fn revision(files: &mut [ListedFile]) -> String {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut hasher = Sha256::new();
    for file in files.iter() {
        let size = file.size.unwrap_or_default().to_string();
        for part in [&file.path, &size, file.validator.as_deref().unwrap_or_default()] {
            hasher.update(part);
            hasher.update([0]);
        }
    }
    format!("etag:{:.16}", hex(&hasher.finalize()))
}

/// A tag without weakness mark and quotes: stores list it one way and send it another.
fn plain(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
}
