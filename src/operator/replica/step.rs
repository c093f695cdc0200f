//! What is the next step of a Replica? One pure function from what is there to what is done.
//!
//! ```text
//! Done ──begin──► Prepare ──directory is there──► Prepared ──slot──► WarmUp ──evidence──► Done
//!   ▲                └───────────── failure, or another plan is wanted ────────────────────┘
//! ```
//!
//! A copy is checked and cleaned on schedule: see [`super::verification`] and [`super::cleaning`].
//!
//! Every arrow is recorded in the status before the Job that follows from it is created: a second operator, a restart or a
//! retry cannot make a duplicate.

use super::cleaning::CleanedHere;
use super::requests::Asked;
use crate::api::cleaning::{Cleaning, RequestedCleanup};
use crate::api::model_cache_replica::{Attempt, AttemptStage, Holding, ModelCacheReplica};
use crate::api::quantity::signed;
use crate::api::request::RequestedReset;
use crate::api::scheduled_run::Verification;
use crate::api::timetable::Timetable;
use crate::api::{Reason, model_cache::Failure};
use crate::contract::outcome::{Evidence, Outcome};
use crate::operator::job::{JobState, Problem};
use crate::operator::placement::NodeState;
use crate::operator::retry::{RetryPolicy, next_failure};
use jiff::Timestamp;
use kube::ResourceExt;

/// What the step is decided from.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The Replica.
    pub replica: &'a ModelCacheReplica,
    /// Its node; nothing when it is gone.
    pub node: Option<NodeState>,
    /// Whether the cache is suspended, or gone.
    pub suspended: bool,
    /// What the prepare Job of the attempt does.
    pub prepare: Option<JobState>,
    /// What the Job of the attempt that mounts the volume does: it warms up, checks, or cleans.
    pub work: Option<JobState>,
    /// What that Job said at its end, also when it failed.
    pub said: Option<Outcome>,
    /// When the copy is to be checked and cleaned.
    pub timetable: &'a Timetable,
    /// Whether our Jobs clean it.
    pub cleaned_here: CleanedHere,
    /// What is asked of it now, and was not acted on yet.
    pub asked: Asked,
    /// What keeps the claim from being mounted.
    pub claim_busy: Option<String>,
    /// What keeps the volume's own claim from being mounted: checks and clean-ups mount no other.
    pub own_claim_busy: Option<String>,
    /// When failures are tried again.
    pub retry: &'a RetryPolicy,
    /// The time.
    pub now: Timestamp,
}

/// What is done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Everything wanted is there.
    Rest,
    /// Nothing can be done now; why, and when to look again if nobody wakes us.
    Wait(Problem, Option<Timestamp>),
    /// Record this attempt.
    Record(Recording),
    /// Create the prepare Job of the attempt.
    CreatePrepareJob,
    /// Ask for a slot; with one, record that the attempt warms up.
    AskForSlot(Attempt),
    /// Create the warm-up Job of the attempt.
    CreateWarmUpJob,
    /// Look at the running Job again soon.
    Watch {
        /// Which stage it is.
        stage: AttemptStage,
        /// What keeps its pod from starting.
        problem: Option<Problem>,
        /// Address of its pod.
        pod_ip: Option<String>,
    },
    /// Create the verification Job of the attempt.
    CreateVerifyJob(AttemptStage),
    /// The running Job works on what is no longer wanted: delete it.
    StopJob,
    /// Create the clean-up Job of the attempt.
    CreateCleanJob,
    /// Record what is known of the checks, and the attempt that was one.
    RecordChecks(Option<Attempt>, Box<Verification>),
    /// Record what is known of the clean-ups, and the attempt that was one.
    RecordCleaning(Option<Attempt>, Option<Box<Cleaning>>),
    /// Record what is known of the clean-up that was asked for, and the attempt that was it.
    RecordRequested(Option<Attempt>, Box<RequestedCleanup>),
    /// Record that the reset that was asked for is not done.
    RefuseReset(Box<RequestedReset>),
}

/// What is recorded in the status.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// The attempt.
    pub attempt: Attempt,
    /// What the copy holds, if that is known anew.
    pub holds: Option<Holding>,
    /// The failure, or `None` when there is none any more.
    pub failure: Option<Failure>,
}

impl Situation<'_> {
    /// The next step.
    pub fn next_step(&self) -> Step {
        let attempt = self.replica.status.as_ref().and_then(|it| it.attempt.clone());
        match attempt {
            Some(attempt) if attempt.stage == AttemptStage::Prepare => self.preparing(attempt),
            Some(attempt) if attempt.stage == AttemptStage::Prepared => self.prepared(&attempt),
            Some(attempt) if attempt.stage == AttemptStage::WarmUp => self.warming(attempt),
            Some(attempt) if attempt.stage.verifies() => self.verifying(&attempt),
            Some(attempt) if attempt.stage == AttemptStage::Clean => self.cleaning(&attempt),
            done => self.resting(done),
        }
    }

    pub(super) fn failure(&self) -> Option<&Failure> {
        self.replica.status.as_ref().and_then(|it| it.failure.as_ref())
    }

    pub(super) fn wanted(&self) -> Option<&str> {
        self.replica.spec.plan.as_ref().map(|it| it.hash.as_str())
    }

    /// Whether the copy holds what is wanted, in the claim that is there.
    pub(super) fn complete(&self) -> bool {
        let holds = self.replica.status.as_ref().and_then(|it| it.holds.as_ref());
        holds.is_some_and(|it| self.replica.spec.is_met_by(it))
    }

    fn resting(&self, before: Option<Attempt>) -> Step {
        if let Some(step) = self.resets(before.as_ref()) {
            return step;
        }
        if self.complete() {
            return self.complete_copy(before.as_ref());
        }
        // The directory can be made while the sources are being resolved, once.
        let begins_early = self.wanted().is_none() && before.is_none() && self.replica.spec.node.is_some();
        if self.wanted().is_none() && !begins_early {
            return Step::Wait(
                Problem::new(Reason::Pending, "waits for the plan: the sources are being resolved"),
                None,
            );
        }
        if let Some(obstacle) = self.obstacle() {
            return obstacle;
        }
        if let Some(failure) = self.failure() {
            let due = self.retry.due(failure, &self.replica.name_any());
            if due > self.now && self.asked.warm.is_none() {
                let wait = || Step::Wait(Problem::new(failure.reason, failure.message.clone()), Some(due));
                return self.clean_meanwhile(before.as_ref()).unwrap_or_else(wait);
            }
        }
        self.begin_warm_up(before.map_or(0, |it| it.number) + 1)
    }

    /// Begins a warm-up with the directory that it is for.
    pub(super) fn begin_warm_up(&self, number: i64) -> Step {
        let stage = if self.replica.spec.node.is_some() { AttemptStage::Prepare } else { AttemptStage::Prepared };
        self.begun(Attempt { number, stage, plan: None, claim_uid: None, restored: None })
    }

    /// The step of a copy that holds what is wanted: what somebody asked for, then what has been due by schedule for longest.
    fn complete_copy(&self, before: Option<&Attempt>) -> Step {
        if let Some(step) = self.remember_checks().or_else(|| self.remember_cleaning()) {
            return step;
        }
        if self.obstacle().is_none()
            && let Some(step) = self.clean_on_request(before)
        {
            return step;
        }
        let clean = self.cleaning_due_since().map(|it| (it, AttemptStage::Clean));
        let due = clean.into_iter().chain(self.check_due_since());
        let Some((_, stage)) = due.min_by_key(|(since, _)| *since) else { return Step::Rest };
        // It can wait, and is no reason to say anything but what is known.
        if self.obstacle().is_some() {
            return Step::Rest;
        }
        match &self.own_claim_busy {
            None => self.begin(before, stage),
            Some(why) => clean.and_then(|_| self.cleaning_waits(why)).unwrap_or(Step::Rest),
        }
    }

    /// Begins what is due by schedule.
    pub(super) fn begin(&self, before: Option<&Attempt>, stage: AttemptStage) -> Step {
        let (plan, claim_uid) = (self.wanted().map(str::to_owned), self.replica.spec.claim_uid.clone());
        let number = before.map_or(0, |it| it.number) + 1;
        Step::AskForSlot(Attempt { number, stage, plan, claim_uid, restored: None })
    }

    /// When time alone makes a check or a clean-up due.
    pub fn next_scheduled(&self) -> Option<Timestamp> {
        let checked = if self.complete() { self.next_check() } else { None };
        checked.into_iter().chain(self.next_cleaning()).chain(self.next_requested()).min()
    }

    /// What keeps new work from being begun.
    pub(super) fn obstacle(&self) -> Option<Step> {
        let problem = match self.node {
            None => Problem::new(Reason::NodeNotReady, "the node is gone"),
            Some(NodeState::NotReady) => {
                Problem::new(Reason::NodeNotReady, "the node does not report to the API server")
            }
            Some(NodeState::Cordoned) => {
                Problem::new(Reason::NodeCordoned, "the node is cordoned: nothing new is started on it")
            }
            Some(NodeState::Ready) if self.suspended => {
                Problem::new(Reason::Suspended, "`spec.suspend` is true: nothing new is started")
            }
            Some(NodeState::Ready) => return None,
        };
        Some(Step::Wait(problem, None))
    }

    fn preparing(&self, attempt: Attempt) -> Step {
        match &self.prepare {
            None => self.obstacle().unwrap_or(Step::CreatePrepareJob),
            Some(JobState::Ending) => Step::Watch { stage: AttemptStage::Prepare, problem: None, pod_ip: None },
            Some(JobState::Running { problem, .. }) => {
                Step::Watch { stage: AttemptStage::Prepare, problem: problem.clone(), pod_ip: None }
            }
            Some(JobState::Succeeded(_)) => self.record(Attempt { stage: AttemptStage::Prepared, ..attempt }),
            Some(JobState::Failed(problem)) => self.fail(attempt, problem),
        }
    }

    fn prepared(&self, attempt: &Attempt) -> Step {
        let Some(plan) = self.wanted() else {
            return Step::Wait(Problem::new(Reason::Pending, "the directory is there; waits for the plan"), None);
        };
        if self.replica.spec.claim_uid.is_none() {
            return Step::Wait(Problem::new(Reason::VolumePending, "waits for the claim"), None);
        }
        if let Some(message) = &self.claim_busy {
            let soon = self.now.checked_add(std::time::Duration::from_secs(10)).ok();
            return Step::Wait(Problem::new(Reason::VolumePending, message.clone()), soon);
        }
        if let Some(obstacle) = self.obstacle() {
            return obstacle;
        }
        let (plan, claim_uid) = (Some(plan.to_owned()), self.replica.spec.claim_uid.clone());
        let (stage, restored) = (AttemptStage::WarmUp, self.replica.spec.restored.clone());
        Step::AskForSlot(Attempt { stage, plan, claim_uid, restored, number: attempt.number })
    }

    /// Whether an attempt is about the plan and the claim that are wanted now.
    pub(super) fn is_about(&self, attempt: &Attempt) -> bool {
        self.wanted() == attempt.plan.as_deref() && self.replica.spec.claim_uid == attempt.claim_uid
    }

    fn warming(&self, attempt: Attempt) -> Step {
        let restored = &self.replica.spec.restored;
        let still_wanted = self.is_about(&attempt) && (restored.is_none() || *restored == attempt.restored);
        match &self.work {
            None if still_wanted && self.obstacle().is_none() => {
                self.give_up_reset(&attempt).unwrap_or(Step::CreateWarmUpJob)
            }
            // Its Job is gone, or was not created before something came in the way: the slot is given back, and the next
            // attempt makes what is wanted then. No failure.
            None => self.record(Attempt { stage: AttemptStage::Done, ..attempt }),
            Some(JobState::Ending) => Step::Watch { stage: AttemptStage::WarmUp, problem: None, pod_ip: None },
            Some(JobState::Running { .. }) if !still_wanted => Step::StopJob,
            Some(JobState::Running { problem, pod_ip }) => {
                Step::Watch { stage: AttemptStage::WarmUp, problem: problem.clone(), pod_ip: pod_ip.clone() }
            }
            Some(JobState::Succeeded(outcome)) => match &outcome.evidence {
                Some(evidence) => match self.doubt(&attempt, evidence) {
                    None => succeed(attempt, evidence),
                    Some(message) => self.fail(attempt, &Problem::new(Reason::NoEvidence, message)),
                },
                None => self.fail(attempt, &Problem::new(Reason::NoEvidence, "the Job completed without evidence")),
            },
            Some(JobState::Failed(problem)) => self.fail(attempt, problem),
        }
    }

    /// What makes the evidence no evidence of what was asked for.
    fn doubt(&self, attempt: &Attempt, evidence: &Evidence) -> Option<String> {
        if Some(evidence.plan.as_str()) != attempt.plan.as_deref() {
            return Some(format!("the agent completed plan {}, not the one it was given", evidence.plan));
        }
        let listed = self.replica.spec.plan.as_ref().filter(|it| it.hash == evidence.plan).map(|it| it.files);
        let (files, hashed) = (evidence.files, evidence.hashed_files);
        // What has expired is gone, and was listed once.
        let accounted = files.saturating_add(evidence.expired_files);
        let short = listed.is_some_and(|listed| i64::try_from(accounted) != Ok(listed)) || hashed < files;
        short.then(|| {
            let listed = listed.map_or_else(|| "some".to_owned(), |it| it.to_string());
            format!("the agent shows {files} files, {hashed} of them hashed, and the plan lists {listed}")
        })
    }

    fn fail(&self, attempt: Attempt, problem: &Problem) -> Step {
        let failure = next_failure(self.failure(), problem.reason, problem.message.clone(), self.now);
        Step::Record(Recording {
            attempt: Attempt { stage: AttemptStage::Done, ..attempt },
            holds: None,
            failure: Some(failure),
        })
    }

    /// Records an attempt that is begun. One that was asked for begins with a clean sheet.
    fn begun(&self, attempt: Attempt) -> Step {
        let failure = self.failure().cloned();
        let asked = self.asked.warm.is_some() || self.asked.reset.is_some();
        let failure = failure.map(|it| if asked { Failure { count: 0, ..it } } else { it });
        Step::Record(Recording { attempt, holds: None, failure })
    }

    fn record(&self, attempt: Attempt) -> Step {
        Step::Record(Recording { attempt, holds: None, failure: self.failure().cloned() })
    }
}

/// The copy holds what the agent has shown evidence of.
fn succeed(attempt: Attempt, evidence: &Evidence) -> Step {
    let holds = Holding {
        plan: evidence.plan.clone(),
        claim_uid: attempt.claim_uid.clone(),
        files: signed(evidence.files),
        bytes: signed(evidence.bytes),
        fetched_bytes: signed(evidence.fetched_bytes),
        restored: attempt.restored.clone(),
    };
    Step::Record(Recording {
        attempt: Attempt { stage: AttemptStage::Done, ..attempt },
        holds: Some(holds),
        failure: None,
    })
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
