//! `ModelCacheBackup`: one backup of a cache. Making one runs it, once; each scheduled run leaves one.

use super::backup::BackupContent;
use super::condition::conditions_schema;
use super::model_cache::Failure;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One backup of a cache, to where `spec.backup.destination` of the cache says. Immutable but for `pin`: another backup is another
/// object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "modelcache.dev",
    version = "v1alpha1",
    kind = "ModelCacheBackup",
    namespaced,
    status = "ModelCacheBackupStatus",
    derive = "PartialEq",
    shortname = "mcbackup",
    category = "modelcache-dev",
    doc = "A ModelCacheBackup is one backup of a ModelCache. Making one runs a backup now, once; each scheduled run leaves one. Deleting it deletes no data.",
    printcolumn(name = "Cache", type_ = "string", json_path = ".spec.cache"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Snapshot", type_ = "string", json_path = ".status.snapshot"),
    printcolumn(name = "Files", type_ = "integer", json_path = ".status.files"),
    printcolumn(name = "Size", type_ = "string", json_path = ".status.size"),
    printcolumn(name = "New", type_ = "string", json_path = ".status.newSize", description = "What this run wrote to the destination"),
    printcolumn(name = "Kept", type_ = "string", json_path = ".status.kept", description = "Why it is still at the destination", priority = 1),
    printcolumn(name = "Took", type_ = "string", json_path = ".status.duration", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 128")
        .message("the name of a ModelCacheBackup must have at most 128 characters")
)]
#[x_kube(
    validation = Rule::new("self.cache == oldSelf.cache && has(self.content) == has(oldSelf.content) && (!has(self.content) || self.content == oldSelf.content) && has(self.volumes) == has(oldSelf.volumes) && (!has(self.volumes) || self.volumes == oldSelf.volumes)")
        .message("`spec` is immutable but for `pin`: a backup is of one time; make another ModelCacheBackup")
)]
pub struct ModelCacheBackupSpec {
    /// Name of the ModelCache, in the same namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub cache: String,

    /// How much of each file is kept, for this backup only. What the cache says when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BackupContent")]
    pub content: Option<BackupContent>,

    /// Names of the volumes to back up, for this backup only. What the cache says when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub volumes: Vec<String>,

    /// While true, `retention` never removes this backup from the destination, and its record stays. May be changed at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<bool>,
}

/// What is known about a backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelCacheBackupStatus {
    /// The generation of the spec that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is known, by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The attempt that was last begun. Recorded before its Job is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<RunAttempt>,
    /// When a scheduled run was due, RFC 3339. Absent for one that was made by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub scheduled_time: Option<String>,
    /// When the Job was begun, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub started: Option<String>,
    /// When it was over, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub completed: Option<String>,
    /// How long it took, such as `42s`, as the agent says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub duration: Option<String>,
    /// Identity of the snapshot, or name of the archive, at the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub snapshot: Option<String>,
    /// Files in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<i64>,
    /// Their bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// Their bytes, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub size: Option<String>,
    /// Bytes that this run wrote to the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_bytes: Option<i64>,
    /// The same, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub new_size: Option<String>,
    /// Files on the volumes that it does not cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_covered: Option<i64>,
    /// SHA-256 over the lists of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub manifest_digest: Option<String>,
    /// Why it is still at the destination, as the last run with a `retention` found: `among the last, daily`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub kept: Option<String>,
    /// When all that it needs was last seen at the destination, by its size, RFC 3339: by each run with a `retention`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub verified_time: Option<String>,
    /// When it was found to be at the destination no more, RFC 3339: `retention` has removed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub removed_time: Option<String>,
    /// Why this run removed no older backup, where `retention` asks for that: what `kept` and `verifiedTime` of the older ones say
    /// is then as old as it was. The backup itself is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune_failure: Option<Failure>,
    /// The last failure. Absent once an attempt succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// One attempt at a backup or a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunAttempt {
    /// Counts from 1: Jobs are named by it.
    pub number: i64,
    /// How far the attempt is.
    pub stage: RunStage,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunStage {
    /// Its Job is made, or is being made.
    Running,
    /// Over, and its result recorded.
    Done,
}

impl ModelCacheBackup {
    /// The snapshot that `retention` must leave alone for this object's sake.
    pub fn pinned_snapshot(&self) -> Option<&str> {
        let status = self.status.as_ref().filter(|it| it.is_complete() && it.removed_time.is_none())?;
        status.snapshot.as_deref().filter(|_| self.spec.pin == Some(true))
    }
}

impl ModelCacheBackupStatus {
    /// Whether the backup is there, for good: there is evidence of it.
    pub fn is_complete(&self) -> bool {
        self.snapshot.is_some() && self.attempt.as_ref().is_some_and(|it| it.stage == RunStage::Done)
    }
}
