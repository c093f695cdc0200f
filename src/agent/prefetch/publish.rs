//! How does a source become visible? Contents are in place; then links, then the listing, then the branch, then our word.

use super::super::failure::Failure;
use super::super::layout::Placement;
use super::super::layout::manifest::{Entry, Manifest, What};
use super::super::layout::publish::Publisher;
use super::super::layout::safe_path::Root;
use super::super::source::listing::Listing;
use super::super::verify::look::is_whole;
use super::super::verify::mend;
use super::inventory::{Inventory, text};
use crate::contract::plan::{Pin, PlannedSource};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Publishes a source whose contents are all there. Each step is on the disk before the next one begins: whatever a
/// reader or a crash sees is whole.
pub fn publish(
    root: &Root,
    publisher: &mut Publisher<'_>,
    cache: &str,
    planned: &PlannedSource,
    listing: &Listing,
    placement: &Placement,
    inventory: &Inventory,
) -> Result<(), Failure> {
    publisher.sync()?;
    let mut entries = Vec::new();
    for placed in &placement.contents {
        // Fetched or found: a content that is neither is a defect of ours, and never a success.
        let Some((size, sha256)) = inventory.there.get(&placed.path) else {
            let message = format!("{} is not there although everything was fetched", placed.path);
            return Err(Failure::new(crate::api::Reason::InternalError, message));
        };
        entries.push(file(&placed.path, *size, text(*sha256)));
    }
    for (path, target) in &placement.links {
        publisher.link(path, target)?;
        let what = What::Link { link: target.clone() };
        entries.push(Entry { path: path.clone(), what, damaged: false });
    }
    publisher.sync()?;
    for (path, bytes) in placement.documents.iter().chain(&placement.last) {
        publisher.file(path, bytes)?;
        publisher.sync()?;
        entries.push(file(path, bytes.len() as u64, text(Sha256::digest(bytes).into())));
    }
    let mut manifest = Manifest::new(&planned.source.name, &listing.origin, &planned.pin, placement.key.clone());
    if manifest.bytes == 0 {
        // The origin did not say how large it is; the disk does.
        manifest.bytes = inventory.there.values().map(|(size, _)| size).sum();
    }
    manifest.entries = entries;
    mend::surroundings(root, &manifest, &|_| {})?;
    manifest.write(root, publisher, cache)?;
    debug_assert!(is_whole(root, &manifest).unwrap_or_default(), "what was published is there");
    Ok(())
}

/// Whether a manifest is of this pin, laid out this way.
pub fn is_of(manifest: &Manifest, pin: &Pin, layout: &Value) -> bool {
    let Manifest { revision, digest, files, .. } = manifest;
    (revision, digest, files, &manifest.layout) == (&pin.revision, &pin.digest, &pin.files, layout)
}

fn file(path: &str, size: u64, sha256: String) -> Entry {
    Entry { path: path.to_owned(), what: What::File { size, sha256 }, damaged: false }
}
