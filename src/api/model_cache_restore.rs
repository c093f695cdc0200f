//! `ModelCacheRestore`: puts what was backed up onto volumes, once.

use super::backup::{Destination, Encryption};
use super::condition::conditions_schema;
use super::model_cache::Failure;
use super::model_cache_backup::{RunAttempt, RunStage};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// One restore. Immutable: another restore is another object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "modelcache.dev",
    version = "v1alpha1",
    kind = "ModelCacheRestore",
    namespaced,
    status = "ModelCacheRestoreStatus",
    derive = "PartialEq",
    shortname = "mcrestore",
    category = "modelcache-dev",
    doc = "A ModelCacheRestore puts what was backed up onto the volumes of a ModelCache, or onto a claim, once: everything is verified before anything is replaced.",
    printcolumn(name = "To", type_ = "string", json_path = ".status.target"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Snapshot", type_ = "string", json_path = ".status.snapshot"),
    printcolumn(name = "Files", type_ = "integer", json_path = ".status.files"),
    printcolumn(name = "Size", type_ = "string", json_path = ".status.size"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 128")
        .message("the name of a ModelCacheRestore must have at most 128 characters")
)]
#[x_kube(
    validation = Rule::new("self == oldSelf")
        .message("`spec` is immutable: a restore happens once; make another ModelCacheRestore"),
    validation = Rule::new("!has(self.from.location) || has(self.to)")
        .message("a restore from a `location` must say in `to` where to: a cache, or a claim"),
    validation = Rule::new("has(self.from.backup) || has(self.from.location) || has(self.from.latest.cache) || (has(self.to) && has(self.to.cache))")
        .message("`from.latest.cache` must say whose backup, unless `to.cache` does")
)]
pub struct ModelCacheRestoreSpec {
    /// Which backup.
    pub from: RestoreFrom,

    /// Where to. The cache that the backup is of when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<RestoreTo>,

    /// Only files whose path on their volume matches one of these patterns, as Python's fnmatch reads them: `*` also crosses
    /// `/`, a pattern that ends in `/` takes the whole directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub include: Vec<String>,

    /// No file whose path on its volume matches one of these patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub exclude: Vec<String>,

    /// Restore what is sound although something of the backup is damaged. Without it nothing is replaced then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_going: Option<bool>,
}

/// Which backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.backup), has(self.latest), has(self.location)].filter(set, set).size() == 1")
        .message("exactly one of `backup`, `latest` and `location` must be set")
)]
pub struct RestoreFrom {
    /// Name of a ModelCacheBackup of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub backup: Option<String>,

    /// The newest backup of a cache, at its destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<Latest>,

    /// A place of backups, with no object of them left in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

/// The newest backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latest {
    /// Name of the ModelCache whose backups are meant. The one that is restored to when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub cache: Option<String>,
    /// The newest that was begun at this time or before: RFC 3339, such as `2026-11-20T18:00:00Z`. The newest of all when
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\\\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$')")
        .message("`asOf` must be a time with its offset, such as 2026-11-20T18:00:00Z or 2026-11-20T18:00:00+03:00"))]
    pub as_of: Option<String>,
}

/// A place of backups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// The place, as `spec.backup.destination` of the cache named it.
    pub destination: Destination,
    /// What the backups are encrypted with, when they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Namespace of the cache that was backed up.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: String,
    /// Name of the cache that was backed up.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub cache: String,
    /// Identity of the snapshot, as `modelcache snapshots` shows it. The newest when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 4, max = 128), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub snapshot: Option<String>,
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.cache) != has(self.claim)").message("exactly one of `cache` and `claim` must be set")
)]
pub struct RestoreTo {
    /// Name of a ModelCache of this namespace, whose volumes are called as those that were backed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub cache: Option<String>,
    /// A directory of a claim: what was backed up is put there, a directory for each volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<RestoreClaim>,
}

/// A directory of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreClaim {
    /// Name of the PersistentVolumeClaim, in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub claim_name: String,
    /// The directory on it; its root when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._/-]+$') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache')")
        .message("`path` must be a relative path of letters, digits, dots, dashes and underscores, without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

/// What is known about a restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelCacheRestoreStatus {
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
    /// Where to, for people: `cache/<name>` or `claim/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub target: Option<String>,
    /// The snapshot that is restored, from the moment on when it is known which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub snapshot: Option<String>,
    /// Claims that no warm-up may write to meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub claims: Vec<String>,
    /// Per-node volumes whose sources are pinned to the snapshot: each node makes its own copy anew, out of the backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub per_node_volumes: Vec<String>,
    /// When the Job was begun, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub started: Option<String>,
    /// When it was over, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub completed: Option<String>,
    /// Files that were put in their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<i64>,
    /// Their bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// Their bytes, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub size: Option<String>,
    /// The last failure. Absent once an attempt succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl ModelCacheRestoreStatus {
    /// Whether everything was restored, for good: there is evidence of it.
    pub fn is_complete(&self) -> bool {
        self.files.is_some() && self.attempt.as_ref().is_some_and(|it| it.stage == RunStage::Done)
    }
}
