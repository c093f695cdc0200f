//! What may a cache give up of its own, and down to where?

use super::super::duration;
use super::super::duration::{InvalidDuration, duration_schema};
use super::super::quantity::size_schema;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long what a cache no longer needs stays when nothing else is said: a day.
const KEEP_DURATION: Duration = Duration::from_secs(24 * 3600);

/// Removal of what this cache no longer asks for. Never removed: what the spec asks for, what any cache on the volume
/// lists, and what a pod may still read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.reserved) || has(self.maxUsed) || has(self.minFree)")
    .message("`reserved` is a floor: `maxUsed` or `minFree` must say when anything is removed"))]
pub struct CacheRule {
    /// Which leftovers; all kinds when left out.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub matches: Vec<Leftover>,

    /// What became a leftover more recently than this is never removed by this rule, whatever the caps say, such as `72h`.
    /// `1d` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub keep_duration: Option<String>,

    /// A cap on the bytes that this cache holds on the volume, as a quantity such as `200Gi`: nothing is removed below it,
    /// and above it the revisions that were replaced first go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "size_schema")]
    pub max_used: Option<Quantity>,

    /// Free space that the volume's file system should have, as a quantity such as `50Gi`: nothing is removed while it has
    /// as much, otherwise the revisions that were replaced first go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "size_schema")]
    pub min_free: Option<Quantity>,

    /// A floor on the bytes that this cache holds on the volume: nothing is removed that would leave less, whatever
    /// `maxUsed` and `minFree` say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "size_schema")]
    pub reserved: Option<Quantity>,
}

/// What a cache no longer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Leftover {
    /// A revision that was replaced by another, or whose source is gone from the spec. It goes whole. The caps hold for it.
    Superseded,
    /// A file that is older than the `expireAfter` of its source says. Neither `keepDuration` nor the caps hold for it.
    Expired,
    /// What an interrupted download of another tool left in a directory of the Hugging Face hub.
    Incomplete,
    /// A content in a repository of this cache that nothing leads to, such as an interrupted clean-up leaves.
    Orphaned,
}

impl CacheRule {
    /// How long a leftover stays.
    ///
    /// # Errors
    /// When it is not written as a duration.
    pub fn effective_keep_duration(&self) -> Result<Duration, InvalidDuration> {
        self.keep_duration.as_deref().map_or(Ok(KEEP_DURATION), duration::parse)
    }

    /// Whether leftovers of a kind are this rule's.
    pub fn takes(&self, kind: Leftover) -> bool {
        self.matches.is_empty() || self.matches.contains(&kind)
    }
}
