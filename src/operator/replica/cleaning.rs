//! When is a copy cleaned by schedule, and what is recorded of it?
//!
//! ```text
//! Done ──due, slot──► Clean ──over──► Done
//! ```
//!
//! A clean-up is an attempt like a check: recorded before its Job is created, one at a time on a volume, under the limits of
//! `rollout` and the pool, and stopped by a new plan. It also comes to a copy whose warm-up failed: that may have failed for
//! want of the space that the clean-up gives back.
//!
//! What fails is not tried again before its next time, unless that may help: never in a storm.

use super::step::{Situation, Step};
use crate::api::cleaning::Cleaning;
use crate::api::model_cache::Failure;
use crate::api::model_cache_replica::{Attempt, AttemptStage, ModelCacheReplica};
use crate::api::scheduled_run::ScheduledRun;
use crate::api::timetable::Times;
use crate::api::{FailureClass, Reason};
use crate::contract::outcome::Cleaned;
use crate::operator::clean::build::cron_job::FINAL;
use crate::operator::clean::record::{did, news, unproven};
use crate::operator::cluster::Note;
use crate::operator::due::{self, Due};
use crate::operator::job::{JobState, Problem};
use crate::operator::placement::copy_of;
use jiff::Timestamp;
use kube::ResourceExt;

/// Times that a run which failed for what may pass by itself is tried again before its next time: as the CronJob does.
const TRIES: i64 = 2;

/// Whether Jobs of a Replica clean its copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CleanedHere {
    /// Somebody else does, or nobody.
    #[default]
    No,
    /// They do, but nothing new is to begin.
    Suspended,
    /// They do.
    Yes,
}

impl Situation<'_> {
    fn known_cleaning(&self) -> Option<&Cleaning> {
        self.replica.status.as_ref().and_then(|it| it.cleanup.as_ref())
    }

    fn known_run(&self) -> Option<&ScheduledRun> {
        self.known_cleaning().map(|it| &it.run)
    }

    fn cleaning_times(&self) -> Option<&Times> {
        self.timetable.clean.as_ref().filter(|_| self.cleaned_here != CleanedHere::No)
    }

    fn cleaning_due(&self) -> Option<Due> {
        let name = self.replica.name_any();
        let times = self.cleaning_times().filter(|_| self.cleaned_here == CleanedHere::Yes)?;
        Some(self.planned(times, &name).due(self.known_run(), self.retry, self.now))
    }

    /// What is to be remembered of the schedule before anything is begun.
    pub(super) fn remember_cleaning(&self) -> Option<Step> {
        let known = self.known_cleaning();
        let wanted = match (self.cleaned_here, self.cleaning_due()) {
            (CleanedHere::No, _) => None,
            (_, Some(Due::Remember(run))) => Some(Cleaning { run, ..known.cloned().unwrap_or_default() }),
            _ => known.cloned(),
        };
        (wanted.as_ref() != known).then(|| Step::RecordCleaning(None, wanted.map(Box::new)))
    }

    /// Since when a clean-up is due, if one is.
    pub(super) fn cleaning_due_since(&self) -> Option<Timestamp> {
        let due = self.cleaning_due() == Some(Due::Now);
        due.then(|| self.known_run().and_then(|it| it.next.parse().ok()).unwrap_or(self.now))
    }

    /// When time alone makes a clean-up due.
    pub(super) fn next_cleaning(&self) -> Option<Timestamp> {
        self.wakes_at(&self.cleaning_due()?)
    }

    /// The step of a copy that is not what is wanted, and whose next warm-up is not due: it can be cleaned meanwhile, if
    /// something was complete in this claim before.
    pub(super) fn clean_meanwhile(&self, before: Option<&Attempt>) -> Option<Step> {
        let holds = self.replica.status.as_ref().and_then(|it| it.holds.as_ref());
        let held = holds.filter(|it| it.claim_uid == self.replica.spec.claim_uid && self.wanted().is_some());
        if let Some(step) = self.clean_incomplete(before, held.is_some()) {
            return Some(step);
        }
        held?;
        if let Some(step) = self.remember_cleaning() {
            return Some(step);
        }
        self.cleaning_due_since()?;
        self.own_claim_busy.is_none().then(|| self.begin(before, AttemptStage::Clean))
    }

    /// Says once what keeps a clean-up that is due from the claim: it may be long.
    pub(super) fn cleaning_waits(&self, why: &str) -> Option<Step> {
        let problem = Problem::new(Reason::VolumePending, why);
        (!self.is_said(&problem)).then(|| Step::RecordCleaning(None, Some(Box::new(self.hindered(&problem)))))
    }

    /// The step of a clean-up that is under way.
    pub(super) fn cleaning(&self, attempt: &Attempt) -> Step {
        if let Some(request) = self.request_of(attempt) {
            return self.cleaning_on_request(attempt, request);
        }
        let still_wanted = self.is_about(attempt);
        let watch = Step::Watch { stage: AttemptStage::Clean, problem: None, pod_ip: None };
        match &self.work {
            None if still_wanted && self.obstacle().is_none() => Step::CreateCleanJob,
            // Not begun, or stopped: nothing is known anew, and it is still due.
            None => self.over(attempt, self.known_cleaning().cloned().unwrap_or_default()),
            Some(JobState::Running { .. }) if !still_wanted => Step::StopJob,
            Some(JobState::Running { problem: Some(problem), .. }) if !self.is_said(problem) => {
                Step::RecordCleaning(None, Some(Box::new(self.hindered(problem))))
            }
            Some(JobState::Ending | JobState::Running { .. }) => watch,
            Some(JobState::Succeeded(outcome)) => match unproven(outcome) {
                None => self.cleaned(attempt, None, outcome.clean.as_ref()),
                Some(problem) => self.cleaned(attempt, Some(&problem), None),
            },
            Some(JobState::Failed(problem)) => {
                self.cleaned(attempt, Some(problem), self.said.as_ref().and_then(|it| it.clean.as_ref()))
            }
        }
    }

    fn is_said(&self, problem: &Problem) -> bool {
        let said = self.known_run().and_then(|it| it.failure.as_ref());
        said.is_some_and(|it| it.reason == problem.reason && it.message == problem.message)
    }

    /// The memory of a run that cannot go on as it is, and is not over: it is not counted yet.
    fn hindered(&self, problem: &Problem) -> Cleaning {
        let known = self.known_cleaning().cloned().unwrap_or_default();
        let count = known.run.failure.as_ref().map_or(0, |it| it.count);
        let failure = due::failure(None, problem.reason, problem.message.clone(), self.now);
        Cleaning { run: due::failed(Some(&known.run), Failure { count, ..failure }), did: known.did }
    }

    /// Records a run that is over.
    fn cleaned(&self, attempt: &Attempt, problem: Option<&Problem>, cleaned: Option<&Cleaned>) -> Step {
        let known = self.known_cleaning().cloned().unwrap_or_default();
        let name = self.replica.name_any();
        let run = match (self.cleaning_times().map(|it| self.planned(it, &name)), problem) {
            (None, _) => known.run,
            (Some(plan), None) => plan.succeeded(self.now),
            (Some(plan), Some(problem)) => {
                let failure = due::failure(Some(&known.run), problem.reason, problem.message.clone(), self.now);
                let again = self.again(&failure);
                plan.gave_up(Some(&known.run), failure, again, self.now)
            }
        };
        self.over(attempt, Cleaning { run, did: cleaned.map(|it| did(it, self.now)).or(known.did) })
    }

    /// When a run that failed is tried again before its next time, if it is: not where a person must act or the next run sees
    /// to it, late where others came first, and else a few times.
    fn again(&self, failure: &Failure) -> Option<Timestamp> {
        let disrupted = failure.reason.class() == FailureClass::Disruption;
        if FINAL.contains(&failure.reason) || (!disrupted && failure.count > TRIES) {
            return None;
        }
        if disrupted {
            return self.now.checked_add(self.retry.most).ok();
        }
        Some(self.retry.due(failure, &self.replica.name_any()))
    }

    fn over(&self, attempt: &Attempt, cleaning: Cleaning) -> Step {
        let kept = self.cleaned_here != CleanedHere::No && cleaning != Cleaning::default();
        let done = Attempt { stage: AttemptStage::Done, ..attempt.clone() };
        Step::RecordCleaning(Some(done), kept.then(|| Box::new(cleaning)))
    }
}

/// A run that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ran {
    /// Whether it did all it should.
    pub succeeded: bool,
    /// Bytes on the disk that it has freed.
    pub freed: u64,
    /// What people are told of it.
    pub note: Option<Note>,
}

/// The run that a recording is of, if one ended: what was stopped is still due, and no news.
pub(super) fn ran(replica: &ModelCacheReplica, cleaning: Option<&Cleaning>) -> Option<Ran> {
    let before = replica.status.as_ref().and_then(|it| it.cleanup.as_ref());
    let cleaning = cleaning.filter(|it| Some(*it) != before)?;
    let did = cleaning.did.as_ref().filter(|it| before.and_then(|it| it.did.as_ref()) != Some(it));
    let problem = cleaning.run.failure.as_ref().map(|it| Problem::new(it.reason, it.message.clone()));
    let freed = did.map_or(0, |it| u64::try_from(it.freed_bytes).unwrap_or(0));
    let note = news(&copy_of(replica), problem.as_ref(), did);
    Some(Ran { succeeded: problem.is_none(), freed, note })
}

#[cfg(test)]
#[path = "cleaning_tests.rs"]
mod tests;
