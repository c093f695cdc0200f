//! When a copy is reset, and when nothing is removed.

use super::super::cleaning::CleanedHere;
use super::super::requests::Asked;
use super::*;
use crate::api::model_cache::Failure;
use crate::api::model_cache_replica::{Holding, ModelCacheReplicaStatus, PlanRef, ReplicaNode};
use crate::api::timetable::Timetable;
use crate::operator::modelcache::build::fixtures::{cache, settings, volume};
use crate::operator::modelcache::build::replica::replica as build_replica;
use crate::operator::placement::NodeState;
use jiff::Timestamp;

struct Case {
    replica: ModelCacheReplica,
    node: NodeState,
    suspended: bool,
    readers: Vec<String>,
    busy: Option<String>,
}

impl Case {
    /// A copy at rest that holds what is wanted, and whose reset is asked for.
    fn new() -> Self {
        let cache = cache();
        let name = || "node-1".to_owned();
        let node = ReplicaNode { name: name(), uid: name(), hostname: name(), pool: "gpu".into() };
        let plan = PlanRef { config_map: "p".into(), hash: "a".into(), files: 3, bytes: 9 };
        let mut replica = build_replica(&cache, "studio-models-0", &volume(&cache), Some(node), Some(plan));
        let claim_uid = replica.spec.claim_uid.clone();
        let holds = Holding { plan: "a".into(), claim_uid, files: 3, bytes: 9, fetched_bytes: 9, restored: None };
        let attempt = Attempt { number: 4, stage: AttemptStage::Done, plan: None, claim_uid: None, restored: None };
        replica.status = Some(ModelCacheReplicaStatus {
            holds: Some(holds),
            attempt: Some(attempt),
            ..ModelCacheReplicaStatus::default()
        });
        Self { replica, node: NodeState::Ready, suspended: false, readers: vec![], busy: None }
    }

    fn step(&self) -> Step {
        let asked = Asked { reset: Some("one".into()), readers: self.readers.clone(), ..Asked::default() };
        Situation {
            replica: &self.replica,
            node: Some(self.node),
            suspended: self.suspended,
            prepare: None,
            work: None,
            said: None,
            timetable: &Timetable::default(),
            cleaned_here: CleanedHere::No,
            asked,
            claim_busy: self.busy.clone(),
            own_claim_busy: None,
            retry: &settings().retry,
            now: Timestamp::UNIX_EPOCH,
        }
        .next_step()
    }

    /// Why nothing is removed.
    fn refused(&self) -> (Reason, String) {
        let Step::RefuseReset(reset) = self.step() else { panic!("{:?}", self.step()) };
        assert!(reset.time.is_some() && reset.request == "one", "{reset:?}");
        let failure = reset.failure.unwrap();
        assert!(failure.message.starts_with("nothing was removed: "), "{}", failure.message);
        (failure.reason, failure.message)
    }
}

#[test]
fn a_copy_that_nobody_reads_asks_for_its_turn_and_then_warms_up() {
    let Step::AskForSlot(attempt) = Case::new().step() else { panic!() };
    assert_eq!((attempt.number, attempt.stage, attempt.plan.as_deref()), (5, AttemptStage::WarmUp, Some("a")));
}

#[test]
fn a_copy_that_was_never_complete_is_made_from_the_beginning() {
    let mut case = Case::new();
    case.replica.status.as_mut().unwrap().holds = None;
    let Step::Record(recording) = case.step() else { panic!("{:?}", case.step()) };
    assert_eq!((recording.attempt.number, recording.attempt.stage), (5, AttemptStage::Prepare));
}

#[test]
fn a_reset_that_was_evicted_goes_on_after_a_pause_and_never_says_that_nothing_was_removed() {
    let mut case = Case::new();
    let status = case.replica.status.as_mut().unwrap();
    status.holds = None;
    status.requested_reset = Some(RequestedReset { request: "one".into(), attempt: 4, time: None, failure: None });
    let time = Timestamp::UNIX_EPOCH.to_string();
    status.failure = Some(Failure { reason: Reason::Evicted, message: "drained".into(), count: 0, time });
    let Step::Wait(problem, Some(due)) = case.step() else { panic!("{:?}", case.step()) };
    assert_eq!(problem.reason, Reason::Evicted);
    assert!(due > Timestamp::UNIX_EPOCH);
    case.replica.status.as_mut().unwrap().failure = None;
    case.node = NodeState::Cordoned;
    assert!(matches!(case.step(), Step::Wait(problem, Some(_)) if problem.reason == Reason::NodeCordoned));
    case.node = NodeState::Ready;
    case.readers = vec!["app".into()];
    assert!(matches!(case.step(), Step::Wait(problem, Some(_)) if problem.reason == Reason::InUse));
    case.readers = vec![];
    assert!(matches!(case.step(), Step::Record(recording) if recording.attempt.number == 5));
}

#[test]
fn what_is_in_the_way_refuses_a_reset_at_once_and_says_what() {
    let mut case = Case::new();
    case.readers = ["app-1", "app-2", "app-3", "app-4"].map(str::to_owned).to_vec();
    let (reason, message) = case.refused();
    assert_eq!(reason, Reason::InUse);
    assert!(message.contains("pods `app-1`, `app-2`, `app-3` and 1 more mount it"), "{message}");
    let mut case = Case::new();
    case.suspended = true;
    assert_eq!(case.refused().0, Reason::Suspended);
    let mut case = Case::new();
    case.node = NodeState::Cordoned;
    assert_eq!(case.refused().0, Reason::NodeCordoned);
    let mut case = Case::new();
    case.replica.spec.plan = None;
    assert_eq!(case.refused().0, Reason::Pending);
    let mut case = Case::new();
    case.busy = Some("somebody has it".into());
    assert_eq!(case.refused().0, Reason::VolumePending);
}

#[test]
fn a_pod_that_comes_before_the_job_keeps_what_is_there() {
    let mut case = Case::new();
    let plan = case.replica.spec.plan.as_ref().map(|it| it.hash.clone());
    let claim_uid = case.replica.spec.claim_uid.clone();
    let status = case.replica.status.as_mut().unwrap();
    status.holds = None;
    status.attempt = Some(Attempt { number: 5, stage: AttemptStage::WarmUp, plan, claim_uid, restored: None });
    status.requested_reset = Some(RequestedReset { request: "one".into(), attempt: 5, time: None, failure: None });
    assert_eq!(case.step(), Step::CreateWarmUpJob);
    assert!(removes(&case.replica, 5) && !removes(&case.replica, 6));
    case.readers = vec!["app".into()];
    assert_eq!(case.refused().0, Reason::InUse);
    let status = case.replica.status.as_mut().unwrap();
    status.requested_reset.as_mut().unwrap().time = Some("t".into());
    assert_eq!(case.step(), Step::CreateWarmUpJob, "an ordinary one, which finds what is there");
    assert!(!removes(&case.replica, 5));
}
