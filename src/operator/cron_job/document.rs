//! The document that pods read which work on a whole cache: a ModelCache without its status, in a ConfigMap.

use crate::api::{ModelCache, ModelCacheSpec};
use crate::contract::mount;
use crate::operator::modelcache::build::metadata;
use crate::operator::pod::AgentJob;
use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapVolumeSource, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// The ConfigMap of a CronJob's pods.
pub fn config_map(cache: &ModelCache, name: String, data: BTreeMap<String, String>) -> ConfigMap {
    ConfigMap { metadata: metadata(cache, name, None, true), data: Some(data), ..ConfigMap::default() }
}

/// The ConfigMap of a Job that is made once, of the Job's name: it goes with the object that the Job works for.
pub fn config_map_of_run(job: &AgentJob, data: BTreeMap<String, String>) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(job.name.clone()),
        namespace: Some(job.namespace.clone()),
        labels: Some(job.labels.clone()),
        owner_references: job.owner.clone().map(|it| vec![it]),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, data: Some(data), immutable: Some(true), ..ConfigMap::default() }
}

/// The cache as its pods are to see it: with this spec.
pub fn data(cache: &ModelCache, spec: ModelCacheSpec) -> BTreeMap<String, String> {
    let metadata =
        ObjectMeta { name: cache.metadata.name.clone(), namespace: cache.namespace(), ..ObjectMeta::default() };
    let document = ModelCache { metadata, spec, status: None };
    // JSON is YAML.
    BTreeMap::from([(mount::CACHE_FILE.to_owned(), serde_json::to_string(&document).unwrap_or_default())])
}

/// The ConfigMap as a file in a directory of a pod.
pub fn mounted(name: String, directory: &str) -> (Volume, VolumeMount) {
    let volume = Volume {
        name: "cache".into(),
        config_map: Some(ConfigMapVolumeSource { name, ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    };
    let mount = VolumeMount {
        name: "cache".into(),
        mount_path: directory.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    (volume, mount)
}
