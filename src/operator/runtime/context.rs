//! What is a reconcile given?

use super::metrics::Metrics;
use super::seen::Seen;
use crate::api::{ModelCache, ModelCacheBackup, ModelCacheReplica, ModelCacheRestore, NodeCachePool};
use crate::operator::cluster::Cluster;
use crate::operator::mounting_pod::MountingPod;
use crate::operator::node_label::plan::Ours;
use crate::operator::options::Settings;
use crate::operator::replica::slots::Slots;
use futures::future;
use k8s_openapi::api::core::v1::Node;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What a reconcile is given.
pub struct Context {
    /// The API server.
    pub cluster: Cluster,
    /// What the watches have seen.
    pub stores: Stores,
    /// What can be set.
    pub settings: Settings,
    /// Who warms up.
    pub slots: Slots,
    /// What is counted.
    pub metrics: Metrics,
    /// Which labels of nodes are ours.
    pub node_labels: Mutex<Ours>,
    /// Errors in a row, by object: the pause grows with them.
    pub(super) errors: Mutex<BTreeMap<String, u32>>,
}

/// What the watches have seen. May be behind; what counts attempts is read anew.
#[derive(Clone)]
pub struct Stores {
    /// All caches.
    pub caches: Seen<ModelCache>,
    /// All Replicas.
    pub replicas: Seen<ModelCacheReplica>,
    /// All backups.
    pub backups: Seen<ModelCacheBackup>,
    /// All restores.
    pub restores: Seen<ModelCacheRestore>,
    /// All pools.
    pub pools: Seen<NodeCachePool>,
    /// All nodes, without what we do not read of them.
    pub nodes: Seen<Node>,
    /// All pods that mount claims, are not over and not ours, where use is tracked.
    pub users: Option<Seen<MountingPod>>,
}

impl Stores {
    /// Returns when all that is there has been seen.
    pub(super) async fn wait_until_ready(&self) {
        let Self { caches, replicas, backups, restores, pools, nodes, users } = self;
        future::join4(
            nodes.wait_until_ready(),
            pools.wait_until_ready(),
            caches.wait_until_ready(),
            replicas.wait_until_ready(),
        )
        .await;
        future::join(backups.wait_until_ready(), restores.wait_until_ready()).await;
        if let Some(users) = users {
            users.wait_until_ready().await;
        }
    }
}
