//! What is there? All reads of a restore's reconcile.

use super::resolve::{Named, source_name, target_name};
use crate::api::{JobRole, ModelCache, ModelCacheBackup, ModelCacheRestore, label, name};
use crate::operator::cluster::Cluster;
use crate::operator::error::Error;
use crate::operator::job::ObservedJob;
use crate::operator::replica::build::warm_up_job::Beside;
use crate::operator::replica::observe::{beside, both};
use crate::operator::runtime::Stores;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is there.
#[derive(Debug)]
pub struct Observed {
    /// The backup that the restore names.
    pub backup: Option<ModelCacheBackup>,
    /// The cache that it is of.
    pub source: Option<Arc<ModelCache>>,
    /// The cache that is restored to.
    pub target: Option<Arc<ModelCache>>,
    /// Jobs of this restore.
    pub jobs: Vec<ObservedJob>,
}

impl Observed {
    /// What the restore names.
    pub fn named(&self) -> Named<'_> {
        Named { backup: self.backup.as_ref(), source: self.source.as_deref(), target: self.target.as_deref() }
    }
}

/// Reads everything.
pub async fn observe(cluster: &Cluster, stores: &Stores, restore: &ModelCacheRestore) -> Result<Observed, Error> {
    let namespace = restore.namespace().unwrap_or_default();
    let backup = match &restore.spec.from.backup {
        Some(name) => cluster.get(&cluster.namespaced::<ModelCacheBackup>(&namespace), name).await?,
        None => None,
    };
    let cache = |name: Option<String>| {
        let name = name?;
        stores.caches.find(|it| it.name_any() == name && it.namespace().as_deref() == Some(namespace.as_str()))
    };
    let source = cache(source_name(restore, backup.as_ref()));
    let target = cache(target_name(restore, backup.as_ref()));
    let labels = format!("{}={}", label::RESTORE, name::label_value(&restore.name_any()));
    let jobs = cluster.runs_of(restore, &labels).await?;
    Ok(Observed { backup, source, target, jobs })
}

/// The Jobs of clean-ups in a namespace.
pub async fn clean_jobs(cluster: &Cluster, namespace: &str) -> Result<Vec<Job>, Error> {
    let labels = format!("{}={},{}={}", label::MANAGED_BY, label::MANAGER, label::JOB, JobRole::Clean.as_str());
    cluster.list(&cluster.namespaced::<Job>(namespace), &labels).await
}

/// Those of these claims that there are.
pub async fn there(cluster: &Cluster, namespace: &str, claims: BTreeSet<String>) -> Result<BTreeSet<String>, Error> {
    let api = cluster.namespaced::<PersistentVolumeClaim>(namespace);
    let mut there = BTreeSet::new();
    for claim in claims {
        if cluster.get(&api, &claim).await?.is_some_and(|it| it.metadata.deletion_timestamp.is_none()) {
            there.insert(claim);
        }
    }
    Ok(there)
}

/// Where a pod that mounts these claims must run, or what it must wait for.
pub async fn place(
    cluster: &Cluster,
    namespace: &str,
    claims: impl Iterator<Item = &String>,
) -> Result<Result<Beside, String>, Error> {
    let mut place = Ok(Beside::Anywhere);
    for claim in claims {
        let other = beside(cluster, namespace, claim).await?;
        place = place.and_then(|here| both(here, other?, claim));
    }
    Ok(place)
}
