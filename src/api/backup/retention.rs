//! Which backups are kept?

use crate::api::duration::duration_schema;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A backup is kept when one of these rules keeps it. Days, weeks, months and years are those of the calendar in `timeZone`; of
/// each the last backup counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.keepLast) || has(self.keepHourly) || has(self.keepDaily) || has(self.keepWeekly) || has(self.keepMonthly) || has(self.keepYearly) || has(self.keepWithin)")
        .message("at least one of `keepLast`, `keepHourly`, `keepDaily`, `keepWeekly`, `keepMonthly`, `keepYearly` and `keepWithin` must be set; leave `retention` out to keep every backup")
)]
pub struct Retention {
    /// The newest backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub keep_last: Option<i32>,
    /// The last backup of each of the newest hours that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub keep_hourly: Option<i32>,
    /// The last backup of each of the newest days that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub keep_daily: Option<i32>,
    /// The last backup of each of the newest weeks that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub keep_weekly: Option<i32>,
    /// The last backup of each of the newest months that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub keep_monthly: Option<i32>,
    /// The last backup of each of the newest years that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub keep_yearly: Option<i32>,
    /// Every backup that is at most this much older than the newest good one; not than now, so that a pause removes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub keep_within: Option<String>,
    /// The newest good backups are never removed, whatever the other rules say: this many. 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub min_good: Option<i32>,
    /// Nothing is removed when more than this percentage of the backups would go at once. When left out: half of the backups, or
    /// ten if that is more. One may always go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_delete_percent: Option<i32>,
}
