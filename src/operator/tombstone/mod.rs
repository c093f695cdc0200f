//! The reconcile of a tombstone: a PersistentVolume whose data is to be removed from the nodes it lists.
//!
//! Worked off as the nodes answer; when none is left, the PersistentVolume goes.

mod plan;

use crate::api::{JobRole, annotation, label, name};
use crate::operator::cluster::Removal;
use crate::operator::error::Error;
use crate::operator::modelcache::build::persistent_volume::{lists_nodes, recorded_nodes};
use crate::operator::placement;
use crate::operator::replica::build::node_job::{NodeDirectory, purge_job};
use crate::operator::runtime::Context;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Toleration};
use kube::ResourceExt;
use kube::runtime::controller::Action;
use plan::{NodePurge, purges};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Removes the data of a tombstone from the nodes that answer.
pub async fn reconcile(volume: Arc<PersistentVolume>, context: Arc<Context>) -> Result<Action, Error> {
    let cluster = &context.cluster;
    let api = cluster.global::<PersistentVolume>();
    let Some(volume) = cluster.get(&api, &volume.name_any()).await? else { return Ok(Action::await_change()) };
    if !volume.labels().contains_key(label::TOMBSTONE) || volume.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    // Another operator's: it alone knows whether somebody still reads the data.
    if !context.settings.scope.answers_for(volume.labels().get(label::NAMESPACE).map(String::as_str)) {
        return Ok(Action::await_change());
    }
    if !lists_nodes(&volume) {
        // Taken for an empty list, it would let the volume go and its data stay.
        tracing::warn!(volume = volume.name_any(), "the annotation {} cannot be read: mend it", annotation::NODES);
        return Ok(Action::requeue(Duration::from_secs(60)));
    }
    if claim_is_there(&volume, &context).await? {
        return Ok(Action::requeue(Duration::from_secs(2)));
    }
    let namespace = &context.settings.node_jobs_namespace;
    let jobs = cluster
        .jobs(
            namespace,
            &format!("{}={},{}={}", label::PURGED_VOLUME, volume.name_any(), label::JOB, JobRole::Purge.as_str()),
        )
        .await?;
    let nodes = context.stores.nodes.state();
    let decisions = purges(&volume, &nodes, &jobs);
    let mut left = recorded_nodes(&volume);
    for decision in &decisions {
        match decision {
            NodePurge::Forget(node) => left.retain(|it| it.uid != node.uid),
            NodePurge::Start(node) => {
                if let Some(job) = job(&volume, &node.hostname, &node.uid, &context) {
                    cluster.create(&cluster.namespaced::<Job>(namespace), &job).await?;
                }
            }
            NodePurge::Retry(job) => cluster.remove(Removal::Job(job.clone())).await?,
            NodePurge::Wait => {}
        }
    }
    if left.is_empty() {
        for job in jobs {
            cluster.remove(Removal::Job(job.job)).await?;
        }
        cluster.remove(Removal::PersistentVolume(volume)).await?;
        return Ok(Action::await_change());
    }
    if left.len() < recorded_nodes(&volume).len() {
        let text = serde_json::to_string(&left).unwrap_or_default();
        cluster.annotate_volume(&volume, serde_json::json!({"annotations": {annotation::NODES: text}})).await?;
    }
    // A failed purge is tried again after a pause; a node that returns wakes us.
    Ok(Action::requeue(Duration::from_secs(if decisions.iter().any(|it| matches!(it, NodePurge::Retry(_))) {
        10
    } else {
        5
    })))
}

/// Pods may still use the data while its claim is there.
async fn claim_is_there(volume: &PersistentVolume, context: &Context) -> Result<bool, Error> {
    let Some(reference) = volume.spec.as_ref().and_then(|it| it.claim_ref.as_ref()) else { return Ok(false) };
    let (Some(namespace), Some(name)) = (&reference.namespace, &reference.name) else { return Ok(false) };
    let api = context.cluster.namespaced::<PersistentVolumeClaim>(namespace);
    let claim = context.cluster.get(&api, name).await?;
    Ok(claim.is_some_and(|it| it.spec.and_then(|it| it.volume_name).as_deref() == Some(volume.name_any().as_str())))
}

/// Tolerates what the node controller puts on a cordoned node.
fn cordoned() -> Toleration {
    Toleration {
        key: Some("node.kubernetes.io/unschedulable".into()),
        operator: Some("Exists".into()),
        ..Toleration::default()
    }
}

fn job(volume: &PersistentVolume, hostname: &str, node_uid: &str, context: &Context) -> Option<Job> {
    let path = volume.spec.as_ref()?.local.as_ref()?.path.clone();
    let (pool_path, directory) = path.rsplit_once('/')?;
    let pool = volume.labels().get(label::POOL)?;
    let tolerations = context.stores.pools.find(|it| it.name_any() == *pool).map(|it| placement::tolerations(&it.spec));
    let copied = [label::CACHE, label::NAMESPACE, label::VOLUME].into_iter();
    let mut labels: BTreeMap<String, String> =
        copied.filter_map(|key| Some((key.to_owned(), volume.labels().get(key)?.clone()))).collect();
    labels.insert(label::PURGED_VOLUME.into(), volume.name_any());
    let directory = NodeDirectory {
        job: name::purge_job(&volume.name_any(), node_uid),
        labels,
        pool,
        pool_path,
        directory,
        hostname,
        // A pool that is gone no longer says what to tolerate: then everything, since the data must go. A cordoned node gives
        // its data back too.
        tolerations: tolerations.map_or_else(
            || vec![Toleration { operator: Some("Exists".into()), ..Toleration::default() }],
            |pool| pool.into_iter().chain([cordoned()]).collect(),
        ),
    };
    Some(purge_job(directory, &context.settings))
}
