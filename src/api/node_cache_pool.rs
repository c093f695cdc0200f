//! `NodeCachePool`: which nodes hold per-node caches, where on their disk, how much, and for whom.

use super::condition::conditions_schema;
use super::embedded::{label_selector, tolerations};
use super::quantity::size_schema;
use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which nodes hold per-node caches, and where. Written by an administrator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "modelcache.dev",
    version = "v1alpha1",
    kind = "NodeCachePool",
    status = "NodeCachePoolStatus",
    derive = "PartialEq",
    shortname = "ncpool",
    category = "modelcache-dev",
    doc = "A NodeCachePool names the nodes that hold per-node caches, the directory on their disks, how much of it may be used, and by which namespaces.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.nodes"),
    printcolumn(name = "Capacity", type_ = "string", json_path = ".spec.capacity"),
    printcolumn(name = "Reserved", type_ = "string", json_path = ".status.reserved"),
    printcolumn(name = "Caches", type_ = "integer", json_path = ".status.volumes"),
    printcolumn(name = "Path", type_ = "string", json_path = ".spec.path", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')")
        .message("the name of a NodeCachePool must be a DNS label of at most 63 characters, without dots")
)]
#[x_kube(
    validation = Rule::new("has(self.nodeSelector) || has(self.gpu)").message("`nodeSelector` or `gpu` must say which nodes"),
    validation = Rule::new("has(self.nodeSelector) == has(oldSelf.nodeSelector) && has(self.gpu) == has(oldSelf.gpu)")
        .message("`nodeSelector` and `gpu` are immutable, because a PersistentVolume's node affinity is: make a new pool")
)]
pub struct NodeCachePoolSpec {
    /// Labels of the nodes. With `gpu` both must hold. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label_selector")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("`nodeSelector` is immutable, because a PersistentVolume's node affinity is: make a new pool"))]
    pub node_selector: Option<LabelSelector>,

    /// Nodes with GPUs of this vendor, by the labels that its operator sets, and tolerations for its usual taint. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Gpu")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("`gpu` is immutable, because a PersistentVolume's node affinity is: make a new pool"))]
    pub gpu: Option<Gpu>,

    /// Directory on every node, on a disk of its own. Its last part must begin with `modelcache`, so that a mistake cannot
    /// reach a directory of somebody else. Immutable.
    #[schemars(length(max = 256))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("`path` is immutable, because a PersistentVolume's source is: make a new pool"))]
    #[x_kube(validation = Rule::new("self.matches('^(/[A-Za-z0-9._-]+)*/modelcache[A-Za-z0-9._-]*$') && !self.split('/').exists(p, p == '..' || p == '.')")
        .message("`path` must be an absolute path whose last part begins with `modelcache`, of letters, digits, dots, dashes and underscores, without `.` and `..`"))]
    pub path: String,

    /// How much the caches of this pool may reserve on each node, as a quantity of bytes such as `500Gi`.
    #[schemars(schema_with = "size_schema")]
    pub capacity: Quantity,

    /// What must stay free on the disk, as a quantity of bytes such as `10Gi`. 1Gi when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "size_schema")]
    pub min_free: Option<Quantity>,

    /// Namespaces that may use the pool; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<NamespaceAdmission>,

    /// Taints that our pods tolerate on these nodes, beside those of the GPU preset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tolerations")]
    pub tolerations: Vec<Toleration>,

    /// Warm-ups in this pool at once, over all caches. No limit when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_parallel: Option<i32>,

    /// Allow `path` on the file system that the kubelet itself uses. A full cache then is a full node: not for production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_root_filesystem: Option<bool>,
}

/// GPU vendors, by the labels that their operators put on nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Gpu {
    /// `nvidia.com/gpu.present=true`
    NVIDIA,
    /// `amd.com/gpu.family`, whatever its value.
    AMD,
    /// `gpu.intel.com/product`, whatever its value.
    Intel,
    /// Any of them.
    Any,
}

/// Which namespaces may use a pool: those named, and those that match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceAdmission {
    /// Names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub names: Vec<String>,
    /// Labels of namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label_selector")]
    pub selector: Option<LabelSelector>,
}

/// What the operator knows of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeCachePoolStatus {
    /// The generation of the spec that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is known, by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Nodes that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<i32>,
    /// What the volumes of all caches reserve on each node, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub reserved: Option<String>,
    /// Volumes that use the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<i32>,
}
