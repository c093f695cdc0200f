//! What does a ModelCache say of its backups?

use crate::api::model_cache::Failure;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What is known of the backups of a cache. Written when a backup ends, and when the schedule changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupSummary {
    /// The schedule in effect and its time zone: that of the spec, moved within `jitter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub schedule: Option<String>,
    /// When the next scheduled backup is due, RFC 3339; as of the end of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub next: Option<String>,
    /// Name of the ModelCacheBackup that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub last: Option<String>,
    /// When it ended, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_time: Option<String>,
    /// Why it failed. Absent when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Name of the last ModelCacheBackup that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub last_good: Option<String>,
    /// When it ended, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_good_time: Option<String>,
    /// Identity of its snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_good_snapshot: Option<String>,
    /// Why it removed no older backup, where `retention` asks for that. Absent when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune_failure: Option<Failure>,
}
