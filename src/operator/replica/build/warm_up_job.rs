//! The Job that puts the content on a volume.

use super::inputs::all_inputs;
use super::labels;
use crate::api::{JobRole, ModelCache, ModelCacheReplica, NodeCachePool, label, name, quantity};
use crate::contract::{mount, progress};
use crate::operator::backup::build::config_map::mounted;
use crate::operator::backup::build::pod::{destination, keys};
use crate::operator::modelcache::build::restored::Restored;
use crate::operator::options::Settings;
use crate::operator::placement;
use crate::operator::pod::{AgentJob, agent_job, owner};
use crate::operator::replica::reset::removes;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, NodeAffinity, PersistentVolumeClaimVolumeSource, Volume, VolumeMount,
};
use kube::ResourceExt;

/// Seconds that a warm-up may run: a day. Large models over slow lines take hours, and a kill only costs what is in flight.
const DEADLINE_SECONDS: i64 = 86_400;

/// What a pool keeps free on its disks when it does not say.
pub const DEFAULT_MIN_FREE: u64 = 1 << 30;

/// Where the pod of a shared volume must run.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Beside {
    /// Wherever the cache's placement allows.
    #[default]
    Anywhere,
    /// On the node that has the ReadWriteOnce claim mounted.
    Node(String),
}

impl Beside {
    /// The affinity to the node, where it must be one.
    pub fn affinity(&self) -> Option<NodeAffinity> {
        match self {
            Self::Anywhere => None,
            Self::Node(name) => Some(placement::beside(name)),
        }
    }
}

/// The warm-up Job of an attempt.
pub fn warm_up_job(
    replica: &ModelCacheReplica,
    attempt: u64,
    cache: &ModelCache,
    pool: Option<&NodeCachePool>,
    beside: &Beside,
    restored: Option<&Restored>,
    settings: &Settings,
) -> Job {
    let spec = &replica.spec;
    let sources =
        cache.spec.sources.iter().filter(|it| cache.spec.volume_of(it).is_some_and(|it| it.name == spec.volume));
    let (own, mounts) = volume_and_plan(replica);
    let (backup, backup_mounts): (Vec<Volume>, Vec<VolumeMount>) =
        restored.into_iter().flat_map(|it| restored_from(it, &cache.name_any(), &spec.volume)).unzip();
    let there: Vec<Volume> = own.iter().chain(&backup).cloned().collect();
    let (inputs, input_mounts) = all_inputs(sources, &there);
    let mut labels = labels(replica);
    labels.extend(pool.map(|it| (label::POOL.to_owned(), it.name_any())));
    let job = AgentJob {
        name: name::warm_up_job(&replica.name_any(), attempt),
        namespace: replica.namespace().unwrap_or_default(),
        labels,
        args: arguments(replica, attempt, cache, pool).into_iter().chain(restored.into_iter().flat_map(seed)).collect(),
        volumes: own.into_iter().chain(inputs).chain(backup).collect(),
        mounts: mounts.into_iter().chain(input_mounts).chain(backup_mounts).collect(),
        affinity: affinity(replica, cache, beside),
        tolerations: pool.map(|it| placement::tolerations(&it.spec)).unwrap_or_default(),
        deadline_seconds: DEADLINE_SECONDS,
        owner: owner(replica),
        give_volume_to_group: spec.node.is_none(),
        ..AgentJob::default()
    };
    agent_job(job, JobRole::WarmUp, &cache.spec.effective_pod_template(), settings)
}

/// The volume of a Replica and its plan, and where they are mounted.
pub fn volume_and_plan(replica: &ModelCacheReplica) -> ([Volume; 2], [VolumeMount; 2]) {
    let spec = &replica.spec;
    let plan = spec.plan.as_ref().map(|it| it.config_map.clone()).unwrap_or_default();
    let volumes = [
        Volume {
            name: "volume".into(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: spec.claim_name.clone(),
                read_only: None,
            }),
            ..Volume::default()
        },
        Volume {
            name: "plan".into(),
            config_map: Some(ConfigMapVolumeSource { name: plan, ..ConfigMapVolumeSource::default() }),
            ..Volume::default()
        },
    ];
    let mounts = [
        VolumeMount {
            name: "volume".into(),
            mount_path: format!("{}/{}", mount::VOLUMES, spec.volume),
            ..VolumeMount::default()
        },
        VolumeMount {
            name: "plan".into(),
            mount_path: mount::PLAN_DIRECTORY.into(),
            read_only: Some(true),
            ..VolumeMount::default()
        },
    ];
    (volumes, mounts)
}

fn arguments(
    replica: &ModelCacheReplica,
    attempt: u64,
    cache: &ModelCache,
    pool: Option<&NodeCachePool>,
) -> Vec<String> {
    let mut arguments = vec![
        "prefetch".to_owned(),
        "--plan".to_owned(),
        mount::PLAN.to_owned(),
        "--volumes-dir".to_owned(),
        mount::VOLUMES.to_owned(),
        // Attempts count anew for a Replica that was made anew: the fence must know whose they are.
        "--owner".to_owned(),
        replica.uid().unwrap_or_default(),
        "--attempt".to_owned(),
        attempt.to_string(),
        "--progress-address".to_owned(),
        format!("0.0.0.0:{}", progress::PORT),
    ];
    if removes(replica, attempt) {
        arguments.push("--anew".to_owned());
    }
    let volume = cache.spec.volumes.iter().find(|it| it.name == replica.spec.volume);
    let budget = volume.and_then(|it| it.per_node.as_ref()).and_then(|it| quantity::bytes(&it.size).ok());
    if let Some(budget) = budget {
        arguments.extend(["--budget".to_owned(), budget.to_string()]);
    }
    if let Some(pool) = pool {
        let free = pool.spec.min_free.as_ref().and_then(|it| quantity::bytes(it).ok()).unwrap_or(DEFAULT_MIN_FREE);
        arguments.extend(["--min-free".to_owned(), free.to_string()]);
    }
    arguments
}

/// The arguments that name the backup.
fn seed(restored: &Restored) -> [String; 6] {
    ["--restore-file", mount::RESTORE, "--restore-of", &restored.of, "--restore-snapshot", &restored.snapshot]
        .map(str::to_owned)
}

/// The backup that the copy is made from: its document, the keys of its place, and the claim that it is on.
fn restored_from(restored: &Restored, cache: &str, volume: &str) -> Vec<(Volume, VolumeMount)> {
    let Some(backup) = restored.backup() else { return vec![] };
    let (document, document_mount) = mounted(name::restored(cache, volume));
    let document_mount = VolumeMount { mount_path: mount::RESTORE_DIRECTORY.into(), ..document_mount };
    let claim = destination(&backup.destination).map(|(volume, mount)| {
        let mount = VolumeMount { read_only: Some(true), ..mount };
        (volume, mount)
    });
    [(document, document_mount)].into_iter().chain(claim).chain(keys(&backup.secrets())).collect()
}

/// Where a pod that mounts the volume must run.
pub fn affinity(replica: &ModelCacheReplica, cache: &ModelCache, beside: &Beside) -> Option<NodeAffinity> {
    if let Some(node) = &replica.spec.node {
        return Some(placement::pinned_to(&node.hostname));
    }
    if let Some(there) = beside.affinity() {
        return Some(there);
    }
    placement::labelled(cache.spec.placement.as_ref().map(|it| &it.node_selector)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model_cache_replica::{PlanRef, ReplicaNode};
    use crate::operator::modelcache::build::fixtures::{cache, pool, settings, shared_cache, volume};
    use crate::operator::modelcache::build::replica::replica;

    fn plan() -> PlanRef {
        PlanRef { config_map: "studio-models-plan-0".into(), hash: "h".repeat(64), files: 3, bytes: 9 }
    }

    #[test]
    fn a_warm_up_on_a_node_is_pinned_by_its_hostname_label_and_tolerates_the_pools_taints() {
        let cache = cache();
        let node = ReplicaNode {
            name: "node-1".into(),
            uid: "node-uid".into(),
            hostname: "node-1".into(),
            pool: "gpu".into(),
        };
        let mut replica = replica(&cache, "studio-models-0", &volume(&cache), Some(node), Some(plan()));
        replica.metadata.uid = Some("replica-uid".into());
        insta::assert_yaml_snapshot!(warm_up_job(
            &replica,
            2,
            &cache,
            Some(&pool()),
            &Beside::Anywhere,
            None,
            &settings()
        ));
    }

    #[test]
    fn a_warm_up_after_a_restore_has_the_backup_and_its_keys() {
        let mut cache = cache();
        cache.spec.backup = serde_json::from_value(serde_json::json!({"destination": {"s3": {
            "bucket": "backups",
            "accessKeyIdSecretRef": {"name": "minio", "key": "id"},
            "secretAccessKeySecretRef": {"name": "minio", "key": "secret"}
        }}}))
        .unwrap();
        let restored = Restored {
            by: "restore-uid".into(),
            plan: "h".repeat(64),
            document: serde_json::to_string(&cache).unwrap(),
            of: "old/studio".into(),
            snapshot: "3f9c".into(),
        };
        let node = ReplicaNode { name: "n".into(), uid: "node-uid".into(), hostname: "n".into(), pool: "gpu".into() };
        let replica = replica(&cache, "studio-models-0", &volume(&cache), Some(node), Some(plan()));
        let job = warm_up_job(&replica, 1, &cache, Some(&pool()), &Beside::Anywhere, Some(&restored), &settings());
        let pod = job.spec.unwrap().template.spec.unwrap();
        insta::assert_yaml_snapshot!((&pod.containers[0].args, &pod.containers[0].volume_mounts, &pod.volumes));
    }

    #[test]
    fn a_warm_up_from_a_bucket_mounts_its_keys_and_has_the_caches_identity() {
        let mut cache = shared_cache();
        cache.spec.sources = crate::operator::modelcache::build::fixtures::bucket();
        cache.spec.pod_template =
            serde_json::from_value(serde_json::json!({"serviceAccountName": "model-reader"})).ok();
        let replica = replica(&cache, "studio-models-0", &volume(&cache), None, Some(plan()));
        let job = warm_up_job(&replica, 1, &cache, None, &Beside::Anywhere, None, &settings());
        insta::assert_yaml_snapshot!(job.spec.map(|it| it.template));
    }

    #[test]
    fn a_warm_up_of_a_shared_volume_gives_the_volume_to_its_group() {
        let cache = shared_cache();
        let replica = replica(&cache, "studio-models-0", &volume(&cache), None, Some(plan()));
        insta::assert_yaml_snapshot!(warm_up_job(
            &replica,
            1,
            &cache,
            None,
            &Beside::Node("node-7".into()),
            None,
            &settings()
        ));
    }

    #[test]
    fn only_the_attempt_that_is_a_reset_removes_what_is_there() {
        use crate::api::request::RequestedReset;
        let cache = shared_cache();
        let mut replica = replica(&cache, "studio-models-0", &volume(&cache), None, Some(plan()));
        let reset = RequestedReset { request: "now".into(), attempt: 2, time: None, failure: None };
        replica.status =
            Some(crate::api::ModelCacheReplicaStatus { requested_reset: Some(reset), ..Default::default() });
        let anew = |replica: &ModelCacheReplica, attempt| {
            let job = warm_up_job(replica, attempt, &cache, None, &Beside::Anywhere, None, &settings());
            let args = job.spec.unwrap().template.spec.unwrap().containers.remove(0).args.unwrap();
            args.contains(&"--anew".to_owned())
        };
        assert!(anew(&replica, 2) && !anew(&replica, 1) && !anew(&replica, 3));
        replica.status.as_mut().unwrap().requested_reset.as_mut().unwrap().time = Some("t".into());
        assert!(!anew(&replica, 2), "it was refused since");
    }
}
