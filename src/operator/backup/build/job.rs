//! The Job of one attempt at a ModelCacheBackup that was made by hand, and the ConfigMap with what it is to do.

use super::config_map::data;
use super::place::Place;
use super::pod;
use crate::api::backup::Backup;
use crate::api::{JobRole, ModelCache, ModelCacheBackup, label, name};
use crate::operator::cron_job::document::config_map_of_run;
use crate::operator::options::Settings;
use crate::operator::pod::{AgentJob, agent_job, owner};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

/// Job and ConfigMap, both of one name. They belong to the backup's object: what it left at the destination does not.
pub fn job(
    object: &ModelCacheBackup,
    attempt: i64,
    cache: &ModelCache,
    backup: &Backup,
    place: &Place,
    pinned: &[String],
    settings: &Settings,
) -> (ConfigMap, Job) {
    let number = u64::try_from(attempt).unwrap_or(0);
    let name = name::backup_job(&object.name_any(), &object.uid().unwrap_or_default(), number);
    let common = pod::agent_job(cache, backup, name.clone(), place, pinned);
    let mut job = AgentJob { name, owner: owner(object), ..common };
    job.labels.insert(label::BACKUP.into(), name::label_value(&object.name_any()));
    let config_map = config_map_of_run(&job, data(cache, backup));
    (config_map, agent_job(job, JobRole::Backup, &cache.spec.effective_pod_template(), settings))
}

/// The cache's settings with what one backup asks for instead.
pub fn settings_of(object: &ModelCacheBackup, backup: &Backup) -> Backup {
    let mut own = backup.clone();
    own.content = object.spec.content.or(own.content);
    if !object.spec.volumes.is_empty() {
        own.volumes.clone_from(&object.spec.volumes);
    }
    own
}
