//! What is deleted, rotated or mended on schedule, and what keeps it from being too much?

mod cache;
mod delete;
mod permissions;
mod rotate;
mod rule;

pub use cache::{CacheRule, Leftover};
pub use delete::DeleteRule;
pub use permissions::PermissionsRule;
pub use rotate::{Compression, RotateMethod, RotateRule};
pub use rule::{CleanupRule, Deed};

use super::duration;
use super::duration::{InvalidDuration, duration_schema};
use super::schedule::schedule_schema;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Share of a rule's files that one run deletes at most when neither the rule nor the cache says another, in percent.
const MAX_DELETE_PERCENT: u8 = 50;
/// How long the trash keeps what was deleted when nothing else is said: a day.
const TRASH_GRACE: Duration = Duration::from_secs(24 * 3600);

/// Clean-up of the volumes: logs, files that nobody needs any more, and what the cache itself has outgrown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.schedule) || !has(self.suspend)")
    .message("`suspend` must come with `schedule`"))]
pub struct Cleanup {
    /// When, as five fields of cron in `timeZone`. A volume that many nodes can write to is cleaned by a CronJob; one that has
    /// a `cache` rule, that one node at a time can mount, or that is on the nodes, by Jobs that the operator makes. Left
    /// out: only when somebody asks for it with `kubectl modelcache clean`, or runs `modelcache clean`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schedule_schema")]
    pub schedule: Option<String>,

    /// Begin no scheduled clean-up while true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,

    /// How long deleted files stay in the volume's trash, where `modelcache restore-trash` gets them back, such as `3d`.
    /// They take their space until then. `1d` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub trash_grace: Option<String>,

    /// A rule that would delete more than this share of the files that it matches is refused, with its plan, and deletes
    /// nothing: clocks jump, and globs are mistyped. Up to 20 files are never refused. A rule's own value comes first.
    /// 50 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_delete_percent: Option<u8>,

    /// What to do, 1 to 16 rules, in their order.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub rules: Vec<CleanupRule>,
}

impl Cleanup {
    /// Whether no scheduled run is to begin.
    pub fn suspended(&self) -> bool {
        self.suspend.unwrap_or_default()
    }

    /// How long the trash keeps what was deleted.
    ///
    /// # Errors
    /// When it is not written as a duration.
    pub fn effective_trash_grace(&self) -> Result<Duration, InvalidDuration> {
        self.trash_grace.as_deref().map_or(Ok(TRASH_GRACE), duration::parse)
    }

    /// The share of its files that a rule deletes at most in one run, in percent.
    pub fn effective_max_delete_percent(&self, rule: &CleanupRule) -> u8 {
        rule.max_delete_percent.or(self.max_delete_percent).unwrap_or(MAX_DELETE_PERCENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_left_out_is_careful() {
        let rules = json!([
            {"name": "a", "paths": ["*"], "delete": {"olderThan": "30d"}},
            {"name": "b", "paths": ["*"], "delete": {"olderThan": "30d"}, "maxDeletePercent": 100}
        ]);
        let cleanup: Cleanup = serde_json::from_value(json!({"rules": rules})).unwrap();
        assert_eq!(cleanup.effective_trash_grace(), Ok(Duration::from_secs(86_400)));
        assert_eq!(
            cleanup.rules.iter().map(|it| cleanup.effective_max_delete_percent(it)).collect::<Vec<_>>(),
            [50, 100]
        );
        assert!(cleanup.rules[0].effective_trash());
    }
}
