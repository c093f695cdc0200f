//! What does a cache say about its backups? Written when one ends, and when the schedule changes: never because time passes.

use super::plan::Planned;
use crate::api::backup::BackupSummary;
use crate::api::condition::{ConditionType, Statement, Truth};
use crate::api::model_cache::Failure;
use crate::api::{ModelCache, ModelCacheBackup, ModelCacheBackupStatus, Reason};
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;

/// The summary, and the condition `BackedUp`.
pub fn summary(
    cache: &ModelCache,
    backups: &[Arc<ModelCacheBackup>],
    planned: &Planned,
    now: Timestamp,
) -> (BackupSummary, Statement) {
    let before = cache.status.as_ref().and_then(|it| it.backup.clone()).unwrap_or_default();
    let times = planned.times();
    let mut summary = BackupSummary { schedule: times.as_ref().map(|it| it.text().to_owned()), ..before.clone() };
    // Records go after a while: what is remembered stands until a newer one ends.
    let ended = |it: &&Arc<ModelCacheBackup>| ended_at(it).is_some();
    if let Some(last) = backups
        .iter()
        .filter(ended)
        .max_by_key(|it| ended_at(it))
        .filter(|it| is_newer(it, before.last_time.as_deref()))
    {
        let status = last.status.clone().unwrap_or_default();
        summary.last = Some(last.name_any());
        summary.last_time.clone_from(&status.completed);
        summary.failure = status.failure.filter(|_| status.snapshot.is_none());
    }
    let good =
        |it: &&Arc<ModelCacheBackup>| ended(it) && it.status.as_ref().is_some_and(ModelCacheBackupStatus::is_complete);
    if let Some(last) = backups
        .iter()
        .filter(good)
        .max_by_key(|it| ended_at(it))
        .filter(|it| is_newer(it, before.last_good_time.as_deref()))
    {
        let status = last.status.clone().unwrap_or_default();
        summary.last_good = Some(last.name_any());
        summary.last_good_time = status.completed;
        summary.last_good_snapshot = status.snapshot;
        summary.prune_failure = status.prune_failure;
    }
    if summary.schedule != before.schedule || summary.last_time != before.last_time {
        summary.next = times.and_then(|it| it.next_after(now)).map(|it| it.to_string());
    }
    let statement = statement(&summary, planned);
    (summary, statement)
}

fn ended_at(backup: &ModelCacheBackup) -> Option<Timestamp> {
    backup.status.as_ref()?.completed.as_deref()?.parse().ok()
}

fn is_newer(backup: &ModelCacheBackup, than: Option<&str>) -> bool {
    let than: Option<Timestamp> = than.and_then(|it| it.parse().ok());
    ended_at(backup) > than
}

/// What is said where a retention was not kept to.
pub fn not_pruned(failure: &Failure) -> String {
    format!("no older backup was removed ({}): {}", failure.reason, failure.message)
}

fn statement(summary: &BackupSummary, planned: &Planned) -> Statement {
    let said = |truth, reason, message: String| Statement::new(ConditionType::BackedUp, truth, reason, message);
    if let Some(problem) = &planned.problem {
        return said(Truth::False, problem.reason, problem.message.clone());
    }
    let name = summary.last.as_deref().unwrap_or_default();
    match (&summary.failure, &summary.last_good) {
        (Some(Failure { reason, message, .. }), good) => {
            let good = match (good, &summary.last_good_time) {
                (Some(good), Some(time)) => format!("the last good one is `{good}` of {time}"),
                _ => "there is no good one yet".to_owned(),
            };
            said(Truth::False, *reason, format!("backup `{name}` failed: {message}; {good}"))
        }
        (None, Some(good)) => {
            let time = summary.last_good_time.as_deref().unwrap_or_default();
            let not_pruned = summary.prune_failure.as_ref().map(|it| format!("; {}", not_pruned(it)));
            let message = format!("backup `{good}` ended {time}{}", not_pruned.unwrap_or_default());
            said(Truth::True, Reason::BackedUp, message)
        }
        (None, None) if planned.nowhere => {
            said(Truth::Unknown, Reason::Pending, "no backup yet: one begins once a node has a complete copy".into())
        }
        (None, None) => said(Truth::Unknown, Reason::Pending, "no backup has ended yet".into()),
    }
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
