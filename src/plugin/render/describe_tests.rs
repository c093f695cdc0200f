//! How the page of a cache looks.

use super::*;
use crate::plugin::render::fixtures;
use crate::plugin::render::progress::{caches, copies};

#[test]
fn the_page_of_a_cache_has_everything_that_is_known() {
    let (cache, replicas) = (fixtures::warming(), fixtures::replicas());
    let progress = caches(std::slice::from_ref(&cache), &replicas);
    let event = serde_json::json!({
        "metadata": {"name": "e", "namespace": "studio"},
        "involvedObject": {"kind": "ModelCache", "name": "image-studio"},
        "type": "Warning", "reason": "Unauthorized", "message": "volume models on gpu-3: refused",
        "eventTime": "2026-11-21T11:58:00.000000Z"
    });
    let events: Vec<Event> = vec![serde_json::from_value(event).unwrap()];
    let page = describe(&cache, &progress[0], &copies(&replicas), &events, Paint(false), fixtures::noon());
    insta::assert_snapshot!(page);
}
