//! The reconcile of a `NodeCachePool`: what it has, and what is reserved of it.

use crate::api::condition::{self, ConditionType, Statement, Truth};
use crate::api::node_cache_pool::NodeCachePoolStatus;
use crate::api::{ModelCache, NodeCachePool, Reason, quantity};
use crate::operator::error::Error;
use crate::operator::placement;
use crate::operator::retry::whole_seconds;
use crate::operator::runtime::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use std::sync::Arc;

/// Says what a pool has and what is reserved of it.
pub async fn reconcile(pool: Arc<NodeCachePool>, context: Arc<Context>) -> Result<Action, Error> {
    let api = context.cluster.global::<NodeCachePool>();
    let status = status(&pool, &context.stores.nodes.state(), &context.stores.caches.state(), Timestamp::now());
    context.cluster.apply_status(&api, pool.as_ref(), pool.status.as_ref(), &status).await?;
    Ok(Action::await_change())
}

/// The status of a pool.
fn status(
    pool: &NodeCachePool,
    nodes: &[Arc<Node>],
    caches: &[Arc<ModelCache>],
    now: Timestamp,
) -> NodeCachePoolStatus {
    let selector = placement::node_selector(&pool.spec, None);
    let matching = nodes.iter().filter(|it| placement::matches(&selector, it.labels())).count();
    let sizes: Vec<u64> = caches
        .iter()
        .flat_map(|it| &it.spec.volumes)
        .filter_map(|it| it.per_node.as_ref())
        .filter(|it| it.pool == pool.name_any())
        .filter_map(|it| quantity::bytes(&it.size).ok())
        .collect();
    let said = if matching > 0 {
        [
            Statement::new(ConditionType::Ready, Truth::True, Reason::Provisioned, "the pool has nodes"),
            Statement::new(ConditionType::NodesMatched, Truth::True, Reason::Provisioned, "the pool has nodes"),
        ]
    } else {
        let message = "no node carries the labels of this pool: label nodes, or make a pool with other labels";
        [
            Statement::new(ConditionType::Ready, Truth::False, Reason::NoMatchingNodes, message),
            Statement::new(ConditionType::NodesMatched, Truth::False, Reason::NoMatchingNodes, message),
        ]
    };
    let previous = pool.status.as_ref().map(|it| it.conditions.as_slice()).unwrap_or_default();
    NodeCachePoolStatus {
        observed_generation: pool.metadata.generation,
        conditions: condition::merge(previous, &said, pool.metadata.generation, &Time(whole_seconds(now))),
        nodes: i32::try_from(matching).ok(),
        reserved: Some(quantity::human(sizes.iter().sum())),
        volumes: i32::try_from(sizes.len()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::modelcache::build::fixtures::{cache, pool};

    #[test]
    fn a_pool_without_nodes_says_so_and_counts_what_is_reserved() {
        let status = status(&pool(), &[], &[Arc::new(cache())], Timestamp::UNIX_EPOCH);
        assert_eq!((status.nodes, status.volumes, status.reserved.as_deref()), (Some(0), Some(1), Some("60.0 GiB")));
        assert!(!condition::is_true(&status.conditions, ConditionType::Ready));
    }
}
