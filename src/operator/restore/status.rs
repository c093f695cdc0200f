//! What is to be said about a restore?

use super::resolve::{Wanted, Which, is_selective};
use crate::api::model_cache_backup::{RunAttempt, RunStage};
use crate::api::model_cache_restore::{ModelCacheRestore, ModelCacheRestoreStatus};
use crate::api::quantity::{human, signed};
use crate::api::{Reason, condition};
use crate::operator::retry::whole_seconds;
use crate::operator::run::{Said, Step, statements};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

/// The status after a step.
pub fn status(
    restore: &ModelCacheRestore,
    wanted: Option<&Wanted>,
    step: &Step,
    now: Timestamp,
) -> ModelCacheRestoreStatus {
    let mut next = restore.status.clone().unwrap_or_default();
    let time = || Some(whole_seconds(now).to_string());
    let done = |number| Some(RunAttempt { number, stage: RunStage::Done });
    if let Some(to) = wanted {
        next.target = Some(target(restore, to));
    }
    match step {
        Step::Begin(number) => {
            next.attempt = Some(RunAttempt { number: *number, stage: RunStage::Running });
            (next.started, next.completed) = (time(), None);
            next.claims = wanted.map(|it| it.onto.claims()).unwrap_or_default();
            let whole = wanted.filter(|_| !is_selective(restore));
            next.per_node_volumes = whole.map(|it| it.per_node.clone()).unwrap_or_default();
            if let Some(Which::Snapshot(snapshot)) = wanted.map(|it| &it.which) {
                next.snapshot = Some(snapshot.clone());
            }
        }
        Step::Succeed(number, outcome) => {
            (next.attempt, next.completed, next.failure) = (done(*number), time(), None);
            next.claims = vec![];
            if let Some(made) = &outcome.restore {
                next.snapshot = Some(condition::truncate(&made.snapshot, 256));
                (next.files, next.bytes) = (Some(signed(made.files)), Some(signed(made.bytes)));
                next.size = Some(human(made.bytes));
            }
        }
        Step::Fail(number, failure) => {
            (next.attempt, next.completed, next.failure) = (done(*number), time(), Some(failure.clone()));
            next.claims = vec![];
        }
        Step::Rest | Step::Wait(..) | Step::CreateJob(_) | Step::Watch(_) => {}
    }
    let message = |it: &ModelCacheRestoreStatus| {
        let size = it.size.clone().unwrap_or_default();
        let snapshot = it.snapshot.clone().unwrap_or_default();
        let nodes = it.per_node_volumes.join(", ");
        let how = if nodes.is_empty() {
            "every hash verified".to_owned()
        } else {
            format!("each node makes its own copy of {nodes} anew: the cache's condition `Warm` says when that is done")
        };
        format!("{} files, {size}, as snapshot {snapshot} has them; {how}", it.files.unwrap_or(0))
    };
    let said = Said {
        working: Reason::Restoring,
        at_work: "what was backed up is being put in its place",
        done: next.is_complete().then(|| (Reason::Restored, message(&next))),
        failure: next.failure.clone(),
        attempt: next.attempt.as_ref().map_or(0, |it| it.number),
        scheduled: false,
    };
    let generation = restore.metadata.generation;
    let statements = statements(step, &said);
    next.observed_generation = generation;
    next.conditions = condition::merge(&next.conditions, &statements, generation, &Time(whole_seconds(now)));
    next
}

fn target(restore: &ModelCacheRestore, wanted: &Wanted) -> String {
    match restore.spec.to.as_ref().and_then(|it| it.claim.as_ref()) {
        Some(claim) => format!("claim/{}", claim.claim_name),
        None => format!("cache/{}", wanted.cache.name_any()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::outcome::{Outcome, Restored};
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn claims_are_held_from_the_record_of_an_attempt_until_that_of_its_end() {
        let mut restore: ModelCacheRestore = serde_json::from_value(json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheRestore",
            "metadata": {"name": "back", "namespace": "ns"}, "spec": {"from": {"latest": {"cache": "studio"}}}
        }))
        .unwrap();
        let wanted = Wanted {
            cache: crate::operator::modelcache::build::fixtures::shared_cache(),
            backup: serde_json::from_value(json!({"destination": {"s3": {"bucket": "backups"}}})).unwrap(),
            of: ("ns".into(), "studio".into()),
            which: Which::Snapshot("3f9c".into()),
            per_node: vec![],
            onto: super::super::resolve::Onto::Volumes(vec![("models".into(), "studio-models".into())]),
            bare: false,
        };
        let begun = status(&restore, Some(&wanted), &Step::Begin(1), at(0));
        assert_eq!(
            (begun.claims.as_slice(), begun.snapshot.as_deref()),
            (&["studio-models".to_owned()][..], Some("3f9c"))
        );
        restore.status = Some(begun);
        let mut outcome = Outcome::success(Reason::Restored, "done");
        outcome.restore =
            Some(Restored { snapshot: "3f9c".into(), files: 3, bytes: 9, seconds: 1, manifest: "d".into() });
        let ended = status(&restore, Some(&wanted), &Step::Succeed(1, Box::new(outcome)), at(9));
        assert!(ended.claims.is_empty() && ended.is_complete());
        insta::assert_yaml_snapshot!(ended);
    }
}
