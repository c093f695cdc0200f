//! How a clean-up that was asked for begins, and what is answered.

use super::super::cleaning::CleanedHere;
use super::super::requests::{Asked, CleanAsked};
use super::*;
use crate::api::model_cache_replica::{Holding, ModelCacheReplicaStatus, PlanRef, ReplicaNode};
use crate::api::timetable::Timetable;
use crate::contract::deeds::{Deed, Deeds};
use crate::contract::outcome::Cleaned;
use crate::operator::modelcache::build::fixtures::{cache, settings, volume};
use crate::operator::modelcache::build::replica::replica as build_replica;
use crate::operator::placement::NodeState;
use crate::operator::retry::next_failure;

struct Case {
    replica: ModelCacheReplica,
    suspended: bool,
    busy: Option<String>,
    work: Option<JobState>,
    said: Option<Outcome>,
}

impl Case {
    /// A copy at rest that holds what is wanted.
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
        Self { replica, suspended: false, busy: None, work: None, said: None }
    }

    /// The same, at work on a dry run as its fifth attempt.
    fn at_work() -> Self {
        let mut case = Self::new();
        let (plan, claim_uid) = (Some("a".into()), case.replica.spec.claim_uid.clone());
        let status = case.replica.status.as_mut().unwrap();
        status.attempt = Some(Attempt { number: 5, stage: AttemptStage::Clean, plan, claim_uid, restored: None });
        status.requested_cleanup = Some(RequestedCleanup {
            request: "now dry-run".into(),
            dry_run: true,
            attempt: 5,
            ..RequestedCleanup::default()
        });
        case
    }

    fn step(&self) -> Step {
        let clean = Some(CleanAsked { request: "now dry-run".into(), dry_run: true });
        Situation {
            replica: &self.replica,
            node: Some(NodeState::Ready),
            suspended: self.suspended,
            prepare: None,
            work: self.work.clone(),
            said: self.said.clone(),
            timetable: &Timetable::default(),
            cleaned_here: CleanedHere::No,
            asked: Asked { clean, ..Asked::default() },
            claim_busy: None,
            own_claim_busy: self.busy.clone(),
            retry: &settings().retry,
            now: Timestamp::UNIX_EPOCH,
        }
        .next_step()
    }

    fn answer(&self) -> RequestedCleanup {
        match self.step() {
            Step::RecordRequested(_, answer) => *answer,
            other => panic!("{other:?}"),
        }
    }
}

fn outcome(dry_run: bool) -> Outcome {
    let deed = Deed { rule: "old".into(), what: "deleted".into(), path: "a".into(), why: "old".into(), bytes: 7 };
    let deeds = Deeds { told: vec![deed], more: 3 };
    let clean = Some(Cleaned { dry_run, rules: 1, deleted: 4, freed_bytes: 28, ..Cleaned::default() });
    Outcome { clean, deeds, ..Outcome::success(Reason::Cleaned, "old: would be: 4 deleted") }
}

#[test]
fn a_copy_at_rest_is_cleaned_at_once_without_any_schedule() {
    let Step::AskForSlot(attempt) = Case::new().step() else { panic!() };
    assert_eq!((attempt.number, attempt.stage), (5, AttemptStage::Clean));
    let mut suspended = Case::new();
    suspended.suspended = true;
    assert_eq!(suspended.step(), Step::Rest, "when it is resumed");
}

#[test]
fn a_claim_that_is_busy_is_said_once_and_waited_for() {
    let mut case = Case::new();
    case.busy = Some("pod `app` has it".into());
    let waits = case.answer();
    assert_eq!((waits.time.as_ref(), waits.failure.as_ref().unwrap().reason), (None, Reason::VolumePending));
    case.replica.status.as_mut().unwrap().requested_cleanup = Some(waits);
    assert_eq!(case.step(), Step::Rest);
}

#[test]
fn a_copy_that_was_never_complete_is_not_cleaned_and_says_so() {
    let mut case = Case::new();
    let status = case.replica.status.as_mut().unwrap();
    status.holds = None;
    status.failure = Some(next_failure(None, Reason::Unreachable, "no answer", Timestamp::UNIX_EPOCH));
    let answer = case.answer();
    assert_eq!((answer.time.is_some(), answer.failure.unwrap().reason), (true, Reason::Unreachable));
}

#[test]
fn the_answer_has_what_would_go_one_by_one_and_its_sums() {
    let mut case = Case::at_work();
    assert_eq!(case.step(), Step::CreateCleanJob);
    case.work = Some(JobState::Succeeded(Box::new(outcome(true))));
    let Step::RecordRequested(Some(attempt), answer) = case.step() else { panic!() };
    assert_eq!((attempt.number, attempt.stage), (5, AttemptStage::Done));
    assert!(answer.time.is_some() && answer.failure.is_none());
    assert_eq!((answer.deeds[0].path.as_str(), answer.deeds[0].bytes, answer.more_deeds), ("a", 7, Some(3)));
    assert_eq!(answer.did.as_ref().unwrap().deleted, 4);
    assert_eq!(answered(&case.replica, &answer), None, "nothing was done, so there is no news");
}

#[test]
fn a_job_that_did_another_thing_than_was_asked_is_no_answer() {
    let mut case = Case::at_work();
    case.work = Some(JobState::Succeeded(Box::new(outcome(false))));
    let answer = case.answer();
    assert_eq!(answer.failure.unwrap().reason, Reason::NoEvidence);
    assert!(answer.deeds.is_empty() && answer.did.is_none());
}

#[test]
fn what_was_refused_is_answered_with_its_plan_and_what_was_evicted_is_made_again() {
    let mut case = Case::at_work();
    case.work = Some(JobState::Failed(Problem::new(Reason::DeletionRefused, "too much")));
    case.said = Some(Outcome { succeeded: false, ..outcome(true) });
    let answer = case.answer();
    assert_eq!((answer.failure.unwrap().reason, answer.deeds.len()), (Reason::DeletionRefused, 1));
    case.work = Some(JobState::Failed(Problem::new(Reason::Evicted, "drained")));
    let again = case.answer();
    assert_eq!(again.time, None);

    // Not at once: a node that turns every pod away would be asked without end.
    let status = case.replica.status.as_mut().unwrap();
    status.attempt.as_mut().unwrap().stage = AttemptStage::Done;
    status.requested_cleanup = Some(again);
    case.work = None;
    assert!(!matches!(case.step(), Step::Record(_)), "{:?}", case.step());
}

#[test]
fn what_keeps_its_pod_from_starting_is_said_once() {
    let mut case = Case::at_work();
    let problem = Some(Problem::new(Reason::Unschedulable, "no node"));
    case.work = Some(JobState::Running { problem, pod_ip: None });
    let waits = case.answer();
    assert_eq!((waits.time.as_ref(), waits.failure.as_ref().unwrap().reason), (None, Reason::Unschedulable));
    case.replica.status.as_mut().unwrap().requested_cleanup = Some(waits);
    assert!(matches!(case.step(), Step::Watch { stage: AttemptStage::Clean, .. }));
}
