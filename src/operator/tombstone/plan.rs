//! What is done about each node that a tombstone lists? Pure.

use crate::operator::job::{JobState, ObservedJob};
use crate::operator::modelcache::build::persistent_volume::{HoldingNode, recorded_nodes};
use crate::operator::placement::{NodeState, node_state};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, PersistentVolume};
use kube::ResourceExt;
use std::sync::Arc;

/// Purges of one volume that run at once.
const PARALLEL: usize = 10;

/// What is done about a node.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a handful at a time, and never stored")]
pub(super) enum NodePurge {
    /// Its data is gone: with evidence, or with the node.
    Forget(HoldingNode),
    /// Create its purge Job.
    Start(HoldingNode),
    /// The purge Job failed: delete it, so that the next look creates it again.
    Retry(Job),
    /// The Job runs, or the node does not answer.
    Wait,
}

/// What is done about each node.
pub(super) fn purges(volume: &PersistentVolume, nodes: &[Arc<Node>], jobs: &[ObservedJob]) -> Vec<NodePurge> {
    let holding = recorded_nodes(volume);
    let job_of = |it: &HoldingNode| {
        let name = crate::api::name::purge_job(&volume.name_any(), &it.uid);
        jobs.iter().find(|job| job.name() == name).map(|job| (job, job.state()))
    };
    let at_work = |it: &&HoldingNode| matches!(job_of(it), Some((_, JobState::Running { .. } | JobState::Ending)));
    // All that run count before the first one is started, wherever they stand in the list.
    let mut running = holding.iter().filter(at_work).count();
    holding
        .into_iter()
        .map(|holding| {
            let Some(node) = nodes.iter().find(|it| it.uid().as_deref() == Some(holding.uid.as_str())) else {
                return NodePurge::Forget(holding);
            };
            match job_of(&holding) {
                Some((_, JobState::Succeeded(_))) => NodePurge::Forget(holding),
                Some((job, JobState::Failed(_))) => NodePurge::Retry(job.job.clone()),
                Some(_) => NodePurge::Wait,
                None if node_state(node) == NodeState::NotReady || running >= PARALLEL => NodePurge::Wait,
                None => {
                    running += 1;
                    NodePurge::Start(holding)
                }
            }
        })
        .collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
