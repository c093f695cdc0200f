//! `ModelCache`: what a user writes, and what the operator says about it.

use super::backup::{Backup, BackupSummary};
use super::cleaning::CleanupSummary;
use super::cleanup::{Cleanup, CleanupRule};
use super::condition::conditions_schema;
use super::embedded::labels;
use super::pod_template::PodTemplate;
use super::reason::Reason as FailureReason;
use super::rollout::Rollout;
use super::schedule::time_zone_schema;
use super::scheduled_run::{ScheduledRun, VerificationSummary};
use super::source::Source;
use super::timetable::{Refresh, RefreshPolicy, Verify};
use super::volume::Volume;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Models, and the volumes that hold them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "modelcache.dev",
    version = "v1alpha1",
    kind = "ModelCache",
    namespaced,
    status = "ModelCacheStatus",
    derive = "PartialEq",
    shortname = "mcache",
    category = "modelcache-dev",
    doc = "A ModelCache puts models on the nodes (or the shared volume) where pods need them, verified and ready to be used offline.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Nodes", type_ = "string", json_path = ".status.nodes", description = "Copies that are ready, of those wanted"),
    printcolumn(name = "Size", type_ = "string", json_path = ".status.size"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.sources[0].revision", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')")
        .message("the name of a ModelCache must be a DNS label of at most 63 characters, without dots")
)]
#[x_kube(
    validation = Rule::new("!has(self.sources) || self.sources.all(s, has(s.volume) ? self.volumes.exists(v, v.name == s.volume) : self.volumes.size() == 1)")
        .message("every source must name one of `volumes`; `volume` may be left out only when there is one volume"),
    validation = Rule::new("!has(self.cleanup) || self.cleanup.rules.all(r, has(r.volume) ? self.volumes.exists(v, v.name == r.volume) : self.volumes.size() == 1)")
        .message("every rule of `cleanup` must name one of `volumes`; `volume` may be left out only when there is one volume"),
    validation = Rule::new("self.volumes.all(v, !has(v.existingClaim) || self.volumes.exists_one(w, has(w.existingClaim) && w.existingClaim.claimName == v.existingClaim.claimName))")
        .message("two `volumes` must not use one `existingClaim`: put their sources on one volume"),
    validation = Rule::new("!self.volumes.exists(v, has(v.perNode)) || (has(self.placement) == has(oldSelf.placement) && (!has(self.placement) || self.placement == oldSelf.placement))")
        .message("`placement` is immutable while a volume is `perNode`: make a new cache"),
    validation = Rule::new("!has(self.backup) || !has(self.backup.volumes) || self.backup.volumes.all(name, self.volumes.exists(v, v.name == name))")
        .message("every name in `backup.volumes` must be one of `volumes`"),
    validation = Rule::new("!has(self.backup) || !has(self.backup.destination.volume) || !self.volumes.exists(v, has(v.existingClaim) && v.existingClaim.claimName == self.backup.destination.volume.claimName)")
        .message("the claim of `backup.destination.volume` must not be one of `volumes`: a backup beside what it is of is lost with it")
)]
pub struct ModelCacheSpec {
    /// Where the content goes, 1 to 8 volumes.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volumes: Vec<Volume>,

    /// What to cache, up to 32 sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub sources: Vec<Source>,

    /// Narrows a pool to some of its nodes, and places the warm-up of shared volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,

    /// How many copies are made at once, and how many may fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,

    /// What is deleted, rotated and mended on the volumes: by itself where there is a `schedule`, else by `kubectl modelcache clean` and `modelcache clean`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<Cleanup>,

    /// Time zone of every schedule here, a name of the IANA database such as Europe/Istanbul. UTC when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_zone_schema")]
    pub time_zone: Option<String>,

    /// Whether origins are asked anew, and what happens when one has something newer. Never when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,

    /// When every copy is checked against what was put there. Never when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,

    /// Backups of the volumes: when, where to, how long they are kept. With a `schedule` a CronJob makes them; without one, or
    /// besides, each ModelCacheBackup does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,

    /// What happens to the data when this object is deleted: `Retain` keeps it for adoption by a cache of the same name,
    /// `Delete` removes it from every node. `Retain` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DeletionPolicy")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// Start nothing new while true. What runs is left to finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,

    /// Settings for all pods that the operator makes for this cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

/// Which nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Labels a node must have.
    #[schemars(schema_with = "labels")]
    pub node_selector: BTreeMap<String, String>,
}

/// What happens to the data when the object goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Kept, for adoption by a cache of the same name.
    #[default]
    Retain,
    /// Removed, with the claims and volumes that we made.
    Delete,
}

/// What the operator knows. It does not grow with nodes or files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelCacheStatus {
    /// The generation of the spec that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The last value of the annotation `modelcache.dev/requestedAt` that was acted on for every source; every copy looks for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_handled_request: Option<String>,

    /// The last value of the annotation `modelcache.dev/verifyRequestedAt` that every copy it is about has acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_handled_verify_request: Option<String>,

    /// The last value of the annotation `modelcache.dev/cleanRequestedAt` that every copy it is about has acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_handled_clean_request: Option<String>,

    /// The last value of the annotation `modelcache.dev/resetRequestedAt` that every copy it is about has acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_handled_reset_request: Option<String>,

    /// What is known, by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,

    /// Copies that are ready of those wanted, such as `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub nodes: Option<String>,

    /// Bytes of one copy of everything, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub size: Option<String>,

    /// When the copies are checked, and when they last were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationSummary>,

    /// What is known of the backups. Only where `spec.backup` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupSummary>,

    /// What is known of the clean-ups. Only where `spec.cleanup` has a schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<CleanupSummary>,

    /// Whether a pod mounts a volume that we made. Only where the operator is told to track it (`MODELCACHE_TRACK_USE`), for the
    /// policy that guards deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use: Option<bool>,

    /// The label that a node has while it holds a complete copy of all per-node volumes, with the value `true`: for the affinity of
    /// pods. Only where the operator is told to label nodes (`MODELCACHE_LABEL_NODES`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub node_label: Option<String>,

    /// What each source resolved to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub sources: Vec<SourceStatus>,

    /// The state of each volume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volumes: Vec<VolumeStatus>,
}

/// What a source resolved to, or why it did not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Name of the source.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Hash of the source's spec that this was said about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub spec_hash: Option<String>,
    /// The commit, ETag or hash that every copy gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub revision: Option<String>,
    /// Files at that revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<i64>,
    /// Bytes of those files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// Digest of the listing, SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
    /// How often the origin was asked for this spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// What the origin has now, when that is not what is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 600))]
    pub available: Option<String>,
    /// How often the origin was asked whether it moved. Jobs are numbered by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<i64>,
    /// The last value of the annotation `modelcache.dev/requestedAt` that the origin was asked for, or did not need to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_handled_request: Option<String>,
    /// When the origin is asked whether it moved, and how that went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<ScheduledRun>,
    /// The last failure to resolve. Absent once it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Why.
    pub reason: FailureReason,
    /// What happened and what to do.
    #[schemars(length(max = 4096))]
    pub message: String,
    /// Failures in a row that count.
    pub count: i64,
    /// When, RFC 3339.
    #[schemars(length(max = 64))]
    pub time: String,
}

/// The state of a volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeStatus {
    /// Name of the volume.
    #[schemars(length(max = 63))]
    pub name: String,
    /// The PersistentVolumeClaim that pods mount.
    #[schemars(length(max = 253))]
    pub claim_name: String,
    /// Where pods see it.
    #[schemars(length(max = 512))]
    pub mount_path: String,
    /// Identity of the content wanted: SHA-256 of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub plan: Option<String>,
    /// Bytes of one copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// Copies, by state.
    pub replicas: ReplicaCounts,
    /// At most ten copies that have a problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub problems: Vec<NodeProblem>,
}

/// Copies, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaCounts {
    /// Copies wanted.
    pub desired: i32,
    /// Copies that hold the plan wanted, verified, on a node that answers.
    pub ready: i32,
    /// Copies that are being made.
    pub warming: i32,
    /// Copies whose last attempt failed.
    pub failed: i32,
    /// Copies on nodes that do not report to the API server.
    pub unreachable: i32,
}

/// A copy that has a problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeProblem {
    /// The node; empty for a shared volume.
    #[schemars(length(max = 253))]
    pub node: String,
    /// Why.
    pub reason: FailureReason,
    /// What happened and what to do.
    #[schemars(length(max = 1024))]
    pub message: String,
}

impl ModelCacheSpec {
    /// The volume that takes a source's content. `None` when the spec names a volume that is not there.
    pub fn volume_of(&self, source: &Source) -> Option<&Volume> {
        match &source.volume {
            Some(name) => self.volumes.iter().find(|volume| &volume.name == name),
            None => self.volumes.first().filter(|_| self.volumes.len() == 1),
        }
    }

    /// The volume that a rule of the clean-up works on. `None` when the spec names a volume that is not there.
    pub fn volume_of_rule(&self, rule: &CleanupRule) -> Option<&Volume> {
        match &rule.volume {
            Some(name) => self.volumes.iter().find(|volume| &volume.name == name),
            None => self.volumes.first().filter(|_| self.volumes.len() == 1),
        }
    }

    /// The deletion policy in effect.
    pub fn effective_deletion_policy(&self) -> DeletionPolicy {
        self.deletion_policy.unwrap_or_default()
    }

    /// The pod template in effect.
    pub fn effective_pod_template(&self) -> PodTemplate {
        self.pod_template.clone().unwrap_or_default()
    }

    /// What happens when an origin has something newer.
    pub fn refresh_policy(&self) -> RefreshPolicy {
        self.refresh.as_ref().map_or(RefreshPolicy::Never, |it| it.policy)
    }

    /// Whether nothing new is to be started.
    pub fn suspended(&self) -> bool {
        self.suspend.unwrap_or(false)
    }
}
