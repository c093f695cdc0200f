//! The Jobs of a Replica's attempt: one file, one builder, one snapshot each. Pure.

pub mod inputs;
pub mod node_job;
pub mod verify_job;
pub mod warm_up_job;

use crate::api::{ModelCacheReplica, label, name};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Labels of a Job of a Replica.
pub fn labels(replica: &ModelCacheReplica) -> BTreeMap<String, String> {
    let namespace = name::label_value(&replica.namespace().unwrap_or_default());
    [
        (label::CACHE, replica.spec.cache.clone()),
        (label::NAMESPACE, namespace),
        (label::VOLUME, replica.spec.volume.clone()),
        (label::REPLICA, replica.name_any()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
