//! A cache as a user would write it, for the builders' tests.

use crate::api::{ModelCache, NodeCachePool};
use crate::operator::modelcache::model::{NodeModel, PerNodePlace, Place, VolumeModel};
use crate::operator::options::Settings;
use crate::operator::placement::{self, NodeState};
use crate::operator::retry::RetryPolicy;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn cache() -> ModelCache {
    serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache",
        "metadata": {"name": "studio", "namespace": "team", "uid": "cache-uid", "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "volumes": [{"name": "models", "mountPath": "/models", "perNode": {"pool": "gpu", "size": "60Gi"}, "directories": ["out"]}],
            "sources": [{"name": "sana", "huggingFace": {"repo": "org/sana", "tokenSecretRef": {"name": "hf", "key": "token"}}}],
            "placement": {"nodeSelector": {"zone": "a"}}
        }
    }))
    .unwrap()
}

pub(crate) fn shared_cache() -> ModelCache {
    let mut cache = cache();
    cache.spec.placement = None;
    cache.spec.volumes = serde_json::from_value(json!([
        {"name": "models", "shared": {"size": "20Gi", "storageClassName": "rwx"}}
    ]))
    .unwrap();
    cache
}

pub(crate) fn pool() -> NodeCachePool {
    serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "NodeCachePool",
        "metadata": {"name": "gpu", "uid": "pool-uid"},
        "spec": {"gpu": "NVIDIA", "path": "/mnt/nvme/modelcache", "capacity": "500Gi", "minFree": "10Gi"}
    }))
    .unwrap()
}

pub(crate) fn node() -> NodeModel {
    NodeModel { name: "node-1".into(), uid: "node-uid".into(), hostname: "node-1".into(), state: NodeState::Ready }
}

pub(crate) fn volume(cache: &ModelCache) -> VolumeModel {
    let spec = cache.spec.volumes[0].clone();
    let place = if spec.per_node.is_some() { Place::PerNode(per_node_place(cache)) } else { Place::Shared };
    VolumeModel {
        claim_name: spec.claim_name("studio"),
        claim_uid: Some("claim-uid".into()),
        spec,
        place: Ok(place),
        pending: None,
    }
}

pub(crate) fn per_node_place(cache: &ModelCache) -> PerNodePlace {
    let pool = pool();
    PerNodePlace {
        persistent_volume: crate::api::name::persistent_volume("ns-uid", "team", "studio", "models"),
        path: format!("{}/{}", pool.spec.path, crate::api::name::directory("ns-uid", "studio", "models")),
        selector: placement::node_selector(&pool.spec, cache.spec.placement.as_ref().map(|it| &it.node_selector)),
        nodes: vec![node()],
        pool: Arc::new(pool),
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        agent_image: "example.org/modelcache@sha256:0".into(),
        node_jobs_namespace: "modelcache-node-jobs".into(),
        retry: RetryPolicy {
            first: Duration::from_secs(10),
            most: Duration::from_secs(900),
            stalled: Duration::from_secs(600),
        },
        unreachable_grace: Duration::from_secs(60),
    }
}
