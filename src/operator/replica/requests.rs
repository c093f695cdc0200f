//! What is asked of a copy now, and when is that done?

use super::step::Step;
use crate::api::request::{Deed, RequestedCheck};
use crate::api::scheduled_run::Verification;
use crate::api::{ModelCache, ModelCacheReplica, ModelCacheReplicaStatus};
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
}

impl Asked {
    /// What the annotations of its cache ask of a copy, less what its status says was acted on.
    pub fn of(cache: &ModelCache, replica: &ModelCacheReplica) -> Self {
        let node = replica.spec.node.as_ref().map(|it| it.name.as_str());
        let known = replica.status.as_ref();
        let handled = known.and_then(|it| it.last_handled_request.as_ref());
        let checked = known.and_then(|it| it.verification.as_ref()?.requested.as_ref()).map(|it| &it.request);
        let asked = |deed: Deed| deed.asked_of(cache.annotations(), node);
        Self {
            warm: asked(Deed::Warm).filter(|it| Some(it) != handled),
            verify: asked(Deed::Verify).filter(|it| Some(it) != checked),
        }
    }

    /// Notes what a step has acted on. What waits for something else is still asked for when that has come.
    pub fn remember(&self, status: &mut ModelCacheReplicaStatus, step: &Step, now: Timestamp) {
        if let Some(request) = self.warm.as_ref().filter(|_| !matches!(step, Step::Wait(..))) {
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
    }
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
