//! Where must the pod of a backup run? Where every volume that it reads is complete.

use crate::api::backup::Backup;
use crate::api::condition::{ConditionType, is_true};
use crate::api::{ModelCache, ModelCacheReplica, NodeCachePool};
use crate::operator::placement;
use crate::operator::replica::build::warm_up_job::Beside;
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
    let tolerations = placement::pool_tolerations(cache, pools.clone());
    let give_volume_to_group = backup.destination.volume.is_some();
    let mut place = Place { tolerations, give_volume_to_group, ..Place::default() };
    for volume in covered {
        if volume.per_node.is_none() {
            place.give_volume_to_group = true;
            continue;
        }
        let nodes = complete_on(replicas.clone().filter(|it| it.spec.volume == volume.name));
        complete = Some(complete.map_or(nodes.clone(), |others| others.intersection(&nodes).cloned().collect()));
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

/// The claims that a backup mounts, of which one node may have one for itself: those of its volumes that are not per-node, and
/// the destination's.
pub fn claims(cache: &ModelCache, backup: &Backup) -> Vec<String> {
    let covered = cache.spec.volumes.iter().filter(|it| it.per_node.is_none() && backup.covers(&it.name));
    let destination = backup.destination.volume.as_ref().map(|it| it.claim_name.clone());
    covered.map(|it| it.claim_name(&cache.name_any())).chain(destination).collect()
}

impl Place {
    /// The place, beside the pods that have a claim mounted which one node at a time can mount.
    #[must_use]
    pub fn beside(mut self, cache: &ModelCache, backup: &Backup, beside: &Beside) -> Self {
        let per_node = cache.spec.volumes.iter().any(|it| it.per_node.is_some() && backup.covers(&it.name));
        // Nodes with a copy are fewer: they count.
        if !per_node {
            self.affinity = beside.affinity().or(self.affinity);
        }
        self
    }
}

/// Hostnames of the nodes whose copy is complete, and that answer.
fn complete_on<'a>(replicas: impl Iterator<Item = &'a ModelCacheReplica>) -> BTreeSet<String> {
    let ready =
        |it: &&ModelCacheReplica| it.status.as_ref().is_some_and(|it| is_true(&it.conditions, ConditionType::Ready));
    replicas.filter(ready).filter_map(|it| Some(it.spec.node.as_ref()?.hostname.clone())).collect()
}
