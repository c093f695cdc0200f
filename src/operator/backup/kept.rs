//! Which backups are still at the destination, and why? A run that keeps to a retention has looked through all of them, and says
//! so; what it says is recorded with each.

use crate::api::condition::truncate;
use crate::api::{ModelCacheBackup, ModelCacheBackupStatus};
use crate::contract::outcome;
use crate::operator::retry::whole_seconds;
use jiff::Timestamp;
use std::sync::Arc;

/// The snapshots that the retention must leave alone, in the order of their names: so that the same is the same.
pub fn pinned(backups: &[Arc<ModelCacheBackup>]) -> Vec<String> {
    let mut pinned: Vec<String> = backups.iter().filter_map(|it| it.pinned_snapshot().map(str::to_owned)).collect();
    pinned.sort();
    pinned.dedup();
    pinned
}

/// The status of a backup after a run has looked through the destination. Nothing becomes of one that it says nothing of.
pub fn after(status: &ModelCacheBackupStatus, run: &outcome::Backup, now: Timestamp) -> ModelCacheBackupStatus {
    let mut next = status.clone();
    let Some(snapshot) = status.snapshot.as_ref().filter(|_| status.is_complete()) else { return next };
    let time = || Some(whole_seconds(now).to_string());
    match run.kept.iter().find(|it| it.snapshot == *snapshot) {
        Some(found) => {
            next.kept = Some(truncate(&found.why, 256));
            next.verified_time = if found.whole { time() } else { next.verified_time };
            next.removed_time = None;
        }
        None if run.kept_all && !run.kept.is_empty() => {
            next.kept = None;
            next.removed_time = next.removed_time.or_else(time);
        }
        None => {}
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::outcome::Kept;
    use serde_json::json;

    fn status(snapshot: &str) -> ModelCacheBackupStatus {
        serde_json::from_value(json!({"attempt": {"number": 1, "stage": "Done"}, "snapshot": snapshot})).unwrap()
    }

    fn run(kept: &[(&str, bool)], kept_all: bool) -> outcome::Backup {
        let one = |it: &(&str, bool)| Kept { snapshot: it.0.into(), why: "among the last, daily".into(), whole: it.1 };
        outcome::Backup {
            snapshot: "new".into(),
            files: 1,
            bytes: 1,
            new_bytes: 1,
            not_covered: 0,
            seconds: 1,
            manifest: "m".into(),
            kept: kept.iter().map(one).collect(),
            kept_all,
            not_pruned: None,
        }
    }

    #[test]
    fn what_a_run_saw_is_recorded_and_what_it_says_nothing_of_stays_as_it_was() {
        let now = Timestamp::from_second(60).unwrap();
        let time = Some("1970-01-01T00:01:00Z".to_owned());
        let seen = after(&status("a"), &run(&[("new", true), ("a", true)], true), now);
        assert_eq!((seen.kept.as_deref(), &seen.verified_time), (Some("among the last, daily"), &time));
        let damaged = after(&status("a"), &run(&[("a", false)], true), now);
        assert_eq!((damaged.kept.is_some(), &damaged.verified_time), (true, &None));
        let gone = after(&seen, &run(&[("new", true)], true), now);
        assert_eq!((&gone.kept, &gone.removed_time), (&None, &time));
        let later = after(&gone, &run(&[("new", true)], true), Timestamp::from_second(99).unwrap());
        assert_eq!(later, gone, "it has gone once");
        // Not all was said, or nothing was looked at.
        assert_eq!(after(&seen, &run(&[("new", true)], false), now), seen);
        assert_eq!(after(&seen, &run(&[], true), now), seen);
        assert_eq!(after(&ModelCacheBackupStatus::default(), &run(&[], true), now), ModelCacheBackupStatus::default());
    }
}
