//! A cache as a user would write it, and a cluster as a reconcile finds it: for the tests of the pure rooms.

use super::resolve_job::resolve_job as build_resolve_job;
use crate::api::{ModelCache, ModelCacheReplica, ModelCacheStatus, NodeCachePool, Reason, label};
use crate::contract::outcome::Outcome;
use crate::contract::plan::{Pin, Plan, PlannedSource};
use crate::operator::job::ObservedJob;
use crate::operator::modelcache;
use crate::operator::modelcache::model::{NodeModel, PerNodePlace, Place, VolumeModel};
use crate::operator::modelcache::observe::Observed;
use crate::operator::modelcache::resolution::{Resolution, ResolutionState};
use crate::operator::modelcache::status;
use crate::operator::mounting_pod::MountingPod;
use crate::operator::options::Settings;
use crate::operator::placement::{self, NodeState};
use crate::operator::replica::build::warm_up_job::Beside;
use crate::operator::retry::RetryPolicy;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn cache() -> ModelCache {
    serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache",
        "metadata": {"name": "studio", "namespace": "team", "uid": "cache-uid", "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "volumes": [{"name": "models", "mountPath": "/models", "perNode": {"pool": "gpu", "size": "60Gi"}, "directories": ["out"]}],
            "sources": [{"name": "sana", "huggingFace": {"repo": "org/sana", "tokenSecretRef": {"name": "hf", "key": "token"}}}],
            "placement": {"nodeSelector": {"zone": "a"}}
        }
    }))
    .unwrap()
}

/// A source in a bucket, with keys in two Secrets.
pub(crate) fn bucket() -> Vec<crate::api::source::Source> {
    serde_json::from_value(json!([{"name": "llama", "objectStore": {
        "s3": {
            "bucket": "models", "endpoint": "https://minio.example",
            "accessKeyIdSecretRef": {"name": "minio-id", "key": "id"},
            "secretAccessKeySecretRef": {"name": "minio-secret", "key": "secret"}
        },
        "prefix": "llama/v3"
    }}]))
    .unwrap()
}

pub(crate) fn shared_cache() -> ModelCache {
    let mut cache = cache();
    cache.spec.placement = None;
    cache.spec.volumes = serde_json::from_value(json!([
        {"name": "models", "shared": {"size": "20Gi", "storageClassName": "rwx"}}
    ]))
    .unwrap();
    cache
}

pub(crate) fn pool() -> NodeCachePool {
    serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "NodeCachePool",
        "metadata": {"name": "gpu", "uid": "pool-uid"},
        "spec": {"gpu": "NVIDIA", "path": "/mnt/nvme/modelcache", "capacity": "500Gi", "minFree": "10Gi"}
    }))
    .unwrap()
}

pub(crate) fn node() -> NodeModel {
    NodeModel { name: "node-1".into(), uid: "node-uid".into(), hostname: "node-1".into(), state: NodeState::Ready }
}

pub(crate) fn volume(cache: &ModelCache) -> VolumeModel {
    let spec = cache.spec.volumes[0].clone();
    let place = if spec.per_node.is_some() { Place::PerNode(per_node_place(cache)) } else { Place::Shared };
    VolumeModel {
        claim_name: spec.claim_name("studio"),
        claim_uid: Some("claim-uid".into()),
        spec,
        place: Ok(place),
        pending: None,
    }
}

pub(crate) fn per_node_place(cache: &ModelCache) -> PerNodePlace {
    let pool = pool();
    PerNodePlace {
        persistent_volume: crate::api::name::persistent_volume("ns-uid", "team", "studio", "models"),
        path: format!("{}/{}", pool.spec.path, crate::api::name::directory("ns-uid", "studio", "models")),
        selector: placement::node_selector(&pool.spec, cache.spec.placement.as_ref().map(|it| &it.node_selector)),
        nodes: vec![node()],
        pool: Arc::new(pool),
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        agent_image: "example.org/modelcache@sha256:0".into(),
        node_jobs_namespace: "modelcache-node-jobs".into(),
        retry: RetryPolicy {
            first: Duration::from_secs(10),
            most: Duration::from_secs(900),
            stalled: Duration::from_secs(600),
        },
        unreachable_grace: Duration::from_secs(60),
        pod_template: crate::api::pod_template::PodTemplate::default(),
        track_use: false,
        scope: crate::operator::scope::Scope::default(),
        label_nodes: false,
    }
}

/// A node of the pool that reports Ready.
pub(crate) fn node_object(name: &str) -> Node {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "uid": format!("{name}-uid"),
            "labels": {"nvidia.com/gpu.present": "true", "zone": "a", "kubernetes.io/hostname": name}
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}
    }))
    .unwrap()
}

/// A node of the pool that does not report.
pub(crate) fn silent_node(name: &str) -> Node {
    let mut node = node_object(name);
    node.status = None;
    node
}

/// A claim of the cache `studio`, bound.
pub(crate) fn claim(volume: &str) -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("studio-{volume}"), "namespace": "team", "uid": "claim-uid",
            "labels": {label::CACHE: "studio", label::VOLUME: volume, label::NAMESPACE: "team", label::MANAGED_BY: label::MANAGER}
        },
        "status": {"phase": "Bound"}
    }))
    .unwrap()
}

/// A claim that somebody else made.
pub(crate) fn foreign_claim(name: &str) -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "team", "uid": "foreign-uid"}, "status": {"phase": "Bound"}
    }))
    .unwrap()
}

/// A pin whose revision is this letter, forty times over.
pub(crate) fn pin(letter: &str) -> Pin {
    Pin { revision: letter.repeat(40), files: 3, bytes: 1 << 30, digest: letter.repeat(64) }
}

/// A resolve Job of an attempt, and how it ended.
pub(crate) fn resolve_job(cache: &ModelCache, source: usize, attempt: u64, end: JobEnd) -> ObservedJob {
    let source = cache.spec.sources[source].clone();
    let resolution = Resolution {
        spec_hash: source.spec_hash(),
        source,
        attempt: attempt - 1,
        recorded: attempt - 1,
        failure: None,
        request: None,
        state: ResolutionState::Due,
    };
    let job = build_resolve_job(cache, &resolution, vec![], &Beside::Anywhere, &settings());
    ended(ObservedJob { job, ..ObservedJob::default() }, end)
}

/// How a Job ended.
pub(crate) enum JobEnd {
    /// It runs.
    Running,
    /// It was deleted, and its pod is still there.
    Ending,
    /// It succeeded with a pin.
    Pinned(Pin),
    /// It succeeded and said nothing.
    Silent,
    /// It failed.
    Failed(Reason),
}

/// A Job that ended.
pub(crate) fn ended(mut observed: ObservedJob, end: JobEnd) -> ObservedJob {
    let (condition, outcome) = match end {
        JobEnd::Running => return observed,
        JobEnd::Ending => {
            observed.job.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
            return observed;
        }
        JobEnd::Pinned(pin) => {
            ("Complete", Outcome { pin: Some(pin), ..Outcome::success(Reason::Resolved, "resolved") })
        }
        JobEnd::Silent => ("Complete", Outcome::success(Reason::Resolved, "resolved")),
        JobEnd::Failed(reason) => ("Failed", Outcome::failure(reason, format!("the origin says {reason}"))),
    };
    observed.job.status =
        Some(serde_json::from_value(json!({"conditions": [{"type": condition, "status": "True"}]})).unwrap());
    let state = json!({"terminated": {"exitCode": 0, "message": outcome.to_json()}});
    let status = json!({"containerStatuses": [{"name": "modelcache", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]});
    observed.pods = vec![serde_json::from_value(json!({"metadata": {"name": "pod"}, "status": status})).unwrap()];
    observed
}

/// The stored plan of a volume, with these sources of the cache and their pins.
pub(crate) fn stored_plan(cache: &ModelCache, volume: &str, sources: &[(usize, Pin)], sequence: u64) -> ConfigMap {
    let sources = sources
        .iter()
        .map(|(index, pin)| PlannedSource { source: cache.spec.sources[*index].clone(), pin: pin.clone() })
        .collect();
    let directories = cache.spec.volumes.iter().find(|it| it.name == volume).map(|it| it.directories.clone());
    let plan = Plan {
        directories: directories.unwrap_or_default(),
        sources,
        ..Plan::new(cache.metadata.name.clone().unwrap(), volume)
    };
    super::plan_config_map::plan_config_map(cache, &plan, sequence)
}

/// What is there, said step by step.
impl Observed {
    pub(crate) fn empty() -> Self {
        Self { namespace_uid: "ns-uid".into(), ..Self::default() }
    }

    /// The pool and these of its nodes.
    pub(crate) fn with_nodes(mut self, names: &[&str]) -> Self {
        if self.pools.is_empty() {
            self.pools.push(Arc::new(pool()));
        }
        self.nodes.extend(names.iter().map(|it| Arc::new(node_object(it))));
        self
    }

    pub(crate) fn with_node(mut self, node: Node) -> Self {
        self.nodes.push(Arc::new(node));
        self
    }

    pub(crate) fn with_pool(mut self, pool: NodeCachePool) -> Self {
        self.pools = vec![Arc::new(pool)];
        self
    }

    pub(crate) fn with_cache(mut self, cache: ModelCache) -> Self {
        self.caches.push(Arc::new(cache));
        self
    }

    pub(crate) fn with_claim(mut self, claim: PersistentVolumeClaim) -> Self {
        self.claims.insert(claim.metadata.name.clone().unwrap(), claim);
        self
    }

    pub(crate) fn with_volume(mut self, volume: PersistentVolume) -> Self {
        self.persistent_volumes.push(volume);
        self
    }

    pub(crate) fn with_config_map(mut self, config_map: ConfigMap) -> Self {
        self.config_maps.push(config_map);
        self
    }

    pub(crate) fn with_replica(mut self, replica: ModelCacheReplica) -> Self {
        self.replicas.push(replica);
        self
    }

    pub(crate) fn with_resolve_job(mut self, job: ObservedJob) -> Self {
        self.resolve_jobs.push(job);
        self
    }

    pub(crate) fn with_node_job(mut self, job: Job) -> Self {
        self.node_jobs.push(job);
        self
    }

    pub(crate) fn with_pod(mut self, pod: MountingPod) -> Self {
        self.pods.push(pod.into());
        self
    }
}

/// The pure part of a reconcile.
pub(crate) use crate::operator::modelcache::Decided as Pass;

/// Runs the pure part of a reconcile.
pub(crate) fn pass(cache: &ModelCache, observed: &Observed, now: Timestamp) -> Pass {
    modelcache::decide(cache, observed, &settings(), now)
}

/// What the status says after a pass.
pub(crate) fn status_of(cache: &ModelCache, observed: &Observed, pass: &Pass, now: Timestamp) -> ModelCacheStatus {
    status::status(&pass.facts(cache, observed, None), now)
}

/// The cache with what a pass says about it.
pub(crate) fn with_status(mut cache: ModelCache, observed: &Observed, now: Timestamp) -> ModelCache {
    let pass = pass(&cache, observed, now);
    cache.status = Some(status_of(&cache, observed, &pass, now));
    cache
}

/// A point in time.
pub(crate) fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}
