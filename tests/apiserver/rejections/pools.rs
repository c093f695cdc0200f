//! Wrong pools.

use super::{Change, FINE, POOLS, check_creates, check_updates, pool};
use serde_json::{Value, json};

#[tokio::test]
async fn a_wrong_pool_is_refused_with_a_message_that_says_what_must_hold() {
    let path = |value: &str| vec![Change("/spec/path", json!(value))];
    check_creates(
        POOLS,
        &pool(),
        vec![
            ("the pool as it stands", vec![], FINE),
            ("a preset alone", vec![Change("/spec/nodeSelector", Value::Null)], FINE),
            ("a selector alone", vec![Change("/spec/gpu", Value::Null)], FINE),
            ("every node", vec![Change("/spec/nodeSelector", json!({}))], FINE),
            ("a directory of the root", path("/modelcache"), FINE),
            ("a directory with more to its name", path("/mnt/nvme0/modelcache-fast.v2"), FINE),
            ("a name with a dot", vec![Change("/metadata/name", json!("a.b"))],
             &["<nil>: Invalid value: the name of a NodeCachePool must be a DNS label of at most 63 characters, without dots"]),
            ("a name of 64 characters", vec![Change("/metadata/name", json!("a".repeat(64)))],
             &["<nil>: Invalid value: the name of a NodeCachePool must be a DNS label of at most 63 characters, without dots"]),
            ("a name of 63 characters", vec![Change("/metadata/name", json!("a".repeat(63)))], FINE),
            (
                "no nodes at all",
                vec![Change("/spec/nodeSelector", Value::Null), Change("/spec/gpu", Value::Null)],
                &["spec: Invalid value: `nodeSelector` or `gpu` must say which nodes"],
            ),
            ("an unknown vendor", vec![Change("/spec/gpu", json!("Matrox"))],
             &["spec.gpu: Unsupported value: \"Matrox\": supported values: \"NVIDIA\", \"AMD\", \"Intel\", \"Any\""]),
            ("somebody else's directory", path("/var/lib/kubelet"),
             &["spec.path: Invalid value: \"/var/lib/kubelet\": `path` must be an absolute path whose last part begins with `modelcache`, of letters, digits, dots, dashes and underscores, without `.` and `..`"]),
            ("a directory below ours", path("/mnt/modelcache/data"),
             &["spec.path: Invalid value: \"/mnt/modelcache/data\": `path` must be an absolute path whose last part begins with `modelcache`, of letters, digits, dots, dashes and underscores, without `.` and `..`"]),
            ("a relative path", path("modelcache"),
             &["spec.path: Invalid value: \"modelcache\": `path` must be an absolute path whose last part begins with `modelcache`, of letters, digits, dots, dashes and underscores, without `.` and `..`"]),
            ("a way out", path("/mnt/../modelcache"),
             &["spec.path: Invalid value: \"/mnt/../modelcache\": `path` must be an absolute path whose last part begins with `modelcache`, of letters, digits, dots, dashes and underscores, without `.` and `..`"]),
            ("no capacity", vec![Change("/spec/capacity", Value::Null)], &["spec.capacity: Required value"]),
            ("a capacity of nothing", vec![Change("/spec/capacity", json!("0"))],
             &["spec.capacity: Invalid value: \"0\": must be a quantity of bytes greater than zero and less than 1Ei, such as 500Mi, 60Gi or 2Ti"]),
            ("a negative capacity", vec![Change("/spec/capacity", json!("-1Gi"))],
             &["spec.capacity: Invalid value: \"-1Gi\": must be a quantity of bytes greater than zero and less than 1Ei, such as 500Mi, 60Gi or 2Ti"]),
            ("a capacity that is a number", vec![Change("/spec/capacity", json!(500))],
             &["spec.capacity: Invalid value: \"integer\": spec.capacity in body must be of type string: \"integer\""]),
            ("no warm-up at once", vec![Change("/spec/maxParallel", json!(0))],
             &["spec.maxParallel: Invalid value: 0: spec.maxParallel in body should be greater than or equal to 1"]),
            ("an unknown field", vec![Change("/spec/paths", json!("/modelcache"))],
             &["NodeCachePool in version \"v1alpha1\" cannot be handled as a NodeCachePool: strict decoding error: unknown field \"spec.paths\""]),
            (
                "an unknown operator",
                vec![Change("/spec/nodeSelector/matchExpressions", json!([{"key": "a", "operator": "Gt"}]))],
                &["spec.nodeSelector.matchExpressions[0].operator: Unsupported value: \"Gt\": supported values: \"In\", \"NotIn\", \"Exists\", \"DoesNotExist\""],
            ),
            (
                "an In of nothing",
                vec![Change("/spec/nodeSelector/matchExpressions", json!([{"key": "a", "operator": "In"}]))],
                &["spec.nodeSelector.matchExpressions[0]: Invalid value: `values` must be given for the operators In and NotIn, and only for them"],
            ),
            ("a toleration of no taint", vec![Change("/spec/tolerations", json!([{"effect": "NoSchedule"}]))],
             &["spec.tolerations[0]: Invalid value: a toleration without `key` must have the operator Exists"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_a_persistent_volume_cannot_change_a_pool_cannot_either() {
    check_updates(
        POOLS,
        &pool(),
        "immutable",
        vec![
            ("more capacity", vec![Change("/spec/capacity", json!("600Gi"))], FINE),
            ("other namespaces", vec![Change("/spec/namespaces", Value::Null)], FINE),
            ("another path", vec![Change("/spec/path", json!("/mnt/other/modelcache"))],
             &["spec.path: Invalid value: \"/mnt/other/modelcache\": `path` is immutable, because a PersistentVolume's source is: make a new pool"]),
            ("another selector", vec![Change("/spec/nodeSelector", json!({"matchLabels": {"disk": "ssd"}}))],
             &["spec.nodeSelector: Invalid value: `nodeSelector` is immutable, because a PersistentVolume's node affinity is: make a new pool"]),
            ("no selector", vec![Change("/spec/nodeSelector", Value::Null)],
             &["spec: Invalid value: `nodeSelector` and `gpu` are immutable, because a PersistentVolume's node affinity is: make a new pool"]),
            ("another vendor", vec![Change("/spec/gpu", json!("AMD"))],
             &["spec.gpu: Invalid value: \"AMD\": `gpu` is immutable, because a PersistentVolume's node affinity is: make a new pool"]),
            ("no vendor", vec![Change("/spec/gpu", Value::Null)],
             &["spec: Invalid value: `nodeSelector` and `gpu` are immutable, because a PersistentVolume's node affinity is: make a new pool"]),
        ],
    )
    .await;
}
