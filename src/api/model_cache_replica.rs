//! `ModelCacheReplica`: one copy of one volume's content in one place, and the truth about it.

use super::cleaning::{Cleaning, RequestedCleanup};
use super::condition::conditions_schema;
use super::model_cache::Failure;
use super::request::RequestedReset;
use super::scheduled_run::Verification;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One copy of one volume's content, on one node or on the shared volume. Written by the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "modelcache.dev",
    version = "v1alpha1",
    kind = "ModelCacheReplica",
    namespaced,
    status = "ModelCacheReplicaStatus",
    derive = "PartialEq",
    shortname = "mcreplica",
    category = "modelcache-dev",
    doc = "A ModelCacheReplica is one copy of one volume of a ModelCache, on one node or on a shared volume. The operator writes it; read it to see what a node holds.",
    printcolumn(name = "Cache", type_ = "string", json_path = ".spec.cache"),
    printcolumn(name = "Volume", type_ = "string", json_path = ".spec.volume"),
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.node.name"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress.percent"),
    printcolumn(name = "Attempt", type_ = "integer", json_path = ".status.attempt.number", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct ModelCacheReplicaSpec {
    /// Name of the ModelCache, in the same namespace.
    #[schemars(length(max = 63))]
    pub cache: String,
    /// Name of the volume.
    #[schemars(length(max = 63))]
    pub volume: String,
    /// The claim that is filled.
    #[schemars(length(max = 253))]
    pub claim_name: String,
    /// UID of the claim, once there is one: a claim that was lost and made again starts cold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub claim_uid: Option<String>,
    /// The node that holds the copy; absent for a shared volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<ReplicaNode>,
    /// The plan wanted; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRef>,
    /// UID of the ModelCacheRestore whose snapshot is wanted: the copy is made once more for it, out of the backup first, though
    /// the plan may be the one that it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub restored: Option<String>,
}

impl ModelCacheReplicaSpec {
    /// Whether what a copy holds is what is wanted, in the claim that is there.
    pub fn is_met_by(&self, holds: &Holding) -> bool {
        self.plan.as_ref().is_some_and(|it| it.hash == holds.plan)
            && self.claim_uid == holds.claim_uid
            && (self.restored.is_none() || self.restored == holds.restored)
    }
}

/// A node, and which one of that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaNode {
    /// Name of the Node.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID of the Node: a rebuilt node of the same name starts cold.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Value of the node's `kubernetes.io/hostname` label, which Jobs are pinned by.
    #[schemars(length(max = 63))]
    pub hostname: String,
    /// The pool that the node is part of.
    #[schemars(length(max = 63))]
    pub pool: String,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanRef {
    /// Name of the ConfigMap that holds it.
    #[schemars(length(max = 253))]
    pub config_map: String,
    /// Identity of the content, SHA-256.
    #[schemars(length(max = 64))]
    pub hash: String,
    /// Files it lists.
    pub files: i64,
    /// Bytes it lists.
    pub bytes: i64,
}

/// The truth about one copy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelCacheReplicaStatus {
    /// The generation of the spec that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is known, by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The last value of the annotation `modelcache.dev/requestedAt` of the cache that was acted on here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_handled_request: Option<String>,
    /// The attempt that was last begun. Recorded before its Job is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// What the copy holds, from the evidence of the agent that put it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Holding>,
    /// The checks of the copy against what was put there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// The clean-ups of the volume here. Absent where a CronJob or nobody cleans it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<Cleaning>,
    /// The last clean-up that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_cleanup: Option<RequestedCleanup>,
    /// The last reset that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_reset: Option<RequestedReset>,
    /// How far the running attempt is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ReplicaProgress>,
    /// The last failure. Absent once an attempt succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// One attempt to make the copy, to check it, or to clean it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Counts from 1 for ever: Jobs are named by it.
    pub number: i64,
    /// How far the attempt is.
    pub stage: AttemptStage,
    /// Hash of the plan that this attempt puts there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub plan: Option<String>,
    /// UID of the claim that this attempt fills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub claim_uid: Option<String>,
    /// UID of the ModelCacheRestore that this attempt is made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub restored: Option<String>,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AttemptStage {
    /// The directory on the node is being made.
    Prepare,
    /// The directory is there; waits for its turn.
    Prepared,
    /// The content is being put there.
    WarmUp,
    /// Kind, size, mode and target of every file and link are being looked at.
    QuickVerify,
    /// Every file is being hashed.
    DeepVerify,
    /// The rules of the clean-up are being carried out.
    Clean,
    /// Over, and its result recorded.
    Done,
}

impl AttemptStage {
    /// Whether the copy is being checked.
    pub const fn verifies(self) -> bool {
        matches!(self, Self::QuickVerify | Self::DeepVerify)
    }

    /// Whether it is work that comes again by schedule, and can wait.
    pub const fn is_scheduled(self) -> bool {
        self.verifies() || matches!(self, Self::Clean)
    }

    /// Whether a Job mounts the volume: it takes one of the places that `rollout` and the pool allow.
    pub const fn mounts(self) -> bool {
        self.is_scheduled() || matches!(self, Self::WarmUp)
    }
}

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holding {
    /// Hash of the plan that is complete on the volume.
    #[schemars(length(max = 64))]
    pub plan: String,
    /// UID of the claim that was filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub claim_uid: Option<String>,
    /// Files.
    pub files: i64,
    /// Bytes.
    pub bytes: i64,
    /// Bytes that came over the network for it.
    pub fetched_bytes: i64,
    /// UID of the ModelCacheRestore that it was last made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub restored: Option<String>,
}

/// How far the running attempt is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaProgress {
    /// Bytes on the volume, such as `45%`; `unknown` before the listing is read.
    #[schemars(length(max = 16))]
    pub percent: String,
    /// Bytes on the volume.
    pub bytes_done: i64,
    /// Bytes wanted.
    pub bytes_total: i64,
    /// Bytes per second over the last few seconds.
    pub bytes_per_second: i64,
}
