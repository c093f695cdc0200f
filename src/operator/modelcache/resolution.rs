//! What has each source resolved to, and is it to be asked again?
//!
//! The memory of the pins is the retained plans: a source is resolved again only when its own spec changes.

use super::observe::Observed;
use crate::api::model_cache::{Failure, SourceStatus};
use crate::api::request::Deed;
use crate::api::source::Source;
use crate::api::{ModelCache, annotation, label};
use crate::contract::plan::{FILE, Pin, Plan};
use crate::operator::job::{JobState, ObservedJob, Problem};
use crate::operator::retry::{RetryPolicy, next_failure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

/// A source and what is known of its origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// The source.
    pub source: Source,
    /// Hash of its spec.
    pub spec_hash: String,
    /// The last attempt whose result is known.
    pub attempt: u64,
    /// The last attempt whose result is in the status: Jobs up to it may go.
    pub recorded: u64,
    /// The last failure.
    pub failure: Option<Failure>,
    /// What is asked of the cache now, and this origin was not asked for yet.
    pub request: Option<String>,
    /// What is known.
    pub state: ResolutionState,
}

impl Resolution {
    /// Whether the source has a pin.
    pub fn is_pinned(&self) -> bool {
        matches!(self.state, ResolutionState::Pinned(_))
    }
}

/// What is known of a source.
#[derive(Clone, Debug, PartialEq)]
pub enum ResolutionState {
    /// It has a pin.
    Pinned(Pin),
    /// A Job asks.
    Running(Option<Problem>),
    /// A Job is to be created now.
    Due,
    /// A Job is to be created later.
    Later(Timestamp),
}

/// The state of every source.
pub fn resolutions(cache: &ModelCache, observed: &Observed, retry: &RetryPolicy, now: Timestamp) -> Vec<Resolution> {
    cache.spec.sources.iter().map(|source| resolution(cache, source, observed, retry, now)).collect()
}

fn resolution(
    cache: &ModelCache,
    source: &Source,
    observed: &Observed,
    retry: &RetryPolicy,
    now: Timestamp,
) -> Resolution {
    let spec_hash = source.spec_hash();
    let record = record(cache, source, &spec_hash);
    let recorded = record.as_ref().and_then(|it| it.attempt).and_then(|it| u64::try_from(it).ok()).unwrap_or(0);
    let mut attempt = recorded;
    let handled = record.as_ref().and_then(|it| it.last_handled_request.as_ref());
    let request = request(cache).filter(|it| Some(it) != handled);
    let mut failure = record.and_then(|it| it.failure);
    let volume = cache.spec.volume_of(source).map(|it| it.name.clone()).unwrap_or_default();
    let remembered = current_plan(observed, &volume).and_then(|(_, plan)| {
        plan.sources.into_iter().find(|it| it.source.name == source.name && it.source.spec_hash() == spec_hash)
    });
    if let Some(planned) = remembered {
        let state = ResolutionState::Pinned(planned.pin);
        return Resolution { source: source.clone(), spec_hash, attempt, recorded, failure: None, request, state };
    }
    let mut state = None;
    for job in jobs_of(observed, source, &spec_hash) {
        let number = attempt_of(job);
        if number <= attempt {
            continue;
        }
        match job.state() {
            JobState::Ending => state = Some(ResolutionState::Running(None)),
            JobState::Running { problem, .. } => state = Some(ResolutionState::Running(problem)),
            JobState::Succeeded(outcome) => {
                if let Some(pin) = outcome.pin {
                    state = Some(ResolutionState::Pinned(pin));
                } else {
                    (attempt, failure) = (number, Some(no_pin(failure.as_ref(), now)));
                }
            }
            JobState::Failed(problem) => {
                (attempt, failure) =
                    (number, Some(next_failure(failure.as_ref(), problem.reason, problem.message, now)));
            }
        }
    }
    let state = state.unwrap_or_else(|| match &failure {
        Some(failure) if retry.due(failure, &spec_hash) > now && request.is_none() => {
            ResolutionState::Later(retry.due(failure, &spec_hash))
        }
        _ => ResolutionState::Due,
    });
    // What was asked for begins with a clean sheet.
    let begins = state == ResolutionState::Due && request.is_some();
    let failure = failure.map(|it| if begins { Failure { count: 0, ..it } } else { it });
    Resolution { source: source.clone(), spec_hash, attempt, recorded, failure, request, state }
}

/// What is asked of the cache now, and was not acted on for all of its sources yet: their origins are asked whatever the time.
/// Nothing while it is suspended.
pub fn request(cache: &ModelCache) -> Option<String> {
    let handled = cache.status.as_ref().and_then(|it| it.last_handled_request.as_ref());
    Deed::Warm.asked(cache.annotations()).filter(|it| Some(it) != handled && !cache.spec.suspended())
}

fn no_pin(previous: Option<&Failure>, now: Timestamp) -> Failure {
    next_failure(
        previous,
        crate::api::Reason::NoEvidence,
        "the resolve Job completed without saying what it found",
        now,
    )
}

/// What the status says about this spec of the source.
fn record(cache: &ModelCache, source: &Source, spec_hash: &str) -> Option<SourceStatus> {
    let sources = cache.status.as_ref().map(|it| it.sources.as_slice()).unwrap_or_default();
    sources.iter().find(|it| it.name == source.name && it.spec_hash.as_deref() == Some(spec_hash)).cloned()
}

/// Resolve Jobs of this spec of a source, oldest attempt first.
fn jobs_of<'a>(observed: &'a Observed, source: &Source, spec_hash: &str) -> Vec<&'a ObservedJob> {
    let mut jobs: Vec<&ObservedJob> =
        observed.resolve_jobs.iter().filter(|it| is_about(it, source, spec_hash)).collect();
    jobs.sort_by_key(|job| attempt_of(job));
    jobs
}

/// Whether a resolve Job asks for this spec of a source.
pub fn is_about(job: &ObservedJob, source: &Source, spec_hash: &str) -> bool {
    job.job.labels().get(label::SOURCE).is_some_and(|it| *it == source.name)
        && job.job.annotations().get(annotation::SPEC_HASH).is_some_and(|it| it == spec_hash)
}

/// The number at the end of a Job's name.
pub fn attempt_of(job: &ObservedJob) -> u64 {
    job.name().rsplit(|c: char| !c.is_ascii_digit()).next().and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// The plan of a volume that counts, and its sequence: the highest of those that we can read.
pub fn current_plan(observed: &Observed, volume: &str) -> Option<(u64, Plan)> {
    let readable = plans(observed, volume).filter_map(|it| Some((it, parse(it)?)));
    readable.max_by_key(|(it, _)| place_in_order(it)).map(|(it, plan)| (sequence(it), plan))
}

/// The plan `ConfigMap`s of a volume.
pub fn plans<'a>(observed: &'a Observed, volume: &'a str) -> impl Iterator<Item = &'a ConfigMap> {
    let of_volume = move |it: &&ConfigMap| it.labels().get(label::VOLUME).is_some_and(|it| it == volume);
    observed.config_maps.iter().filter(of_volume).filter(|it| it.annotations().contains_key(annotation::SEQUENCE))
}

/// The place of a plan in the order of its volume's plans.
pub fn sequence(plan: &ConfigMap) -> u64 {
    plan.annotations().get(annotation::SEQUENCE).and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// What plans are ordered by: two of one sequence (two operators for a moment) by name, so that everybody agrees.
pub fn place_in_order(plan: &ConfigMap) -> (u64, String) {
    (sequence(plan), plan.name_any())
}

fn parse(config_map: &ConfigMap) -> Option<Plan> {
    Plan::parse(config_map.data.as_ref()?.get(FILE)?).ok()
}

#[cfg(test)]
#[path = "resolution_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "request_tests.rs"]
mod requests;
