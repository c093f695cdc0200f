//! What is there? All reads of a reconcile, in one value. Absent is data.

use crate::api::{JobRole, ModelCache, ModelCacheBackup, NodeCachePool, label, name};
use crate::operator::cluster::Cluster;
use crate::operator::error::Error;
use crate::operator::job::ObservedJob;
use crate::operator::runtime::Stores;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use std::collections::BTreeMap;
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
    /// CronJobs of this cache, and `<cache>-backup`, whoever's it is.
    pub cron_jobs: Vec<CronJob>,
    /// Backups of this cache.
    pub backups: Vec<Arc<ModelCacheBackup>>,
    /// Plans of this cache, and `<cache>-env` and `<cache>-backup`, whoever's they are.
    pub config_maps: Vec<ConfigMap>,
    /// Replicas of this cache.
    pub replicas: Vec<crate::api::ModelCacheReplica>,
    /// Resolve Jobs of this cache.
    pub resolve_jobs: Vec<ObservedJob>,
    /// Jobs of this cache in the node-jobs namespace.
    pub node_jobs: Vec<k8s_openapi::api::batch::v1::Job>,
    /// Pods of the namespace, when the cache is being deleted.
    pub pods: Vec<Pod>,
}

/// Reads everything.
pub async fn observe(
    cluster: &Cluster,
    stores: &Stores,
    node_jobs_namespace: &str,
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
    let scheduled = cache.spec.backup.as_ref().is_some_and(|it| it.schedule.is_some());
    let backup = name::backup(&cache_name);
    for known in [name::environment(&cache_name)].into_iter().chain(scheduled.then(|| backup.clone())) {
        if !config_maps.iter().any(|it| it.name_any() == known) {
            config_maps.extend(cluster.get(&config_maps_api, &known).await?);
        }
    }
    let cron_jobs_api = cluster.namespaced::<CronJob>(&namespace);
    let mut cron_jobs = cluster.list(&cron_jobs_api, &labels).await?;
    if scheduled && !cron_jobs.iter().any(|it| it.name_any() == backup) {
        cron_jobs.extend(cluster.get(&cron_jobs_api, &backup).await?);
    }
    let of_cache = |it: &Arc<ModelCacheBackup>| {
        it.spec.cache == cache_name && it.namespace().as_deref() == Some(namespace.as_str())
    };
    let backups = stores.backups.state().into_iter().filter(of_cache).collect();

    let ours = format!("{labels},{}={}", label::NAMESPACE, name::label_value(&namespace));
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
        resolve_jobs: cluster
            .jobs(&namespace, &format!("{labels},{}={}", label::JOB, JobRole::Resolve.as_str()))
            .await?,
        node_jobs: cluster.list(&cluster.namespaced(node_jobs_namespace), &ours).await?,
        pods: if deleting { cluster.list(&cluster.namespaced::<Pod>(&namespace), "").await? } else { vec![] },
    })
}
