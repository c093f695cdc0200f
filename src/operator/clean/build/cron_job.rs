//! The CronJob that cleans the volumes that many nodes can write to, and the ConfigMap that all pods that clean read.

use crate::api::{JobRole, ModelCache, Reason, name};
use crate::contract::mount;
use crate::operator::cron_job::build::{self, Scheduled};
use crate::operator::cron_job::document;
use crate::operator::modelcache::build::labels;
use crate::operator::options::Settings;
use crate::operator::placement;
use crate::operator::pod::{AgentJob, claim};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar, EnvVarSource, ObjectFieldSelector};
use kube::ResourceExt;
use std::time::Duration;

/// Seconds that a clean-up may run: large trees on slow file systems. A killed one is finished by the next.
pub const DEADLINE_SECONDS: i64 = 14_400;
/// A run that could not begin for this long after its time is left out: the next one does the same.
const STARTING_DEADLINE: Duration = Duration::from_secs(3600);
/// The pod's own UID in its environment.
const POD: &str = "POD_UID";

/// What is not tried again at once: a person must mend it, or the next run sees to it.
pub const FINAL: [Reason; 7] = [
    Reason::InvalidSpec,
    Reason::DeletionRefused,
    Reason::Damaged,
    Reason::VolumeError,
    Reason::InsufficientSpace,
    Reason::Superseded,
    Reason::DeadlineExceeded,
];

/// The ConfigMap `<cache>-clean`.
pub fn config_map(cache: &ModelCache) -> ConfigMap {
    document::config_map(cache, name::clean(&cache.name_any()), document::data(cache, cache.spec.clone()))
}

/// The CronJob for these volumes.
pub fn cron_job(cache: &ModelCache, volumes: &[String], schedule: &str, suspend: bool, settings: &Settings) -> CronJob {
    let name = name::clean(&cache.name_any());
    let meant = cache.spec.volumes.iter().filter(|it| volumes.contains(&it.name));
    let claims = meant.map(|it| claim(&it.name, &it.claim_name(&cache.name_any()), false));
    let document = document::mounted(name.clone(), mount::PLAN_DIRECTORY);
    let (pod_volumes, mounts) = claims.chain([document]).unzip();
    let placement = cache.spec.placement.as_ref();
    let job = AgentJob {
        name,
        namespace: cache.namespace().unwrap_or_default(),
        labels: labels(cache, None),
        args: arguments(volumes),
        env: vec![own_uid()],
        volumes: pod_volumes,
        mounts,
        affinity: placement.and_then(|it| placement::labelled(&it.node_selector)),
        deadline_seconds: DEADLINE_SECONDS,
        give_volume_to_group: true,
        ..AgentJob::default()
    };
    let starting_deadline = STARTING_DEADLINE;
    let scheduled =
        Scheduled { job, role: JobRole::Clean, schedule, starting_deadline, suspend, final_reasons: &FINAL };
    build::cron_job(cache, scheduled, settings)
}

/// Each pod is an owner of its own: it takes over from one that was killed, and gives way to a warm-up.
fn arguments(volumes: &[String]) -> Vec<String> {
    let own = ["clean", "-f", mount::CACHE, "--volumes-dir", mount::VOLUMES, "--owner", "$(POD_UID)", "--attempt", "1"];
    let volumes = volumes.iter().map(|it| format!("--volume={it}"));
    own.into_iter().map(str::to_owned).chain(volumes).collect()
}

fn own_uid() -> EnvVar {
    let field = ObjectFieldSelector { field_path: "metadata.uid".into(), api_version: None };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: POD.into(), value: None, value_from: Some(source) }
}
