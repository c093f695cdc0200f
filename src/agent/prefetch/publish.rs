//! How does a source become visible? Contents are in place; then links, then the listing, then the branch, then our word.

use super::super::failure::Failure;
use super::super::layout::Placement;
use super::super::layout::manifest::{Entry, Manifest, What};
use super::super::layout::publish::Publisher;
use super::super::layout::safe_path::Root;
use super::super::source::listing::Listing;
use super::super::unpack::put::put;
use super::super::verify::look::is_whole;
use super::super::verify::mend;
use super::inventory::{Inventory, text};
use crate::agent::sha256::Sha256;
use crate::api::expiry;
use crate::contract::plan::{Pin, PlannedSource};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

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
) -> Result<Manifest, Failure> {
    publisher.sync()?;
    let mut entries = Vec::new();
    for placed in placement.contents.iter().filter(|it| it.tree.is_none()) {
        // Fetched or found: a content that is neither is a defect of ours, and never a success.
        let Some((size, sha256)) = inventory.there.get(&placed.path) else {
            let message = format!("{} is not there although everything was fetched", placed.path);
            return Err(Failure::new(crate::api::Reason::InternalError, message));
        };
        // Where there is a hash, that tells contents apart, whatever the origin calls them.
        let validator = placed.validator.clone().filter(|_| !placed.is_known_by_hash());
        entries.push(Entry { validator, ..file(&placed.path, *size, text(*sha256)) });
    }
    let (archives, unpacked) = put(root, publisher, cache, &planned.source.name, placement, inventory)?;
    entries.extend(unpacked);
    for (path, target) in &placement.links {
        publisher.link(path, target)?;
        let what = What::Link { link: target.clone() };
        entries.push(Entry::new(path.clone(), what));
    }
    publisher.sync()?;
    for (path, bytes) in placement.documents.iter().chain(&placement.last) {
        publisher.file(path, bytes)?;
        publisher.sync()?;
        entries.push(file(path, bytes.len() as u64, text(Sha256::digest(bytes))));
    }
    let mut manifest = Manifest::new(&planned.source.name, &listing.origin, &planned.pin, placement.key.clone());
    if !archives.is_empty() {
        // What came over the network is not what is kept.
        let by_path: BTreeMap<&str, u64> = entries.iter().map(|it| (it.path.as_str(), it.size())).collect();
        manifest.bytes = by_path.values().sum();
    } else if manifest.bytes == 0 {
        // The origin did not say how large it is; the disk does.
        manifest.bytes = inventory.there.values().map(|(size, _)| size).sum();
    }
    manifest.archives = archives;
    manifest.adopted = inventory.adopted;
    manifest.entries = entries;
    manifest.fetched_at = Some(fetched_at(root, cache, planned, inventory)?);
    let life = expiry::parse(planned.source.expire_after()).ok().flatten();
    manifest.expire_after_seconds = life.map(|it| it.as_secs());
    mend::surroundings(root, &manifest, &|_| {})?;
    if !is_whole(root, &manifest)? {
        let message = format!("source `{}` was published, and is not all there", planned.source.name);
        return Err(Failure::new(crate::api::Reason::InternalError, message));
    }
    manifest.write(root, publisher, cache)?;
    Ok(manifest)
}

/// When the content came to the volume: now, unless all of it was there, as the manifest before this one says.
fn fetched_at(root: &Root, cache: &str, planned: &PlannedSource, found: &Inventory) -> Result<Timestamp, Failure> {
    let before = if found.all_there { Manifest::read(root, cache, &planned.source.name)? } else { None };
    let same = before.filter(|it| it.digest == planned.pin.digest && it.expired_at.is_none());
    Ok(same.and_then(|it| it.fetched_at).unwrap_or_else(Timestamp::now))
}

/// Whether a manifest is of this pin, laid out this way.
pub fn is_of(manifest: &Manifest, pin: &Pin, layout: &Value) -> bool {
    let Manifest { revision, digest, files, .. } = manifest;
    (revision, digest, files, &manifest.layout) == (&pin.revision, &pin.digest, &pin.files, layout)
}

fn file(path: &str, size: u64, sha256: String) -> Entry {
    Entry::new(path.to_owned(), What::File { size, sha256 })
}
