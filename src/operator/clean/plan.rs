//! What does a cache's schedule of clean-ups mean, and what is to be written for it?

use super::build::cron_job::{config_map, cron_job};
use super::record::{Ended, ended, recorded};
use super::runner::{Runner, runner};
use crate::api::cleanup::Cleanup;
use crate::api::timetable::Times;
use crate::api::volume::Volume;
use crate::api::{ModelCache, Reason, name};
use crate::operator::cluster::Children;
use crate::operator::cron_job::jitter;
use crate::operator::cron_job::plan::{config_map_to_remove, cron_job_to_remove, found};
use crate::operator::job::Problem;
use crate::operator::modelcache::observe::Observed;
use crate::operator::options::Settings;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use std::time::Duration;

/// What a cache's clean-ups are to be.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// The schedule, when it can be followed.
    pub times: Option<Times>,
    /// Why nothing can be scheduled.
    pub problem: Option<Problem>,
    /// Volumes that the CronJob cleans.
    pub by_cron_job: Vec<String>,
    /// Volumes whose copies are cleaned by Jobs of the operator.
    pub by_operator: Vec<String>,
    /// Whether nothing new begins.
    pub suspended: bool,
    /// Runs of the CronJob that ended and are not in the status yet, in the order of their ends.
    pub ended: Vec<Ended>,
}

/// Decides what is written for the clean-ups of a cache, and adds it to its children. Nothing without a schedule.
pub fn plan(cache: &ModelCache, observed: &Observed, settings: &Settings, children: &mut Children) -> Option<Planned> {
    let name = name::clean(&cache.name_any());
    let Some(cron) = cache.spec.cleanup.as_ref().and_then(|it| it.schedule.as_ref()) else {
        children.removals.extend(cron_job_to_remove(&name, cache, observed));
        match cache.spec.cleanup {
            None => children.removals.extend(config_map_to_remove(&name, cache, observed)),
            // Pods that clean because somebody asked read it too.
            Some(_) => children.config_maps.extend(document(cache, observed).ok()),
        }
        return None;
    };
    let mut planned = split(cache, observed);
    let before = cache.status.as_ref().and_then(|it| it.cleanup.as_ref()).and_then(|it| it.cron_job.as_ref());
    planned.ended = ended(before, &observed.clean_jobs);
    children.removals.extend(recorded(before, observed, &name));
    match written(cache, cron, &planned, observed, settings, children) {
        Ok(times) => planned.times = Some(times),
        Err(problem) => planned.problem = Some(problem),
    }
    Some(planned)
}

/// What all pods that clean read, unless the name is somebody else's.
fn document(cache: &ModelCache, observed: &Observed) -> Result<(ConfigMap, Option<ConfigMap>), Problem> {
    Ok((config_map(cache), found(&name::clean(&cache.name_any()), cache, observed)?.config_map))
}

/// Which volumes are whose.
fn split(cache: &ModelCache, observed: &Observed) -> Planned {
    let claim = |volume: &Volume| observed.claims.get(&volume.claim_name(&cache.name_any()));
    let of = |wanted: Runner| {
        let is_its = |it: &&Volume| runner(&cache.spec, it, claim(it)) == Some(wanted);
        cache.spec.volumes.iter().filter(is_its).map(|it| it.name.clone()).collect()
    };
    let suspended = cache.spec.suspended() || cache.spec.cleanup.as_ref().is_some_and(Cleanup::suspended);
    Planned { by_cron_job: of(Runner::CronJob), by_operator: of(Runner::Operator), suspended, ..Planned::default() }
}

/// Adds the ConfigMap, and the CronJob where one is needed. What is there stays as it is while the spec cannot be followed.
fn written(
    cache: &ModelCache,
    cron: &str,
    planned: &Planned,
    observed: &Observed,
    settings: &Settings,
    children: &mut Children,
) -> Result<Times, Problem> {
    let invalid = |what: String| Problem::new(Reason::InvalidSpec, format!("spec.cleanup.schedule: {what}"));
    let times = Times::parse(cron, cache.spec.time_zone.as_deref()).map_err(|error| invalid(error.to_string()))?;
    let name = name::clean(&cache.name_any());
    let found = found(&name, cache, observed)?;
    children.config_maps.push((config_map(cache), found.config_map));
    if planned.by_cron_job.is_empty() {
        children.removals.extend(cron_job_to_remove(&name, cache, observed));
    } else {
        let schedule = jitter::moved(cron, Duration::ZERO, "").map_err(|error| invalid(error.to_string()))?;
        let suspend = planned.suspended || is_restored(cache, planned, observed);
        let wanted = cron_job(cache, &planned.by_cron_job, &schedule, suspend, settings);
        children.cron_jobs.push((wanted, found.cron_job));
    }
    Ok(times)
}

/// Whether a restore writes to a volume that the CronJob cleans: a clean-up that began now would take the volume from it.
fn is_restored(cache: &ModelCache, planned: &Planned, observed: &Observed) -> bool {
    let meant = cache.spec.volumes.iter().filter(|it| planned.by_cron_job.contains(&it.name));
    meant.map(|it| it.claim_name(&cache.name_any())).any(|it| observed.restored_claims.contains(&it))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
