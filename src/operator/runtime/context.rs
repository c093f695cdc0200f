//! What is a reconcile given?

use super::metrics::Metrics;
use super::seen::Seen;
use crate::api::{ModelCache, ModelCacheBackup, ModelCacheReplica, ModelCacheRestore, NodeCachePool};
use crate::operator::cluster::Cluster;
use crate::operator::options::Settings;
use crate::operator::replica::slots::Slots;
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
    /// Errors in a row, by object: the pause grows with them.
    pub(super) errors: Mutex<BTreeMap<String, u32>>,
}

/// What the watches have seen. May be behind; what counts attempts is read anew.
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
}
