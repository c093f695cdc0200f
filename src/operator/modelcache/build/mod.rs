//! The children of a cache: one file, one builder, one snapshot each. Pure.

pub mod claim;
pub mod environment;
pub mod persistent_volume;
pub mod plan_config_map;
pub mod replica;
pub mod resolve_job;
pub mod restored;

#[cfg(test)]
pub(crate) mod copies;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
pub(crate) mod transcript;

use crate::api::{ModelCache, label, name};
use crate::operator::pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

/// Labels of a child of a cache, and of one of its volumes.
pub fn labels(cache: &ModelCache, volume: Option<&str>) -> BTreeMap<String, String> {
    let namespace = name::label_value(&cache.namespace().unwrap_or_default());
    let own = [
        (label::CACHE, cache.name_any()),
        (label::NAMESPACE, namespace),
        (label::MANAGED_BY, label::MANAGER.to_owned()),
    ];
    own.into_iter()
        .chain(volume.map(|it| (label::VOLUME, it.to_owned())))
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Metadata of a child in the cache's namespace. Only what holds no data is `owned`: garbage collection would take the
/// data with the object.
pub fn metadata(cache: &ModelCache, name: String, volume: Option<&str>, owned: bool) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: cache.namespace(),
        labels: Some(labels(cache, volume)),
        owner_references: owned.then(|| vec![owner(cache)]),
        ..ObjectMeta::default()
    }
}

/// The cache as the controller of a child.
pub fn owner(cache: &ModelCache) -> OwnerReference {
    pod::owner(cache).unwrap_or_default()
}

/// Whether an object carries the labels of this cache.
pub fn is_of<K: Resource>(object: &K, cache: &ModelCache) -> bool {
    let is =
        |key: &str, value: &str| object.meta().labels.as_ref().and_then(|it| it.get(key)).is_some_and(|it| it == value);
    is(label::CACHE, &cache.name_any()) && is(label::MANAGED_BY, label::MANAGER)
}
