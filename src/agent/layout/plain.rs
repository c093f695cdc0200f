//! Where do files go that are wanted as they are? To their paths, as themselves; archives to where they are unpacked from.

use super::super::source::listing::Listing;
use super::archive::Tree;
use super::{Placed, Placement};
use serde_json::Value;

/// Places the files of a listing whose paths are paths on the volume.
pub fn place(cache: &str, listing: &Listing, key: Value) -> Placement {
    let contents = listing.files.iter().enumerate().map(|(index, file)| {
        let tree = Tree::of(listing, file);
        Placed {
            path: tree.as_ref().map_or_else(|| file.path.clone(), |it| it.landing(cache)),
            index,
            files: 1,
            size: file.size,
            digest: file.digest,
            validator: file.validator.clone(),
            tree,
        }
    });
    Placement { key, contents: contents.collect(), links: vec![], documents: vec![], last: listing.last.clone() }
}
