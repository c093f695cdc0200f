//! The document that the pods of backups and restores read: a ModelCache without its status, in a ConfigMap.

use crate::api::backup::Backup;
use crate::api::{ModelCache, name};
use crate::contract::mount;
use crate::operator::modelcache::build::metadata;
use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapVolumeSource, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// The ConfigMap `<cache>-backup` of the scheduled backups.
pub fn config_map(cache: &ModelCache, backup: &Backup) -> ConfigMap {
    ConfigMap {
        metadata: metadata(cache, name::backup(&cache.name_any()), None, true),
        data: Some(data(cache, backup)),
        ..ConfigMap::default()
    }
}

/// The cache as its pods are to see it: with these settings of its backups.
pub fn data(cache: &ModelCache, backup: &Backup) -> BTreeMap<String, String> {
    let mut spec = cache.spec.clone();
    spec.backup = Some(backup.clone());
    let metadata =
        ObjectMeta { name: cache.metadata.name.clone(), namespace: cache.namespace(), ..ObjectMeta::default() };
    let document = ModelCache { metadata, spec, status: None };
    // JSON is YAML.
    BTreeMap::from([(mount::CACHE_FILE.to_owned(), serde_json::to_string(&document).unwrap_or_default())])
}

/// The ConfigMap as a file in a pod.
pub fn mounted(name: String) -> (Volume, VolumeMount) {
    let volume = Volume {
        name: "cache".into(),
        config_map: Some(ConfigMapVolumeSource { name, ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    };
    let mount = VolumeMount {
        name: "cache".into(),
        mount_path: mount::PLAN_DIRECTORY.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    (volume, mount)
}
