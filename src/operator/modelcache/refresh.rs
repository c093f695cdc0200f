//! Has an origin something newer than what is pinned? Asked on schedule, one source for itself.
//!
//! ```text
//! due ──Job──► the pin that the origin gives now ──same──► up to date
//!                    │ another, Notify ──► said, the pin stays
//!                    └ another, Update ──► it is the pin: a new plan, rolled out beside what is there
//! ```
//!
//! With `Update` an answer waits for those of other sources of its volume that are being asked: one plan for all that moved.
//!
//! The operator makes these Jobs itself, and no CronJob does: what an origin said while nobody listened changes nothing, and a
//! time that was missed is made up for once. A failure changes nothing but what is said.

use super::build;
use super::observe::Observed;
use super::resolution::{Resolution, ResolutionState, attempt_of, is_about};
use crate::api::model_cache::SourceStatus;
use crate::api::scheduled_run::ScheduledRun;
use crate::api::timetable::{RefreshPolicy, Times, Timetable};
use crate::api::{ModelCache, Reason, quantity};
use crate::contract::plan::Pin;
use crate::operator::due::{self, Due, Plan};
use crate::operator::job::{JobState, ObservedJob, Problem};
use crate::operator::options::Settings;
use crate::operator::placement::{NodeState, node_state};
use crate::operator::retry::RetryPolicy;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Toleration;
use kube::ResourceExt;

/// What is known of a source's freshness.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Freshness {
    /// Whether the origin is ever asked: the policy asks, and the source can move.
    pub followed: bool,
    /// The last time of asking whose result is known; Jobs are numbered by it.
    pub asked: u64,
    /// The last one whose result is in the status: Jobs up to it may go.
    pub recorded: u64,
    /// What the origin has, when that is not what is pinned.
    pub available: Option<String>,
    /// The memory of the schedule.
    pub run: Option<ScheduledRun>,
    /// Whether a Job is to be created now.
    pub due: bool,
    /// When time alone makes it due.
    pub next: Option<Timestamp>,
    /// What came of a Job that ended and is not recorded yet.
    pub result: Option<Answer>,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What is pinned is what there is.
    Current,
    /// There is something newer.
    Moved,
    /// There is no answer.
    Failed,
}

/// The freshness of every source. With `Update` a newer pin takes the place of the old one in `resolutions`.
pub fn refresh(
    cache: &ModelCache,
    timetable: &Timetable,
    observed: &Observed,
    resolutions: &mut [Resolution],
    retry: &RetryPolicy,
    now: Timestamp,
) -> Vec<Freshness> {
    let Some(times) = &timetable.refresh else { return vec![Freshness::default(); resolutions.len()] };
    let update = cache.spec.refresh_policy() == RefreshPolicy::Update;
    let held_back = cache.spec.suspended() || (update && !rolled_out(observed));
    let volume = |it: &Resolution| cache.spec.volume_of(&it.source).map(|it| it.name.clone());
    let asking: Vec<_> = resolutions.iter().filter(|it| is_asked(cache, observed, it)).map(volume).collect();
    (0..resolutions.len())
        .map(|index| {
            let resolution = &resolutions[index];
            let awaits = update && asking.contains(&volume(resolution));
            let (mut fresh, found) = freshness(cache, observed, times, resolution, retry, (held_back, awaits), now);
            let Some(found) = found.filter(|_| update) else { return fresh };
            match too_large(cache, resolutions, index, &found) {
                None => {
                    fresh.available = None;
                    resolutions[index].state = ResolutionState::Pinned(found);
                }
                Some(problem) => {
                    let failure = due::failure(fresh.run.as_ref(), problem.reason, problem.message, now);
                    fresh.run = fresh.run.map(|it| ScheduledRun { failure: Some(failure), ..it });
                }
            }
            fresh
        })
        .collect()
}

/// Whether an origin is being asked just now.
fn is_asked(cache: &ModelCache, observed: &Observed, resolution: &Resolution) -> bool {
    let recorded = remembered(cache, resolution).recorded;
    let about =
        |it: &&ObservedJob| is_about(it, &resolution.source, &resolution.spec_hash) && attempt_of(it) > recorded;
    let newest = observed.refresh_jobs.iter().filter(about).max_by_key(|it| attempt_of(it));
    resolution.is_pinned()
        && resolution.source.moves()
        && newest.is_some_and(|it| matches!(it.state(), JobState::Ending | JobState::Running { .. }))
}

/// The freshness of one source, and what its origin has when that was just said and is not what is pinned. Whoever is held back
/// asks nobody; whoever awaits others' answers does not hear a newer revision yet.
fn freshness(
    cache: &ModelCache,
    observed: &Observed,
    times: &Times,
    resolution: &Resolution,
    retry: &RetryPolicy,
    (held_back, awaits): (bool, bool),
    now: Timestamp,
) -> (Freshness, Option<Pin>) {
    let (source, spec_hash) = (&resolution.source, &resolution.spec_hash);
    let mut fresh = remembered(cache, resolution);
    let ResolutionState::Pinned(pin) = &resolution.state else { return (Freshness::default(), None) };
    if !source.moves() {
        return (Freshness::default(), None);
    }
    fresh.followed = true;
    fresh.available = fresh.available.filter(|it| *it != pin.revision);
    let plan = Plan { times, spread: None };
    let about = |it: &&ObservedJob| is_about(it, source, spec_hash) && attempt_of(it) > fresh.recorded;
    if let Some(job) = observed.refresh_jobs.iter().filter(about).max_by_key(|it| attempt_of(it)) {
        let number = attempt_of(job);
        let failed = |problem: Problem| {
            let failure = due::failure(fresh.run.as_ref(), problem.reason, problem.message, now);
            Freshness {
                asked: number,
                run: Some(due::failed(fresh.run.as_ref(), failure)),
                result: Some(Answer::Failed),
                ..fresh.clone()
            }
        };
        return match job.state() {
            JobState::Ending | JobState::Running { .. } => (fresh, None),
            JobState::Failed(problem) => (failed(problem), None),
            JobState::Succeeded(outcome) => match outcome.pin {
                None => {
                    let message = "the Job completed without saying what it found";
                    (failed(Problem::new(Reason::NoEvidence, message)), None)
                }
                Some(found) if awaits && found != *pin => (fresh, None),
                Some(found) => {
                    let moved = found != *pin;
                    let result = Some(if moved { Answer::Moved } else { Answer::Current });
                    let available = moved.then(|| named(&found, pin));
                    let run = Some(plan.succeeded(now));
                    (Freshness { asked: number, run, available, result, ..fresh }, moved.then_some(found))
                }
            },
        };
    }
    let due = plan.due(fresh.run.as_ref(), retry, now);
    fresh.due = !held_back && (due == Due::Now || resolution.request.is_some());
    match due {
        Due::Remember(run) => {
            fresh.next = run.next.parse().ok();
            fresh.run = Some(run);
        }
        Due::At(time) => fresh.next = Some(time),
        Due::Now => {}
    }
    (fresh, None)
}

/// What the status says about this spec of the source.
fn remembered(cache: &ModelCache, resolution: &Resolution) -> Freshness {
    let sources = cache.status.as_ref().map(|it| it.sources.as_slice()).unwrap_or_default();
    let mine = |it: &&SourceStatus| {
        it.name == resolution.source.name && it.spec_hash.as_deref() == Some(resolution.spec_hash.as_str())
    };
    let record = sources.iter().find(mine);
    let asked = record.and_then(|it| it.asked).and_then(|it| u64::try_from(it).ok()).unwrap_or(0);
    let (available, run) = record.map(|it| (it.available.clone(), it.refresh.clone())).unwrap_or_default();
    Freshness { asked, recorded: asked, available, run, ..Freshness::default() }
}

/// What a newer pin is called. A revision of the same name may hold other files.
fn named(found: &Pin, pin: &Pin) -> String {
    let other =
        if found.revision == pin.revision { format!(" (now with digest {})", found.digest) } else { String::new() };
    crate::api::condition::truncate(&format!("{}{other}", found.revision), 600)
}

/// Whether what is asked of the cache now is done for a source: its origin is asked by a Job that is made now, or need not be asked.
/// An answer to a Job that was there before the request is none, and what waits for a roll-out is still to be asked.
pub fn acts_on_request(resolution: &Resolution, fresh: &Freshness) -> bool {
    match resolution.state {
        ResolutionState::Due => true,
        ResolutionState::Running(_) | ResolutionState::Later(_) => false,
        ResolutionState::Pinned(_) => !fresh.followed || fresh.due,
    }
}

/// Whether every copy on a node that answers holds the plan that it was given: nothing is being rolled out. A copy whose origin no
/// longer has what is pinned never will: only an update mends it.
fn rolled_out(observed: &Observed) -> bool {
    observed.replicas.iter().all(|replica| {
        let silent = replica.spec.node.as_ref().is_some_and(|node| {
            let found = observed.nodes.iter().find(|it| it.uid().as_deref() == Some(node.uid.as_str()));
            found.is_none_or(|it| node_state(it) != NodeState::Ready)
        });
        let holds = replica.status.as_ref().and_then(|it| it.holds.as_ref()).map(|it| it.plan.as_str());
        let failure = replica.status.as_ref().and_then(|it| it.failure.as_ref()).map(|it| it.reason);
        let gone = matches!(failure, Some(Reason::ListingMismatch | Reason::NotFound | Reason::ChecksumMismatch));
        silent || gone || holds == replica.spec.plan.as_ref().map(|it| it.hash.as_str())
    })
}

/// Why what an origin has now is not taken: what is there would have to go for it.
fn too_large(cache: &ModelCache, resolutions: &[Resolution], index: usize, found: &Pin) -> Option<Problem> {
    let volume = cache.spec.volume_of(&resolutions[index].source)?;
    let size = quantity::bytes(volume.size()?).ok()?;
    let on_volume = |it: &Resolution| cache.spec.volume_of(&it.source).is_some_and(|it| it.name == volume.name);
    let others = resolutions.iter().enumerate().filter(|(at, it)| *at != index && on_volume(it));
    let others = others.map(|(_, it)| if let ResolutionState::Pinned(pin) = &it.state { pin.bytes } else { 0 });
    let wanted = others.fold(found.bytes, u64::saturating_add);
    (wanted > size).then(|| {
        let message = format!(
            "with revision {} the sources of volume `{}` are {}, more than its size of {}: raise `size`, or leave files out with `exclude`",
            found.revision,
            volume.name,
            quantity::human(wanted),
            quantity::human(size)
        );
        Problem::new(Reason::InsufficientSpace, message)
    })
}

/// Jobs for the sources whose origin is to be asked.
pub fn jobs(
    cache: &ModelCache,
    resolutions: &[Resolution],
    freshness: &[Freshness],
    observed: &Observed,
    tolerations: &[Toleration],
    settings: &Settings,
) -> Vec<Job> {
    let due = resolutions.iter().zip(freshness).filter(|(_, fresh)| fresh.due);
    due.map(|(it, fresh)| {
        let beside = observed.beside_of(&it.source);
        build::resolve_job::refresh_job(cache, it, fresh.asked + 1, tolerations.to_vec(), &beside, settings)
    })
    .collect()
}

/// Jobs whose answer is recorded, or that nobody waits for any more.
pub fn over<'a>(
    observed: &'a Observed,
    resolutions: &'a [Resolution],
    freshness: &'a [Freshness],
) -> impl Iterator<Item = &'a ObservedJob> {
    observed.refresh_jobs.iter().filter(move |job| {
        let asked = resolutions.iter().zip(freshness).find(|(it, _)| is_about(job, &it.source, &it.spec_hash));
        asked.is_none_or(|(_, fresh)| !fresh.followed || attempt_of(job) <= fresh.recorded)
    })
}

#[cfg(test)]
#[path = "refresh_tests.rs"]
mod tests;
