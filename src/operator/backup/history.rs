//! Which records of scheduled backups may go? Those beyond the limits; never one that was made by hand.

use crate::api::model_cache_backup::{ModelCacheBackup, ModelCacheBackupStatus, RunStage};
use crate::api::{annotation, label};
use kube::ResourceExt;
use std::sync::Arc;

/// Records of scheduled runs beyond the newest so many successful and failed ones. A record made by hand may be kept in Git,
/// and would run again; one that is pinned says so as long as it is there.
pub fn superseded(all: &[Arc<ModelCacheBackup>], (successful, failed): (i32, i32)) -> Vec<Arc<ModelCacheBackup>> {
    let mut over: Vec<&Arc<ModelCacheBackup>> =
        all.iter().filter(|it| is_record(it) && is_over(it) && it.spec.pin != Some(true)).collect();
    over.sort_by_key(|it| std::cmp::Reverse(due(it)));
    let beyond = |complete: bool, limit: i32| {
        let of_kind = over.iter().filter(move |it| is_complete(it) == complete);
        of_kind.skip(usize::try_from(limit).unwrap_or(0)).map(|it| Arc::clone(it)).collect::<Vec<_>>()
    };
    beyond(true, successful).into_iter().chain(beyond(false, failed)).collect()
}

/// Whether an object is the record of a scheduled run, made by us.
pub fn is_record(backup: &ModelCacheBackup) -> bool {
    backup.annotations().contains_key(annotation::SCHEDULED)
        && backup.labels().get(label::MANAGED_BY).is_some_and(|it| it == label::MANAGER)
}

/// When a scheduled run was due.
pub fn due(backup: &ModelCacheBackup) -> Option<jiff::Timestamp> {
    backup.annotations().get(annotation::SCHEDULED)?.parse().ok()
}

fn is_complete(backup: &ModelCacheBackup) -> bool {
    backup.status.as_ref().is_some_and(ModelCacheBackupStatus::is_complete)
}

fn is_over(backup: &ModelCacheBackup) -> bool {
    let attempt = backup.status.as_ref().and_then(|it| it.attempt.as_ref());
    backup.metadata.deletion_timestamp.is_none() && attempt.is_some_and(|it| it.stage == RunStage::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(day: u32, complete: bool, scheduled: bool) -> Arc<ModelCacheBackup> {
        let annotations =
            if scheduled { json!({annotation::SCHEDULED: format!("2026-11-{day:02}T02:00:00Z")}) } else { json!({}) };
        let snapshot = complete.then_some("abcd");
        let object = json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheBackup",
            "metadata": {
                "name": format!("studio-{day}"), "annotations": annotations,
                "labels": {"app.kubernetes.io/managed-by": "modelcache-operator"}
            },
            "spec": {"cache": "studio"},
            "status": {"attempt": {"number": 1, "stage": "Done"}, "snapshot": snapshot}
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn gone(all: &[Arc<ModelCacheBackup>], limits: (i32, i32)) -> Vec<String> {
        let mut names: Vec<String> = superseded(all, limits).iter().map(|it| it.name_any()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_of_each_kind_stay_and_failures_do_not_push_out_successes() {
        let all = [
            record(1, true, true),
            record(2, true, true),
            record(3, true, true),
            record(4, false, true),
            record(5, false, true),
        ];
        assert_eq!(gone(&all, (2, 1)), ["studio-1", "studio-4"]);
        assert_eq!(gone(&all, (3, 2)), Vec::<String>::new());
    }

    #[test]
    fn what_was_made_by_hand_or_is_pinned_never_goes_and_what_runs_neither() {
        let by_hand: Vec<_> = (1..9).map(|day| record(day, true, false)).collect();
        assert!(gone(&by_hand, (1, 1)).is_empty());
        let mut pinned = Arc::unwrap_or_clone(record(1, true, true));
        pinned.spec.pin = Some(true);
        assert_eq!(pinned.pinned_snapshot(), Some("abcd"));
        assert_eq!(gone(&[Arc::new(pinned), record(2, true, true), record(3, true, true)], (1, 1)), ["studio-2"]);
        let mut running = Arc::unwrap_or_clone(record(1, false, true));
        running.status.as_mut().unwrap().attempt.as_mut().unwrap().stage = RunStage::Running;
        assert!(gone(&[Arc::new(running), record(2, false, true)], (1, 1)).is_empty());
    }
}
