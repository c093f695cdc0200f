//! Where must the pod of a backup run? Where every volume that it reads is complete.

use crate::api::backup::Backup;
use crate::api::condition::{ConditionType, is_true};
use crate::api::{ModelCache, ModelCacheReplica, NodeCachePool};
use crate::operator::placement;
use k8s_openapi::api::core::v1::{NodeAffinity, Toleration};
use kube::ResourceExt;
use std::collections::BTreeSet;

/// Nodes named in a pod's affinity at most. The first by name, so that those that come and go behind them change nothing.
const NODES: usize = 32;

/// Where a pod may run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// The nodes.
    pub affinity: Option<NodeAffinity>,
    /// Their taints.
    pub tolerations: Vec<Toleration>,
    /// Whether no node has a complete copy of everything yet.
    pub nowhere: bool,
    /// Whether the kubelet is to give the volumes to the pod's group: where one is not per-node.
    pub give_volume_to_group: bool,
}

/// The place, from the cache's Replicas and the pools.
pub fn place<'a>(
    cache: &ModelCache,
    backup: &Backup,
    replicas: &(impl Iterator<Item = &'a ModelCacheReplica> + Clone),
    pools: &(impl Iterator<Item = &'a NodeCachePool> + Clone),
) -> Place {
    let covered = cache.spec.volumes.iter().filter(|it| backup.covers(&it.name));
    let mut complete: Option<BTreeSet<String>> = None;
    let mut place = Place { give_volume_to_group: backup.destination.volume.is_some(), ..Place::default() };
    for volume in covered {
        let Some(per_node) = &volume.per_node else {
            place.give_volume_to_group = true;
            continue;
        };
        let nodes = complete_on(replicas.clone().filter(|it| it.spec.volume == volume.name));
        complete = Some(complete.map_or(nodes.clone(), |others| others.intersection(&nodes).cloned().collect()));
        for pool in pools.clone().filter(|it| it.name_any() == per_node.pool) {
            let new = placement::tolerations(&pool.spec).into_iter();
            let new: Vec<Toleration> = new.filter(|it| !place.tolerations.contains(it)).collect();
            place.tolerations.extend(new);
        }
    }
    match complete {
        Some(nodes) => {
            place.nowhere = nodes.is_empty();
            let nodes: Vec<String> = nodes.into_iter().take(NODES).collect();
            place.affinity = (!nodes.is_empty()).then(|| placement::on_one_of(nodes));
        }
        None => {
            place.affinity = cache.spec.placement.as_ref().and_then(|it| placement::labelled(&it.node_selector));
        }
    }
    place
}

/// Hostnames of the nodes whose copy is complete, and that answer.
fn complete_on<'a>(replicas: impl Iterator<Item = &'a ModelCacheReplica>) -> BTreeSet<String> {
    let ready =
        |it: &&ModelCacheReplica| it.status.as_ref().is_some_and(|it| is_true(&it.conditions, ConditionType::Ready));
    replicas.filter(ready).filter_map(|it| Some(it.spec.node.as_ref()?.hostname.clone())).collect()
}
