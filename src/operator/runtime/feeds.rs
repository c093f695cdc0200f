//! What is watched and kept in memory, and where?

use super::context::Stores;
use super::health::Health;
use super::place::Place;
use super::seen::{prune_node, see, see_in};
use super::users::{Users, users};
use crate::api::ModelCache;
use futures::FutureExt;
use futures::channel::mpsc::UnboundedReceiver;
use futures::future::{self, BoxFuture};
use kube::Client;
use kube::runtime::reflector::ObjectRef;
use std::sync::Arc;

/// The stores, and what fills them.
pub(super) struct Feeds {
    /// What the watches have seen.
    pub(super) stores: Stores,
    /// Caches that somebody begins or ends to use: for each place, in their order.
    pub(super) used: Vec<UnboundedReceiver<ObjectRef<ModelCache>>>,
    /// Fills the stores for as long as it is polled.
    pub(super) feed: BoxFuture<'static, ()>,
}

/// Prepares all watches. Who mounts claims is watched only where use is tracked.
pub(super) fn feeds(client: &Client, places: &[Place], track_use: bool, health: &Arc<Health>) -> Feeds {
    let (nodes, see_nodes) = see(client, "nodes", prune_node, health);
    let (pools, see_pools) = see(client, "nodecachepools", |_| {}, health);
    let (caches, see_caches) = see_in(client, places, "modelcaches", health);
    let (replicas, see_replicas) = see_in(client, places, "modelcachereplicas", health);
    let (backups, see_backups) = see_in(client, places, "modelcachebackups", health);
    let (restores, see_restores) = see_in(client, places, "modelcacherestores", health);
    let Users { pods, used, feed: see_pods } = users(client, places, track_use, &caches, health);
    let copies = future::join4(see_nodes, see_pools, see_caches, see_replicas);
    let records = future::join(see_backups, see_restores);
    let feed = future::join3(copies, records, see_pods).map(drop).boxed();
    Feeds { stores: Stores { caches, replicas, backups, restores, pools, nodes, users: pods }, used, feed }
}
