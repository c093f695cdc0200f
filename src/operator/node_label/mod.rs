//! The reconcile of a node's labels: each cache of which it holds a complete copy.

pub mod plan;

use crate::api::ModelCache;
use crate::operator::error::{Error, ErrorClass};
use crate::operator::runtime::Context;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action;
use plan::Ours;
use std::sync::{Arc, PoisonError};

/// Brings the labels of a node to what its copies say. Writes nothing where they say so already.
pub async fn reconcile(node: Arc<PartialObjectMeta<Node>>, context: Arc<Context>) -> Result<Action, Error> {
    let uid = node.uid().unwrap_or_default();
    let (caches, replicas) = (context.stores.caches.state(), context.stores.replicas.state());
    let change = ours(&context, &caches, |ours| plan::change(&uid, node.labels(), &caches, &replicas, ours));
    if !change.is_empty() {
        context.cluster.label_node(&node.name_any(), &uid, &change).await?;
    }
    // Copies and caches wake it, and whoever changes a label of the node.
    Ok(Action::await_change())
}

/// Decides with what is known of which labels are ours, once the caches that are there have been seen.
fn ours<T>(context: &Context, caches: &[Arc<ModelCache>], decide: impl FnOnce(&Ours) -> T) -> T {
    let mut ours = context.node_labels.lock().unwrap_or_else(PoisonError::into_inner);
    ours.see(caches);
    decide(&ours)
}

/// Takes off the labels that an operator left which was told to label nodes. Ends when none is left, or when the right for it
/// is gone, which is said once.
pub async fn take_off(context: Arc<Context>) {
    let mut tries = 0;
    loop {
        let nodes = context.stores.nodes.state();
        let left: Vec<_> = ours(&context, &context.stores.caches.state(), |ours| {
            let left =
                nodes.iter().map(|it| (it, plan::change(&it.uid().unwrap_or_default(), it.labels(), &[], &[], ours)));
            left.filter(|(_, change)| !change.is_empty()).collect()
        });
        let (count, mut failed) = (left.len(), None);
        for (node, change) in left {
            let taken = context.cluster.label_node(&node.name_any(), &node.uid().unwrap_or_default(), &change).await;
            failed = taken.err().or(failed);
        }
        match failed {
            None if count == 0 => return,
            None => return tracing::info!(nodes = count, "took labels off that an operator left which labelled nodes"),
            Some(error) if error.class() == ErrorClass::Permission => {
                return tracing::warn!(
                    nodes = count,
                    %error,
                    "nodes still have labels of a time when they were labelled, and the right to take them off is gone: grant it once \
                     more (in the chart nodeLabels.remove)"
                );
            }
            Some(error) => {
                tracing::warn!(nodes = count, %error, "failed to take labels off");
                tokio::time::sleep(error.pause(tries)).await;
                tries += 1;
            }
        }
    }
}
