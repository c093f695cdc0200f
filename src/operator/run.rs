//! What is the next step of work that is done once, by a Job: a backup, a restore? One pure function, and what to say.
//!
//! ```text
//! nothing ──nothing in the way──► Running ──evidence──► Done, for good
//!                                    ▲ └────failure───► Done ──pause──┐
//!                                    └────────── a few times ─────────┘
//! ```
//!
//! An attempt is recorded before its Job is created, and a Job is deleted only after its result is recorded.

use crate::api::condition::{ConditionType, Statement, Truth};
use crate::api::model_cache::Failure;
use crate::api::model_cache_backup::{RunAttempt, RunStage};
use crate::api::{FailureClass, Reason};
use crate::contract::outcome::Outcome;
use crate::operator::due::until;
use crate::operator::job::{JobState, Problem};
use crate::operator::retry::{RetryPolicy, next_failure};
use jiff::Timestamp;
use kube::runtime::controller::Action;
use std::time::Duration;

/// Attempts at most. What has failed so often wants a person.
const MOST_ATTEMPTS: i64 = 6;

/// What the step is decided from.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The attempt that was last begun.
    pub attempt: Option<&'a RunAttempt>,
    /// The last failure.
    pub failure: Option<&'a Failure>,
    /// Whether there is evidence that it is done.
    pub complete: bool,
    /// What the Job of the attempt does.
    pub job: Option<JobState>,
    /// What keeps it from being begun.
    pub obstacle: Option<Problem>,
    /// Whether the Job is made, and tried again, by somebody else: a CronJob.
    pub scheduled: bool,
    /// Whether an outcome shows that the work was done.
    pub evidence: fn(&Outcome) -> bool,
    /// When failures are tried again.
    pub retry: &'a RetryPolicy,
    /// Spreads the retries of many.
    pub seed: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// What is done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It is over, for good.
    Rest,
    /// Nothing can be done now; why, and when to look again if nobody wakes us.
    Wait(Problem, Option<Timestamp>),
    /// Record that this attempt is begun.
    Begin(i64),
    /// Create the Job of this attempt.
    CreateJob(i64),
    /// Look at the running Job again; what keeps its pod from starting.
    Watch(Option<Problem>),
    /// Record that this attempt succeeded.
    Succeed(i64, Box<Outcome>),
    /// Record that this attempt failed.
    Fail(i64, Failure),
}

impl Situation<'_> {
    /// The next step.
    pub fn next_step(&self) -> Step {
        match self.attempt {
            None => self.begin(1),
            Some(attempt) if attempt.stage == RunStage::Running => self.running(attempt.number),
            Some(_) if self.complete || self.scheduled => Step::Rest,
            Some(attempt) if attempt.number >= MOST_ATTEMPTS => Step::Rest,
            Some(attempt) => self.again(attempt.number + 1),
        }
    }

    fn begin(&self, number: i64) -> Step {
        self.obstacle.clone().map_or(Step::Begin(number), |problem| Step::Wait(problem, None))
    }

    fn again(&self, number: i64) -> Step {
        if let Some(failure) = self.failure {
            let due = self.retry.due(failure, self.seed);
            if due > self.now {
                return Step::Wait(Problem::new(failure.reason, failure.message.clone()), Some(due));
            }
        }
        self.begin(number)
    }

    fn running(&self, number: i64) -> Step {
        match &self.job {
            None if self.scheduled => {
                let message = "the Job is gone, and left no evidence of what it did";
                self.fail(number, &Problem::new(Reason::NoEvidence, message))
            }
            None => self.obstacle.clone().map_or(Step::CreateJob(number), |problem| Step::Wait(problem, None)),
            Some(JobState::Ending) => Step::Watch(None),
            Some(JobState::Running { problem, .. }) => Step::Watch(problem.clone()),
            Some(JobState::Succeeded(outcome)) if (self.evidence)(outcome) => Step::Succeed(number, outcome.clone()),
            Some(JobState::Succeeded(_)) => {
                self.fail(number, &Problem::new(Reason::NoEvidence, "the Job completed without evidence"))
            }
            Some(JobState::Failed(problem)) => self.fail(number, problem),
        }
    }

    fn fail(&self, number: i64, problem: &Problem) -> Step {
        Step::Fail(number, next_failure(self.failure, problem.reason, problem.message.clone(), self.now))
    }
}

/// When to look again after a step. What is waited for need not wake us: then after this pause.
pub fn next_look(step: &Step, waiting: Duration, now: Timestamp) -> Action {
    match step {
        Step::Wait(_, Some(due)) => Action::requeue(until(*due, now)),
        Step::Wait(_, None) => Action::requeue(waiting),
        Step::Watch(_) | Step::Begin(_) | Step::CreateJob(_) | Step::Succeed(..) | Step::Fail(..) => {
            Action::requeue(Duration::from_secs(5))
        }
        Step::Rest => Action::await_change(),
    }
}

/// What an object says about its work.
#[derive(Debug)]
pub struct Said {
    /// The reason while it is at work.
    pub working: Reason,
    /// What it says while it is at work.
    pub at_work: &'static str,
    /// The reason and the message once it is done.
    pub done: Option<(Reason, String)>,
    /// The last failure.
    pub failure: Option<Failure>,
    /// The attempt after this step.
    pub attempt: i64,
    /// Whether a CronJob makes the attempts.
    pub scheduled: bool,
}

/// The conditions after a step: `Ready` always, `Complete` once it is over, and what kstatus asks for.
pub fn statements(step: &Step, said: &Said) -> Vec<Statement> {
    let statement = |type_, truth, it: &Problem| Statement::new(type_, truth, it.reason, it.message.clone());
    if let Some((reason, message)) = &said.done {
        let done = Problem::new(*reason, message.clone());
        return [ConditionType::Ready, ConditionType::Complete].map(|it| statement(it, Truth::True, &done)).to_vec();
    }
    let failed = said.failure.as_ref().map(|it| Problem::new(it.reason, it.message.clone()));
    let over = matches!(step, Step::Rest | Step::Fail(..)) && (said.scheduled || said.attempt >= MOST_ATTEMPTS);
    let problem = match step {
        Step::Wait(problem, _) | Step::Watch(Some(problem)) => problem.clone(),
        Step::Rest | Step::Fail(..) | Step::Succeed(..) => {
            failed.unwrap_or_else(|| Problem::new(Reason::InternalError, "it is over, and nothing is known of how"))
        }
        // A failure stays in view while its next attempt runs.
        Step::Begin(_) | Step::CreateJob(_) | Step::Watch(None) => {
            failed.unwrap_or_else(|| Problem::new(said.working, said.at_work))
        }
    };
    let problem = if over && !said.scheduled {
        let message =
            format!("{}; given up after {} attempts: mend it and make another", problem.message, said.attempt);
        Problem::new(problem.reason, message)
    } else {
        problem
    };
    let mut statements = vec![statement(ConditionType::Ready, Truth::False, &problem)];
    if over || problem.reason.class() == FailureClass::User {
        statements.push(statement(ConditionType::Stalled, Truth::True, &problem));
    } else {
        statements.push(statement(ConditionType::Reconciling, Truth::True, &problem));
    }
    if over {
        statements.push(statement(ConditionType::Complete, Truth::False, &problem));
    }
    statements
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
