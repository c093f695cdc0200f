//! What does the spec mean here? Spec and observation to volumes with their nodes; every mistake a typed problem.

use super::observe::Observed;
use crate::api::volume::Volume;
use crate::api::{ModelCache, NodeCachePool, Reason, label, name, quantity};
use crate::operator::job::Problem;
use crate::operator::placement::{self, NodeState, node_state};
use crate::operator::pool::reserve::{admits, reservations};
use k8s_openapi::api::core::v1::{Node, NodeSelector, PersistentVolumeClaim};
use kube::ResourceExt;
use std::sync::Arc;

/// A cache, understood.
#[derive(Debug)]
pub struct Model {
    /// The volumes, in the order of the spec.
    pub volumes: Vec<VolumeModel>,
}

/// A volume, understood.
#[derive(Debug)]
pub struct VolumeModel {
    /// As the user wrote it.
    pub spec: Volume,
    /// The claim that pods mount.
    pub claim_name: String,
    /// UID of the claim, once there is one that we may use.
    pub claim_uid: Option<String>,
    /// Where the content lives; or why it cannot.
    pub place: Result<Place, Problem>,
    /// A wait that does not keep Replicas from being made.
    pub pending: Option<Problem>,
}

/// Where the content of a volume lives.
#[derive(Debug)]
pub enum Place {
    /// A directory on every one of these nodes.
    PerNode(PerNodePlace),
    /// A claim of ours.
    Shared,
    /// A claim of somebody else.
    Existing,
}

/// A directory on every node of a pool.
#[derive(Debug)]
pub struct PerNodePlace {
    /// The pool.
    pub pool: Arc<NodeCachePool>,
    /// Name of the PersistentVolume.
    pub persistent_volume: String,
    /// Absolute path of the directory on each node.
    pub path: String,
    /// The pool's nodes narrowed by the cache's placement.
    pub selector: NodeSelector,
    /// The nodes that match now.
    pub nodes: Vec<NodeModel>,
}

/// A node that holds, or is to hold, a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeModel {
    /// Name of the Node.
    pub name: String,
    /// UID of the Node.
    pub uid: String,
    /// Value of its hostname label.
    pub hostname: String,
    /// How it is.
    pub state: NodeState,
}

impl NodeModel {
    /// A node, if it has what we need of it. One without a hostname label is pinned by its name, as kubelets label it.
    pub fn new(node: &Node) -> Self {
        let name = node.name_any();
        let hostname = node.labels().get(placement::HOSTNAME).cloned().unwrap_or_else(|| name.clone());
        Self { uid: node.uid().unwrap_or_default(), hostname, state: node_state(node), name }
    }
}

/// Understands a cache.
pub fn model(cache: &ModelCache, observed: &Observed) -> Model {
    let volumes = cache.spec.volumes.iter().map(|volume| volume_model(cache, volume, observed)).collect();
    Model { volumes }
}

fn volume_model(cache: &ModelCache, volume: &Volume, observed: &Observed) -> VolumeModel {
    let claim_name = volume.claim_name(&cache.name_any());
    let claim = observed.claims.get(&claim_name);
    let place = match (&volume.per_node, &volume.existing_claim) {
        (Some(per_node), _) => owned(cache, volume, claim)
            .and_then(|()| per_node_place(cache, volume, &per_node.pool, observed))
            .map(Place::PerNode),
        (None, Some(_)) => existing(cache, &claim_name, claim, observed).map(|()| Place::Existing),
        (None, None) => owned(cache, volume, claim).map(|()| Place::Shared),
    };
    let claim_uid =
        claim.filter(|it| place.is_ok() && it.metadata.deletion_timestamp.is_none()).and_then(ResourceExt::uid);
    let pending = match &place {
        Ok(Place::PerNode(place)) if place.nodes.is_empty() => Some(Problem::new(
            Reason::NoMatchingNodes,
            format!(
                "no node matches NodeCachePool `{}` and the placement of this cache; one that joins is warmed",
                place.pool.name_any()
            ),
        )),
        Ok(_) if claim.is_none() => {
            Some(Problem::new(Reason::VolumePending, format!("PersistentVolumeClaim `{claim_name}` is being made")))
        }
        _ => claim.and_then(pending_claim),
    };
    VolumeModel { spec: volume.clone(), claim_name, claim_uid, place, pending }
}

/// A claim of the wanted name must be ours: of this cache and this volume, by its labels.
fn owned(cache: &ModelCache, volume: &Volume, claim: Option<&PersistentVolumeClaim>) -> Result<(), Problem> {
    let Some(claim) = claim else { return Ok(()) };
    let is = |key: &str, value: &str| claim.labels().get(key).is_some_and(|it| it == value);
    if is(label::CACHE, &cache.name_any()) && is(label::VOLUME, &volume.name) && is(label::MANAGED_BY, label::MANAGER) {
        return Ok(());
    }
    let owner = claim.labels().get(label::CACHE).filter(|_| is(label::MANAGED_BY, label::MANAGER));
    let whose = owner.map_or_else(|| "somebody else".to_owned(), |owner| format!("ModelCache `{owner}`"));
    Err(Problem::new(
        Reason::ClaimConflict,
        format!(
            "PersistentVolumeClaim `{}` belongs to {whose}: rename this cache or its volume `{}`, or use the claim through `existingClaim`",
            claim.name_any(),
            volume.name
        ),
    ))
}

/// A claim of somebody else's may be filled; one that another cache made is that cache's, with the data on it.
fn existing(
    cache: &ModelCache,
    name: &str,
    claim: Option<&PersistentVolumeClaim>,
    observed: &Observed,
) -> Result<(), Problem> {
    if let Some(claim) = claim {
        let owner = claim.labels().get(label::CACHE).filter(|_| claim.labels().contains_key(label::VOLUME));
        let lives = |owner: &&String| {
            observed.caches.iter().any(|it| it.name_any() == **owner && it.namespace() == cache.namespace())
        };
        return match owner.filter(lives) {
            None => Ok(()),
            Some(owner) => {
                let message = format!(
                    "PersistentVolumeClaim `{name}` was made by ModelCache `{owner}`, which fills it: add the sources there"
                );
                Err(Problem::new(Reason::ClaimConflict, message))
            }
        };
    }
    let message = format!("PersistentVolumeClaim `{name}` does not exist: it must be made before it can be filled");
    Err(Problem::new(Reason::VolumePending, message))
}

fn pending_claim(claim: &PersistentVolumeClaim) -> Option<Problem> {
    let phase = claim.status.as_ref().and_then(|it| it.phase.as_deref());
    let name = claim.name_any();
    if claim.metadata.deletion_timestamp.is_some() {
        let message =
            format!("PersistentVolumeClaim `{name}` is being deleted: pods that mount it hold it until they end");
        return Some(Problem::new(Reason::VolumePending, message));
    }
    match phase {
        Some("Bound") => None,
        Some("Lost") => Some(Problem::new(
            Reason::VolumePending,
            format!(
                "PersistentVolumeClaim `{name}` has lost its PersistentVolume: delete the claim, and it is made again"
            ),
        )),
        _ => Some(Problem::new(Reason::VolumePending, format!("PersistentVolumeClaim `{name}` is not bound yet"))),
    }
}

fn per_node_place(
    cache: &ModelCache,
    volume: &Volume,
    pool_name: &str,
    observed: &Observed,
) -> Result<PerNodePlace, Problem> {
    let namespace = cache.namespace().unwrap_or_default();
    let pool = observed.pools.iter().find(|it| it.name_any() == pool_name).cloned().ok_or_else(|| {
        Problem::new(
            Reason::PoolNotFound,
            format!("there is no NodeCachePool `{pool_name}`: an administrator makes pools"),
        )
    })?;
    if !admits(&pool, &namespace, Some(&observed.namespace_labels)) {
        let message =
            format!("NodeCachePool `{pool_name}` does not admit namespace `{namespace}`: see its `spec.namespaces`");
        return Err(Problem::new(Reason::PoolForbidden, message));
    }
    if !observed.scope.has_whole(&pool) {
        let message = format!(
            "NodeCachePool `{pool_name}` may be used from namespaces that this operator does not serve, so it cannot know what is reserved of the disks: name none but {} in the pool's `spec.namespaces.names`",
            observed.scope
        );
        return Err(Problem::new(Reason::PoolForbidden, message));
    }
    reserve(cache, volume, &pool, observed)?;
    if observed.namespace_uid.is_empty() {
        // Directories and PersistentVolumes are keyed by it: without it two namespaces would share one.
        let message = format!("namespace `{namespace}` has not been found: it keys the directories on the nodes");
        return Err(Problem::new(Reason::VolumePending, message));
    }
    let (namespace_uid, cache_name) = (&observed.namespace_uid, cache.name_any());
    let persistent_volume = name::persistent_volume(namespace_uid, &namespace, &cache_name, &volume.name);
    let tombstone = observed.persistent_volumes.iter().any(|it| {
        it.name_any() == persistent_volume
            && (it.labels().contains_key(label::TOMBSTONE) || it.metadata.deletion_timestamp.is_some())
    });
    if tombstone {
        let message = "the data of an earlier cache of this name is still being removed from its nodes";
        return Err(Problem::new(Reason::VolumePending, message));
    }
    let selector = placement::node_selector(&pool.spec, cache.spec.placement.as_ref().map(|it| &it.node_selector));
    let matching = observed.nodes.iter().filter(|node| node.metadata.deletion_timestamp.is_none());
    let mut nodes: Vec<NodeModel> =
        matching.filter(|node| placement::matches(&selector, node.labels())).map(|node| NodeModel::new(node)).collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let path = format!("{}/{}", pool.spec.path, name::directory(namespace_uid, &cache_name, &volume.name));
    Ok(PerNodePlace { pool, persistent_volume, path, selector, nodes })
}

/// Capacity is reserved by `size`, oldest cache first: `local` volumes enforce nothing.
fn reserve(cache: &ModelCache, volume: &Volume, pool: &NodeCachePool, observed: &Observed) -> Result<(), Problem> {
    let invalid = |error: quantity::InvalidQuantity| Problem::new(Reason::InvalidSpec, error.to_string());
    let capacity = quantity::bytes(&pool.spec.capacity).map_err(invalid)?;
    let wanted = volume.size().map_or(Ok(0), quantity::bytes).map_err(invalid)?;
    // Of ourselves the spec at hand counts: what the watch has seen may be behind.
    let others = observed.caches.iter().map(AsRef::as_ref).filter(|it: &&ModelCache| it.uid() != cache.uid());
    let all = reservations(pool, capacity, others.chain([cache]));
    let ours = all.iter().find(|it| it.cache == cache.uid() && it.volume == volume.name);
    let Some(ours) = ours.filter(|it| !it.fits()) else { return Ok(()) };
    let message = format!(
        "volume `{}` wants {} of NodeCachePool `{}`, which has {} of {} left: make the volume smaller, the pool's capacity larger, or delete a cache",
        volume.name,
        quantity::human(wanted),
        pool.name_any(),
        quantity::human(ours.left),
        quantity::human(capacity)
    );
    Err(Problem::new(Reason::InsufficientSpace, message))
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
