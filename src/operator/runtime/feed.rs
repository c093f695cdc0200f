//! What do the stores remember of what the watches see?

use super::health::Health;
use futures::{Stream, StreamExt, future};
use k8s_openapi::api::core::v1::Node;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use std::fmt::Debug;
use std::sync::Arc;

/// Objects of a kind, as they change.
pub(super) fn watch<K>(client: &Client) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + use<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + serde::de::DeserializeOwned + Send + 'static,
{
    watcher(Api::<K>::all(client.clone()), watcher::Config::default()).default_backoff()
}

/// Feeds a store from a watch; a watch that fails is a reason not to be ready, by name.
pub(super) fn reflect<K, S>(
    writer: kube::runtime::reflector::store::Writer<K>,
    stream: S,
    kind: &'static str,
    health: Arc<Health>,
) -> impl Stream<Item = ()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    S: Stream<Item = watcher::Result<watcher::Event<K>>> + Send,
{
    stream.reflect(writer).map(move |event| match event {
        Ok(_) => health.watch_works(kind),
        Err(error) => health.watch_fails(kind, &error.to_string()),
    })
}

/// Runs a feed for as long as there is one.
pub(super) async fn drain(stream: impl Stream<Item = ()>) {
    stream.for_each(|()| future::ready(())).await;
}

/// Who wrote what is nothing that we read.
pub(super) fn prune<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// A node's image list alone is larger than all we read of it.
pub(super) fn prune_node(node: &mut Node) {
    prune(node);
    node.metadata.annotations = None;
    if let Some(status) = node.status.as_mut() {
        let conditions = status.conditions.take();
        *status = k8s_openapi::api::core::v1::NodeStatus { conditions, ..Default::default() };
    }
}
