//! The promises of the state machine, as tables and as a simulation that must end.

use super::*;
use crate::api::model_cache_replica::{ModelCacheReplicaStatus, PlanRef, ReplicaNode};
use crate::contract::outcome::{Evidence, Outcome};
use crate::operator::modelcache::build::fixtures::{cache, settings, volume};
use crate::operator::modelcache::build::replica::replica as build_replica;
use proptest::prelude::*;

fn replica(plan: Option<&str>) -> ModelCacheReplica {
    let cache = cache();
    let node =
        ReplicaNode { name: "node-1".into(), uid: "node-uid".into(), hostname: "node-1".into(), pool: "gpu".into() };
    let plan = plan.map(|hash| PlanRef { config_map: "p".into(), hash: hash.into(), files: 1, bytes: 1 });
    build_replica(&cache, "studio-models-0", &volume(&cache), Some(node), plan)
}

fn at(mut replica: ModelCacheReplica, number: i64, stage: AttemptStage, plan: Option<&str>) -> ModelCacheReplica {
    let claim_uid = plan.and(Some("claim-uid".to_owned()));
    let attempt =
        Attempt { number, stage, plan: plan.map(str::to_owned), claim_uid, restored: replica.spec.restored.clone() };
    replica.status = Some(ModelCacheReplicaStatus { attempt: Some(attempt), ..replica.status.unwrap_or_default() });
    replica
}

fn holding(mut replica: ModelCacheReplica, plan: &str) -> ModelCacheReplica {
    let holds = Holding {
        plan: plan.into(),
        claim_uid: Some("claim-uid".into()),
        files: 1,
        bytes: 1,
        fetched_bytes: 1,
        restored: None,
    };
    replica.status = Some(ModelCacheReplicaStatus { holds: Some(holds), ..replica.status.unwrap_or_default() });
    replica
}

fn running() -> JobState {
    JobState::Running { problem: None, pod_ip: None }
}

fn succeeded(plan: Option<&str>) -> JobState {
    let mut outcome = Outcome::success(Reason::Warmed, "done");
    outcome.evidence = plan.map(|plan| Evidence {
        plan: plan.into(),
        files: 1,
        bytes: 1,
        fetched_bytes: 1,
        hashed_files: 1,
        expired_files: 0,
    });
    JobState::Succeeded(Box::new(outcome))
}

fn failed(reason: Reason) -> JobState {
    JobState::Failed(Problem::new(reason, "x"))
}

struct Case {
    replica: ModelCacheReplica,
    node: Option<NodeState>,
    suspended: bool,
    prepare: Option<JobState>,
    warm_up: Option<JobState>,
    asked: Asked,
}

impl Case {
    fn new(replica: ModelCacheReplica) -> Self {
        let (node, asked) = (Some(NodeState::Ready), Asked::default());
        Self { replica, node, suspended: false, prepare: None, warm_up: None, asked }
    }

    fn step(&self) -> Step {
        self.step_at(Timestamp::UNIX_EPOCH)
    }

    fn step_at(&self, now: Timestamp) -> Step {
        Situation {
            replica: &self.replica,
            node: self.node,
            suspended: self.suspended,
            prepare: self.prepare.clone(),
            work: self.warm_up.clone(),
            said: None,
            timetable: &Timetable::default(),
            cleaned_here: CleanedHere::No,
            asked: self.asked.clone(),
            claim_busy: None,
            own_claim_busy: None,
            retry: &settings().retry,
            now,
        }
        .next_step()
    }
}

fn recorded(step: Step) -> Recording {
    match step {
        Step::Record(recording) => recording,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_directory_is_made_while_the_sources_are_being_resolved_but_only_once() {
    let first = recorded(Case::new(replica(None)).step());
    assert_eq!((first.attempt.number, first.attempt.stage), (1, AttemptStage::Prepare));
    let waiting = Case::new(at(replica(None), 1, AttemptStage::Done, None)).step();
    assert!(matches!(waiting, Step::Wait(Problem { reason: Reason::Pending, .. }, None)));
}

#[test]
fn a_copy_that_holds_what_is_wanted_rests_whatever_its_node_does() {
    for node in [Some(NodeState::Ready), Some(NodeState::NotReady), Some(NodeState::Cordoned), None] {
        let mut case = Case::new(holding(at(replica(Some("a")), 1, AttemptStage::Done, Some("a")), "a"));
        case.node = node;
        assert_eq!(case.step(), Step::Rest);
    }
}

#[test]
fn another_plan_or_another_claim_begins_the_next_attempt() {
    let other_plan = recorded(Case::new(holding(at(replica(Some("b")), 4, AttemptStage::Done, Some("a")), "a")).step());
    assert_eq!((other_plan.attempt.number, other_plan.attempt.stage), (5, AttemptStage::Prepare));
    let mut lost = holding(at(replica(Some("a")), 4, AttemptStage::Done, Some("a")), "a");
    lost.spec.claim_uid = Some("another-uid".into());
    assert_eq!(recorded(Case::new(lost).step()).attempt.number, 5);
}

#[test]
fn nothing_new_begins_on_a_node_that_is_gone_silent_or_cordoned_or_in_a_suspended_cache() {
    for (node, suspended, reason) in [
        (None, false, Reason::NodeNotReady),
        (Some(NodeState::NotReady), false, Reason::NodeNotReady),
        (Some(NodeState::Cordoned), false, Reason::NodeCordoned),
        (Some(NodeState::Ready), true, Reason::Suspended),
    ] {
        for replica in [
            replica(Some("a")),
            at(replica(Some("a")), 1, AttemptStage::Prepared, None),
            at(replica(Some("a")), 1, AttemptStage::Prepare, None),
        ] {
            let case = Case { node, suspended, ..Case::new(replica) };
            assert!(matches!(case.step(), Step::Wait(problem, _) if problem.reason == reason), "{reason}");
        }
    }
}

#[test]
fn a_warm_up_needs_a_plan_a_claim_and_a_slot() {
    let prepared = at(replica(Some("a")), 1, AttemptStage::Prepared, None);
    assert!(
        matches!(Case::new(prepared.clone()).step(), Step::AskForSlot(attempt) if attempt.plan.as_deref() == Some("a"))
    );
    let mut no_claim = prepared;
    no_claim.spec.claim_uid = None;
    assert!(matches!(Case::new(no_claim).step(), Step::Wait(Problem { reason: Reason::VolumePending, .. }, None)));
    let no_plan = at(replica(None), 1, AttemptStage::Prepared, None);
    assert!(matches!(Case::new(no_plan).step(), Step::Wait(Problem { reason: Reason::Pending, .. }, None)));
}

#[test]
fn success_needs_evidence_of_the_very_plan_that_was_given() {
    let mut case = Case::new(at(replica(Some("a")), 3, AttemptStage::WarmUp, Some("a")));
    case.warm_up = Some(succeeded(Some("a")));
    let success = recorded(case.step());
    assert_eq!(success.holds.map(|it| it.plan).as_deref(), Some("a"));
    for lie in [succeeded(None), succeeded(Some("b"))] {
        case.warm_up = Some(lie);
        let failure = recorded(case.step());
        assert_eq!(failure.failure.map(|it| it.reason), Some(Reason::NoEvidence));
        assert!(failure.holds.is_none());
    }
}

#[test]
fn a_warm_up_for_what_is_no_longer_wanted_is_stopped_and_is_no_failure() {
    let mut case = Case::new(at(replica(Some("b")), 3, AttemptStage::WarmUp, Some("a")));
    case.warm_up = Some(running());
    assert_eq!(case.step(), Step::StopJob);
    case.warm_up = Some(JobState::Ending);
    assert!(matches!(case.step(), Step::Watch { .. }), "its pod may still write");
    case.warm_up = None;
    let over = recorded(case.step());
    assert_eq!((over.attempt.stage, over.failure), (AttemptStage::Done, None));
}

#[test]
fn a_recorded_warm_up_without_a_job_gives_its_slot_back_when_something_came_in_the_way() {
    for (node, suspended) in [
        (None, false),
        (Some(NodeState::NotReady), false),
        (Some(NodeState::Cordoned), false),
        (Some(NodeState::Ready), true),
    ] {
        let case = Case { node, suspended, ..Case::new(at(replica(Some("a")), 3, AttemptStage::WarmUp, Some("a"))) };
        let over = recorded(case.step());
        assert_eq!((over.attempt.number, over.attempt.stage, over.failure), (3, AttemptStage::Done, None));
        let running = Case { warm_up: Some(running()), ..case };
        assert!(matches!(running.step(), Step::Watch { .. }), "what runs is left to finish");
    }
    let clear = Case::new(at(replica(Some("a")), 3, AttemptStage::WarmUp, Some("a")));
    assert_eq!(clear.step(), Step::CreateWarmUpJob);
}

#[test]
fn a_failure_waits_for_its_time_and_what_a_person_must_mend_waits_longer() {
    for (reason, shortest, longest) in
        [(Reason::Unreachable, 10, 13), (Reason::Unauthorized, 600, 751), (Reason::Evicted, 10, 13)]
    {
        let mut case = Case::new(at(replica(Some("a")), 1, AttemptStage::WarmUp, Some("a")));
        case.warm_up = Some(failed(reason));
        let failure = recorded(case.step()).failure;
        let mut replica = at(replica(Some("a")), 1, AttemptStage::Done, Some("a"));
        if let Some(status) = replica.status.as_mut() {
            status.failure = failure;
        }
        let case = Case::new(replica);
        let second = |it: i64| Timestamp::from_second(it).unwrap();
        if shortest > 0 {
            assert!(
                matches!(case.step_at(second(shortest - 1)), Step::Wait(problem, Some(_)) if problem.reason == reason)
            );
        }
        assert_eq!(recorded(case.step_at(second(longest))).attempt.number, 2, "{reason}");
    }
}

/// What the world may do between two steps.
#[derive(Clone, Debug)]
enum Happening {
    Nothing,
    PrepareSucceeds,
    PrepareFails,
    WarmUpSucceeds,
    WarmUpFails,
    PlanChanges,
    JobIsDeleted,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        Just(Happening::Nothing),
        Just(Happening::PrepareSucceeds),
        Just(Happening::PrepareFails),
        Just(Happening::WarmUpSucceeds),
        Just(Happening::WarmUpFails),
        Just(Happening::PlanChanges),
        Just(Happening::JobIsDeleted),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_no_job_is_created_before_its_attempt_is_recorded_and_it_ends_with_the_wanted_plan(
        happenings in prop::collection::vec(happening(), 0..40)
    ) {
        let mut plan = 0_u32;
        let mut case = Case::new(replica(Some("0")));
        let mut now = 0;
        let calm = std::iter::repeat_n(Happening::WarmUpSucceeds, 60);
        for happening in happenings.into_iter().chain(calm) {
            now += 10_000;
            match happening {
                Happening::PlanChanges => {
                    plan += 1;
                    let hash = plan.to_string();
                    case.replica.spec.plan = Some(PlanRef { config_map: "p".into(), hash, files: 1, bytes: 1 });
                }
                Happening::JobIsDeleted => (case.prepare, case.warm_up) = (None, None),
                Happening::PrepareFails if case.prepare.is_some() => case.prepare = Some(failed(Reason::VolumeError)),
                Happening::WarmUpFails if case.warm_up.is_some() => case.warm_up = Some(failed(Reason::Unreachable)),
                Happening::PrepareSucceeds | Happening::WarmUpSucceeds => {
                    let given = case.replica.status.as_ref().and_then(|it| it.attempt.as_ref()).and_then(|it| it.plan.clone());
                    case.prepare = case.prepare.as_ref().map(|_| succeeded(None));
                    case.warm_up = case.warm_up.as_ref().map(|_| succeeded(given.as_deref()));
                }
                _ => {}
            }
            let stage = case.replica.status.as_ref().and_then(|it| it.attempt.as_ref()).map(|it| it.stage);
            match case.step_at(Timestamp::from_second(now).unwrap()) {
                Step::Record(recording) => {
                    let number = case.replica.status.as_ref().and_then(|it| it.attempt.as_ref()).map_or(0, |it| it.number);
                    prop_assert!(recording.attempt.number == number || recording.attempt.number == number + 1);
                    if recording.attempt.number == number + 1 {
                        (case.prepare, case.warm_up) = (None, None);
                    }
                    let mut status = case.replica.status.clone().unwrap_or_default();
                    status.attempt = Some(recording.attempt);
                    status.failure = recording.failure;
                    status.holds = recording.holds.or(status.holds);
                    case.replica.status = Some(status);
                }
                Step::CreatePrepareJob => {
                    prop_assert_eq!(stage, Some(AttemptStage::Prepare));
                    case.prepare = Some(running());
                }
                Step::CreateWarmUpJob => {
                    prop_assert_eq!(stage, Some(AttemptStage::WarmUp));
                    case.warm_up = Some(running());
                }
                Step::AskForSlot(attempt) => {
                    let mut status = case.replica.status.clone().unwrap_or_default();
                    status.attempt = Some(attempt);
                    case.replica.status = Some(status);
                }
                Step::StopJob => case.warm_up = None,
                Step::Rest | Step::Wait(..) | Step::Watch { .. } => {}
                Step::CreateVerifyJob(_) | Step::RecordChecks(..) | Step::CreateCleanJob | Step::RecordCleaning(..) => {
                    prop_assert!(false, "nothing is scheduled");
                }
                Step::RecordRequested(..) | Step::RefuseReset(_) => prop_assert!(false, "nothing is asked for"),
            }
        }
        let wanted = plan.to_string();
        let holds = case.replica.status.and_then(|it| it.holds).map(|it| it.plan);
        prop_assert_eq!(holds, Some(wanted));
    }
}

#[test]
fn what_failed_is_tried_again_at_once_when_that_is_asked_for_and_counts_anew() {
    let now = Timestamp::UNIX_EPOCH;
    let mut case = Case::new(at(replica(Some("a")), 3, AttemptStage::Done, Some("a")));
    let failure = (0..6).fold(None, |it, _| Some(next_failure(it.as_ref(), Reason::Unreachable, "no answer", now)));
    case.replica.status.as_mut().unwrap().failure = failure;
    assert!(matches!(case.step(), Step::Wait(Problem { reason: Reason::Unreachable, .. }, Some(_))));
    case.asked.warm = Some("now".into());
    let begun = recorded(case.step());
    assert_eq!((begun.attempt.number, begun.failure.map(|it| it.count)), (4, Some(0)));
    case.suspended = true;
    assert!(matches!(case.step(), Step::Wait(Problem { reason: Reason::Suspended, .. }, None)), "not while suspended");
}
