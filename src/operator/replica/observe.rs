//! What is there? All reads of a Replica's reconcile.

use super::build::warm_up_job::Beside;
use super::requests::Asked;
use crate::api::source::Source;
use crate::api::{ModelCache, ModelCacheReplica, NodeCachePool, label, name};
use crate::operator::clean::readers;
use crate::operator::cluster::Cluster;
use crate::operator::error::Error;
use crate::operator::job::ObservedJob;
use crate::operator::modelcache::build::restored::Restored;
use crate::operator::mounting_pod::MountingPod;
use crate::operator::placement::{NodeState, node_state};
use crate::operator::runtime::Stores;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim};
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
    /// Jobs of the Replica that mount its volume: warm-ups and checks.
    pub jobs: Vec<ObservedJob>,
    /// The claim of a shared volume.
    pub claim: Option<PersistentVolumeClaim>,
    /// Where the pod of a shared volume must run, or what it must wait for.
    pub beside: Result<Beside, String>,
    /// The same for a pod that mounts the volume's own claim and no other.
    pub beside_own: Result<Beside, String>,
    /// Pods that mount the copy, where its reset is asked for.
    pub readers: Vec<String>,
}

/// Reads everything.
pub async fn observe(
    cluster: &Cluster,
    stores: &Stores,
    node_jobs_namespace: &str,
    replica: &ModelCacheReplica,
) -> Result<Observed, Error> {
    let namespace = replica.namespace().unwrap_or_default();
    let own_claim = &replica.spec.claim_name;
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
    let sources = cache.iter().flat_map(|it| claims(it, &replica.spec.volume));
    let claims: Vec<(String, String)> = sources.filter(|(_, claim)| claim != own_claim).collect();
    let claim = match replica.spec.node {
        Some(_) => None,
        None => cluster.get(&cluster.namespaced::<PersistentVolumeClaim>(&namespace), own_claim).await?,
    };
    let own = match &claim {
        Some(claim) => beside_users(cluster, &namespace, claim).await?,
        None => Ok(Beside::Anywhere),
    };
    let mut place = own.clone();
    for (source, claim) in claims {
        let other = if replica.spec.node.is_some() {
            everywhere(cluster, &namespace, &source, &claim).await?
        } else {
            beside(cluster, &namespace, &claim).await?
        };
        place = place.and_then(|here| both(here, other?, &claim));
    }
    // One that has begun goes on although it is asked for no more.
    let open = replica.status.as_ref().and_then(|it| it.requested_reset.as_ref()).is_some_and(|it| it.time.is_none());
    let resets = open || cache.as_ref().is_some_and(|it| Asked::of(it, replica).reset.is_some());
    let readers = if resets { readers::names(&cluster.mounting_pods(&namespace).await?, replica) } else { vec![] };
    Ok(Observed {
        readers,
        cache,
        pool,
        node,
        namespace_uid,
        prepare_jobs,
        jobs: cluster.jobs(&namespace, &labels).await?,
        claim,
        beside: place,
        beside_own: own,
    })
}

/// The backup that the copy is made from, where it is one of a restore. One on a claim that a single node can mount is of no use
/// to the others: then all bytes come from their origins.
pub async fn restored(cluster: &Cluster, replica: &ModelCacheReplica) -> Result<Option<Restored>, Error> {
    let Some(by) = &replica.spec.restored else { return Ok(None) };
    let namespace = replica.namespace().unwrap_or_default();
    let name = name::restored(&replica.spec.cache, &replica.spec.volume);
    let found = cluster.get(&cluster.namespaced::<ConfigMap>(&namespace), &name).await?;
    let Some(restored) = found.as_ref().and_then(Restored::read).filter(|it| it.by == *by) else { return Ok(None) };
    let Some(backup) = restored.backup() else { return Ok(None) };
    let reachable = match &backup.destination.volume {
        None => true,
        Some(claim) => everywhere(cluster, &namespace, "", &claim.claim_name).await?.is_ok(),
    };
    Ok(Some(restored).filter(|_| reachable))
}

/// The claims that sources of a volume take over, with the names of those sources.
fn claims<'a>(cache: &'a ModelCache, volume: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
    let of_volume = move |it: &&Source| cache.spec.volume_of(it).is_some_and(|it| it.name == volume);
    let sources = cache.spec.sources.iter().filter(of_volume);
    sources.filter_map(|it| Some((it.name.clone(), it.claim.as_ref()?.claim_name.clone())))
}

/// A copy on each node is made on that node: the claim must be one that several nodes can mount.
async fn everywhere(
    cluster: &Cluster,
    namespace: &str,
    source: &str,
    claim_name: &str,
) -> Result<Result<Beside, String>, Error> {
    let claim = cluster.get(&cluster.namespaced::<PersistentVolumeClaim>(namespace), claim_name).await?;
    let modes = claim.and_then(|it| it.spec).and_then(|it| it.access_modes);
    Ok(match modes.filter(|modes| !modes.iter().any(|it| it == "ReadWriteMany" || it == "ReadOnlyMany")) {
        None => Ok(Beside::Anywhere),
        Some(modes) => Err(format!(
            "source `{source}` is to be copied to the nodes of a pool, and its claim `{claim_name}` is {}, which one node at a \
             time can mount: use a claim with ReadWriteMany or ReadOnlyMany, or put the source on a shared volume",
            modes.join(", ")
        )),
    })
}

/// One pod mounts both claims.
///
/// # Errors
/// In words, when that cannot be.
pub fn both(here: Beside, there: Beside, claim_name: &str) -> Result<Beside, String> {
    match (here, there) {
        (Beside::Node(here), Beside::Node(there)) if here != there => Err(format!(
            "claim `{claim_name}` is in use on node `{there}`, and the volume's own claim on node `{here}`: one pod must mount \
             both, so the pods that use one of them must end or move first"
        )),
        (Beside::Anywhere, other) | (other, _) => Ok(other),
    }
}

/// Where a pod of ours that mounts a claim must run; see [`beside_users`]. Anywhere when there is no such claim.
pub async fn beside(cluster: &Cluster, namespace: &str, claim_name: &str) -> Result<Result<Beside, String>, Error> {
    match cluster.get(&cluster.namespaced::<PersistentVolumeClaim>(namespace), claim_name).await? {
        Some(claim) => beside_users(cluster, namespace, &claim).await,
        None => Ok(Ok(Beside::Anywhere)),
    }
}

/// Where a pod of ours that mounts this claim must run. One node has a ReadWriteOnce claim mounted: our pod must run there. One
/// pod has a ReadWriteOncePod claim: ours waits.
async fn beside_users(
    cluster: &Cluster,
    namespace: &str,
    claim: &PersistentVolumeClaim,
) -> Result<Result<Beside, String>, Error> {
    let claim_name = &claim.name_any();
    let modes = claim.spec.as_ref().and_then(|it| it.access_modes.clone()).unwrap_or_default();
    let single_pod = modes.iter().any(|it| it == "ReadWriteOncePod");
    let single_node = modes.iter().all(|it| it == "ReadWriteOnce");
    if !single_pod && !single_node {
        return Ok(Ok(Beside::Anywhere));
    }
    let pods = cluster.mounting_pods(namespace).await?;
    let user = pods.into_iter().find(|pod| has(pod, claim_name));
    Ok(match user {
        Some(pod) if single_pod => {
            Err(format!("pod `{}` has the ReadWriteOncePod claim `{claim_name}`: it must end first", pod.name_any()))
        }
        Some(pod) => Ok(pod.spec.node_name.map_or(Beside::Anywhere, Beside::Node)),
        None => Ok(Beside::Anywhere),
    })
}

/// Whether a pod of somebody else, on a node and not over, has a claim mounted.
fn has(pod: &MountingPod, claim_name: &str) -> bool {
    pod.mounts(claim_name) && pod.spec.node_name.is_some() && !pod.is_over() && !pod.is_ours()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_mounts_two_claims_runs_where_both_are() {
        let node = |name: &str| Beside::Node(name.into());
        for (here, there, expected) in [
            (Beside::Anywhere, Beside::Anywhere, Ok(Beside::Anywhere)),
            (node("a"), Beside::Anywhere, Ok(node("a"))),
            (Beside::Anywhere, node("b"), Ok(node("b"))),
            (node("a"), node("a"), Ok(node("a"))),
            (node("a"), node("b"), Err(())),
        ] {
            assert_eq!(both(here, there, "old").map_err(drop), expected);
        }
    }
}
