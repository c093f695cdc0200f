//! What is said about a copy: evidence or not, and why.

use super::*;
use crate::api::model_cache_replica::{Attempt, Holding, PlanRef};
use crate::operator::modelcache::build::fixtures::{cache, second, volume};
use crate::operator::modelcache::build::replica::replica as build_replica;
use crate::operator::retry::next_failure;

fn replica() -> ModelCacheReplica {
    let plan = PlanRef { config_map: "p".into(), hash: "a".into(), files: 3, bytes: 9 };
    let cache = cache();
    let mut replica = build_replica(&cache, "studio-models-0", &volume(&cache), None, Some(plan));
    replica.metadata.generation = Some(2);
    replica
}

fn attempt(stage: AttemptStage) -> Attempt {
    Attempt { number: 1, stage, plan: Some("a".into()), claim_uid: Some("claim-uid".into()), restored: None }
}

fn record(stage: AttemptStage, plan: Option<&str>, failure: Option<Reason>) -> Step {
    let holds = plan.map(|plan| Holding {
        plan: plan.into(),
        claim_uid: Some("claim-uid".into()),
        files: 3,
        bytes: 9,
        fetched_bytes: 9,
        restored: None,
    });
    let failure = failure.map(|reason| next_failure(None, reason, "the origin refused", second(0)));
    Step::Record(Recording { attempt: attempt(stage), holds, failure })
}

fn watch(problem: Option<Problem>) -> Step {
    Step::Watch { stage: AttemptStage::WarmUp, problem, pod_ip: None }
}

/// The replica after these steps were said, one after the other.
fn after(steps: &[Step]) -> ModelCacheReplica {
    steps.iter().fold(replica(), |replica, step| said(replica, Some(NodeState::Ready), step, None))
}

fn said(
    mut replica: ModelCacheReplica,
    node: Option<NodeState>,
    step: &Step,
    progress: Option<&Progress>,
) -> ModelCacheReplica {
    replica.status = Some(status(&replica, node, step, None, progress, second(0)));
    replica
}

/// The conditions, in words.
fn tell(replica: &ModelCacheReplica) -> String {
    let conditions = replica.status.iter().flat_map(|it| &it.conditions);
    conditions.map(|it| format!("{}={} {}", it.type_, it.status, it.reason)).collect::<Vec<_>>().join(", ")
}

#[test]
fn every_step_says_whether_work_is_under_way_and_why_the_copy_is_not_ready() {
    let pending = |reason| Step::Wait(Problem::new(reason, "x"), None);
    for (steps, expected) in [
        (vec![pending(Reason::Pending)], "Ready=False Pending"),
        (vec![pending(Reason::NodeCordoned)], "Ready=False NodeCordoned"),
        (vec![record(AttemptStage::Prepare, None, None)], "Ready=False Preparing, Reconciling=True Preparing"),
        (vec![record(AttemptStage::Prepared, None, None)], "Ready=False Queued, Reconciling=True Queued"),
        (vec![record(AttemptStage::WarmUp, None, None)], "Ready=False Warming, Reconciling=True Warming"),
        (
            vec![record(AttemptStage::WarmUp, None, None), watch(Some(Problem::new(Reason::ImagePullFailed, "x")))],
            "Ready=False ImagePullFailed, Reconciling=True ImagePullFailed",
        ),
        (vec![record(AttemptStage::Done, None, Some(Reason::Unreachable))], "Ready=False Unreachable"),
        (vec![record(AttemptStage::Done, None, Some(Reason::Gated))], "Ready=False Gated, Stalled=True Gated"),
        (vec![record(AttemptStage::Done, Some("a"), None)], "Ready=True Warmed"),
        (vec![record(AttemptStage::Done, Some("a"), None), Step::Rest], "Ready=True Warmed"),
        (vec![record(AttemptStage::Done, Some("other"), None)], "Ready=False Warming, Reconciling=True Warming"),
    ] {
        assert_eq!(tell(&after(&steps)), expected);
    }
}

#[test]
fn a_failure_stays_in_view_while_it_is_retried_and_one_for_good_stays_stalled() {
    for (reason, expected) in [
        (Reason::Unreachable, "Ready=False Unreachable, Reconciling=True Unreachable"),
        (Reason::InsufficientSpace, "Ready=False InsufficientSpace, Stalled=True InsufficientSpace"),
    ] {
        let failed = record(AttemptStage::Done, None, Some(reason));
        let again = record(AttemptStage::WarmUp, None, Some(reason));
        assert_eq!(tell(&after(&[failed.clone(), again.clone(), Step::CreateWarmUpJob])), expected);
        assert_eq!(tell(&after(&[failed, again, watch(None)])), expected);
    }
}

#[test]
fn what_a_silent_node_held_is_neither_there_nor_gone() {
    let holds = after(&[record(AttemptStage::Done, Some("a"), None)]);
    for (node, expected) in [
        (Some(NodeState::Ready), "Ready=True Warmed"),
        (Some(NodeState::Cordoned), "Ready=True Warmed"),
        (Some(NodeState::NotReady), "Ready=Unknown NodeNotReady"),
        (None, "Ready=Unknown NodeNotReady"),
    ] {
        assert_eq!(tell(&said(holds.clone(), node, &Step::Rest, None)), expected);
    }
}

#[test]
fn a_copy_in_another_claim_is_not_the_copy() {
    let mut lost = after(&[record(AttemptStage::Done, Some("a"), None)]);
    lost.spec.claim_uid = None;
    let lost = said(lost, Some(NodeState::Ready), &Step::Wait(Problem::new(Reason::VolumePending, "x"), None), None);
    assert_eq!(tell(&lost), "Ready=False VolumePending");
}

#[test]
fn what_was_held_is_remembered_when_the_next_attempt_fails() {
    let replica = after(&[
        record(AttemptStage::Done, Some("a"), None),
        record(AttemptStage::Done, None, Some(Reason::Unreachable)),
    ]);
    assert_eq!(replica.status.and_then(|it| it.holds).map(|it| it.plan).as_deref(), Some("a"));
}

#[test]
fn progress_is_shown_while_something_moves_and_gone_afterwards() {
    let progress = |done, total| Progress { bytes_done: done, bytes_total: total, ..Progress::default() };
    let percent =
        |it: &ModelCacheReplica| it.status.as_ref().and_then(|it| it.progress.as_ref()).map(|it| it.percent.clone());
    let began = after(&[record(AttemptStage::WarmUp, None, None)]);
    let node = Some(NodeState::Ready);
    for (done, total, expected) in
        [(45, Some(100), "45%"), (0, None, "unknown"), (5, Some(0), "unknown"), (200, Some(100), "100%")]
    {
        let replica = said(began.clone(), node, &watch(None), Some(&progress(done, total)));
        assert_eq!(percent(&replica).as_deref(), Some(expected));
        let silent = said(replica.clone(), node, &watch(None), None);
        assert_eq!(percent(&silent).as_deref(), Some(expected), "an answer that was missed is no step back");
        assert_eq!(percent(&said(replica, node, &record(AttemptStage::Done, Some("a"), None), None)), None);
    }
}

#[test]
fn saying_the_same_twice_changes_nothing() {
    for step in [
        Step::Rest,
        Step::Wait(Problem::new(Reason::Suspended, "x"), None),
        Step::CreatePrepareJob,
        Step::CreateWarmUpJob,
        watch(None),
        record(AttemptStage::Done, None, Some(Reason::Gated)),
    ] {
        let once = after(std::slice::from_ref(&step));
        let later = status(&once, Some(NodeState::Ready), &step, None, None, second(99));
        assert_eq!(Some(later), once.status, "{step:?}");
    }
}
