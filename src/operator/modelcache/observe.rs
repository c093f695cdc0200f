//! What is there? All reads of a reconcile, in one value. Absent is data.

use crate::api::model_cache_backup::RunStage;
use crate::api::source::Source;
use crate::api::timetable::RefreshPolicy;
use crate::api::{JobRole, ModelCache, ModelCacheBackup, ModelCacheRestoreStatus, NodeCachePool, label, name};
use crate::operator::backup::build::place;
use crate::operator::cluster::Cluster;
use crate::operator::error::Error;
use crate::operator::job::ObservedJob;
use crate::operator::mounting_pod::MountingPod;
use crate::operator::options::Settings;
use crate::operator::replica::build::warm_up_job::Beside;
use crate::operator::replica::observe::beside;
use crate::operator::runtime::{Seen, Stores};
use crate::operator::scope::Scope;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, PersistentVolume, PersistentVolumeClaim};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is there.
#[derive(Debug, Default)]
pub struct Observed {
    /// UID of the cache's namespace: it keys directories and PersistentVolumes.
    pub namespace_uid: String,
    /// Labels of the cache's namespace: pools admit by them.
    pub namespace_labels: BTreeMap<String, String>,
    /// All pools.
    pub pools: Vec<Arc<NodeCachePool>>,
    /// All caches: pools are reserved oldest first.
    pub caches: Vec<Arc<ModelCache>>,
    /// All nodes.
    pub nodes: Vec<Arc<Node>>,
    /// Claims of the wanted names, and those that carry our labels.
    pub claims: BTreeMap<String, PersistentVolumeClaim>,
    /// PersistentVolumes of this cache.
    pub persistent_volumes: Vec<PersistentVolume>,
    /// CronJobs of this cache, and `<cache>-backup` and `<cache>-clean`, whoever's they are.
    pub cron_jobs: Vec<CronJob>,
    /// Backups of this cache.
    pub backups: Vec<Arc<ModelCacheBackup>>,
    /// Plans of this cache, and `<cache>-env`, `<cache>-backup` and `<cache>-clean`, whoever's they are.
    pub config_maps: Vec<ConfigMap>,
    /// Replicas of this cache.
    pub replicas: Vec<crate::api::ModelCacheReplica>,
    /// Resolve Jobs of this cache.
    pub resolve_jobs: Vec<ObservedJob>,
    /// Jobs of this cache that ask whether an origin moved.
    pub refresh_jobs: Vec<ObservedJob>,
    /// Jobs of the CronJob that cleans.
    pub clean_jobs: Vec<ObservedJob>,
    /// Claims of the namespace that a restore writes to.
    pub restored_claims: BTreeSet<String>,
    /// Jobs of this cache in the node-jobs namespace.
    pub node_jobs: Vec<k8s_openapi::api::batch::v1::Job>,
    /// Where the claim of a source that is still to be resolved, or is asked anew, has to be read, by the claim's name.
    pub beside: BTreeMap<String, Beside>,
    /// Pods of the namespace that mount claims, when the cache is being deleted or its use is tracked.
    pub pods: Vec<Arc<MountingPod>>,
    /// Whether its use is tracked.
    pub tracks_use: bool,
    /// Whether nodes are labelled with the caches that they hold.
    pub labels_nodes: bool,
    /// Which namespaces the operator serves.
    pub scope: Scope,
}

impl Observed {
    /// Where a pod that asks the origin of a source has to run.
    pub fn beside_of(&self, source: &Source) -> Beside {
        let claim = source.claim.as_ref().and_then(|it| self.beside.get(&it.claim_name));
        claim.cloned().unwrap_or_default()
    }
}

/// Reads everything.
pub async fn observe(
    cluster: &Cluster,
    stores: &Stores,
    settings: &Settings,
    cache: &ModelCache,
) -> Result<Observed, Error> {
    let namespace = cache.namespace().unwrap_or_default();
    let cache_name = cache.name_any();
    let labels = format!("{}={}", label::CACHE, cache_name);
    let found = cluster.get(&cluster.global::<Namespace>(), &namespace).await?.unwrap_or_default();

    let claims_api = cluster.namespaced::<PersistentVolumeClaim>(&namespace);
    let mut claims: BTreeMap<String, PersistentVolumeClaim> =
        cluster.list(&claims_api, &labels).await?.into_iter().map(|it| (it.name_any(), it)).collect();
    for volume in &cache.spec.volumes {
        let wanted = volume.claim_name(&cache_name);
        if !claims.contains_key(&wanted)
            && let Some(claim) = cluster.get(&claims_api, &wanted).await?
        {
            claims.insert(wanted, claim);
        }
    }

    let config_maps_api = cluster.namespaced::<ConfigMap>(&namespace);
    let mut config_maps = cluster.list(&config_maps_api, &labels).await?;
    let scheduled = scheduled(cache);
    for known in [name::environment(&cache_name)].into_iter().chain(scheduled.clone()) {
        if !config_maps.iter().any(|it| it.name_any() == known) {
            config_maps.extend(cluster.get(&config_maps_api, &known).await?);
        }
    }
    let cron_jobs_api = cluster.namespaced::<CronJob>(&namespace);
    let mut cron_jobs = cluster.list(&cron_jobs_api, &labels).await?;
    for known in scheduled {
        if !cron_jobs.iter().any(|it| it.name_any() == known) {
            cron_jobs.extend(cluster.get(&cron_jobs_api, &known).await?);
        }
    }
    let of_cache = |it: &Arc<ModelCacheBackup>| {
        it.spec.cache == cache_name && it.namespace().as_deref() == Some(namespace.as_str())
    };
    let backups = stores.backups.state().into_iter().filter(of_cache).collect();

    let mut places = BTreeMap::new();
    for claim in claims_to_read(cache).into_iter().chain(claims_to_back_up(cache, &claims)) {
        // A pod that has it for itself is waited for by the scheduler, which says so.
        let place = beside(cluster, &namespace, &claim).await?.unwrap_or_default();
        places.insert(claim, place);
    }

    let ours = format!("{labels},{}={}", label::NAMESPACE, name::label_value(&namespace));
    let roles = [JobRole::Resolve, JobRole::Refresh, JobRole::Clean].map(JobRole::as_str).join(",");
    // Those of a Replica are its own reconcile's.
    let selector = format!("{labels},{} in ({roles}),!{}", label::JOB, label::REPLICA);
    let jobs = cluster.jobs(&namespace, &selector).await?;
    let is =
        |role: JobRole| move |it: &ObservedJob| it.job.labels().get(label::JOB).is_some_and(|it| it == role.as_str());
    let (clean_jobs, asking): (_, Vec<ObservedJob>) = jobs.into_iter().partition(is(JobRole::Clean));
    let (refresh_jobs, resolve_jobs) = asking.into_iter().partition(is(JobRole::Refresh));
    let deleting = cache.metadata.deletion_timestamp.is_some();
    Ok(Observed {
        namespace_uid: found.uid().unwrap_or_default(),
        namespace_labels: found.labels().clone(),
        pools: stores.pools.state(),
        caches: stores.caches.state(),
        nodes: stores.nodes.state(),
        claims,
        persistent_volumes: cluster.list(&cluster.global::<PersistentVolume>(), &ours).await?,
        cron_jobs,
        backups,
        config_maps,
        replicas: cluster.list(&cluster.namespaced(&namespace), &labels).await?,
        resolve_jobs,
        refresh_jobs,
        clean_jobs,
        restored_claims: restored_claims(stores, &namespace),
        node_jobs: cluster.list(&cluster.namespaced(&settings.node_jobs_namespace), &ours).await?,
        beside: places,
        pods: pods(cluster, stores, &namespace, deleting).await?,
        tracks_use: stores.users.is_some(),
        labels_nodes: settings.label_nodes,
        scope: settings.scope.clone(),
    })
}

/// Who mounts claims: asked now where data depends on it, and else as the watch has it, if there is one.
async fn pods(
    cluster: &Cluster,
    stores: &Stores,
    namespace: &str,
    deleting: bool,
) -> Result<Vec<Arc<MountingPod>>, Error> {
    if deleting {
        return Ok(cluster.mounting_pods(namespace).await?.into_iter().map(Arc::new).collect());
    }
    let users = stores.users.iter().flat_map(Seen::state);
    Ok(users.filter(|it| it.namespace().as_deref() == Some(namespace)).collect())
}

/// Names of the CronJobs that the spec asks for, and of the documents that pods which clean read.
fn scheduled(cache: &ModelCache) -> Vec<String> {
    let (spec, name) = (&cache.spec, cache.name_any());
    let backup = spec.backup.as_ref().and_then(|it| it.schedule.as_ref()).map(|_| name::backup(&name));
    let clean = spec.cleanup.as_ref().map(|_| name::clean(&name));
    backup.into_iter().chain(clean).collect()
}

/// The claims that restores of a namespace write to.
fn restored_claims(stores: &Stores, namespace: &str) -> BTreeSet<String> {
    let all = stores.restores.state().into_iter().filter(|it| it.namespace().as_deref() == Some(namespace));
    let statuses = all.filter_map(|it| it.status.clone());
    let running = |it: &ModelCacheRestoreStatus| it.attempt.as_ref().is_some_and(|it| it.stage == RunStage::Running);
    statuses.filter(running).flat_map(|it| it.claims).collect()
}

/// The claims that scheduled backups mount and one node at a time can mount, as far as that is known.
fn claims_to_back_up(cache: &ModelCache, known: &BTreeMap<String, PersistentVolumeClaim>) -> Vec<String> {
    let Some(backup) = cache.spec.backup.as_ref().filter(|it| it.schedule.is_some()) else { return vec![] };
    let everywhere = |claim: &PersistentVolumeClaim| {
        let modes = claim.spec.as_ref().and_then(|it| it.access_modes.as_ref());
        modes.is_some_and(|it| it.iter().any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany"))
    };
    let mut all = place::claims(cache, backup);
    all.retain(|it| !known.get(it).is_some_and(everywhere));
    all
}

/// The claims of sources whose status names no pin, and of those that are asked anew.
fn claims_to_read(cache: &ModelCache) -> Vec<String> {
    let known = cache.status.as_ref().map(|it| it.sources.as_slice()).unwrap_or_default();
    let resolved = |source: &Source| {
        let hash = source.spec_hash();
        known.iter().any(|it| it.name == source.name && it.spec_hash.as_deref() == Some(&hash) && it.revision.is_some())
    };
    let again = cache.spec.refresh_policy() != RefreshPolicy::Never;
    let claims = cache.spec.sources.iter().filter_map(|it| Some((it, it.claim.as_ref()?)));
    claims.filter(|(source, _)| again || !resolved(source)).map(|(_, claim)| claim.claim_name.clone()).collect()
}
