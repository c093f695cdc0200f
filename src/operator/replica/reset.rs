//! When is a copy reset, and when is that refused?
//!
//! ```text
//! Done ──asked, nobody reads it, slot──► WarmUp, which asks the origins first, removes what is there, and fetches it ──► Done
//! ```
//!
//! A reset is done now or refused: one that waited for pods to end or for a node to return would come when nobody thinks of it any
//! more. It waits only for its turn under `rollout` and the pool, and what it is about stays as it is until then. One that has begun
//! and was evicted goes on when it can.

use super::step::{Situation, Step};
use super::verification::BUSY;
use crate::api::model_cache_replica::{Attempt, AttemptStage};
use crate::api::request::RequestedReset;
use crate::api::{ModelCacheReplica, Reason};
use crate::operator::due;
use crate::operator::job::Problem;
use crate::operator::retry::whole_seconds;
use kube::ResourceExt;

/// Pods that a refusal names.
const NAMED: usize = 3;

impl Situation<'_> {
    /// The step of a copy at rest whose reset is asked for.
    pub(super) fn resets(&self, before: Option<&Attempt>) -> Option<Step> {
        let request = self.asked.reset.as_ref()?;
        let status = self.replica.status.as_ref();
        let begun = status.and_then(|it| it.requested_reset.as_ref());
        if begun.is_some_and(|it| it.time.is_none() && it.request == *request) {
            if let Some(wait) = self.keeps_from_going_on() {
                return Some(wait);
            }
        } else if let Some(problem) = self.keeps_from_reset() {
            return Some(self.refuse_reset(&problem));
        }
        let claim_uid = self.replica.spec.claim_uid.clone().filter(|_| {
            let holds = status.and_then(|it| it.holds.as_ref());
            holds.is_some_and(|it| it.claim_uid == self.replica.spec.claim_uid)
        });
        let number = before.map_or(0, |it| it.number) + 1;
        let Some(claim_uid) = claim_uid else {
            // Nothing is complete in this claim: made from the beginning, with its directory.
            return Some(self.begin_warm_up(number));
        };
        // The slot first: a copy that only waits for its turn is not taken from anybody.
        let (plan, restored) = (self.wanted().map(str::to_owned), self.replica.spec.restored.clone());
        let (stage, claim_uid) = (AttemptStage::WarmUp, Some(claim_uid));
        Some(Step::AskForSlot(Attempt { number, stage, plan, claim_uid, restored }))
    }

    /// What a reset waits for that has begun and was evicted or stopped: something may be gone already, so that it is not refused
    /// any more. It makes the pause of any attempt that failed.
    fn keeps_from_going_on(&self) -> Option<Step> {
        if let Some(failure) = self.failure() {
            let due = self.retry.due(failure, &self.replica.name_any());
            if due > self.now {
                return Some(Step::Wait(Problem::new(failure.reason, failure.message.clone()), Some(due)));
            }
        }
        let problem = self.keeps_from_reset()?;
        // A pod that ends, or another's claim that gets free, wakes nobody.
        Some(Step::Wait(problem, self.now.checked_add(BUSY).ok()))
    }

    /// What keeps the reset from being done now.
    fn keeps_from_reset(&self) -> Option<Problem> {
        if self.wanted().is_none() {
            return Some(Problem::new(Reason::Pending, "there is no plan yet: the sources are being resolved"));
        }
        if let Some(Step::Wait(problem, _)) = self.obstacle() {
            return Some(problem);
        }
        if !self.asked.readers.is_empty() {
            return Some(Problem::new(Reason::InUse, read_by(&self.asked.readers)));
        }
        self.claim_busy.clone().map(|it| Problem::new(Reason::VolumePending, it))
    }

    /// The step of the attempt that is a reset where a pod has come before its Job: what is there stays, and is looked at.
    pub(super) fn give_up_reset(&self, attempt: &Attempt) -> Option<Step> {
        let reset = self.replica.status.as_ref()?.requested_reset.as_ref()?;
        let open = reset.time.is_none() && reset.attempt == attempt.number && !self.asked.readers.is_empty();
        open.then(|| self.refuse_reset(&Problem::new(Reason::InUse, read_by(&self.asked.readers))))
    }

    fn refuse_reset(&self, problem: &Problem) -> Step {
        let request = self.asked.reset.clone().unwrap_or_default();
        let message = format!("nothing was removed: {}", problem.message);
        let failure = Some(due::failure(None, problem.reason, message, self.now));
        let time = Some(whole_seconds(self.now).to_string());
        Step::RefuseReset(Box::new(RequestedReset { request, attempt: 0, time, failure }))
    }
}

/// Says who reads a copy.
fn read_by(pods: &[String]) -> String {
    let names: Vec<String> = pods.iter().take(NAMED).map(|it| format!("`{it}`")).collect();
    let more = if pods.len() > NAMED { format!(" and {} more", pods.len() - NAMED) } else { String::new() };
    let (what, verb) = if pods.len() > 1 { ("pods", "mount") } else { ("pod", "mounts") };
    format!("{what} {}{more} {verb} it: end what reads it, and ask again", names.join(", "))
}

/// Whether the attempt of a number removes what is there before it fetches.
pub(super) fn removes(replica: &ModelCacheReplica, number: u64) -> bool {
    let reset = replica.status.as_ref().and_then(|it| it.requested_reset.as_ref());
    reset.is_some_and(|it| it.time.is_none() && u64::try_from(it.attempt) == Ok(number))
}

#[cfg(test)]
#[path = "reset_tests.rs"]
mod tests;
