//! Where does a file from a plain URL go? To its path, as itself.

use super::super::source::listing::Listing;
use super::{Placed, Placement};
use serde_json::{Value, json};

/// What is laid out where; see [`Placement::key`].
pub fn key(path: &str) -> Value {
    json!(["http", path])
}

/// Places the file.
pub fn place(listing: &Listing, key: Value) -> Placement {
    let contents = listing.files.iter().enumerate().map(|(index, file)| Placed {
        path: file.path.clone(),
        index,
        files: 1,
        size: file.size,
        digest: file.digest,
    });
    Placement { key, contents: contents.collect(), links: vec![], documents: vec![], last: None }
}
