//! Which CronJob and which ConfigMap of a name are there, and whose are they?

use crate::api::{ModelCache, Reason};
use crate::operator::cluster::Removal;
use crate::operator::job::Problem;
use crate::operator::modelcache::build::is_of;
use crate::operator::modelcache::observe::Observed;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

/// What is there of a name.
#[derive(Debug, Default)]
pub struct Found {
    /// The CronJob.
    pub cron_job: Option<CronJob>,
    /// The ConfigMap.
    pub config_map: Option<ConfigMap>,
}

/// What is there of a name, unless it is somebody else's.
pub fn found(name: &str, cache: &ModelCache, observed: &Observed) -> Result<Found, Problem> {
    let cron_job = observed.cron_jobs.iter().find(|it| it.name_any() == name).cloned();
    let config_map = observed.config_maps.iter().find(|it| it.name_any() == name).cloned();
    let foreign = cron_job.as_ref().is_some_and(|it| !is_of(it, cache))
        || config_map.as_ref().is_some_and(|it| !is_of(it, cache));
    if foreign {
        let message =
            format!("a CronJob or a ConfigMap `{name}` belongs to somebody else: delete it, or rename this cache");
        return Err(Problem::new(Reason::ClaimConflict, message));
    }
    Ok(Found { cron_job, config_map })
}

/// The CronJob of a name, no longer asked for.
pub fn cron_job_to_remove(name: &str, cache: &ModelCache, observed: &Observed) -> Option<Removal> {
    let ours = observed.cron_jobs.iter().find(|it| it.name_any() == name && is_of(*it, cache));
    ours.cloned().map(Removal::CronJob)
}

/// The ConfigMap of a name, no longer asked for.
pub fn config_map_to_remove(name: &str, cache: &ModelCache, observed: &Observed) -> Option<Removal> {
    let ours = observed.config_maps.iter().find(|it| it.name_any() == name && is_of(*it, cache));
    ours.cloned().map(Removal::ConfigMap)
}
