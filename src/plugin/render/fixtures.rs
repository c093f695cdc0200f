//! Objects as a cluster has them, for the tests of what is shown.

use crate::api::{ModelCache, ModelCacheBackup, ModelCacheReplica};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The time in every test.
pub(crate) fn noon() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 2,
        "lastTransitionTime": "2026-11-21T11:30:00Z"
    })
}

/// A cache on three nodes: one has it, one fetches it, one is refused.
pub(crate) fn warming() -> ModelCache {
    serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1",
        "kind": "ModelCache",
        "metadata": {
            "name": "image-studio", "namespace": "studio", "generation": 2, "creationTimestamp": "2026-11-21T10:00:00Z"
        },
        "spec": {
            "volumes": [{"name": "models", "perNode": {"pool": "gpu", "size": "60Gi"}}],
            "sources": [{"name": "sana", "huggingFace": {"repo": "o/sana"}}]
        },
        "status": {
            "observedGeneration": 2,
            "nodes": "1/3",
            "size": "8.0 GiB",
            "conditions": [
                condition("Ready", "False", "Warming", "1 of 3 copies are ready"),
                condition("Reconciling", "True", "Warming", "1 of 3 copies are ready"),
                condition("Resolved", "True", "Resolved", "every source has a pin")
            ],
            "sources": [{
                "name": "sana", "revision": "0123456789abcdef0123456789abcdef01234567", "files": 20, "bytes": 8_589_934_592_i64
            }],
            "volumes": [{
                "name": "models", "claimName": "image-studio-models", "mountPath": "/modelcache/models",
                "bytes": 8_589_934_592_i64,
                "replicas": {"desired": 3, "ready": 1, "warming": 1, "failed": 1, "unreachable": 0},
                "problems": [{"node": "gpu-3", "reason": "Unauthorized", "message": "the origin refused\nthe token"}]
            }]
        }
    }))
    .unwrap()
}

/// A cache that is ready.
pub(crate) fn ready() -> ModelCache {
    let mut cache = warming();
    cache.metadata.name = Some("speech".into());
    let status = cache.status.as_mut().unwrap();
    status.nodes = Some("1/1".into());
    status.volumes[0].problems.clear();
    status.conditions = serde_json::from_value(json!([condition("Ready", "True", "Warmed", "all is there")])).unwrap();
    cache
}

/// The copies of [`warming`].
pub(crate) fn replicas() -> Vec<ModelCacheReplica> {
    let total = 8_589_934_592_i64;
    let replica = |node: &str, status: Value| -> ModelCacheReplica {
        serde_json::from_value(json!({
            "apiVersion": "modelcache.dev/v1alpha1",
            "kind": "ModelCacheReplica",
            "metadata": {"name": format!("image-studio-models-{node}"), "namespace": "studio"},
            "spec": {
                "cache": "image-studio", "volume": "models", "claimName": "image-studio-models", "claimUid": "c",
                "node": {"name": node, "uid": node, "hostname": node, "pool": "gpu"},
                "plan": {"configMap": "p", "hash": "h", "files": 20, "bytes": total}
            },
            "status": status
        }))
        .unwrap()
    };
    vec![
        replica(
            "gpu-1",
            json!({
                "conditions": [condition("Ready", "True", "Warmed", "20 files")],
                "attempt": {"number": 1, "stage": "Done"},
                "holds": {"plan": "h", "claimUid": "c", "files": 20, "bytes": total, "fetchedBytes": total},
                "verification": {"quick": {"schedule": "s", "next": "n", "lastSuccess": "2026-11-21T04:00:00Z"}}
            }),
        ),
        replica(
            "gpu-2",
            json!({
                "conditions": [condition("Ready", "False", "Warming", "the content is being put there")],
                "attempt": {"number": 2, "stage": "WarmUp"},
                "progress": {
                    "percent": "25%", "bytesDone": total / 4, "bytesTotal": total, "bytesPerSecond": 104_857_600
                }
            }),
        ),
        replica(
            "gpu-3",
            json!({
                "conditions": [condition("Ready", "False", "Unauthorized", "the origin refused the token")],
                "attempt": {"number": 1, "stage": "Done"}
            }),
        ),
    ]
}

/// A backup that is there, and one that failed.
pub(crate) fn backups() -> Vec<ModelCacheBackup> {
    let backup = |name: &str, status: Value| -> ModelCacheBackup {
        serde_json::from_value(json!({
            "apiVersion": "modelcache.dev/v1alpha1",
            "kind": "ModelCacheBackup",
            "metadata": {"name": name, "namespace": "studio", "creationTimestamp": "2026-11-20T12:00:00Z"},
            "spec": {"cache": "image-studio", "pin": true},
            "status": status
        }))
        .unwrap()
    };
    vec![
        backup(
            "before-the-move",
            json!({
                "conditions": [condition("Ready", "True", "Complete", "20 files")],
                "snapshot": "20261120T120000Z-1f2e", "files": 20, "size": "8.0 GiB", "newSize": "1.0 MiB",
                "kept": "pinned"
            }),
        ),
        backup("failed", json!({"conditions": [condition("Ready", "False", "Unreachable", "no answer")]})),
    ]
}
