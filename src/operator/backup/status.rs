//! What is to be said about a backup?

use super::history::due;
use super::kept;
use super::summary::not_pruned;
use crate::api::model_cache_backup::{ModelCacheBackup, ModelCacheBackupStatus, RunAttempt, RunStage};
use crate::api::quantity::{human, signed};
use crate::api::{Reason, condition};
use crate::contract::outcome::{NotPruned, Outcome};
use crate::operator::retry::{next_failure, whole_seconds};
use crate::operator::run::{Said, Step, statements};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The status after a step.
pub fn status(backup: &ModelCacheBackup, step: &Step, now: Timestamp) -> ModelCacheBackupStatus {
    let mut next = backup.status.clone().unwrap_or_default();
    let time = || Some(whole_seconds(now).to_string());
    let done = |number| Some(RunAttempt { number, stage: RunStage::Done });
    next.scheduled_time = due(backup).map(|it| it.to_string());
    match step {
        Step::Begin(number) => {
            next.attempt = Some(RunAttempt { number: *number, stage: RunStage::Running });
            (next.started, next.completed) = (time(), None);
        }
        Step::Succeed(number, outcome) => {
            (next.attempt, next.completed, next.failure) = (done(*number), time(), None);
            take(&mut next, outcome);
            if let Some(run) = &outcome.backup {
                next = kept::after(&next, run, now);
                let failed = |it: &NotPruned| next_failure(None, it.reason, it.message.clone(), now);
                next.prune_failure = run.not_pruned.as_ref().map(failed);
            }
        }
        Step::Fail(number, failure) => {
            (next.attempt, next.completed, next.failure) = (done(*number), time(), Some(failure.clone()));
        }
        Step::Rest | Step::Wait(..) | Step::CreateJob(_) | Step::Watch(_) => {}
    }
    let said = Said {
        working: Reason::BackingUp,
        at_work: "the backup is being made",
        done: next.is_complete().then(|| (Reason::BackedUp, summary(&next))),
        failure: next.failure.clone(),
        attempt: next.attempt.as_ref().map_or(0, |it| it.number),
        scheduled: due(backup).is_some(),
    };
    let generation = backup.metadata.generation;
    let statements = statements(step, &said);
    next.observed_generation = generation;
    next.conditions = condition::merge(&next.conditions, &statements, generation, &Time(whole_seconds(now)));
    next
}

/// The evidence.
fn take(next: &mut ModelCacheBackupStatus, outcome: &Outcome) {
    let Some(made) = &outcome.backup else { return };
    next.snapshot = Some(condition::truncate(&made.snapshot, 256));
    next.files = Some(signed(made.files));
    next.bytes = Some(signed(made.bytes));
    next.size = Some(human(made.bytes));
    next.new_bytes = Some(signed(made.new_bytes));
    next.new_size = Some(human(made.new_bytes));
    next.not_covered = Some(signed(made.not_covered));
    next.manifest_digest = Some(condition::truncate(&made.manifest, 64));
    next.duration = Some(format!("{}s", made.seconds));
}

fn summary(status: &ModelCacheBackupStatus) -> String {
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    let left = status.not_covered.filter(|it| *it > 0);
    let left = left.map_or_else(String::new, |it| format!("; {it} files on the volumes are not covered"));
    let stays = status.prune_failure.as_ref().map_or_else(String::new, |it| format!("; {}", not_pruned(it)));
    format!(
        "{} files, {}, {} of them new at the destination{left}{stays}",
        status.files.unwrap_or(0),
        text(&status.size),
        text(&status.new_size)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::outcome::{Backup, Kept};
    use serde_json::json;

    fn backup(annotations: &serde_json::Value) -> ModelCacheBackup {
        serde_json::from_value(json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheBackup",
            "metadata": {"name": "studio-1", "generation": 1, "annotations": annotations},
            "spec": {"cache": "studio"}
        }))
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_backup_that_is_done_shows_its_evidence() {
        let mut object = backup(&json!({"modelcache.dev/scheduled-at": "2026-11-21T02:00:00Z"}));
        object.status = Some(status(&object, &Step::Begin(1), at(0)));
        let mut outcome = Outcome::success(Reason::BackedUp, "done");
        outcome.backup = Some(Backup {
            snapshot: "3f9c".into(),
            files: 12,
            bytes: 5 << 20,
            new_bytes: 1 << 20,
            not_covered: 2,
            seconds: 7,
            manifest: "d".repeat(64),
            kept: vec![Kept { snapshot: "3f9c".into(), why: "among the last".into(), whole: true }],
            kept_all: true,
            not_pruned: None,
        });
        insta::assert_yaml_snapshot!(status(&object, &Step::Succeed(1, Box::new(outcome)), at(9)));
    }

    #[test]
    fn a_backup_is_complete_though_its_retention_was_not_kept_to_and_says_so() {
        let mut object = backup(&json!({}));
        object.status = Some(status(&object, &Step::Begin(1), at(0)));
        let made = |not_pruned: serde_json::Value| {
            let mut outcome = Outcome::success(Reason::BackedUp, "done");
            outcome.backup = serde_json::from_value(json!({
                "snapshot": "3f9c", "files": 12, "bytes": 5, "newBytes": 1, "notCovered": 0, "seconds": 7, "manifest": "d",
                "notPruned": not_pruned
            }))
            .unwrap();
            Step::Succeed(1, Box::new(outcome))
        };
        let refused = json!({"reason": "DeletionRefused", "message": "9 of 10 would go"});
        let said = status(&object, &made(refused), at(9));
        assert_eq!(said.prune_failure.as_ref().map(|it| it.reason), Some(Reason::DeletionRefused));
        let ready = said.conditions.iter().find(|it| it.type_ == "Ready").unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "BackedUp"));
        assert!(ready.message.contains("no older backup was removed (DeletionRefused): 9 of 10"), "{}", ready.message);
        assert_eq!(status(&object, &made(serde_json::Value::Null), at(9)).prune_failure, None);
    }

    #[test]
    fn looking_again_says_the_same() {
        let mut object = backup(&json!({}));
        let failure = crate::operator::retry::next_failure(None, Reason::Unreachable, "no answer", at(0));
        object.status = Some(status(&object, &Step::Fail(6, failure), at(3)));
        assert_eq!(Some(status(&object, &Step::Rest, at(99))), object.status);
    }
}
