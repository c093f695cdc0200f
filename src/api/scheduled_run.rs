//! What is remembered of work that comes again by schedule.

use super::model_cache::Failure;
use super::request::RequestedCheck;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Work that comes again by schedule: when next, and how it went. Written when a run ends, never in between.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledRun {
    /// The schedule and its time zone that `next` is of. Another one in the spec means that `next` is found anew.
    #[schemars(length(max = 200))]
    pub schedule: String,
    /// When the next run is due, RFC 3339. A time that has passed is made up for once.
    #[schemars(length(max = 64))]
    pub next: String,
    /// When a run last did all it should, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_success: Option<String>,
    /// Why the last run did not. It is tried again; absent once a run succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// The checks of a copy against what was put there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Kind, size, mode and target of every file and link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quick: Option<ScheduledRun>,
    /// The bytes of every file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deep: Option<ScheduledRun>,
    /// The last check that was asked for, of the bytes of every file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<RequestedCheck>,
    /// What the last check found damaged. Absent once it was repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
}

/// What a check found damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Damage {
    /// Files and links.
    pub files: i64,
    /// What they are called, and what is wrong with them.
    #[schemars(length(max = 4096))]
    pub message: String,
    /// When it was found, RFC 3339.
    #[schemars(length(max = 64))]
    pub time: String,
}

/// The checks of all copies, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerificationSummary {
    /// Kind, size, mode and target of every file and link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quick: Option<RunSummary>,
    /// The bytes of every file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deep: Option<RunSummary>,
}

/// The runs of all copies, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// The earliest next run of a copy, RFC 3339.
    #[schemars(length(max = 64))]
    pub next: String,
    /// The last success of the copy whose last success is the longest ago, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_success: Option<String>,
}
