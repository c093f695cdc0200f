//! When a copy is cleaned, what is recorded of it, and that no failure makes a storm.

use super::*;
use crate::api::model_cache_replica::{Holding, ModelCacheReplicaStatus, PlanRef, ReplicaNode};
use crate::api::timetable::Timetable;
use crate::contract::outcome::Outcome;
use crate::operator::modelcache::build::fixtures::{cache, settings, volume};
use crate::operator::modelcache::build::replica::replica as build_replica;
use crate::operator::placement::NodeState;
use crate::operator::replica::requests::Asked;
use crate::operator::retry::next_failure;
use serde_json::json;
use std::collections::BTreeSet;

const BEFORE: &str = "2026-11-21T12:00:00Z";
/// After every run of a day, however it is moved.
const DUE: &str = "2026-11-22T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

struct Case {
    replica: ModelCacheReplica,
    schedule: &'static str,
    verify: serde_json::Value,
    here: CleanedHere,
    node: NodeState,
    suspended: bool,
    busy: Option<String>,
    work: Option<JobState>,
    said: Option<Outcome>,
}

impl Case {
    /// A copy that holds what is wanted, with the schedule seen.
    fn new() -> Self {
        let cache = cache();
        let name = || "node-1".to_owned();
        let node = ReplicaNode { name: name(), uid: name(), hostname: name(), pool: "gpu".into() };
        let plan = PlanRef { config_map: "p".into(), hash: "a".into(), files: 3, bytes: 9 };
        let mut replica = build_replica(&cache, "studio-models-0", &volume(&cache), Some(node), Some(plan));
        let claim_uid = Some("claim-uid".to_owned());
        let holds = Holding {
            plan: "a".into(),
            claim_uid: claim_uid.clone(),
            files: 3,
            bytes: 9,
            fetched_bytes: 9,
            restored: None,
        };
        let attempt =
            Attempt { number: 4, stage: AttemptStage::Done, plan: Some("a".into()), claim_uid, restored: None };
        replica.status = Some(ModelCacheReplicaStatus {
            holds: Some(holds),
            attempt: Some(attempt),
            ..ModelCacheReplicaStatus::default()
        });
        let mut case = Self {
            replica,
            schedule: "0 4 * * *",
            verify: serde_json::Value::Null,
            here: CleanedHere::Yes,
            node: NodeState::Ready,
            suspended: false,
            busy: None,
            work: None,
            said: None,
        };
        case.record(BEFORE);
        case
    }

    /// The step now, and what time wakes.
    fn look(&self, now: &str) -> (Step, Option<Timestamp>) {
        let (mut cache, retry) = (cache(), settings().retry);
        let rules = json!([{"name": "old", "cache": {}}]);
        cache.spec.cleanup = serde_json::from_value(json!({"schedule": self.schedule, "rules": rules})).unwrap();
        cache.spec.verify = serde_json::from_value(self.verify.clone()).unwrap();
        let timetable = Timetable::of(&cache.spec).unwrap();
        let situation = Situation {
            replica: &self.replica,
            node: Some(self.node),
            suspended: self.suspended,
            prepare: None,
            work: self.work.clone(),
            said: self.said.clone(),
            timetable: &timetable,
            cleaned_here: self.here,
            asked: Asked::default(),
            claim_busy: None,
            own_claim_busy: self.busy.clone(),
            retry: &retry,
            now: at(now),
        };
        (situation.next_step(), situation.next_scheduled())
    }

    fn step(&self, now: &str) -> Step {
        self.look(now).0
    }

    fn next(&self, now: &str) -> Option<Timestamp> {
        self.look(now).1
    }

    /// Does the step, which must be a recording.
    fn record(&mut self, now: &str) -> Option<Cleaning> {
        let Step::RecordCleaning(attempt, cleaning) = self.step(now) else { panic!("{:?}", self.step(now)) };
        let status = self.replica.status.as_mut().unwrap();
        status.attempt = attempt.or(status.attempt.take());
        status.cleanup = cleaning.map(|it| *it);
        status.cleanup.clone()
    }

    /// The clean-up under way, with this end.
    fn ended(&mut self, work: JobState, said: Option<Outcome>, now: &str) -> Cleaning {
        self.replica.status.as_mut().unwrap().attempt.as_mut().unwrap().stage = AttemptStage::Clean;
        (self.work, self.said) = (Some(work), said);
        let cleaning = self.record(now).unwrap();
        self.work = None;
        assert_eq!(self.replica.status.as_ref().unwrap().attempt.as_ref().unwrap().stage, AttemptStage::Done);
        cleaning
    }

    fn known(&self) -> Cleaning {
        self.replica.status.as_ref().unwrap().cleanup.clone().unwrap()
    }

    fn begins(&self, now: &str) -> bool {
        matches!(self.step(now), Step::AskForSlot(it) if it.stage == AttemptStage::Clean && it.number == 5)
    }
}

fn outcome(freed: u64) -> Outcome {
    let mut outcome = Outcome::success(Reason::Cleaned, "clean");
    let clean = Cleaned { rules: 1, deleted: 1, freed_bytes: freed, gained_bytes: freed / 2, ..Cleaned::default() };
    outcome.clean = Some(clean);
    outcome
}

fn success(freed: u64) -> JobState {
    JobState::Succeeded(Box::new(outcome(freed)))
}

fn failed(reason: Reason) -> JobState {
    JobState::Failed(Problem::new(reason, format!("it says {reason}")))
}

#[test]
fn a_schedule_is_remembered_first_and_a_run_comes_at_its_time_and_not_before() {
    let case = Case::new();
    let next = at(&case.known().run.next);
    assert!(next >= at("2026-11-22T04:00:00Z") && next < at("2026-11-22T05:00:00Z"), "spread over nodes");
    assert_eq!(case.step(BEFORE), Step::Rest);
    assert_eq!(case.next(BEFORE), Some(next), "time wakes it");
    assert!(case.begins(DUE));
    assert!(case.begins("2026-12-24T12:00:00Z"), "an absence costs one run");
}

#[test]
fn a_run_says_what_it_did_and_when_the_next_one_is_due() {
    let mut case = Case::new();
    let before = case.replica.clone();
    let cleaning = case.ended(success(4096), None, DUE);
    assert_eq!((cleaning.run.last_success.as_deref(), cleaning.run.failure.clone()), (Some(DUE), None));
    assert!(at(&cleaning.run.next) > at(DUE));
    let done = cleaning.did.clone().unwrap();
    assert_eq!((done.freed_bytes, done.gained_bytes, done.deleted), (4096, 2048, 1));
    let ran = ran(&before, Some(&cleaning)).unwrap();
    assert!(ran.succeeded && ran.freed == 4096);
    let note = ran.note.unwrap();
    assert_eq!(
        note.message,
        "volume `models` on node `node-1`: 1 deleted, 4.0 KiB freed, 2.0 KiB more free than before"
    );
    assert_eq!(case.step(DUE), Step::Rest);
}

#[test]
fn nothing_is_cleaned_where_nothing_may_begin() {
    for (node, suspended, here) in [
        (NodeState::Cordoned, false, CleanedHere::Yes),
        (NodeState::NotReady, false, CleanedHere::Yes),
        (NodeState::Ready, true, CleanedHere::Yes),
        (NodeState::Ready, false, CleanedHere::Suspended),
    ] {
        let case = Case { here, node, suspended, ..Case::new() };
        assert_eq!(case.step(DUE), Step::Rest, "{node:?} {suspended} {here:?}");
        assert_eq!(case.next(DUE), None, "time alone changes nothing");
    }
    let case = Case { here: CleanedHere::No, ..Case::new() };
    assert_eq!(case.step(DUE), Step::RecordCleaning(None, None), "what nobody asks for is forgotten");
}

#[test]
fn a_copy_whose_warm_up_failed_is_cleaned_meanwhile_if_something_was_complete_there_before() {
    let mut case = Case::new();
    case.replica.spec.plan.as_mut().unwrap().hash = "b".into();
    let now = at(DUE);
    let full = next_failure(None, Reason::InsufficientSpace, "the disk is full", now);
    case.replica.status.as_mut().unwrap().failure = Some(full);
    let Step::AskForSlot(attempt) = case.step(DUE) else { panic!("{:?}", case.step(DUE)) };
    assert_eq!(
        (attempt.stage, attempt.plan.as_deref()),
        (AttemptStage::Clean, Some("b")),
        "what is wanted is protected"
    );
    case.replica.status.as_mut().unwrap().holds = None;
    assert!(matches!(case.step(DUE), Step::Wait(..)), "there may be no directory yet");
}

#[test]
fn a_clean_up_stops_for_a_new_plan_and_is_still_due() {
    let mut case = Case::new();
    case.replica.status.as_mut().unwrap().attempt.as_mut().unwrap().stage = AttemptStage::Clean;
    assert_eq!(case.step(DUE), Step::CreateCleanJob);
    case.work = Some(JobState::Running { problem: None, pod_ip: None });
    assert!(matches!(case.step(DUE), Step::Watch { stage: AttemptStage::Clean, .. }));
    case.replica.spec.plan.as_mut().unwrap().hash = "b".into();
    assert_eq!(case.step(DUE), Step::StopJob);
    case.work = None;
    let (before, known) = (case.replica.clone(), case.known());
    assert_eq!(case.record(DUE), Some(known));
    assert_eq!(ran(&before, case.replica.status.as_ref().unwrap().cleanup.as_ref()), None, "no news");
    case.replica.spec.plan.as_mut().unwrap().hash = "a".into();
    assert!(case.begins(DUE));
}

#[test]
fn what_keeps_a_clean_up_from_running_is_said_once_and_is_no_run() {
    let mut case = Case { busy: Some("pod `app` has the claim".into()), ..Case::new() };
    case.record(DUE);
    let failure = case.known().run.failure.unwrap();
    assert_eq!((failure.reason, failure.count), (Reason::VolumePending, 0));
    for second in ["12:00:01", "12:00:59", "13:00:00"] {
        let now = format!("2026-11-22T{second}Z");
        assert_eq!(case.step(&now), Step::Rest, "{now}");
        assert!(case.next(&now).is_some(), "it is looked for again");
    }
    case.busy = None;
    assert!(case.begins("2026-11-22T13:00:00Z"));

    let mut case = Case::new();
    case.replica.status.as_mut().unwrap().attempt.as_mut().unwrap().stage = AttemptStage::Clean;
    let problem = Some(Problem::new(Reason::Unschedulable, "no node takes it"));
    case.work = Some(JobState::Running { problem, pod_ip: None });
    case.record(DUE);
    assert!(matches!(case.step(DUE), Step::Watch { .. }));
}

/// Runs of a day at a schedule whose every run ends so; and how often it ran.
fn runs_of_a_day(schedule: &'static str, reason: Reason) -> usize {
    let mut case = Case { schedule, ..Case::new() };
    if case.step(BEFORE) != Step::Rest {
        case.record(BEFORE);
    }
    let (start, mut runs) = (at(BEFORE), BTreeSet::new());
    for minute in 0..24 * 60 {
        let now = start.checked_add(std::time::Duration::from_secs(60 * minute)).unwrap().to_string();
        while let Step::AskForSlot(_) = case.step(&now) {
            let cleaning = case.ended(failed(reason), None, &now);
            assert_eq!(cleaning.run.failure.map(|it| it.reason), Some(reason));
            assert!(runs.insert(now.clone()), "twice in a minute: {now}");
        }
    }
    runs.len()
}

#[test]
fn no_failure_makes_a_storm() {
    for (schedule, reason, most) in [
        // A person must act, or the next run sees to it: never before that.
        ("0 4 * * *", Reason::DeletionRefused, 1),
        ("0 4 * * *", Reason::InvalidSpec, 1),
        ("0 4 * * *", Reason::VolumeError, 1),
        ("0 4 * * *", Reason::Superseded, 1),
        // It may pass: twice more.
        ("0 4 * * *", Reason::NoEvidence, 3),
        ("0 4 * * *", Reason::OutOfMemory, 3),
        // Others came first: now and then.
        ("0 4 * * *", Reason::Evicted, 24 * 4),
        // Every minute is asked for, and a person must act: every ten.
        ("* * * * *", Reason::DeletionRefused, 24 * 6 + 1),
    ] {
        let runs = runs_of_a_day(schedule, reason);
        assert!((1..=most).contains(&runs), "{schedule} {reason}: {runs} runs a day");
    }
}

#[test]
fn what_a_failed_run_freed_counts_and_silence_is_no_success() {
    let mut case = Case::new();
    let before = case.replica.clone();
    let said = Outcome { succeeded: false, reason: Reason::DeletionRefused, ..outcome(512) };
    let cleaning = case.ended(failed(Reason::DeletionRefused), Some(said), DUE);
    assert_eq!(cleaning.did.as_ref().unwrap().freed_bytes, 512);
    let told = ran(&before, Some(&cleaning)).unwrap();
    assert!(!told.succeeded && told.freed == 512 && told.note.unwrap().warning);

    for silent in [None, Some(Cleaned { dry_run: true, rules: 1, ..Cleaned::default() }), Some(Cleaned::default())] {
        let mut case = Case::new();
        let outcome = Outcome { clean: silent, ..Outcome::success(Reason::Cleaned, "ok") };
        let cleaning = case.ended(JobState::Succeeded(Box::new(outcome)), None, DUE);
        assert_eq!(cleaning.run.failure.map(|it| it.reason), Some(Reason::NoEvidence));
        assert_eq!((cleaning.run.last_success, cleaning.did), (None, None));
    }
}

#[test]
fn what_is_due_for_longest_comes_first() {
    let verify = json!({"deep": "0 9 * * *"});
    let mut case = Case { verify, ..Case::new() };
    let Step::RecordChecks(None, checks) = case.step(BEFORE) else { panic!("checks are remembered") };
    case.replica.status.as_mut().unwrap().verification = Some(*checks);
    assert!(case.begins(DUE), "the clean-up is due since 04:00, the check since 09:00");
    case.ended(success(0), None, DUE);
    case.replica.status.as_mut().unwrap().attempt.as_mut().unwrap().number = 4;
    assert!(matches!(case.step(DUE), Step::AskForSlot(it) if it.stage == AttemptStage::DeepVerify));
}
