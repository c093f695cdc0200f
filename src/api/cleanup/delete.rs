//! Which files are too old, too large together or too many?

use super::super::duration::duration_schema;
use super::super::quantity::size_schema;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Deletion of files, the oldest first. A file's age is the time since it was last written to: reading does not count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.olderThan) || has(self.maxTotalSize) || has(self.maxFiles)")
    .message("at least one of `olderThan`, `maxTotalSize` and `maxFiles` must say what is too much: `keepNewest` and `emptyDirectories` alone delete no file"))]
pub struct DeleteRule {
    /// Files that were last written to longer ago than this are deleted, such as `30d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub older_than: Option<String>,

    /// A cap on the bytes of all matching files together, as a quantity such as `10Gi`: the oldest go until the rest fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "size_schema")]
    pub max_total_size: Option<Quantity>,

    /// A cap on the number of matching files: the oldest go. 0 deletes all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_files: Option<u32>,

    /// A floor: this many of the newest matching files are never deleted, whatever the other fields say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub keep_newest: Option<u32>,

    /// Also remove the directories that are empty because of it, but none that the volume's `directories` names and none
    /// that a glob begins with. `false` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_directories: Option<bool>,
}
