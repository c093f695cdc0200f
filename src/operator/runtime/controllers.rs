//! Who wakes whom? The wiring diagram, in code.
//!
//! ```text
//! everywhere, or in each namespace that is served:  caches  replicas  backups  restores
//! for the cluster:                                  pools   tombstones (of the namespaces that are served)
//!                                                   labels of nodes (by the caches of these namespaces)
//! ```

use super::caches::Wake;
use super::context::{Context, Stores};
use super::feeds::{Feeds, feeds};
use super::health::Health;
use super::metrics::Sources;
use super::place::{PartialMeta, Place, and, of_roles, ours};
use super::reconciles::{config, observed, pause, throttled};
use super::seen::Seen;
use super::throttle::Throttle;
use super::{caches, data, nodes};
use crate::api::{JobRole, ModelCache, ModelCacheReplica, NodeCachePool, label};
use crate::operator::cluster::Cluster;
use crate::operator::node_label::plan::Ours;
use crate::operator::options::Settings;
use crate::operator::replica::slots::Slots;
use crate::operator::{pool, replica, tombstone};
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::{StreamExt, future, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, Pod};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Controller;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A pool is woken by every node and cache, and only counts them.
const POOL_INTERVAL: Duration = Duration::from_millis(500);

/// Runs all controllers until their streams end, which they do only when the process does. `there` are those of the namespaces
/// that are to be served which there are; `begun` is set once everything in them has been seen.
pub(super) async fn run(
    client: Client,
    cluster: Cluster,
    settings: Settings,
    there: &BTreeSet<String>,
    health: Arc<Health>,
    begun: &AtomicBool,
) {
    let places = Place::all(&settings.scope, there);
    let Feeds { stores, used, feed } = feeds(&client, &places, settings.track_use, &health);
    let scope = settings.scope.clone();
    let context = Arc::new(Context {
        cluster,
        stores: stores.clone(),
        settings,
        slots: Slots::default(),
        metrics: health.metrics.clone(),
        node_labels: Mutex::new(Ours::new(scope.clone())),
        errors: Mutex::default(),
    });
    let Stores { caches, replicas, pools, backups, restores, .. } = &stores;
    context.metrics.leads(Sources {
        caches: caches.clone(),
        replicas: replicas.clone(),
        pools: pools.clone(),
        scope: scope.clone(),
    });
    let work = async {
        // Before the first look everything that is there must have been seen.
        stores.wait_until_ready().await;
        begun.store(true, Ordering::Relaxed);
        health.ready();
        tracing::info!(namespaces = %scope, "has seen everything, and works");
        let (wake, freed): (Vec<Wake>, Vec<_>) = places.iter().map(wake).unzip();
        let in_places = places.iter().zip(used).zip(freed).map(|((place, used), freed)| {
            let copies = future::join3(
                caches::run(&client, place, caches, stream::select(used, freed), context.clone()),
                caches::freed(&client, place, caches, &wake),
                replica_controller(&client, place, replicas, context.clone()),
            );
            let data = future::join(
                data::backups(&client, place, backups, context.clone()),
                data::restores(&client, place, restores, context.clone()),
            );
            future::join(Box::pin(copies), Box::pin(data))
        });
        let in_places = future::join_all(in_places);
        let of_cluster = future::join3(
            pool_controller(&client, &places, pools, context.clone()),
            tombstone_controller(&client, context.clone()),
            nodes::labels(&client, &places, context.clone()),
        );
        future::join(Box::pin(in_places), Box::pin(of_cluster)).await;
    };
    future::join(feed, Box::pin(work)).await;
}

fn wake(place: &Place) -> (Wake, UnboundedReceiver<ObjectRef<ModelCache>>) {
    let (to, from) = unbounded();
    ((place.clone(), to), from)
}

async fn replica_controller(client: &Client, place: &Place, replicas: &Seen<ModelCacheReplica>, context: Arc<Context>) {
    let by_label = |namespaced: bool| {
        move |object: PartialMeta| -> Option<ObjectRef<ModelCacheReplica>> {
            let name = object.label(label::REPLICA)?;
            let namespace = if namespaced { object.namespace.as_deref()? } else { object.label(label::NAMESPACE)? };
            Some(ObjectRef::new(name).within(namespace))
        }
    };
    let (in_namespace, elsewhere) = (by_label(true), by_label(false));
    let node_jobs = Place::Namespace(context.settings.node_jobs_namespace.clone());
    // Those of the place that a change concerns.
    let here = || {
        let (replicas, place) = (replicas.clone(), place.clone());
        move |concerns: &dyn Fn(&ModelCacheReplica) -> bool| replicas.concerned(&place, concerns)
    };
    let (on_node, on_cache) = (here(), here());
    let work = of_roles(&[JobRole::WarmUp, JobRole::Verify, JobRole::Clean]);
    Controller::new(place.api::<ModelCacheReplica>(client), watcher::Config::default())
        .with_config(config())
        .owns(place.meta::<Job>(client), ours())
        .watches(place.meta::<Pod>(client), work, move |it| in_namespace(PartialMeta::of(&it)))
        .watches(node_jobs.meta::<Job>(client), place.narrow(ours()), move |it| elsewhere(PartialMeta::of(&it)))
        .watches(node_jobs.meta::<Pod>(client), place.narrow(ours()), move |it| elsewhere(PartialMeta::of(&it)))
        .watches(Api::<Node>::all(client.clone()), watcher::Config::default(), move |node| {
            on_node(&|it| it.spec.node.as_ref().is_some_and(|it| it.name == node.name_any()))
        })
        // `suspend`, `rollout` and `podTemplate` are the cache's.
        .watches(place.api::<ModelCache>(client), watcher::Config::default(), move |cache| {
            on_cache(&|it| it.spec.cache == cache.name_any() && it.namespace() == cache.namespace())
        })
        .run(|object, context| observed("modelcachereplica", replica::reconcile, object, context), pause, context)
        .for_each(|_| future::ready(()))
        .await;
}

async fn pool_controller(client: &Client, places: &[Place], pools: &Seen<NodeCachePool>, context: Arc<Context>) {
    let all = |pools: &Seen<NodeCachePool>| {
        let pools = pools.clone();
        move || pools.concerned(&Place::Everywhere, |_| true)
    };
    let on_node = all(pools);
    let throttle = Arc::new(Throttle::new(POOL_INTERVAL));
    let mut controller = Controller::new(Api::<NodeCachePool>::all(client.clone()), watcher::Config::default())
        .with_config(config())
        .watches(Api::<Node>::all(client.clone()), watcher::Config::default(), move |_| on_node());
    for place in places {
        let on_cache = all(pools);
        let caches = place.api::<ModelCache>(client);
        controller = controller.watches(caches, watcher::Config::default(), move |_| on_cache());
    }
    controller
        .run(
            move |object, context| throttled(throttle.clone(), "nodecachepool", pool::reconcile, object, context),
            pause,
            context,
        )
        .for_each(|_| future::ready(()))
        .await;
}

async fn tombstone_controller(client: &Client, context: Arc<Context>) {
    let ours_of = |config: watcher::Config| match context.settings.scope.selector() {
        None => config,
        Some(selector) => and(config, &selector),
    };
    let buried = ours_of(watcher::Config::default().labels(&format!("{}=true", label::TOMBSTONE)));
    let controller = Controller::new(Api::<PersistentVolume>::all(client.clone()), buried).with_config(config());
    let node_jobs = &context.settings.node_jobs_namespace;
    let (on_node, on_job) = (controller.store(), Api::<PartialObjectMeta<Job>>::namespaced(client.clone(), node_jobs));
    controller
        .watches(on_job, ours_of(ours()), |it| {
            it.labels().get(label::PURGED_VOLUME).map(|name| ObjectRef::<PersistentVolume>::new(name))
        })
        .watches(Api::<Node>::all(client.clone()), watcher::Config::default(), move |_| {
            on_node.state().into_iter().map(|it| ObjectRef::from_obj(it.as_ref())).collect::<Vec<_>>()
        })
        .run(|object, context| observed("tombstone", tombstone::reconcile, object, context), pause, context.clone())
        .for_each(|_| future::ready(()))
        .await;
}
