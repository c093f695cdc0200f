//! A cache is being deleted: what comes next? Pure.
//!
//! Waits while a pod mounts a volume of ours; stops what is under way; then retains or removes the data. An existing claim
//! is not ours: nothing is done to it, so nothing waits for it.

use super::build::is_of;
use super::model::NodeModel;
use super::observe::Observed;
use crate::api::model_cache::DeletionPolicy;
use crate::api::{ModelCache, Reason, label, name};
use crate::operator::cluster::{Note, Removal};
use crate::operator::modelcache::build::persistent_volume::{HoldingNode, recorded_nodes};
use crate::operator::mounting_pod::MountingPod;
use crate::operator::placement::{self, NodeState, node_state};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use kube::{Resource, ResourceExt};
use std::collections::BTreeSet;
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

/// Whether a pod of somebody else mounts a claim of ours and is not over.
pub fn in_use(cache: &ModelCache, observed: &Observed) -> bool {
    Deletion { cache, observed, overdue: false }.in_use().is_some()
}

/// What all steps look at.
struct Deletion<'a> {
    cache: &'a ModelCache,
    observed: &'a Observed,
    /// Whether the time is over in which nodes that do not answer are waited for.
    overdue: bool,
}

/// Decides the next step.
pub fn next_step(cache: &ModelCache, observed: &Observed, unreachable_grace: Duration, now: Timestamp) -> DeletionStep {
    let since = cache.metadata.deletion_timestamp.as_ref().map_or(now, |it| it.0);
    let overdue = since.checked_add(unreachable_grace).is_ok_and(|until| until <= now);
    Deletion { cache, observed, overdue }.next_step()
}

impl Deletion<'_> {
    fn next_step(&self) -> DeletionStep {
        if let Some(note) = self.in_use() {
            return DeletionStep::InUse(note);
        }
        if let Some(step) = self.stop_work() {
            return step;
        }
        match self.cache.spec.effective_deletion_policy() {
            DeletionPolicy::Retain => DeletionStep::Done(None),
            DeletionPolicy::Delete => self.delete_data(),
        }
    }

    /// Nothing may write any more. What hangs on a node that does not answer is waited for only so long.
    fn stop_work(&self) -> Option<DeletionStep> {
        let replicas = self.observed.replicas.iter();
        let node_jobs = self.observed.node_jobs.iter().filter(|it| it.labels().contains_key(label::REPLICA));
        // What asks an origin writes nothing: it is told to go, and not waited for.
        let asking = self.observed.resolve_jobs.iter().chain(&self.observed.refresh_jobs);
        let asking = asking.map(|it| &it.job).filter(|it| !is_ending(*it));
        // What a CronJob has begun goes with it: nothing new holds the claims.
        let cron_jobs = self.observed.cron_jobs.iter().filter(|it| is_of(*it, self.cache) && !is_ending(*it));
        let cron_jobs = cron_jobs.cloned().map(Removal::CronJob);
        let removals: Vec<Removal> = (replicas.clone().filter(|it| !is_ending(*it)).cloned().map(Removal::Replica))
            .chain(node_jobs.clone().filter(|it| !is_ending(*it)).chain(asking).cloned().map(Removal::Job))
            .chain(cron_jobs)
            .collect();
        if !removals.is_empty() {
            return Some(DeletionStep::Remove(removals));
        }
        let waits_for = |hostname: Option<&str>| {
            !self.overdue || hostname.is_some_and(|it| self.answers(|node| hostname_of(node) == it))
        };
        let ending = replicas.filter(|it| waits_for(it.spec.node.as_ref().map(|it| it.hostname.as_str()))).count()
            + node_jobs.filter(|it| waits_for(pinned_hostname(it))).count();
        (ending > 0).then(|| {
            let message = format!("work is being stopped: {ending} Replicas and node Jobs are not gone yet");
            DeletionStep::Wait(Note::normal(Reason::Deleting, "Delete", message))
        })
    }

    /// Claims first, then the volumes' data, then the volumes; a claim of somebody else is never touched.
    fn delete_data(&self) -> DeletionStep {
        let claims = self.own_claims();
        let config_maps = self.observed.config_maps.iter().filter(|it| is_of(*it, self.cache));
        let removals: Vec<Removal> = (claims.clone().filter(|it| !is_ending(*it)).cloned().map(Removal::Claim))
            .chain(config_maps.filter(|it| !is_ending(*it)).cloned().map(Removal::ConfigMap))
            .collect();
        if !removals.is_empty() {
            return DeletionStep::Remove(removals);
        }
        // A claim goes when the last pod that mounts it has ended; one on a node that does not answer never does.
        let ending: Vec<String> = claims.map(ResourceExt::name_any).collect();
        if !ending.is_empty() && !self.overdue {
            let message = format!("PersistentVolumeClaims {} are being deleted", ending.join(", "));
            return DeletionStep::Wait(Note::normal(Reason::Deleting, "Delete", message));
        }
        let volumes = || self.own_volumes();
        let unburied: Vec<PersistentVolume> =
            volumes().filter(|it| !it.labels().contains_key(label::TOMBSTONE)).cloned().collect();
        if !unburied.is_empty() {
            return DeletionStep::Bury(unburied);
        }
        if volumes().next().is_none() {
            return DeletionStep::Done(None);
        }
        let left: Vec<HoldingNode> = volumes().flat_map(recorded_nodes).collect();
        let names: BTreeSet<&str> = left.iter().map(|it| it.name.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let answer = left.iter().any(|it| self.answers(|node| node.uid().as_deref() == Some(it.uid.as_str())));
        if self.overdue && !left.is_empty() && !answer {
            let message = format!("nodes {} do not answer: their data is removed when they return", names.join(", "));
            return DeletionStep::Done(Some(Note::warning(Reason::PurgePending, "Delete", message)));
        }
        DeletionStep::Wait(Note::normal(
            Reason::PurgePending,
            "Delete",
            format!("the data is being removed from nodes {}", names.join(", ")),
        ))
    }

    /// Claims that we made, also those of volumes that the spec no longer has; never one that the spec calls existing,
    /// whatever its labels say.
    fn own_claims(&self) -> impl Iterator<Item = &PersistentVolumeClaim> + Clone {
        self.observed.claims.values().filter(|it| is_of(*it, self.cache) && !self.is_existing(&it.name_any()))
    }

    /// PersistentVolumes of this namespace, by its UID: those of a predecessor of the same name are not ours to empty.
    fn own_volumes(&self) -> impl Iterator<Item = &PersistentVolume> {
        let namespace = self.cache.namespace().unwrap_or_default();
        self.observed.persistent_volumes.iter().filter(move |it| {
            let volume = it.labels().get(label::VOLUME).cloned().unwrap_or_default();
            let uid = &self.observed.namespace_uid;
            let claim = it.spec.as_ref().and_then(|it| it.claim_ref.as_ref()).and_then(|it| it.name.as_deref());
            it.name_any() == name::persistent_volume(uid, &namespace, &self.cache.name_any(), &volume)
                && !claim.is_some_and(|it| self.is_existing(it))
        })
    }

    fn is_existing(&self, claim: &str) -> bool {
        self.cache.spec.volumes.iter().filter_map(|it| it.existing_claim.as_ref()).any(|it| it.claim_name == claim)
    }

    fn answers(&self, is_it: impl Fn(&Node) -> bool) -> bool {
        self.observed.nodes.iter().any(|it| is_it(it) && node_state(it) != NodeState::NotReady)
    }

    /// A pod of somebody else that mounts a claim of ours and is not over. One that was deleted on a node that does not
    /// answer is waited for only so long: nobody will ever say that it ended.
    fn in_use(&self) -> Option<Note> {
        let claims: BTreeSet<String> = self.own_claims().map(ResourceExt::name_any).collect();
        let is_lost = |pod: &MountingPod| {
            let node = pod.spec.node_name.as_deref();
            self.overdue && is_ending(pod) && node.is_some_and(|it| !self.answers(|node| node.name_any() == it))
        };
        for pod in self.observed.pods.iter().filter(|pod| !pod.is_over() && !pod.is_ours() && !is_lost(pod)) {
            if let Some(claim) = pod.claims().find(|it| claims.contains(*it)) {
                let message =
                    format!("deletion waits: pod `{}` mounts PersistentVolumeClaim `{claim}`", pod.name_any());
                return Some(Note::warning(Reason::InUse, "Delete", message));
            }
        }
        None
    }
}

/// Whether an object's deletion was asked for already.
fn is_ending<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

fn hostname_of(node: &Node) -> String {
    NodeModel::new(node).hostname
}

/// The hostname that a node Job is pinned to.
fn pinned_hostname(job: &Job) -> Option<&str> {
    let affinity = job.spec.as_ref()?.template.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
    let mut expressions = terms.iter().flat_map(|it| it.match_expressions.iter().flatten());
    expressions.find(|it| it.key == placement::HOSTNAME)?.values.as_ref()?.first().map(String::as_str)
}

#[cfg(test)]
#[path = "deletion_tests.rs"]
mod tests;
