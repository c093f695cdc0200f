//! What is remembered of clean-ups, on schedule and on request.

use super::model_cache::Failure;
use super::scheduled_run::ScheduledRun;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Clean-ups of one copy. Written when a run ends, never in between.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cleaning {
    /// When the next one is due, and how the last one went.
    pub run: ScheduledRun,
    /// What the last one did that had something to say, also if some of its rules failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<CleanedUp>,
}

/// What a clean-up did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CleanedUp {
    /// When it was recorded, RFC 3339.
    #[schemars(length(max = 64))]
    pub time: String,
    /// Files, revisions and leftovers that were deleted, at once or into the trash.
    pub deleted: i64,
    /// Logs that were rotated.
    pub rotated: i64,
    /// Bytes on the disk that nothing names any more.
    pub freed_bytes: i64,
    /// Bytes that the file system had free more than before: less than `freedBytes` while somebody writes, or has a deleted
    /// file open.
    pub gained_bytes: i64,
    /// Bytes on the disk that went to the trash, and are free after its grace time.
    pub trashed_bytes: i64,
}

/// The last clean-up that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestedCleanup {
    /// The value of the annotation `modelcache.dev/cleanRequestedAt` that was acted on.
    #[schemars(length(max = 1024))]
    pub request: String,
    /// Whether it was only said what would be done: nothing was removed.
    pub dry_run: bool,
    /// The attempt that does it.
    pub attempt: i64,
    /// When it ended, RFC 3339. Absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time: Option<String>,
    /// The rules, and what each came to, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
    /// What it did, or would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<CleanedUp>,
    /// The same one by one: what concerns the most bytes, as many as fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub deeds: Vec<CleanupDeed>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_deeds: Option<i64>,
    /// Why it did not do all it should. Before its end, what keeps it from beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// One thing that a clean-up does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CleanupDeed {
    /// Name of the rule.
    #[schemars(length(max = 63))]
    pub rule: String,
    /// What is done, such as `deleted` or `rotated`.
    #[schemars(length(max = 32))]
    pub what: String,
    /// To what.
    #[schemars(length(max = 1024))]
    pub path: String,
    /// Why.
    #[schemars(length(max = 256))]
    pub why: String,
    /// Bytes on the disk that it concerns.
    pub bytes: i64,
}

/// What is known of the clean-ups of a cache. Written when one ends, and when the schedule changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CleanupSummary {
    /// The schedule in effect, and its time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub schedule: Option<String>,
    /// The earliest next run of a copy or of the CronJob, RFC 3339; as of the end of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub next: Option<String>,
    /// The last success of the copy, or of the CronJob, whose last success is the longest ago, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_success: Option<String>,
    /// Bytes on the disk that the last runs have freed together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freed_bytes: Option<i64>,
    /// Bytes that file systems had free more than before the last runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gained_bytes: Option<i64>,
    /// Runs of the CronJob, for the volumes that it cleans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_job: Option<CronJobRuns>,
}

/// How the runs of a CronJob went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronJobRuns {
    /// When the next one is due, RFC 3339; as of the end of the last one. Absent while it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub next: Option<String>,
    /// Name of the Job that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub last: Option<String>,
    /// When it ended, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_time: Option<String>,
    /// When one last did all it should, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_success: Option<String>,
    /// Why the last one did not. Absent once one succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What the last one did that had something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<CleanedUp>,
}
