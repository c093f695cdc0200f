//! The steps of work that is done once, as tables, and what is said of each.

use super::*;
use std::time::Duration;

fn policy() -> RetryPolicy {
    RetryPolicy { first: Duration::from_secs(10), most: Duration::from_secs(900), stalled: Duration::from_secs(600) }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "as the field of the case has it")]
fn attempt(number: i64, stage: RunStage) -> Option<RunAttempt> {
    Some(RunAttempt { number, stage })
}

#[expect(clippy::unnecessary_wraps, reason = "as the field of the case has it")]
fn failure(reason: Reason) -> Option<Failure> {
    Some(next_failure(None, reason, "it failed", at(0)))
}

/// What is decided: an attempt, a failure, a Job; seconds after the failure.
struct Case {
    attempt: Option<RunAttempt>,
    failure: Option<Failure>,
    job: Option<JobState>,
    obstacle: bool,
    scheduled: bool,
    now: i64,
}

impl Case {
    fn new(attempt: Option<RunAttempt>) -> Self {
        Self { attempt, failure: None, job: None, obstacle: false, scheduled: false, now: 0 }
    }

    fn step(&self) -> Step {
        let policy = policy();
        let situation = Situation {
            attempt: self.attempt.as_ref(),
            failure: self.failure.as_ref(),
            complete: false,
            job: self.job.clone(),
            obstacle: self.obstacle.then(|| Problem::new(Reason::Suspended, "suspended")),
            scheduled: self.scheduled,
            evidence: |it| it.message == "with evidence",
            retry: &policy,
            seed: "x",
            now: at(self.now),
        };
        situation.next_step()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the field of the case has it")]
fn succeeded(message: &str) -> Option<JobState> {
    Some(JobState::Succeeded(Box::new(Outcome::success(Reason::BackedUp, message))))
}

#[test]
fn an_attempt_is_recorded_before_its_job_is_created() {
    assert_eq!(Case::new(None).step(), Step::Begin(1));
    assert_eq!(Case::new(attempt(1, RunStage::Running)).step(), Step::CreateJob(1));
}

#[test]
fn nothing_is_begun_while_something_is_in_the_way_and_what_runs_is_left_to_finish() {
    for it in [None, attempt(1, RunStage::Running)] {
        let case = Case { obstacle: true, ..Case::new(it) };
        assert!(matches!(case.step(), Step::Wait(problem, None) if problem.reason == Reason::Suspended));
    }
    let job = Some(JobState::Running { problem: None, pod_ip: None });
    let runs = Case { obstacle: true, job, ..Case::new(attempt(1, RunStage::Running)) };
    assert_eq!(runs.step(), Step::Watch(None));
}

#[test]
fn success_needs_evidence() {
    let with = Case { job: succeeded("with evidence"), ..Case::new(attempt(2, RunStage::Running)) };
    assert!(matches!(with.step(), Step::Succeed(2, _)));
    let without = Case { job: succeeded("all is well"), ..Case::new(attempt(2, RunStage::Running)) };
    assert!(matches!(without.step(), Step::Fail(2, it) if it.reason == Reason::NoEvidence));
    let gone = Case { scheduled: true, ..Case::new(attempt(1, RunStage::Running)) };
    assert!(matches!(gone.step(), Step::Fail(1, it) if it.reason == Reason::NoEvidence));
}

#[test]
fn what_passes_by_itself_is_tried_again_soon_and_what_a_person_must_mend_slowly() {
    let done = || Case::new(attempt(1, RunStage::Done));
    let soon = |now| Case { failure: failure(Reason::Unreachable), now, ..done() }.step();
    assert!(matches!(soon(1), Step::Wait(_, Some(_))));
    assert_eq!(soon(60), Step::Begin(2));
    let slow = |now| Case { failure: failure(Reason::Unauthorized), now, ..done() }.step();
    assert!(matches!(slow(60), Step::Wait(_, Some(_))));
    assert_eq!(slow(900), Step::Begin(2));
}

#[test]
fn it_is_given_up_after_a_few_attempts_and_a_scheduled_one_is_the_cron_jobs() {
    let exhausted =
        Case { failure: failure(Reason::Unreachable), now: 99_999, ..Case::new(attempt(6, RunStage::Done)) };
    assert_eq!(exhausted.step(), Step::Rest);
    let scheduled = Case { scheduled: true, ..exhausted };
    assert_eq!(Case { attempt: attempt(1, RunStage::Done), ..scheduled }.step(), Step::Rest);
}

#[test]
fn what_is_said_follows_the_contract_of_kstatus() {
    let said = |failure: Option<Failure>, attempt, scheduled| Said {
        working: Reason::BackingUp,
        at_work: "the backup is being made",
        done: None,
        failure,
        attempt,
        scheduled,
    };
    let tell = |step: &Step, said: &Said| {
        let all: Vec<String> =
            statements(step, said).iter().map(|it| format!("{:?}={:?} {}", it.type_, it.status, it.reason)).collect();
        all.join(", ")
    };
    let wait = |reason| Step::Wait(Problem::new(reason, "x"), None);
    let failed = |reason| Step::Fail(1, failure(reason).unwrap());
    for (step, said, expected) in [
        (Step::Begin(1), said(None, 1, false), "Ready=False BackingUp, Reconciling=True BackingUp"),
        (wait(Reason::Suspended), said(None, 0, false), "Ready=False Suspended, Reconciling=True Suspended"),
        (wait(Reason::InvalidSpec), said(None, 0, false), "Ready=False InvalidSpec, Stalled=True InvalidSpec"),
        (
            failed(Reason::Unreachable),
            said(failure(Reason::Unreachable), 1, false),
            "Ready=False Unreachable, Reconciling=True Unreachable",
        ),
        (
            failed(Reason::Unreachable),
            said(failure(Reason::Unreachable), 1, true),
            "Ready=False Unreachable, Stalled=True Unreachable, Complete=False Unreachable",
        ),
        (
            Step::Rest,
            said(failure(Reason::Evicted), 6, false),
            "Ready=False Evicted, Stalled=True Evicted, Complete=False Evicted",
        ),
        (
            Step::Rest,
            Said { done: Some((Reason::BackedUp, "done".into())), ..said(None, 1, false) },
            "Ready=True BackedUp, Complete=True BackedUp",
        ),
    ] {
        assert_eq!(tell(&step, &said), expected, "{step:?}");
    }
}
