//! The `local` PersistentVolume of a per-node volume: one object, a directory on every node that its affinity names.

use super::labels;
use crate::api::volume::{AccessMode, Volume};
use crate::api::{ModelCache, annotation, label};
use crate::operator::modelcache::model::PerNodePlace;
use k8s_openapi::api::core::v1::{
    LocalVolumeSource, Node, ObjectReference, PersistentVolume, PersistentVolumeSpec, VolumeNodeAffinity,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A node that holds a directory of the volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HoldingNode {
    /// Name of the Node.
    pub name: String,
    /// UID of the Node.
    pub uid: String,
    /// Value of its hostname label.
    pub hostname: String,
}

/// The PersistentVolume. Source, affinity and capacity are immutable: once there, they stay what they were.
pub fn persistent_volume(
    cache: &ModelCache,
    volume: &Volume,
    place: &PerNodePlace,
    claim_name: &str,
    found: Option<&PersistentVolume>,
    nodes: &[Arc<Node>],
) -> PersistentVolume {
    let mut labels = labels(cache, Some(&volume.name));
    labels.insert(label::POOL.into(), place.pool.name_any());
    let holding = serde_json::to_string(&holding_nodes(place, found, nodes)).unwrap_or_default();
    let capacity = found.and_then(|it| it.spec.as_ref()).and_then(|it| it.capacity.clone());
    let affinity = found.and_then(|it| it.spec.as_ref()).and_then(|it| it.node_affinity.clone());
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(place.persistent_volume.clone()),
            labels: Some(labels),
            annotations: Some(BTreeMap::from([(annotation::NODES.into(), holding)])),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: Some(vec![AccessMode::ReadWriteMany.as_str()]),
            capacity: capacity.or_else(|| volume.size().map(|size| BTreeMap::from([("storage".into(), size.clone())]))),
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".into()),
                kind: Some("PersistentVolumeClaim".into()),
                name: Some(claim_name.to_owned()),
                namespace: cache.namespace(),
                ..ObjectReference::default()
            }),
            local: Some(LocalVolumeSource { path: place.path.clone(), fs_type: None }),
            node_affinity: affinity.or_else(|| Some(VolumeNodeAffinity { required: Some(place.selector.clone()) })),
            persistent_volume_reclaim_policy: Some("Retain".into()),
            storage_class_name: Some(String::new()),
            volume_mode: Some("Filesystem".into()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

/// The nodes that hold, or are about to hold, a directory: those that match now and those recorded before, as long as the
/// same node is there. A purge works through this list.
fn holding_nodes(place: &PerNodePlace, found: Option<&PersistentVolume>, nodes: &[Arc<Node>]) -> Vec<HoldingNode> {
    let there = |it: &HoldingNode| nodes.iter().any(|node| node.uid().as_deref() == Some(it.uid.as_str()));
    let matches = |it: &HoldingNode| place.nodes.iter().any(|node| node.uid == it.uid);
    let recorded = found.map(recorded_nodes).unwrap_or_default();
    let matching = place.nodes.iter().map(|it| HoldingNode {
        name: it.name.clone(),
        uid: it.uid.clone(),
        hostname: it.hostname.clone(),
    });
    // A node that matches is listed as it is now: its hostname label, which Jobs are pinned by, may have changed.
    let mut all: Vec<HoldingNode> =
        recorded.into_iter().filter(|it| there(it) && !matches(it)).chain(matching).collect();
    all.sort();
    all.dedup();
    all
}

/// Whether the annotation that lists the nodes can be read: no list is not an empty one.
pub fn lists_nodes(volume: &PersistentVolume) -> bool {
    let text = volume.annotations().get(annotation::NODES);
    text.is_some_and(|text| serde_json::from_str::<Vec<HoldingNode>>(text).is_ok())
}

/// The nodes that a PersistentVolume's annotation lists.
pub fn recorded_nodes(volume: &PersistentVolume) -> Vec<HoldingNode> {
    volume.annotations().get(annotation::NODES).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cache, per_node_place};
    use super::*;

    #[test]
    fn the_persistent_volume_is_kept_and_narrowed_by_the_placement() {
        let cache = cache();
        let built =
            persistent_volume(&cache, &cache.spec.volumes[0], &per_node_place(&cache), "studio-models", None, &[]);
        insta::assert_yaml_snapshot!(built);
    }

    #[test]
    fn size_and_affinity_stay_what_they_were_when_the_spec_moves_on() {
        let mut cache = cache();
        let place = per_node_place(&cache);
        let first = persistent_volume(&cache, &cache.spec.volumes[0].clone(), &place, "studio-models", None, &[]);
        if let Some(per_node) = cache.spec.volumes[0].per_node.as_mut() {
            per_node.size.0 = "90Gi".into();
        }
        let second = persistent_volume(&cache, &cache.spec.volumes[0], &place, "studio-models", Some(&first), &[]);
        assert_eq!(first.spec, second.spec);
    }

    #[test]
    fn a_node_whose_hostname_label_changed_is_listed_once_and_as_it_is_now() {
        let cache = cache();
        let mut place = per_node_place(&cache);
        let first = persistent_volume(&cache, &cache.spec.volumes[0], &place, "studio-models", None, &[]);
        place.nodes[0].hostname = "renamed".into();
        let mut node = Node::default();
        node.metadata.uid = Some("node-uid".into());
        let nodes = [Arc::new(node)];
        let second = persistent_volume(&cache, &cache.spec.volumes[0], &place, "studio-models", Some(&first), &nodes);
        assert_eq!(recorded_nodes(&second).into_iter().map(|it| it.hostname).collect::<Vec<_>>(), ["renamed"]);
    }

    #[test]
    fn a_node_that_left_the_pool_is_remembered_while_it_is_there_and_forgotten_when_it_is_gone() {
        let cache = cache();
        let volume = &cache.spec.volumes[0];
        let mut place = per_node_place(&cache);
        let first = persistent_volume(&cache, volume, &place, "studio-models", None, &[]);
        place.nodes.clear();
        let mut node = Node::default();
        node.metadata.uid = Some("node-uid".into());
        let kept = persistent_volume(&cache, volume, &place, "studio-models", Some(&first), &[Arc::new(node)]);
        assert_eq!(recorded_nodes(&kept).len(), 1);
        let forgotten = persistent_volume(&cache, volume, &place, "studio-models", Some(&first), &[]);
        assert!(recorded_nodes(&forgotten).is_empty());
    }
}
