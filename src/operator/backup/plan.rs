//! What does a cache's schedule of backups mean, and what is to be written for it?

use super::build::config_map::config_map;
use super::build::cron_job::cron_job;
use super::build::place::{claims, place};
use super::history;
use super::kept::pinned;
use crate::api::backup::Backup;
use crate::api::schedule::Schedule;
use crate::api::timetable::Times;
use crate::api::{ModelCache, Reason, duration, name};
use crate::operator::cluster::{Children, Removal};
use crate::operator::cron_job::jitter;
use crate::operator::cron_job::plan::{config_map_to_remove, cron_job_to_remove, found};
use crate::operator::job::Problem;
use crate::operator::modelcache::observe::Observed;
use crate::operator::options::Settings;
use crate::operator::replica::build::warm_up_job::Beside;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::time::Duration;

/// What a cache's backups are to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Planned {
    /// The schedule in effect, moved by the jitter, when there is one.
    pub schedule: Option<String>,
    /// Why nothing can be scheduled.
    pub problem: Option<Problem>,
    /// Whether scheduled runs wait for a first complete copy.
    pub nowhere: bool,
    /// The time zone of the schedule; UTC when there is none.
    pub time_zone: Option<String>,
    /// Whether the runs must begin where pods have a claim mounted.
    pub follows: bool,
}

/// How long before a run it is looked where the claims are that it must follow.
const BEFORE: SignedDuration = SignedDuration::from_secs(30);

impl Planned {
    /// The times of the runs, and the text that the status has of them.
    pub fn times(&self) -> Option<Times> {
        Times::parse(self.schedule.as_ref()?, self.time_zone.as_deref()).ok()
    }

    /// When to look again where the next run must begin.
    pub fn look_again(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.times().filter(|_| self.follows)?.next_after(now.checked_add(BEFORE).ok()?)?;
        next.checked_sub(BEFORE).ok()
    }
}

/// Decides what is written for the backups of a cache, and adds it to its children.
pub fn plan(cache: &ModelCache, observed: &Observed, settings: &Settings, children: &mut Children) -> Option<Planned> {
    let backup = cache.spec.backup.as_ref();
    let planned = backup.map(|it| write(cache, it, observed, settings, children));
    let keeps = planned.as_ref().is_some_and(|it| it.schedule.is_some() || it.problem.is_some());
    if !keeps {
        let name = name::backup(&cache.name_any());
        children.removals.extend(cron_job_to_remove(&name, cache, observed));
        children.removals.extend(config_map_to_remove(&name, cache, observed));
    }
    let limits = backup.map_or((3, 1), Backup::effective_history);
    let past = history::superseded(&observed.backups, limits);
    children.removals.extend(past.into_iter().map(|it| Removal::Backup(it.as_ref().clone())));
    planned
}

fn write(
    cache: &ModelCache,
    backup: &Backup,
    observed: &Observed,
    settings: &Settings,
    children: &mut Children,
) -> Planned {
    let Some(cron) = &backup.schedule else { return Planned::default() };
    let schedule = match effective(cache, backup, cron) {
        Ok(schedule) => schedule,
        Err(problem) => return Planned { problem: Some(problem), ..Planned::default() },
    };
    let name = name::backup(&cache.name_any());
    let found = match found(&name, cache, observed) {
        Ok(found) => found,
        Err(problem) => return Planned { problem: Some(problem), ..Planned::default() },
    };
    let pools = observed.pools.iter().map(AsRef::as_ref);
    let claims = claims(cache, backup);
    let beside = claims.iter().filter_map(|it| observed.beside.get(it)).find(|it| **it != Beside::Anywhere);
    let place = place(cache, backup, &observed.replicas.iter(), &pools);
    let place = place.beside(cache, backup, beside.unwrap_or(&Beside::Anywhere));
    // What one node at a time can mount may be on another by the time of the next run.
    let follows = claims.iter().any(|it| observed.beside.contains_key(it));
    children.config_maps.push((config_map(cache, backup), found.config_map));
    let wanted = cron_job(cache, backup, &schedule, &place, &pinned(&observed.backups), settings);
    children.cron_jobs.push((wanted, found.cron_job));
    let time_zone = cache.spec.time_zone.clone();
    Planned { schedule: Some(schedule), problem: None, nowhere: place.nowhere, time_zone, follows }
}

/// The schedule as Kubernetes is to read it.
fn effective(cache: &ModelCache, backup: &Backup, cron: &str) -> Result<String, Problem> {
    let invalid = |what: String| Problem::new(Reason::InvalidSpec, what);
    let zone = cache.spec.time_zone.as_deref();
    Schedule::parse(cron, zone).map_err(|error| invalid(format!("spec.backup.schedule: {error}")))?;
    let jitter = backup.jitter.as_deref().map_or(Ok(Duration::ZERO), duration::parse);
    let jitter = jitter.map_err(|error| invalid(format!("spec.backup.jitter: {error}")))?;
    jitter::moved(cron, jitter, &cache.uid().unwrap_or_default()).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
