//! Which labels does a node get, and which does it lose? Pure.
//!
//! A node has the label of a cache while it holds a copy of all per-node volumes of that cache, complete and verified, of what is wanted
//! now. What is not known changes nothing: a node that does not report keeps its labels, since nobody is scheduled there anyway, and
//! a network that fails for a moment must not become a write for each node.

use crate::api::condition::{ConditionType, find};
use crate::api::{ModelCache, ModelCacheReplica, label, name};
use crate::operator::scope::Scope;
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

/// Which labels of nodes an operator answers for. One of all namespaces: all that say what a node holds. One of some: those whose
/// key names such a namespace; a long key is cut and names none, so it is left alone unless it is that of a cache that was seen.
#[derive(Debug)]
pub struct Ours {
    scope: Scope,
    /// Keys that name no namespace, of the caches that were seen. A cache goes before its label does.
    cut: BTreeSet<String>,
}

impl Ours {
    /// Those of an operator that serves these namespaces, and has seen no cache yet.
    pub const fn new(scope: Scope) -> Self {
        Self { scope, cut: BTreeSet::new() }
    }

    /// Remembers which of the keys that name no namespace are of these caches.
    pub fn see(&mut self, caches: &[Arc<ModelCache>]) {
        if self.scope.names().is_some() {
            let keys = caches.iter().map(|it| name::node_label(&it.namespace().unwrap_or_default(), &it.name_any()));
            self.cut.extend(keys.filter(|it| name::node_label_namespace(it).is_none()));
        }
    }

    /// Whether a label is one of these.
    fn has(&self, key: &str) -> bool {
        let served = || match name::node_label_namespace(key) {
            Some(namespace) => self.scope.serves(namespace),
            None => self.cut.contains(key),
        };
        key.starts_with(label::CACHED) && (self.scope.names().is_none() || served())
    }
}

/// The label of the nodes that hold a cache. `None` for a cache that is on no node: all of its volumes are shared.
pub fn key(cache: &ModelCache) -> Option<String> {
    per_node(cache).next()?;
    Some(name::node_label(&cache.namespace().unwrap_or_default(), &cache.name_any()))
}

/// What is to be changed about the labels of a node, by key: a value to set, or none to take it off. Empty when they are as they
/// should be; without caches all of ours are taken off, and those that are not ours never are.
pub fn change(
    node_uid: &str,
    labels: &BTreeMap<String, String>,
    caches: &[Arc<ModelCache>],
    replicas: &[Arc<ModelCacheReplica>],
    ours: &Ours,
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
    let gone = labels.keys().filter(|it| ours.has(it));
    let gone = gone.filter(|it| !held.contains(*it) && !kept.contains(*it)).map(|it| (it.clone(), None));
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
