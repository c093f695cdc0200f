//! What is asked of a copy, and when it is no longer.

use super::*;
use crate::api::Reason;
use crate::api::model_cache::Failure;
use crate::api::model_cache_replica::{Attempt, AttemptStage, Holding, PlanRef, ReplicaNode};
use crate::operator::job::Problem;
use crate::operator::modelcache::build::fixtures::{cache, volume};
use crate::operator::modelcache::build::replica::replica as build_replica;
use crate::operator::replica::status::status;
use crate::operator::replica::step::Recording;
use serde_json::json;

fn asking(deed: Deed, text: &str) -> (ModelCache, ModelCacheReplica) {
    let mut cache = cache();
    let name = || "node-1".to_owned();
    let node = ReplicaNode { name: name(), uid: name(), hostname: name(), pool: "gpu".into() };
    let replica = build_replica(&cache, "studio-models-0", &volume(&cache), Some(node), None);
    cache.annotations_mut().insert(deed.annotation().into(), text.into());
    (cache, replica)
}

/// The copy after a step, as its reconcile records it.
fn after(cache: &ModelCache, mut replica: ModelCacheReplica, step: &Step, now: i64) -> ModelCacheReplica {
    let now = Timestamp::from_second(now).unwrap();
    let asked = Asked::of(cache, &replica);
    let mut status = status(&replica, None, step, None, None, now);
    asked.remember(&replica, &mut status, step, now);
    replica.status = Some(status);
    replica
}

fn attempt(number: i64, stage: AttemptStage) -> Attempt {
    Attempt { number, stage, plan: None, claim_uid: None, restored: None }
}

fn recorded(number: i64, stage: AttemptStage, failure: Option<Failure>) -> Step {
    Step::Record(Recording { attempt: attempt(number, stage), holds: None, failure })
}

fn failure(reason: Reason, count: i64, time: &str) -> Failure {
    Failure { reason, message: "no".into(), count, time: time.into() }
}

fn held() -> Holding {
    Holding { plan: "a".into(), claim_uid: None, files: 1, bytes: 1, fetched_bytes: 1, restored: None }
}

/// The copy holds what is wanted.
fn complete(mut replica: ModelCacheReplica) -> ModelCacheReplica {
    let plan = PlanRef { config_map: "p".into(), hash: "a".into(), files: 1, bytes: 1 };
    replica.spec.plan = Some(plan);
    replica.spec.claim_uid = None;
    let status = ModelCacheReplicaStatus {
        holds: Some(held()),
        attempt: Some(attempt(4, AttemptStage::Done)),
        ..ModelCacheReplicaStatus::default()
    };
    replica.status = Some(status);
    replica
}

fn warmed(replica: &ModelCacheReplica) -> Option<&str> {
    replica.status.as_ref().unwrap().last_handled_request.as_deref()
}

#[test]
fn a_request_is_acted_on_once_for_each_value_and_waits_for_what_is_in_the_way() {
    let (mut cache, replica) = asking(Deed::Warm, "one");
    assert_eq!(Asked::of(&cache, &replica).warm.as_deref(), Some("one"));
    let replica = after(&cache, replica, &Step::Wait(Problem::new(Reason::NodeCordoned, "cordoned"), None), 0);
    assert_eq!(warmed(&replica), None, "it waits");
    let replica = after(&cache, replica, &recorded(1, AttemptStage::Prepare, None), 1);
    assert_eq!(warmed(&replica), Some("one"));
    assert_eq!(Asked::of(&cache, &replica), Asked::default());
    cache.annotations_mut().insert(Deed::Warm.annotation().into(), "two".into());
    assert_eq!(Asked::of(&cache, &replica).warm.as_deref(), Some("two"));
    cache.annotations_mut().insert(Deed::Warm.annotation().into(), "three nodes=node-2".into());
    assert_eq!(Asked::of(&cache, &replica), Asked::default(), "another node is meant");
    cache.annotations_mut().insert(Deed::Warm.annotation().into(), "four volumes=other".into());
    assert_eq!(Asked::of(&cache, &replica), Asked::default(), "another volume is meant");
}

#[test]
fn a_request_that_comes_while_an_attempt_runs_is_answered_by_the_next_one_if_that_fails() {
    let (cache, mut replica) = asking(Deed::Warm, "one");
    replica.status = Some(ModelCacheReplicaStatus {
        attempt: Some(attempt(1, AttemptStage::WarmUp)),
        ..ModelCacheReplicaStatus::default()
    });
    let watch = Step::Watch { stage: AttemptStage::WarmUp, problem: None, pod_ip: None };
    let running = after(&cache, replica, &watch, 0);
    assert_eq!(warmed(&running), None, "that attempt may fail for what was mended since");
    let over = recorded(1, AttemptStage::Done, Some(failure(Reason::Unauthorized, 1, "t")));
    let failed = after(&cache, running.clone(), &over, 1);
    assert_eq!(warmed(&failed), None);
    assert!(Asked::of(&cache, &failed).warm.is_some(), "so no pause holds it up");
    let again =
        after(&cache, failed, &recorded(2, AttemptStage::Prepare, Some(failure(Reason::Unauthorized, 0, "t"))), 2);
    assert_eq!(warmed(&again), Some("one"));
    // One that succeeds leaves nothing to try again.
    let mut running = running;
    running.spec = complete(running.clone()).spec;
    let done = Recording { attempt: attempt(1, AttemptStage::Done), holds: Some(held()), failure: None };
    assert_eq!(warmed(&after(&cache, running, &Step::Record(done), 1)), Some("one"));
}

#[test]
fn a_copy_that_is_made_after_a_check_was_asked_for_needs_none() {
    let (cache, replica) = asking(Deed::Verify, "one");
    assert!(Asked::of(&cache, &replica).verify.is_some());
    let made = Step::Record(Recording { attempt: attempt(1, AttemptStage::Done), holds: Some(held()), failure: None });
    let replica = after(&cache, replica, &made, 0);
    assert_eq!(Asked::of(&cache, &replica).verify, None);
}

#[test]
fn a_clean_up_that_is_asked_for_is_open_until_the_attempt_that_began_for_it_has_ended() {
    let (mut cache, replica) = asking(Deed::Clean, "now dry-run");
    assert_eq!(Asked::of(&cache, &replica).clean, None, "it has no rule");
    cache.spec.cleanup = serde_json::from_value(json!({"rules": [{"name": "old", "cache": {}}]})).unwrap();
    let replica = complete(replica);
    let asked = Some(CleanAsked { request: "now dry-run".into(), dry_run: true });
    assert_eq!(Asked::of(&cache, &replica).clean, asked);
    let replica = after(&cache, replica, &recorded(5, AttemptStage::Clean, None), 0);
    let requested = replica.status.as_ref().unwrap().requested_cleanup.clone().unwrap();
    assert_eq!((requested.attempt, requested.dry_run, requested.time.as_ref()), (5, true, None));
    assert_eq!(Asked::of(&cache, &replica).clean, asked, "it has not ended");
    let answer = RequestedCleanup { time: Some("t".into()), ..requested };
    let over = Step::RecordRequested(Some(attempt(5, AttemptStage::Done)), Box::new(answer));
    assert_eq!(Asked::of(&cache, &after(&cache, replica, &over, 1)).clean, None);
}

#[test]
fn a_reset_is_over_when_its_attempt_is_and_is_made_again_where_that_was_disturbed() {
    let (cache, replica) = asking(Deed::Reset, "one");
    let replica = complete(replica);
    let begins = recorded(5, AttemptStage::WarmUp, None);
    assert!(Asked::of(&cache, &replica).removes(&replica, &begins));
    let begun = after(&cache, replica, &begins, 0);
    assert!(!Asked::of(&cache, &begun).removes(&begun, &recorded(5, AttemptStage::WarmUp, None)), "once");
    for (failure, holds, over, failed) in [
        (None, true, true, false),
        (Some(failure(Reason::NotFound, 1, "t")), false, true, true),
        (Some(failure(Reason::Evicted, 1, "t")), false, false, false),
        (None, false, false, false),
    ] {
        let holds = holds.then(held);
        let step = Step::Record(Recording { attempt: attempt(5, AttemptStage::Done), holds, failure });
        let replica = after(&cache, begun.clone(), &step, 1);
        let reset = replica.status.as_ref().unwrap().requested_reset.clone().unwrap();
        assert_eq!((reset.time.is_some(), reset.failure.is_some()), (over, failed), "{step:?}");
        assert_eq!(Asked::of(&cache, &replica).reset.is_none(), over);
    }
}

#[test]
fn a_claim_of_somebody_else_is_never_reset() {
    let (mut cache, replica) = asking(Deed::Reset, "one");
    assert!(Asked::of(&cache, &replica).reset.is_some());
    cache.spec.volumes =
        serde_json::from_value(json!([{"name": "models", "existingClaim": {"claimName": "theirs"}}])).unwrap();
    assert_eq!(Asked::of(&cache, &replica).reset, None);
}
