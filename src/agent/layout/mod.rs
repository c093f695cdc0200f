//! Where files go, and which environment a client needs.
use crate::api::ModelCacheSpec;
use std::collections::BTreeMap;
/// Stub.
pub fn environment(_spec: &ModelCacheSpec) -> BTreeMap<String, String> {
    BTreeMap::new()
}
