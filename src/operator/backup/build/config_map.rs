//! The document that the pods of backups and restores read.

use crate::api::backup::Backup;
use crate::api::{ModelCache, name};
use crate::contract::mount;
use crate::operator::cron_job::document;
use k8s_openapi::api::core::v1::{ConfigMap, Volume, VolumeMount};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// The ConfigMap `<cache>-backup` of the scheduled backups.
pub fn config_map(cache: &ModelCache, backup: &Backup) -> ConfigMap {
    document::config_map(cache, name::backup(&cache.name_any()), data(cache, backup))
}

/// The cache as its pods are to see it: with these settings of its backups.
pub fn data(cache: &ModelCache, backup: &Backup) -> BTreeMap<String, String> {
    let mut spec = cache.spec.clone();
    spec.backup = Some(backup.clone());
    document::data(cache, spec)
}

/// The ConfigMap as a file in a pod.
pub fn mounted(name: String) -> (Volume, VolumeMount) {
    document::mounted(name, mount::PLAN_DIRECTORY)
}
