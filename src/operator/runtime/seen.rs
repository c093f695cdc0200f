//! What have the watches of a kind seen, wherever they look?

use super::health::Health;
use super::place::Place;
use futures::{Stream, StreamExt, future};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;

/// The objects of a kind, from one watch or from one for each namespace: a watch that begins anew clears what it saw itself
/// and nothing else.
#[derive(Clone, Debug)]
pub struct Seen<K: Resource<DynamicType = ()> + 'static> {
    stores: Vec<Store<K>>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Seen<K> {
    /// All of them.
    pub fn state(&self) -> Vec<Arc<K>> {
        self.stores.iter().flat_map(Store::state).collect()
    }

    /// The first for which this holds.
    pub fn find(&self, is_it: impl Fn(&K) -> bool) -> Option<Arc<K>> {
        self.stores.iter().find_map(|it| it.find(&is_it))
    }

    /// Those of a place that a change concerns: they are what it wakes.
    pub(super) fn concerned(&self, place: &Place, concerns: impl Fn(&K) -> bool) -> Vec<ObjectRef<K>> {
        let here = self.state().into_iter().filter(|it| place.has(it.meta().namespace.as_deref()));
        here.filter(|it| concerns(it)).map(|it| ObjectRef::from_obj(it.as_ref())).collect()
    }

    /// Waits until every watch has seen everything once.
    pub(super) async fn wait_until_ready(&self) {
        for store in &self.stores {
            // An error means that the process ends.
            let _ = store.wait_until_ready().await;
        }
    }
}

impl<K: Resource<DynamicType = ()> + 'static> FromIterator<Store<K>> for Seen<K> {
    fn from_iter<I: IntoIterator<Item = Store<K>>>(stores: I) -> Self {
        Self { stores: stores.into_iter().collect() }
    }
}

/// Watches a kind outside namespaces. What is seen, and what must be driven for that.
pub(super) fn see<K>(
    client: &Client,
    kind: &'static str,
    prune: fn(&mut K),
    health: &Arc<Health>,
) -> (Seen<K>, impl Future<Output = ()> + use<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, driver) = watch(Api::all(client.clone()), kind, &Place::Everywhere, prune, health);
    (Seen::from_iter([store]), driver)
}

/// Watches a kind in all these places.
pub(super) fn see_in<K>(
    client: &Client,
    places: &[Place],
    kind: &'static str,
    health: &Arc<Health>,
) -> (Seen<K>, impl Future<Output = ()> + use<K>)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let watches = places.iter().map(|place| watch(place.api(client), kind, place, prune, health));
    let (stores, drivers): (Vec<_>, Vec<_>) = watches.unzip();
    (Seen { stores }, async move {
        future::join_all(drivers).await;
    })
}

/// Feeds a store from a watch.
fn watch<K>(
    api: Api<K>,
    kind: &'static str,
    place: &Place,
    prune: fn(&mut K),
    health: &Arc<Health>,
) -> (Store<K>, impl Future<Output = ()> + use<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (reader, writer) = store();
    let events = watcher(api, watcher::Config::default()).default_backoff().modify(prune).reflect(writer);
    (reader, drive(events, kind, place.clone(), health.clone()))
}

/// Drives a watch; one that fails is a reason not to be ready, by name.
pub(super) async fn drive<T>(
    events: impl Stream<Item = watcher::Result<T>>,
    kind: &'static str,
    place: Place,
    health: Arc<Health>,
) {
    let each = |event| {
        match event {
            Ok(_) => health.watch_works(kind, &place),
            Err(error) => health.watch_fails(kind, &place, &watcher::Error::to_string(&error)),
        }
        future::ready(())
    };
    events.for_each(each).await;
}

/// Without what nobody reads.
fn prune<K: Resource>(object: &mut K) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use kube::ResourceExt;
    use kube::runtime::watcher::Event;

    fn node(name: &str) -> Node {
        Node { metadata: kube::api::ObjectMeta { name: Some(name.into()), ..Default::default() }, ..Node::default() }
    }

    #[test]
    fn a_watch_that_begins_anew_clears_what_it_saw_itself_and_nothing_else() {
        let ((first, mut one), (second, mut other)) = (store(), store());
        let seen = Seen { stores: vec![first, second] };
        one.apply_watcher_event(&Event::Apply(node("a")));
        other.apply_watcher_event(&Event::Apply(node("b")));
        one.apply_watcher_event(&Event::Init);
        one.apply_watcher_event(&Event::InitApply(node("c")));
        one.apply_watcher_event(&Event::InitDone);
        let mut names: Vec<String> = seen.state().iter().map(|it| it.name_any()).collect();
        names.sort();
        assert_eq!(names, ["b", "c"]);
        assert!(seen.find(|it| it.name_any() == "b").is_some() && seen.find(|it| it.name_any() == "a").is_none());
    }
}
