//! Who gets how much of a pool? Oldest cache first; what does not fit reserves nothing. Pure.
//!
//! `local` volumes enforce nothing: this ledger, and the agent's budget, are all there is.

use crate::api::{ModelCache, NodeCachePool, quantity};
use crate::operator::placement;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// What one volume of one cache wants of a pool, and whether it gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// UID of the cache.
    pub cache: Option<String>,
    /// Name of the volume.
    pub volume: String,
    /// Bytes that it wants on every node.
    pub wanted: u64,
    /// Bytes that those before it leave.
    pub left: u64,
}

impl Reservation {
    /// Whether it fits. One that does not reserves nothing: a cache that wants too much holds up nobody but itself.
    pub const fn fits(&self) -> bool {
        self.wanted <= self.left
    }
}

/// The reservations of a pool of so many bytes, oldest cache first, volumes in the order of their spec.
pub fn reservations<'a>(
    pool: &NodeCachePool,
    capacity: u64,
    caches: impl IntoIterator<Item = &'a ModelCache>,
) -> Vec<Reservation> {
    let mut caches: Vec<&ModelCache> =
        caches.into_iter().filter(|it| admits(pool, &it.namespace().unwrap_or_default(), None)).collect();
    caches.sort_by_key(|it| (it.metadata.creation_timestamp.as_ref().map(|it| it.0), it.uid()));
    let mut left = capacity;
    let mut all = vec![];
    for cache in caches {
        for volume in &cache.spec.volumes {
            let Some(per_node) = volume.per_node.as_ref().filter(|it| it.pool == pool.name_any()) else { continue };
            // A size that cannot be read is its own cache's problem.
            let wanted = quantity::bytes(&per_node.size).unwrap_or(0);
            let reservation = Reservation { cache: cache.uid(), volume: volume.name.clone(), wanted, left };
            if reservation.fits() {
                left -= wanted;
            }
            all.push(reservation);
        }
    }
    all
}

/// Whether a pool may be used from a namespace. Where the namespace's labels are not known, a pool that selects by labels
/// is taken to admit it: better too much reserved than a disk promised twice.
pub fn admits(pool: &NodeCachePool, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
    let Some(admission) = &pool.spec.namespaces else { return true };
    let selected =
        admission.selector.as_ref().is_some_and(|it| labels.is_none_or(|labels| placement::selects(it, labels)));
    selected || admission.names.iter().any(|it| it == namespace)
}

#[cfg(test)]
#[path = "reserve_tests.rs"]
mod tests;
