//! What is asked of a copy now, and when is that done?
//!
//! A request is answered by an attempt that began after it was seen: one that was under way may fail for what was mended since.

use super::step::Step;
use crate::api::cleaning::RequestedCleanup;
use crate::api::model_cache_replica::{Attempt, AttemptStage};
use crate::api::request::{Deed, RequestedCheck, RequestedReset, Scope};
use crate::api::scheduled_run::Verification;
use crate::api::{FailureClass, ModelCache, ModelCacheReplica, ModelCacheReplicaStatus};
use crate::operator::retry::whole_seconds;
use jiff::Timestamp;
use kube::ResourceExt;

/// What was asked of a copy, and was not acted on yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// To try again at once what failed.
    pub warm: Option<String>,
    /// To hash every file.
    pub verify: Option<String>,
    /// To carry out the rules of the clean-up.
    pub clean: Option<CleanAsked>,
    /// To remove the content and fetch it anew.
    pub reset: Option<String>,
    /// Pods that mount the copy, where a reset is asked for.
    pub readers: Vec<String>,
}

/// A clean-up that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanAsked {
    /// The value of the annotation.
    pub request: String,
    /// Whether it is only to be said what would be done.
    pub dry_run: bool,
}

impl Asked {
    /// What the annotations of its cache ask of a copy, less what its status says was acted on.
    pub fn of(cache: &ModelCache, replica: &ModelCacheReplica) -> Self {
        let node = replica.spec.node.as_ref().map(|it| it.name.as_str());
        let status = replica.status.clone().unwrap_or_default();
        let checked = status.verification.and_then(|it| it.requested).map(|it| it.request);
        // What has not ended is still asked for.
        let cleaned = status.requested_cleanup.filter(|it| it.time.is_some()).map(|it| it.request);
        let reset = status.requested_reset.filter(|it| it.time.is_some()).map(|it| it.request);
        let asked = |deed: Deed, handled: Option<String>| {
            let asked = deed.asked_of(cache.annotations(), &cache.spec, &replica.spec.volume, node);
            asked.filter(|it| Some(it) != handled.as_ref())
        };
        let dry_run = cache.annotations().get(Deed::Clean.annotation()).is_some_and(|value| Scope::of(value).dry_run);
        Self {
            warm: asked(Deed::Warm, status.last_handled_request),
            verify: asked(Deed::Verify, checked),
            clean: asked(Deed::Clean, cleaned).map(|request| CleanAsked { request, dry_run }),
            reset: asked(Deed::Reset, reset),
            readers: vec![],
        }
    }

    /// The same, with the pods that mount the copy.
    #[must_use]
    pub fn read_by(self, readers: &[String]) -> Self {
        Self { readers: readers.to_vec(), ..self }
    }

    /// Whether a step begins to remove the content. It is not held from then on.
    pub fn removes(&self, replica: &ModelCacheReplica, step: &Step) -> bool {
        self.reset.is_some() && begun(replica, step).is_some_and(|it| !it.stage.is_scheduled())
    }

    /// Notes what a step has acted on. `replica` is as it was before. What waits for something else is still asked for when that
    /// has come.
    pub fn remember(
        &self,
        replica: &ModelCacheReplica,
        status: &mut ModelCacheReplicaStatus,
        step: &Step,
        now: Timestamp,
    ) {
        let begun = begun(replica, step);
        let warms = begun.is_some_and(|it| !it.stage.is_scheduled());
        let complete = status.holds.as_ref().is_some_and(|it| replica.spec.is_met_by(it));
        if let Some(request) = self.warm.as_ref().filter(|_| warms || complete) {
            status.last_handled_request = Some(request.clone());
        }
        // Every file was hashed as it was written: a copy that is made after a check was asked for needs none.
        let made = matches!(step, Step::Record(recording) if recording.holds.is_some());
        if let Some(request) = self.verify.clone().filter(|_| made) {
            let time = whole_seconds(now).to_string();
            let requested = Some(RequestedCheck { request, time, damaged: None, failure: None });
            let checks = status.verification.take().unwrap_or_default();
            status.verification = Some(Verification { requested, ..checks });
        }
        if let (Some(begun), Some(clean)) = (begun.filter(|it| it.stage == AttemptStage::Clean), &self.clean) {
            let CleanAsked { request, dry_run } = clean.clone();
            let attempt = begun.number;
            status.requested_cleanup =
                Some(RequestedCleanup { request, dry_run, attempt, ..RequestedCleanup::default() });
        }
        if let (Some(begun), Some(request)) = (begun.filter(|_| warms), self.reset.clone()) {
            let attempt = begun.number;
            status.requested_reset = Some(RequestedReset { request, attempt, time: None, failure: None });
        }
        end_of_reset(replica, status, step, now);
    }
}

/// The attempt that a step begins.
fn begun<'a>(replica: &ModelCacheReplica, step: &'a Step) -> Option<&'a Attempt> {
    let before = replica.status.as_ref().and_then(|it| it.attempt.as_ref()).map_or(0, |it| it.number);
    match step {
        Step::Record(recording) => Some(&recording.attempt).filter(|it| it.number > before),
        _ => None,
    }
}

/// Notes how the attempt that was a reset has ended. One that was evicted, or stopped for another plan, is made again.
fn end_of_reset(replica: &ModelCacheReplica, status: &mut ModelCacheReplicaStatus, step: &Step, now: Timestamp) {
    let Step::Record(recording) = step else { return };
    let number = recording.attempt.number;
    let open = |it: &&mut RequestedReset| it.time.is_none() && it.attempt == number;
    let Some(reset) = status.requested_reset.as_mut().filter(open) else { return };
    let before = replica.status.as_ref().and_then(|it| it.failure.as_ref());
    let failure = recording.failure.clone().filter(|it| it.count > 0 && Some(it) != before);
    let failure = failure.filter(|it| it.reason.class() != FailureClass::Disruption);
    if recording.attempt.stage == AttemptStage::Done && (recording.holds.is_some() || failure.is_some()) {
        reset.time = Some(whole_seconds(now).to_string());
        reset.failure = failure;
    }
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
