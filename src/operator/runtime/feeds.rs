//! What is watched and kept in memory, and what of it?

use super::context::Stores;
use super::health::Health;
use super::users;
use crate::api::ModelCache;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::{self, BoxFuture};
use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;

/// The stores, and what fills them.
pub(super) struct Feeds {
    /// What the watches have seen.
    pub(super) stores: Stores,
    /// Caches that somebody begins or ends to use.
    pub(super) used: UnboundedReceiver<ObjectRef<ModelCache>>,
    /// Fills the stores for as long as it is polled.
    pub(super) feed: BoxFuture<'static, ()>,
}

/// Prepares all watches. Who mounts claims is watched only where use is tracked.
pub(super) fn feeds(client: &Client, track_use: bool, health: &Arc<Health>) -> Feeds {
    let (nodes, nodes_writer) = store();
    let (pools, pools_writer) = store();
    let (caches, caches_writer) = store();
    let (replicas, replicas_writer) = store();
    let (backups, backups_writer) = store();
    let (restores, restores_writer) = store();
    let (mounting, mounting_writer) = store();
    let (wake, used) = unbounded();
    let copies = future::join4(
        reflect(nodes_writer, watch(client).modify(prune_node), "nodes", health),
        reflect(pools_writer, watch(client), "nodecachepools", health),
        reflect(caches_writer, watch(client).modify(prune), "modelcaches", health),
        reflect(replicas_writer, watch(client).modify(prune), "modelcachereplicas", health),
    );
    let records = future::join(
        reflect(backups_writer, watch(client).modify(prune), "modelcachebackups", health),
        reflect(restores_writer, watch(client).modify(prune), "modelcacherestores", health),
    );
    let use_of = if track_use {
        let told =
            users::telling(users::watched(client, mounting.clone()).reflect(mounting_writer), caches.clone(), wake);
        run(told, "pods", health)
    } else {
        future::ready(()).boxed()
    };
    let feed = future::join3(copies, records, use_of).map(drop).boxed();
    let users = track_use.then_some(mounting);
    Feeds { stores: Stores { caches, replicas, backups, restores, pools, nodes, users }, used, feed }
}

fn watch<K>(client: &Client) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + use<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watcher(Api::<K>::all(client.clone()), watcher::Config::default()).default_backoff()
}

/// Feeds a store from a watch.
fn reflect<K, S>(writer: Writer<K>, stream: S, kind: &'static str, health: &Arc<Health>) -> BoxFuture<'static, ()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    S: Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
{
    run(stream.reflect(writer), kind, health)
}

/// Runs a watch; one that fails is a reason not to be ready, by name.
fn run<T, S>(stream: S, kind: &'static str, health: &Arc<Health>) -> BoxFuture<'static, ()>
where
    S: Stream<Item = watcher::Result<T>> + Send + 'static,
{
    let health = health.clone();
    let each = move |event: watcher::Result<T>| {
        match event {
            Ok(_) => health.watch_works(kind),
            Err(error) => health.watch_fails(kind, &error.to_string()),
        }
        future::ready(())
    };
    stream.for_each(each).boxed()
}

fn prune<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// A node's image list alone is larger than all we read of it.
fn prune_node(node: &mut Node) {
    prune(node);
    node.metadata.annotations = None;
    if let Some(status) = node.status.as_mut() {
        let conditions = status.conditions.take();
        *status = NodeStatus { conditions, ..NodeStatus::default() };
    }
}
