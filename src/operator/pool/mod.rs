//! The reconcile of a `NodeCachePool`: what it has, and what is reserved of it.

pub mod reserve;

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
    // Another operator's, or nobody's: two that wrote its status would never agree.
    if !context.settings.scope.has_whole(&pool) {
        return Ok(Action::await_change());
    }
    let api = context.cluster.global::<NodeCachePool>();
    let status = status(&pool, &context.stores.nodes.state(), &context.stores.caches.state(), Timestamp::now());
    context.cluster.apply_status(&api, pool.as_ref(), pool.status.as_ref(), &status).await?;
    Ok(Action::await_change())
}

/// The status of a pool.
pub(super) fn status(
    pool: &NodeCachePool,
    nodes: &[Arc<Node>],
    caches: &[Arc<ModelCache>],
    now: Timestamp,
) -> NodeCachePoolStatus {
    let selector = placement::node_selector(&pool.spec, None);
    let matching = nodes.iter().filter(|it| placement::matches(&selector, it.labels())).count();
    // A capacity that cannot be read holds nothing.
    let capacity = quantity::bytes(&pool.spec.capacity).unwrap_or(0);
    let reservations = reserve::reservations(pool, capacity, caches.iter().map(AsRef::as_ref));
    let granted: Vec<u64> = reservations.iter().filter(|it| it.fits()).map(|it| it.wanted).collect();
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
        reserved: Some(quantity::human(granted.iter().fold(0, |sum, it| sum.saturating_add(*it)))),
        volumes: i32::try_from(granted.len()).ok(),
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
