//! What is there? All reads of a Replica's reconcile.

use super::build::warm_up_job::Beside;
use crate::api::{ModelCache, ModelCacheReplica, NodeCachePool, label, name};
use crate::operator::cluster::Cluster;
use crate::operator::error::Error;
use crate::operator::job::ObservedJob;
use crate::operator::placement::{NodeState, node_state};
use crate::operator::runtime::Stores;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use std::sync::Arc;

/// What is there.
#[derive(Debug)]
pub struct Observed {
    /// The cache that the Replica belongs to.
    pub cache: Option<Arc<ModelCache>>,
    /// The pool of its node.
    pub pool: Option<Arc<NodeCachePool>>,
    /// Its node's state; nothing when the node is gone, or is another by now. Always there for shared volumes.
    pub node: Option<NodeState>,
    /// UID of its namespace.
    pub namespace_uid: String,
    /// Prepare Jobs of the Replica.
    pub prepare_jobs: Vec<ObservedJob>,
    /// Warm-up Jobs of the Replica.
    pub warm_up_jobs: Vec<ObservedJob>,
    /// Where the pod of a shared volume must run, or what it must wait for.
    pub beside: Result<Beside, String>,
}

/// Reads everything.
pub async fn observe(
    cluster: &Cluster,
    stores: &Stores,
    node_jobs_namespace: &str,
    replica: &ModelCacheReplica,
) -> Result<Observed, Error> {
    let namespace = replica.namespace().unwrap_or_default();
    let cache = stores
        .caches
        .find(|it| it.name_any() == replica.spec.cache && it.namespace().as_deref() == Some(namespace.as_str()));
    let pool_name = replica.spec.node.as_ref().map(|it| it.pool.clone());
    let pool = pool_name.and_then(|pool| stores.pools.find(|it| it.name_any() == pool));
    let node = match &replica.spec.node {
        None => Some(NodeState::Ready),
        Some(wanted) => {
            stores.nodes.find(|it| it.uid().as_deref() == Some(wanted.uid.as_str())).map(|it| node_state(&it))
        }
    };
    let labels = format!("{}={}", label::REPLICA, replica.name_any());
    let in_namespace = format!("{labels},{}={}", label::NAMESPACE, name::label_value(&namespace));
    let (prepare_jobs, namespace_uid) = if replica.spec.node.is_some() {
        let jobs = cluster.jobs(node_jobs_namespace, &in_namespace).await?;
        (
            jobs,
            cluster.get(&cluster.global::<Namespace>(), &namespace).await?.and_then(|it| it.uid()).unwrap_or_default(),
        )
    } else {
        (vec![], String::new())
    };
    Ok(Observed {
        cache,
        pool,
        node,
        namespace_uid,
        prepare_jobs,
        warm_up_jobs: cluster.jobs(&namespace, &labels).await?,
        beside: if replica.spec.node.is_some() {
            Ok(Beside::Anywhere)
        } else {
            beside(cluster, &namespace, &replica.spec.claim_name).await?
        },
    })
}

/// One node has a ReadWriteOnce claim mounted: our pod must run there. One pod has a ReadWriteOncePod claim: ours waits.
pub async fn beside(cluster: &Cluster, namespace: &str, claim_name: &str) -> Result<Result<Beside, String>, Error> {
    let Some(claim) = cluster.get(&cluster.namespaced::<PersistentVolumeClaim>(namespace), claim_name).await? else {
        return Ok(Ok(Beside::Anywhere));
    };
    let modes = claim.spec.and_then(|it| it.access_modes).unwrap_or_default();
    let single_pod = modes.iter().any(|it| it == "ReadWriteOncePod");
    let single_node = modes.iter().all(|it| it == "ReadWriteOnce");
    if !single_pod && !single_node {
        return Ok(Ok(Beside::Anywhere));
    }
    let pods: Vec<Pod> = cluster.list(&cluster.namespaced::<Pod>(namespace), "").await?;
    let user = pods.into_iter().find(|pod| mounts(pod, claim_name));
    Ok(match user {
        Some(pod) if single_pod => {
            Err(format!("pod `{}` has the ReadWriteOncePod claim `{claim_name}`: it must end first", pod.name_any()))
        }
        Some(pod) => Ok(pod.spec.and_then(|it| it.node_name).map_or(Beside::Anywhere, Beside::Node)),
        None => Ok(Beside::Anywhere),
    })
}

/// Whether a pod of somebody else, on a node and not over, mounts a claim.
fn mounts(pod: &Pod, claim_name: &str) -> bool {
    let over = matches!(pod.status.as_ref().and_then(|it| it.phase.as_deref()), Some("Succeeded" | "Failed"));
    let ours = pod.labels().get(label::MANAGED_BY).is_some_and(|it| it == label::MANAGER);
    let spec = pod.spec.as_ref();
    let placed = spec.is_some_and(|it| it.node_name.is_some());
    let volumes = spec.and_then(|it| it.volumes.as_ref()).into_iter().flatten();
    let mounted = volumes.filter_map(|it| it.persistent_volume_claim.as_ref()).any(|it| it.claim_name == claim_name);
    mounted && placed && !over && !ours
}
