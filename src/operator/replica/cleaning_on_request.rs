//! When is a copy cleaned because somebody asked, and what is answered?
//!
//! The same attempt as on schedule, begun at once where the copy is at rest, and no part of the schedule: that stays as it was. A dry
//! run mounts the volume read-only. The answer stays in the status until the next request.

use super::step::{Situation, Step};
use super::verification::BUSY;
use crate::api::cleaning::{CleanupDeed, RequestedCleanup};
use crate::api::condition::truncate;
use crate::api::model_cache_replica::{Attempt, AttemptStage};
use crate::api::quantity::signed;
use crate::api::{ModelCacheReplica, Reason};
use crate::contract::deeds::MOST;
use crate::contract::outcome::Outcome;
use crate::operator::clean::record::{did, news};
use crate::operator::cluster::Note;
use crate::operator::due;
use crate::operator::job::{JobState, Problem};
use crate::operator::placement::copy_of;
use crate::operator::retry::whole_seconds;
use jiff::Timestamp;
use kube::ResourceExt;

impl Situation<'_> {
    /// The step of a copy that is complete and whose clean-up is asked for.
    pub(super) fn clean_on_request(&self, before: Option<&Attempt>) -> Option<Step> {
        let asked = self.asked.clean.as_ref()?;
        if self.again_after_eviction().is_some_and(|due| due > self.now) {
            return None;
        }
        let Some(why) = &self.own_claim_busy else { return Some(self.begin(before, AttemptStage::Clean)) };
        // It may be long until the claim is free: said once.
        let failure = Some(due::failure(None, Reason::VolumePending, why.clone(), self.now));
        let (request, dry_run) = (asked.request.clone(), asked.dry_run);
        let waits = RequestedCleanup { request, dry_run, failure, ..RequestedCleanup::default() };
        let said = self.known_request().is_some_and(|it| it.request == waits.request && it.failure.is_some());
        (!said).then(|| Step::RecordRequested(None, Box::new(waits)))
    }

    /// The step of a copy that is not what is wanted, whose next warm-up is not due, and whose clean-up is asked for. One that was
    /// never complete in this claim has nothing that could be mounted for certain.
    pub(super) fn clean_incomplete(&self, before: Option<&Attempt>, held: bool) -> Option<Step> {
        if held {
            return self.clean_on_request(before);
        }
        let asked = self.asked.clean.as_ref()?;
        let failed = self.replica.status.as_ref().and_then(|it| it.failure.as_ref());
        let reason = failed.map_or(Reason::Pending, |it| it.reason);
        let message = "nothing was cleaned: this copy was never complete; see why it is not";
        let failure = Some(due::failure(None, reason, message.into(), self.now));
        let (request, dry_run, time) = (asked.request.clone(), asked.dry_run, Some(self.time()));
        let answer = RequestedCleanup { request, dry_run, time, failure, ..RequestedCleanup::default() };
        Some(Step::RecordRequested(None, Box::new(answer)))
    }

    /// When to look again at a claim that is busy, since another pod's wakes nobody, or to begin again.
    pub(super) fn next_requested(&self) -> Option<Timestamp> {
        self.asked.clean.as_ref()?;
        let again = self.again_after_eviction().filter(|due| *due > self.now);
        let look = self.now.checked_add(BUSY).ok().filter(|_| self.own_claim_busy.is_some());
        again.or(look)
    }

    /// When what is asked for is begun again, if it was evicted: a node that turns every pod away is not asked without end.
    fn again_after_eviction(&self) -> Option<Timestamp> {
        let request = self.known_request().filter(|it| it.time.is_none())?;
        let asked = self.asked.clean.as_ref().is_some_and(|it| it.request == request.request);
        let failure = request.failure.as_ref().filter(|it| asked && it.reason == Reason::Evicted)?;
        Some(self.retry.due(failure, &self.replica.name_any()))
    }

    fn known_request(&self) -> Option<&RequestedCleanup> {
        self.replica.status.as_ref().and_then(|it| it.requested_cleanup.as_ref())
    }

    fn time(&self) -> String {
        whole_seconds(self.now).to_string()
    }

    /// The request that an attempt answers, if it is one.
    pub(super) fn request_of(&self, attempt: &Attempt) -> Option<&RequestedCleanup> {
        open_request(self.replica).filter(|it| it.attempt == attempt.number)
    }

    /// The step of a clean-up that was asked for and is under way.
    pub(super) fn cleaning_on_request(&self, attempt: &Attempt, request: &RequestedCleanup) -> Step {
        let still_wanted = self.is_about(attempt);
        match &self.work {
            None if still_wanted && self.obstacle().is_none() => Step::CreateCleanJob,
            // Not begun, or stopped: it is still asked for.
            None => over(attempt, request.clone()),
            Some(JobState::Running { .. }) if !still_wanted => Step::StopJob,
            Some(JobState::Running { problem: Some(problem), .. }) => {
                let failure = Some(due::failure(None, problem.reason, problem.message.clone(), self.now));
                let said = |it: &crate::api::model_cache::Failure| {
                    it.reason == problem.reason && it.message == problem.message
                };
                if request.failure.as_ref().is_some_and(said) {
                    return Step::Watch { stage: AttemptStage::Clean, problem: None, pod_ip: None };
                }
                Step::RecordRequested(None, Box::new(RequestedCleanup { failure, ..request.clone() }))
            }
            Some(JobState::Ending | JobState::Running { .. }) => {
                Step::Watch { stage: AttemptStage::Clean, problem: None, pod_ip: None }
            }
            Some(JobState::Succeeded(outcome)) => {
                let proven = outcome
                    .clean
                    .is_some_and(|it| it.dry_run == request.dry_run && it.rules > 0 && it.failed_rules == 0);
                let message = "the Job completed without saying which rules it carried out";
                let problem = (!proven).then(|| Problem::new(Reason::NoEvidence, message));
                self.answer(attempt, request, problem.as_ref(), Some(outcome.as_ref()))
            }
            // It was not its fault: made again.
            Some(JobState::Failed(problem)) if problem.reason == Reason::Evicted => {
                let failure = Some(due::failure(None, problem.reason, problem.message.clone(), self.now));
                over(attempt, RequestedCleanup { failure, ..request.clone() })
            }
            Some(JobState::Failed(problem)) => self.answer(attempt, request, Some(problem), self.said.as_ref()),
        }
    }

    fn answer(
        &self,
        attempt: &Attempt,
        request: &RequestedCleanup,
        problem: Option<&Problem>,
        said: Option<&Outcome>,
    ) -> Step {
        let said = said.filter(|it| it.clean.is_some_and(|it| it.dry_run == request.dry_run));
        let deeds = said.map(|it| it.deeds.clone()).unwrap_or_default();
        let deed = |it: crate::contract::deeds::Deed| CleanupDeed {
            rule: truncate(&it.rule, 63),
            what: truncate(&it.what, 32),
            path: truncate(&it.path, 1024),
            why: truncate(&it.why, 256),
            bytes: signed(it.bytes),
        };
        let answer = RequestedCleanup {
            time: Some(self.time()),
            message: said.filter(|it| it.succeeded).map(|it| truncate(&it.message, 4096)),
            did: said.and_then(|it| it.clean.as_ref()).map(|it| did(it, self.now)),
            more_deeds: (deeds.more > 0).then(|| signed(deeds.more)),
            deeds: deeds.told.into_iter().take(MOST).map(deed).collect(),
            failure: problem.map(|it| due::failure(None, it.reason, it.message.clone(), self.now)),
            ..request.clone()
        };
        over(attempt, answer)
    }
}

fn over(attempt: &Attempt, request: RequestedCleanup) -> Step {
    let done = Attempt { stage: AttemptStage::Done, ..attempt.clone() };
    Step::RecordRequested(Some(done), Box::new(request))
}

/// The request that is being answered.
pub fn open_request(replica: &ModelCacheReplica) -> Option<&RequestedCleanup> {
    replica.status.as_ref()?.requested_cleanup.as_ref().filter(|it| it.time.is_none())
}

/// What people are told of an answer, whether it succeeded, and the bytes that it freed. Nothing of a dry run.
pub(super) fn answered(replica: &ModelCacheReplica, answer: &RequestedCleanup) -> Option<(Option<Note>, bool, u64)> {
    if answer.dry_run || answer.time.is_none() {
        return None;
    }
    let problem = answer.failure.as_ref().map(|it| Problem::new(it.reason, it.message.clone()));
    let freed = answer.did.as_ref().and_then(|it| u64::try_from(it.freed_bytes).ok()).unwrap_or(0);
    Some((news(&copy_of(replica), problem.as_ref(), answer.did.as_ref()), problem.is_none(), freed))
}

#[cfg(test)]
#[path = "cleaning_on_request_tests.rs"]
mod tests;
