//! Which labels does a node get, and which does it lose? Pure.
//!
//! A node has the label of a cache while it holds a copy of all per-node volumes of that cache, complete and verified, of what is wanted
//! now. What is not known changes nothing: a node that does not report keeps its labels, since nobody is scheduled there anyway, and
//! a network that fails for a moment must not become a write for each node.

use crate::api::condition::{ConditionType, find};
use crate::api::{ModelCache, ModelCacheReplica, label, name};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The value of a label.
const HELD: &str = "true";

/// What is known of a copy, from bad to good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    /// There is none that is complete.
    Missing,
    /// It was complete when the node last answered.
    Unknown,
    /// It is complete, and every hash verified.
    Complete,
}

/// The label of the nodes that hold a cache. `None` for a cache that is on no node: all of its volumes are shared.
pub fn key(cache: &ModelCache) -> Option<String> {
    per_node(cache).next()?;
    Some(name::node_label(&cache.namespace().unwrap_or_default(), &cache.name_any()))
}

/// What is to be changed about the labels of a node, by key: a value to set, or none to take it off. Empty when they are as they
/// should be; without caches all of ours are taken off.
pub fn change(
    node_uid: &str,
    labels: &BTreeMap<String, String>,
    caches: &[Arc<ModelCache>],
    replicas: &[Arc<ModelCacheReplica>],
) -> BTreeMap<String, Option<&'static str>> {
    let copies = copies(node_uid, replicas);
    let (mut held, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for cache in caches.iter().filter(|it| it.metadata.deletion_timestamp.is_none()) {
        let Some(key) = key(cache) else { continue };
        let here = copies.get(&(cache.namespace().unwrap_or_default(), cache.name_any()));
        let of = |volume: &str| here.and_then(|it| it.get(volume)).copied().unwrap_or(Known::Missing);
        match per_node(cache).map(of).min() {
            Some(Known::Complete) => _ = held.insert(key),
            Some(Known::Unknown) => _ = kept.insert(key),
            _ => {}
        }
    }
    let ours = labels.keys().filter(|it| it.starts_with(label::CACHED));
    let gone = ours.filter(|it| !held.contains(*it) && !kept.contains(*it)).map(|it| (it.clone(), None));
    let new = held.iter().filter(|it| labels.get(*it).map(String::as_str) != Some(HELD));
    let new = new.map(|it| (it.clone(), Some(HELD)));
    gone.chain(new).collect()
}

/// Names of the volumes of a cache that nodes hold.
fn per_node(cache: &ModelCache) -> impl Iterator<Item = &str> {
    cache.spec.volumes.iter().filter(|it| it.per_node.is_some()).map(|it| it.name.as_str())
}

/// Copies by volume, of the caches of a node, which are named by namespace and name.
type Copies<'a> = BTreeMap<(String, String), BTreeMap<&'a str, Known>>;

/// The copies of a node. One of a node that had the same name is none.
fn copies<'a>(node_uid: &str, replicas: &'a [Arc<ModelCacheReplica>]) -> Copies<'a> {
    let mut copies = Copies::new();
    let here = |it: &&Arc<ModelCacheReplica>| it.spec.node.as_ref().is_some_and(|it| it.uid == node_uid);
    for replica in replicas.iter().filter(here) {
        let cache = (replica.namespace().unwrap_or_default(), replica.spec.cache.clone());
        copies.entry(cache).or_default().insert(&replica.spec.volume, copy(replica));
    }
    copies
}

/// What is known of a copy: what it holds is what is wanted, and its condition says whether that is so still.
fn copy(replica: &ModelCacheReplica) -> Known {
    let Some(status) = replica.status.as_ref().filter(|_| replica.metadata.deletion_timestamp.is_none()) else {
        return Known::Missing;
    };
    if !status.holds.as_ref().is_some_and(|it| replica.spec.is_met_by(it)) {
        return Known::Missing;
    }
    match find(&status.conditions, ConditionType::Ready).map(|it| it.status.as_str()) {
        Some("True") => Known::Complete,
        Some("Unknown") => Known::Unknown,
        _ => Known::Missing,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
