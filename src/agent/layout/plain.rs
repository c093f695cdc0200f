//! Where do files go that are wanted as they are? To their paths, as themselves.

use super::super::source::listing::Listing;
use super::{Placed, Placement};
use serde_json::Value;

/// Places the files of a listing whose paths are paths on the volume.
pub fn place(listing: &Listing, key: Value) -> Placement {
    let contents = listing.files.iter().enumerate().map(|(index, file)| Placed {
        path: file.path.clone(),
        index,
        files: 1,
        size: file.size,
        digest: file.digest,
    });
    Placement { key, contents: contents.collect(), links: vec![], documents: vec![], last: listing.last.clone() }
}
