//! What is there? All reads of a backup's reconcile.

use super::build::job::settings_of;
use super::build::place::claims;
use super::history::due;
use crate::api::{JobRole, ModelCache, ModelCacheBackup, ModelCacheReplica, NodeCachePool, annotation, label, name};
use crate::operator::cluster::Cluster;
use crate::operator::error::Error;
use crate::operator::job::ObservedJob;
use crate::operator::replica::build::warm_up_job::Beside;
use crate::operator::replica::observe::beside;
use crate::operator::runtime::Stores;
use k8s_openapi::api::batch::v1::CronJob;
use kube::ResourceExt;
use std::sync::Arc;

/// What is there.
#[derive(Debug)]
pub struct Observed {
    /// The cache that is backed up.
    pub cache: Option<Arc<ModelCache>>,
    /// Its Replicas.
    pub replicas: Vec<Arc<ModelCacheReplica>>,
    /// All pools.
    pub pools: Vec<Arc<NodeCachePool>>,
    /// Jobs of this backup.
    pub jobs: Vec<ObservedJob>,
    /// Where the pod must run for the sake of a claim that one node has mounted, or what it must wait for.
    pub beside: Result<Beside, String>,
    /// All backups of the cache, this one too.
    pub siblings: Vec<Arc<ModelCacheBackup>>,
    /// UIDs of Jobs that their CronJob has not seen the end of yet.
    pub active: Vec<String>,
}

/// Reads everything.
pub async fn observe(cluster: &Cluster, stores: &Stores, backup: &ModelCacheBackup) -> Result<Observed, Error> {
    let namespace = backup.namespace().unwrap_or_default();
    let name = backup.spec.cache.as_str();
    let here = |it: Option<String>| it.as_deref() == Some(namespace.as_str());
    let cache = stores.caches.find(|it| it.name_any() == name && here(it.namespace()));
    let replicas = stores.replicas.state().into_iter().filter(|it| it.spec.cache == name && here(it.namespace()));
    let replicas = replicas.collect();
    let (jobs, active) = match due(backup) {
        Some(_) => scheduled(cluster, &namespace, backup).await?,
        None => (by_hand(cluster, backup).await?, vec![]),
    };
    let mut place = Ok(Beside::Anywhere);
    let settings = cache.as_ref().and_then(|it| it.spec.backup.as_ref()).map(|it| settings_of(backup, it));
    let claims = cache.iter().zip(&settings).flat_map(|(cache, settings)| claims(cache, settings));
    for claim in claims.filter(|_| due(backup).is_none()) {
        if place == Ok(Beside::Anywhere) {
            place = beside(cluster, &namespace, &claim).await?;
        }
    }
    let siblings = siblings(stores, backup);
    Ok(Observed { cache, replicas, pools: stores.pools.state(), jobs, beside: place, siblings, active })
}

/// All backups of the cache that a backup is of.
pub fn siblings(stores: &Stores, backup: &ModelCacheBackup) -> Vec<Arc<ModelCacheBackup>> {
    let of_cache =
        |it: &Arc<ModelCacheBackup>| it.spec.cache == backup.spec.cache && it.namespace() == backup.namespace();
    stores.backups.state().into_iter().filter(of_cache).collect()
}

/// The Job that the CronJob made at that time.
async fn scheduled(
    cluster: &Cluster,
    namespace: &str,
    backup: &ModelCacheBackup,
) -> Result<(Vec<ObservedJob>, Vec<String>), Error> {
    let labels = format!("{}={},{}={}", label::CACHE, backup.spec.cache, label::JOB, JobRole::Backup.as_str());
    let mut jobs = cluster.jobs(namespace, &labels).await?;
    jobs.retain(|it| {
        let at = it.job.annotations().get(annotation::CRON_JOB_SCHEDULED).and_then(|it| it.parse().ok());
        at.is_some() && at == due(backup)
    });
    if jobs.is_empty() {
        return Ok((jobs, vec![]));
    }
    let cron_job = cluster.get(&cluster.namespaced::<CronJob>(namespace), &name::backup(&backup.spec.cache)).await?;
    let active = cron_job.and_then(|it| it.status).and_then(|it| it.active).unwrap_or_default();
    Ok((jobs, active.into_iter().filter_map(|it| it.uid).collect()))
}

/// The Jobs that we made for it.
async fn by_hand(cluster: &Cluster, backup: &ModelCacheBackup) -> Result<Vec<ObservedJob>, Error> {
    let labels = format!("{}={}", label::BACKUP, name::label_value(&backup.name_any()));
    cluster.runs_of(backup, &labels).await
}
