//! A cache is being deleted: what comes next? Pure.
//!
//! Waits while a pod mounts a volume of ours; stops what is under way; then retains or removes the data.

use super::build::is_of;
use super::observe::Observed;
use crate::api::model_cache::DeletionPolicy;
use crate::api::{ModelCache, Reason, label};
use crate::operator::cluster::{Note, Removal};
use crate::operator::modelcache::build::persistent_volume::recorded_nodes;
use crate::operator::placement::{NodeState, node_state};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use kube::ResourceExt;
use std::time::Duration;

/// The next step of a deletion.
#[derive(Debug)]
pub enum DeletionStep {
    /// A pod mounts a claim of ours.
    InUse(Note),
    /// Delete these, and look again.
    Remove(Vec<Removal>),
    /// Mark these volumes: their data is to be removed from the nodes they list.
    Bury(Vec<PersistentVolume>),
    /// The nodes are at work.
    Wait(Note),
    /// Nothing is left to do: the object may go.
    Done(Option<Note>),
}

/// Decides the next step.
pub fn next_step(cache: &ModelCache, observed: &Observed, unreachable_grace: Duration, now: Timestamp) -> DeletionStep {
    if let Some(note) = in_use(cache, observed) {
        return DeletionStep::InUse(note);
    }
    let mut removals: Vec<Removal> = observed.replicas.iter().cloned().map(Removal::Replica).collect();
    removals.extend(
        observed.node_jobs.iter().filter(|it| it.labels().contains_key(label::REPLICA)).cloned().map(Removal::Job),
    );
    removals.extend(observed.resolve_jobs.iter().map(|it| Removal::Job(it.job.clone())));
    if !removals.is_empty() {
        return DeletionStep::Remove(removals);
    }
    match cache.spec.effective_deletion_policy() {
        DeletionPolicy::Retain => DeletionStep::Done(None),
        DeletionPolicy::Delete => delete_data(cache, observed, unreachable_grace, now),
    }
}

/// Claims first, then the volumes' data, then the volumes; a claim of somebody else is never touched.
fn delete_data(cache: &ModelCache, observed: &Observed, unreachable_grace: Duration, now: Timestamp) -> DeletionStep {
    let ours = |it: &&k8s_openapi::api::core::v1::PersistentVolumeClaim| is_of(*it, cache);
    let mut removals: Vec<Removal> = observed.claims.values().filter(ours).cloned().map(Removal::Claim).collect();
    removals.extend(observed.config_maps.iter().filter(|it| is_of(*it, cache)).cloned().map(Removal::ConfigMap));
    if !removals.is_empty() {
        return DeletionStep::Remove(removals);
    }
    let unburied: Vec<PersistentVolume> =
        observed.persistent_volumes.iter().filter(|it| !it.labels().contains_key(label::TOMBSTONE)).cloned().collect();
    if !unburied.is_empty() {
        return DeletionStep::Bury(unburied);
    }
    if observed.persistent_volumes.is_empty() {
        return DeletionStep::Done(None);
    }
    let left: Vec<_> = observed.persistent_volumes.iter().flat_map(recorded_nodes).collect();
    let answers = |uid: &str| {
        let node = observed.nodes.iter().find(|it| it.uid().as_deref() == Some(uid));
        node.is_some_and(|it| node_state(it) != NodeState::NotReady)
    };
    let names: Vec<&str> = left.iter().map(|it| it.name.as_str()).collect();
    let since = cache.metadata.deletion_timestamp.as_ref().map_or(now, |it| it.0);
    let overdue = since.checked_add(unreachable_grace).is_ok_and(|until| until <= now);
    if overdue && !left.is_empty() && !left.iter().any(|it| answers(&it.uid)) {
        let message = format!("nodes {} do not answer: their data is removed when they return", names.join(", "));
        return DeletionStep::Done(Some(Note::warning(Reason::PurgePending, "Delete", message)));
    }
    DeletionStep::Wait(Note::normal(
        Reason::PurgePending,
        "Delete",
        format!("the data is being removed from nodes {}", names.join(", ")),
    ))
}

/// A pod of somebody else that mounts a claim of this cache and is not over.
fn in_use(cache: &ModelCache, observed: &Observed) -> Option<Note> {
    let claims: Vec<String> = cache.spec.volumes.iter().map(|it| it.claim_name(&cache.name_any())).collect();
    let over = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    let ours = |pod: &Pod| pod.labels().get(label::MANAGED_BY).is_some_and(|it| it == label::MANAGER);
    for pod in observed.pods.iter().filter(|pod| !over(pod) && !ours(pod)) {
        let volumes = pod.spec.iter().flat_map(|it| it.volumes.iter().flatten());
        let mounted =
            volumes.filter_map(|it| it.persistent_volume_claim.as_ref()).find(|it| claims.contains(&it.claim_name));
        if let Some(claim) = mounted {
            let message =
                format!("deletion waits: pod `{}` mounts PersistentVolumeClaim `{}`", pod.name_any(), claim.claim_name);
            return Some(Note::warning(Reason::InUse, "Delete", message));
        }
    }
    None
}
