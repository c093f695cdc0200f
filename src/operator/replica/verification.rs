//! When is a copy checked, and what follows from what was found?
//!
//! ```text
//! Done, complete ──due, slot──► QuickVerify or DeepVerify ──whole──► Done
//!                                          │ damaged: no longer held, so the next attempt is a warm-up,
//!                                          └──────────────────────── which fetches what is damaged ──► Done
//! ```
//!
//! A check is an attempt like a warm-up: recorded before its Job is created, one at a time on a volume, under the limits of
//! `rollout` and the pool. What one operator creates for a shared volume is no CronJob either: a check whose result nobody
//! reads helps nobody, and one that was missed is made up for once.

use super::step::{Situation, Step};
use crate::api::Reason;
use crate::api::condition::truncate;
use crate::api::model_cache::Failure;
use crate::api::model_cache_replica::{Attempt, AttemptStage, ModelCacheReplica};
use crate::api::quantity::signed;
use crate::api::request::RequestedCheck;
use crate::api::scheduled_run::{Damage, ScheduledRun, Verification};
use crate::api::timetable::Times;
use crate::contract::outcome::Outcome;
use crate::operator::cluster::Note;
use crate::operator::due::{self, Due, Plan};
use crate::operator::job::{JobState, Problem};
use crate::operator::placement::copy_of;
use crate::operator::retry::whole_seconds;
use jiff::Timestamp;
use kube::ResourceExt;
use std::time::Duration;

/// Between two looks at a claim that another pod has for itself.
pub(super) const BUSY: Duration = Duration::from_secs(60);

impl Situation<'_> {
    fn known(&self) -> Verification {
        self.replica.status.as_ref().and_then(|it| it.verification.clone()).unwrap_or_default()
    }

    /// Copies on nodes are kept apart; there is one copy on a shared volume, and it keeps the schedule's time.
    pub(super) fn planned<'a>(&self, times: &'a Times, name: &'a str) -> Plan<'a> {
        Plan { times, spread: self.replica.spec.node.as_ref().map(|_| name) }
    }

    fn due(&self, times: Option<&Times>, run: Option<&ScheduledRun>) -> Option<Due> {
        times.map(|times| self.planned(times, &self.replica.name_any()).due(run, self.retry, self.now))
    }

    fn dues(&self) -> (Option<Due>, Option<Due>) {
        let known = self.known();
        let quick = self.due(self.timetable.quick.as_ref(), known.quick.as_ref());
        (quick, self.due(self.timetable.deep.as_ref(), known.deep.as_ref()))
    }

    /// What is to be remembered of the schedules before anything is begun.
    pub(super) fn remember_checks(&self) -> Option<Step> {
        let known = self.known();
        let (quick, deep) = self.dues();
        let kept = |due: &Option<Due>, run: &Option<ScheduledRun>| match due {
            Some(Due::Remember(run)) => Some(run.clone()),
            Some(_) => run.clone(),
            None => None,
        };
        let remembered = Verification {
            quick: kept(&quick, &known.quick),
            deep: kept(&deep, &known.deep),
            requested: known.requested.clone(),
            damage: known.damage.clone(),
        };
        (remembered != known).then(|| Step::RecordChecks(None, Box::new(remembered)))
    }

    /// The check that is due, if one is, and since when. Who hashes every file has also looked at it.
    pub(super) fn check_due_since(&self) -> Option<(Timestamp, AttemptStage)> {
        let (quick, deep) = self.dues();
        let stage = match (&quick, &deep) {
            (_, Some(Due::Now)) => AttemptStage::DeepVerify,
            _ if self.asked.verify.is_some() => AttemptStage::DeepVerify,
            (Some(Due::Now), _) => AttemptStage::QuickVerify,
            _ => return None,
        };
        let known = self.known();
        let since = |due: Option<Due>, run: Option<ScheduledRun>| {
            due.filter(|it| *it == Due::Now).and_then(|_| run?.next.parse().ok())
        };
        let all = since(quick, known.quick).into_iter().chain(since(deep, known.deep));
        Some((all.min().unwrap_or(self.now), stage))
    }

    /// When time alone makes a check due. One that is asked for is due now.
    pub(super) fn next_check(&self) -> Option<Timestamp> {
        let (quick, deep) = self.dues();
        let asked = self.asked.verify.as_ref().map(|_| Due::Now);
        [quick, deep, asked].into_iter().flatten().filter_map(|it| self.wakes_at(&it)).min()
    }

    /// When time alone makes something begin. What is due already waits for something else; another pod's claim wakes nobody.
    pub(super) fn wakes_at(&self, due: &Due) -> Option<Timestamp> {
        match due {
            Due::At(time) => Some(*time),
            Due::Now if self.own_claim_busy.is_some() => self.now.checked_add(BUSY).ok(),
            Due::Now | Due::Remember(_) => None,
        }
    }

    /// The step of a check that is under way.
    pub(super) fn verifying(&self, attempt: &Attempt) -> Step {
        let still_wanted = self.is_about(attempt);
        match &self.work {
            None if still_wanted && self.obstacle().is_none() => Step::CreateVerifyJob(attempt.stage),
            // Not begun, or stopped: nothing is known anew, and the check is still due.
            None => checked(attempt, self.known()),
            Some(JobState::Ending) => Step::Watch { stage: attempt.stage, problem: None, pod_ip: None },
            Some(JobState::Running { .. }) if !still_wanted => Step::StopJob,
            Some(JobState::Running { problem, .. }) => {
                Step::Watch { stage: attempt.stage, problem: problem.clone(), pod_ip: None }
            }
            Some(JobState::Succeeded(outcome)) => match self.unproven(attempt, outcome) {
                None => self.found_whole(attempt),
                Some(message) => self.not_checked(attempt, &Problem::new(Reason::NoEvidence, message)),
            },
            Some(JobState::Failed(problem)) if problem.reason == Reason::Damaged => {
                self.found_damaged(attempt, problem)
            }
            Some(JobState::Failed(problem)) => self.not_checked(attempt, problem),
        }
    }

    /// What makes a success no proof that the copy was checked.
    fn unproven(&self, attempt: &Attempt, outcome: &Outcome) -> Option<String> {
        let (Some(evidence), Some(verify)) = (&outcome.evidence, &outcome.verify) else {
            return Some("the Job completed without saying what it checked".into());
        };
        if Some(evidence.plan.as_str()) != attempt.plan.as_deref() {
            return Some(format!("the agent checked plan {}, not the one it was given", evidence.plan));
        }
        let deep = attempt.stage == AttemptStage::DeepVerify;
        let listed = self.replica.spec.plan.as_ref().map_or(0, |it| it.files);
        let proven = verify.damaged == 0
            && signed(verify.files.saturating_add(evidence.expired_files)) == listed
            && (verify.deep || !deep);
        (!proven).then(|| {
            format!("the agent shows {} files checked, and the plan lists {listed} that are to be hashed", verify.files)
        })
    }

    fn found_whole(&self, attempt: &Attempt) -> Step {
        let mut checks = self.known();
        let deep = attempt.stage == AttemptStage::DeepVerify;
        let name = self.replica.name_any();
        let done = |times: &Times| self.planned(times, &name).succeeded(self.now);
        if let Some(times) = self.timetable.deep.as_ref().filter(|_| deep) {
            checks.deep = Some(done(times));
        }
        if let Some(times) = &self.timetable.quick {
            checks.quick = Some(done(times));
        }
        if deep {
            checks.requested = self.answered(None).or(checks.requested);
        }
        checked(attempt, Verification { damage: None, ..checks })
    }

    /// Damage is a result: the schedule goes on, and the copy is no longer held.
    fn found_damaged(&self, attempt: &Attempt, problem: &Problem) -> Step {
        let files = self.said.as_ref().and_then(|it| it.verify).map_or(1, |it| signed(it.damaged.max(1)));
        let Step::RecordChecks(done, mut checks) = self.found_whole(attempt) else { return Step::Rest };
        let before = self.known();
        let success = |run: Option<&ScheduledRun>| run.and_then(|it| it.last_success.clone());
        if let Some(run) = checks.quick.as_mut() {
            run.last_success = success(before.quick.as_ref());
        }
        if let Some(run) = checks.deep.as_mut() {
            run.last_success = success(before.deep.as_ref());
        }
        let (message, time) = (truncate(&problem.message, 2048), whole_seconds(self.now).to_string());
        if let Some(answer) = checks.requested.as_mut().filter(|it| self.asked.verify.as_ref() == Some(&it.request)) {
            answer.damaged = Some(files);
        }
        checks.damage = Some(Damage { files, message, time });
        Step::RecordChecks(done, checks)
    }

    /// The answer to the request of now, if there is one.
    fn answered(&self, failure: Option<Failure>) -> Option<RequestedCheck> {
        let request = self.asked.verify.clone()?;
        Some(RequestedCheck { request, time: whole_seconds(self.now).to_string(), damaged: None, failure })
    }

    fn not_checked(&self, attempt: &Attempt, problem: &Problem) -> Step {
        let mut checks = self.known();
        if attempt.stage == AttemptStage::DeepVerify {
            let failure = due::failure(None, problem.reason, problem.message.clone(), self.now);
            checks.requested = self.answered(Some(failure)).or(checks.requested);
        }
        let run = if attempt.stage == AttemptStage::DeepVerify { &mut checks.deep } else { &mut checks.quick };
        if run.is_some() {
            let failure = due::failure(run.as_ref(), problem.reason, problem.message.clone(), self.now);
            *run = Some(due::failed(run.as_ref(), failure));
        }
        checked(attempt, checks)
    }
}

/// Records a check that is over.
fn checked(attempt: &Attempt, checks: Verification) -> Step {
    Step::RecordChecks(Some(Attempt { stage: AttemptStage::Done, ..attempt.clone() }), Box::new(checks))
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Everything is as it was published.
    Whole,
    /// Something is not.
    Damaged,
    /// It could not be found out.
    Failed,
}

/// What people are told of a check that is recorded, and what it found. Good news is in the status; a fleet that is checked
/// every night would drown all other Events.
pub(super) fn news(replica: &ModelCacheReplica, checks: &Verification) -> (Option<Note>, Option<Found>) {
    let before = replica.status.as_ref().and_then(|it| it.verification.clone()).unwrap_or_default();
    let what = copy_of(replica);
    let runs = |of: &Verification| [of.quick.clone(), of.deep.clone()].map(Option::unwrap_or_default);
    let failed = runs(checks)
        .into_iter()
        .zip(runs(&before))
        .find_map(|(it, old)| it.failure.filter(|it| Some(it) != old.failure.as_ref()));
    let asked = checks.requested.as_ref().filter(|it| Some(*it) != before.requested.as_ref());
    let failed = failed.or_else(|| asked.and_then(|it| it.failure.clone()));
    if let Some(damage) = &checks.damage {
        let message = format!("{what}: {}", damage.message);
        return (Some(Note::warning(Reason::Damaged, "Verify", message)), Some(Found::Damaged));
    }
    if let Some(failure) = failed {
        let message = format!("{what} could not be checked: {}", failure.message);
        return (Some(Note::warning(failure.reason, "Verify", message)), Some(Found::Failed));
    }
    (None, (*checks != before).then_some(Found::Whole))
}

#[cfg(test)]
#[path = "verification_tests.rs"]
mod tests;
