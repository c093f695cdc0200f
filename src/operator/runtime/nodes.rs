//! Who wakes the reconcile of a node's labels?

use super::context::Context;
use super::place::Place;
use super::reconciles::{config, pause, throttled};
use super::throttle::Throttle;
use crate::api::{ModelCache, ModelCacheReplica};
use crate::operator::node_label;
use futures::{StreamExt, future};
use k8s_openapi::api::core::v1::Node;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Controller;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A node is woken by whatever happens to a copy on it, and few of that changes a label.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the labels of nodes where that is wanted, and takes off what is left of them where it is not: of the caches in these
/// places.
pub(super) async fn labels(client: &Client, places: &[Place], context: Arc<Context>) {
    if !context.settings.label_nodes {
        return node_label::take_off(context).await;
    }
    let throttle = Arc::new(Throttle::new(INTERVAL));
    let nodes: Api<PartialObjectMeta<Node>> = Api::all(client.clone());
    let mut controller = Controller::new(nodes, watcher::Config::default()).with_config(config());
    for place in places {
        let on_cache = context.clone();
        controller = controller
            .watches(place.api::<ModelCacheReplica>(client), watcher::Config::default(), |it| {
                Some(ObjectRef::new(&it.spec.node?.name))
            })
            // One that is deleted, or has another volume now.
            .watches(place.api::<ModelCache>(client), watcher::Config::default(), move |it| concerned(&on_cache, &it));
    }
    controller
        .run(
            move |object, context| throttled(throttle.clone(), "nodelabel", node_label::reconcile, object, context),
            pause,
            context,
        )
        .for_each(|_| future::ready(()))
        .await;
}

/// The nodes that have a copy of a cache, or say that they have.
fn concerned(context: &Context, cache: &ModelCache) -> Vec<ObjectRef<PartialObjectMeta<Node>>> {
    let (name, namespace) = (cache.name_any(), cache.namespace());
    let replicas = context.stores.replicas.state();
    let of_it = replicas.iter().filter(|it| it.spec.cache == name && it.namespace() == namespace);
    let mut nodes: BTreeSet<String> = of_it.filter_map(|it| Some(it.spec.node.as_ref()?.name.clone())).collect();
    let key = crate::api::name::node_label(&namespace.unwrap_or_default(), &name);
    let all = context.stores.nodes.state();
    nodes.extend(all.iter().filter(|it| it.labels().contains_key(&key)).map(|it| it.name_any()));
    nodes.iter().map(|it| ObjectRef::new(it)).collect()
}
