//! When a copy is checked, and what is recorded of it.

use super::*;
use crate::api::ModelCacheReplica;
use crate::api::model_cache_replica::{Holding, ModelCacheReplicaStatus, PlanRef, ReplicaNode};
use crate::contract::outcome::{Evidence, VerifyEvidence};
use crate::operator::modelcache::build::fixtures::{cache, settings, volume};
use crate::operator::modelcache::build::replica::replica as build_replica;
use crate::operator::placement::NodeState;
use crate::operator::replica::cleaning::CleanedHere;
use crate::operator::replica::requests::Asked;
use serde_json::json;

const BEFORE: &str = "2026-11-21T12:00:00Z";
/// After every run of a day, however it is moved.
const DUE: &str = "2026-11-22T12:00:00Z";

fn timetable(verify: &serde_json::Value) -> crate::api::timetable::Timetable {
    let mut cache = cache();
    cache.spec.verify = serde_json::from_value(verify.clone()).unwrap();
    crate::api::timetable::Timetable::of(&cache.spec).unwrap()
}

/// A copy that holds what is wanted, with these checks known.
fn copy(known: Option<Verification>) -> ModelCacheReplica {
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
    let attempt = Attempt { number: 4, stage: AttemptStage::Done, plan: Some("a".into()), claim_uid, restored: None };
    replica.status = Some(ModelCacheReplicaStatus {
        holds: Some(holds),
        attempt: Some(attempt),
        verification: known,
        ..ModelCacheReplicaStatus::default()
    });
    replica
}

struct Case {
    replica: ModelCacheReplica,
    verify: serde_json::Value,
    node: NodeState,
    suspended: bool,
    work: Option<JobState>,
    said: Option<Outcome>,
    asked: Asked,
    claim_busy: Option<String>,
}

impl Case {
    fn new(known: Option<Verification>, verify: serde_json::Value) -> Self {
        let (node, asked) = (NodeState::Ready, Asked::default());
        Self { replica: copy(known), verify, node, suspended: false, work: None, said: None, asked, claim_busy: None }
    }

    /// The step now, and what time wakes.
    fn look(&self, now: &str) -> (Step, Option<Timestamp>) {
        let situation = Situation {
            replica: &self.replica,
            node: Some(self.node),
            suspended: self.suspended,
            prepare: None,
            work: self.work.clone(),
            said: self.said.clone(),
            timetable: &timetable(&self.verify),
            cleaned_here: CleanedHere::No,
            asked: self.asked.clone(),
            claim_busy: None,
            own_claim_busy: self.claim_busy.clone(),
            retry: &settings().retry,
            now: now.parse().unwrap(),
        };
        (situation.next_step(), situation.next_scheduled())
    }

    fn step(&self, now: &str) -> Step {
        self.look(now).0
    }

    /// The check under way, with this end.
    fn ended(stage: AttemptStage, work: JobState, said: Option<Outcome>) -> (Verification, Verification) {
        let verify = json!({"quick": "0 4 * * *", "deep": "0 5 * * *"});
        let mut case = Self::new(Some(remembered(&verify)), verify);
        case.replica.status.as_mut().unwrap().attempt.as_mut().unwrap().stage = stage;
        (case.work, case.said) = (Some(work), said);
        let before = case.replica.status.as_ref().unwrap().verification.clone().unwrap();
        match case.step(DUE) {
            Step::RecordChecks(Some(attempt), checks) if attempt.stage == AttemptStage::Done => (before, *checks),
            other => panic!("{other:?}"),
        }
    }
}

/// What is remembered once the schedules were seen.
fn remembered(verify: &serde_json::Value) -> Verification {
    match Case::new(None, verify.clone()).step(BEFORE) {
        Step::RecordChecks(None, checks) => *checks,
        other => panic!("{other:?}"),
    }
}

fn success(plan: &str, files: u64, deep: bool) -> JobState {
    let mut outcome = Outcome::success(Reason::Warmed, "as published");
    outcome.evidence = Some(Evidence { plan: plan.into(), files, ..Evidence::default() });
    outcome.verify = Some(VerifyEvidence { files, bytes: 9, damaged: 0, deep });
    JobState::Succeeded(Box::new(outcome))
}

#[test]
fn a_schedule_is_remembered_first_and_a_check_comes_at_its_time_and_not_before() {
    let verify = json!({"quick": "0 4 * * *"});
    let known = remembered(&verify);
    let next: jiff::Timestamp = known.quick.as_ref().unwrap().next.parse().unwrap();
    assert!(next >= "2026-11-22T04:00:00Z".parse().unwrap() && next < "2026-11-22T05:00:00Z".parse().unwrap());
    let case = Case::new(Some(known), verify);
    assert_eq!(case.step(BEFORE), Step::Rest);
    assert_eq!(case.look(BEFORE).1, Some(next), "time wakes it");
    let Step::AskForSlot(attempt) = case.step(DUE) else { panic!("a check") };
    assert_eq!((attempt.number, attempt.stage), (5, AttemptStage::QuickVerify));
}

#[test]
fn who_hashes_every_file_has_also_looked_at_it() {
    let verify = json!({"quick": "0 4 * * *", "deep": "0 5 * * *"});
    let case = Case::new(Some(remembered(&verify)), verify);
    assert!(matches!(case.step(DUE), Step::AskForSlot(it) if it.stage == AttemptStage::DeepVerify));
    let (_, checks) = Case::ended(AttemptStage::DeepVerify, success("a", 3, true), None);
    let done = |run: Option<ScheduledRun>| run.and_then(|it| it.last_success);
    assert_eq!((done(checks.quick).as_deref(), done(checks.deep).as_deref()), (Some(DUE), Some(DUE)));
    let (before, checks) = Case::ended(AttemptStage::QuickVerify, success("a", 3, false), None);
    assert_eq!((done(checks.quick).as_deref(), checks.deep), (Some(DUE), before.deep));
}

#[test]
fn nothing_is_checked_on_a_node_that_is_cordoned_or_silent_nor_in_a_suspended_cache() {
    let verify = json!({"deep": "0 4 * * *"});
    for (node, suspended) in [(NodeState::Cordoned, false), (NodeState::NotReady, false), (NodeState::Ready, true)] {
        let case = Case { node, suspended, ..Case::new(Some(remembered(&verify)), verify.clone()) };
        assert_eq!(case.step(DUE), Step::Rest);
        assert_eq!(case.look(DUE).1, None, "time alone changes nothing");
    }
}

#[test]
fn a_check_stops_for_a_new_plan_and_what_was_not_begun_is_still_due() {
    let verify = json!({"deep": "0 4 * * *"});
    let mut case = Case::new(Some(remembered(&verify)), verify);
    case.replica.status.as_mut().unwrap().attempt.as_mut().unwrap().stage = AttemptStage::DeepVerify;
    assert_eq!(case.step(DUE), Step::CreateVerifyJob(AttemptStage::DeepVerify));
    case.work = Some(JobState::Running { problem: None, pod_ip: None });
    assert!(matches!(case.step(DUE), Step::Watch { stage: AttemptStage::DeepVerify, .. }));
    case.replica.spec.plan.as_mut().unwrap().hash = "b".into();
    assert_eq!(case.step(DUE), Step::StopJob);
    case.work = None;
    let known = case.replica.status.as_ref().unwrap().verification.clone().unwrap();
    let Step::RecordChecks(Some(over), checks) = case.step(DUE) else { panic!("over") };
    assert_eq!((over.stage, *checks), (AttemptStage::Done, known));
}

#[test]
fn damage_is_recorded_with_what_is_damaged_and_the_schedule_goes_on() {
    let problem = Problem::new(Reason::Damaged, "2 damaged: a.bin; b.bin");
    let mut said = Outcome::failure(Reason::Damaged, "2 damaged");
    said.verify = Some(VerifyEvidence { files: 1, bytes: 1, damaged: 2, deep: true });
    let (_, checks) = Case::ended(AttemptStage::DeepVerify, JobState::Failed(problem), Some(said));
    let damage = checks.damage.unwrap();
    assert_eq!((damage.files, damage.message.as_str()), (2, "2 damaged: a.bin; b.bin"));
    let run = checks.deep.unwrap();
    assert_eq!((run.last_success, run.failure), (None, None), "damage is a result, and no success");
    assert!(run.next.as_str() > DUE);
}

#[test]
fn a_check_without_proof_is_not_done_and_is_tried_again() {
    let silent = JobState::Succeeded(Box::new(Outcome::success(Reason::Warmed, "ok")));
    let evicted = JobState::Failed(Problem::new(Reason::OutOfMemory, "x"));
    for (work, reason) in [
        (silent, Reason::NoEvidence),
        (success("b", 3, true), Reason::NoEvidence),
        (success("a", 2, true), Reason::NoEvidence),
        (success("a", 3, false), Reason::NoEvidence),
        (evicted, Reason::OutOfMemory),
    ] {
        let (before, checks) = Case::ended(AttemptStage::DeepVerify, work, None);
        let (run, known) = (checks.deep.unwrap(), before.deep.unwrap());
        assert_eq!((run.failure.map(|it| it.reason), run.last_success), (Some(reason), None));
        assert_eq!(run.next, known.next, "it stays due");
        assert!(checks.damage.is_none());
    }
}

#[test]
fn a_policy_that_is_taken_away_is_forgotten() {
    let known = remembered(&json!({"quick": "0 4 * * *", "deep": "0 5 * * *"}));
    let case = Case::new(Some(known), serde_json::Value::Null);
    assert_eq!(case.step(BEFORE), Step::RecordChecks(None, Box::default()));
}

#[test]
fn a_check_that_is_asked_for_is_done_once_also_where_none_is_scheduled() {
    let mut case = Case::new(None, json!({}));
    assert_eq!(case.step(DUE), Step::Rest);
    case.asked.verify = Some("now".into());
    let Step::AskForSlot(attempt) = case.step(DUE) else { panic!("it is due") };
    assert_eq!(attempt.stage, AttemptStage::DeepVerify);
    case.replica.status.as_mut().unwrap().attempt = Some(attempt);
    case.work = Some(JobState::Failed(Problem::new(Reason::Unschedulable, "no node")));
    let Step::RecordChecks(Some(done), checks) = case.step(DUE) else { panic!("it is over") };
    let answer = checks.requested.clone().unwrap();
    assert_eq!((answer.request.as_str(), answer.failure.unwrap().reason), ("now", Reason::Unschedulable));
    assert_eq!(done.stage, AttemptStage::Done);
    assert_eq!(checks.deep, None, "nothing is scheduled by it");
    let (note, found) = news(&case.replica, &checks);
    assert!(note.unwrap().warning && found == Some(Found::Failed));
}

#[test]
fn a_check_that_waits_for_the_pod_that_has_the_claim_looks_again_by_itself() {
    let scheduled = json!({"deep": "0 4 * * *"});
    let requested = Asked { verify: Some("now".into()), ..Asked::default() };
    for (what, known, verify, asked) in [
        ("scheduled", Some(remembered(&scheduled)), scheduled.clone(), Asked::default()),
        ("asked for", None, json!({}), requested.clone()),
        ("both", Some(remembered(&scheduled)), scheduled.clone(), requested),
    ] {
        let busy = Some("pod `server` has the ReadWriteOncePod claim".to_owned());
        let mut case = Case { asked, claim_busy: busy, ..Case::new(known, verify) };
        let (step, next) = case.look(DUE);
        assert_eq!(step, Step::Rest, "{what}: it waits");
        let soon = DUE.parse::<Timestamp>().unwrap().checked_add(BUSY).unwrap();
        assert_eq!(next, Some(soon), "{what}: no pod of somebody else wakes us by ending");
        case.claim_busy = None;
        assert!(matches!(case.step(DUE), Step::AskForSlot(it) if it.stage == AttemptStage::DeepVerify), "{what}");
    }
}
