//! Who wakes the reconciles of caches?

use super::context::Context;
use super::place::{PartialMeta, Place, of_roles, ours};
use super::reconciles::{config, pause, throttled};
use super::seen::Seen;
use super::throttle::Throttle;
use crate::api::{JobRole, ModelCache, ModelCacheBackup, ModelCacheReplica, ModelCacheRestore, NodeCachePool, label};
use crate::operator::modelcache;
use futures::{Stream, StreamExt, future};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Controller;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;
use std::time::Duration;

/// A cache is woken by everything that its copies do.
const INTERVAL: Duration = Duration::from_millis(300);

/// The caches of a place. Those of the other places are watched too: they share pools.
pub(super) async fn run(
    client: &Client,
    place: &Place,
    places: &[Place],
    caches: &Seen<ModelCache>,
    used: impl Stream<Item = ObjectRef<ModelCache>> + Send + 'static,
    context: Arc<Context>,
) {
    let by_label = |object: PartialMeta| -> Option<ObjectRef<ModelCache>> {
        Some(ObjectRef::new(object.label(label::CACHE)?).within(object.namespace.as_deref()?))
    };
    // Those of the place that a change concerns.
    let here = |caches: &Seen<ModelCache>| {
        let (caches, place) = (caches.clone(), place.clone());
        move |concerns: &dyn Fn(&ModelCache) -> bool| {
            let all = caches.state().into_iter().filter(|it| place.has(it.metadata.namespace.as_deref()));
            all.filter(|it| concerns(it)).map(|it| ObjectRef::from_obj(it.as_ref())).collect::<Vec<_>>()
        }
    };
    let (on_pool, on_node, on_restore) = (here(caches), here(caches), here(caches));
    let on_volume = caches.clone();
    let throttle = Arc::new(Throttle::new(INTERVAL));
    let mut controller =
        Controller::new(place.api::<ModelCache>(client), watcher::Config::default()).with_config(config());
    // A cache that goes gives its reservation to those that wait for it.
    for other in places {
        let on_cache = here(caches);
        controller = controller.watches(other.api::<ModelCache>(client), watcher::Config::default(), move |it| {
            on_cache(&|waits| it.metadata.deletion_timestamp.is_some() && waits.uid() != it.uid())
        });
    }
    controller
        // Who begins or ends to use its claims, where that is tracked.
        .reconcile_on(used)
        .owns(place.api::<ModelCacheReplica>(client), watcher::Config::default())
        .owns(place.meta::<Job>(client), ours())
        .watches(place.meta::<Pod>(client), of_roles(&[JobRole::Resolve, JobRole::Refresh]), move |it| {
            by_label(PartialMeta::of(&it))
        })
        // Those of a CronJob belong to it.
        .watches(place.meta::<Job>(client), of_roles(&[JobRole::Clean]), move |it| {
            by_label(PartialMeta::of(&it)).filter(|_| !it.labels().contains_key(label::REPLICA))
        })
        // Nothing is to be cleaned where a restore is at work.
        .watches(place.api::<ModelCacheRestore>(client), watcher::Config::default(), move |it| {
            on_restore(&|other| other.spec.cleanup.is_some() && other.namespace() == it.namespace())
        })
        .owns(place.meta::<CronJob>(client), ours())
        .watches(place.api::<ModelCacheBackup>(client), watcher::Config::default(), |it| {
            Some(ObjectRef::<ModelCache>::new(&it.spec.cache).within(it.metadata.namespace.as_deref()?))
        })
        .watches(place.meta::<PersistentVolumeClaim>(client), ours(), move |it| by_label(PartialMeta::of(&it)))
        .watches(place.meta::<ConfigMap>(client), ours(), move |it| by_label(PartialMeta::of(&it)))
        .watches(volumes(client), place.narrow(ours()), move |it| {
            let (cache, labels) = (it.labels().get(label::CACHE).cloned(), it.labels().get(label::NAMESPACE).cloned());
            let same = on_volume.find(|it| Some(it.name_any()) == cache && it.namespace() == labels);
            same.map(|it| ObjectRef::from_obj(it.as_ref()))
        })
        .watches(Api::<NodeCachePool>::all(client.clone()), watcher::Config::default(), move |_| on_pool(&|_| true))
        .watches(Api::<Node>::all(client.clone()), watcher::Config::default(), move |_| {
            on_node(&|it| it.spec.volumes.iter().any(|it| it.per_node.is_some()))
        })
        .run(
            move |object, context| throttled(throttle.clone(), "modelcache", modelcache::reconcile, object, context),
            pause,
            context,
        )
        .for_each(|_| future::ready(()))
        .await;
}

fn volumes(client: &Client) -> Api<PartialObjectMeta<PersistentVolume>> {
    Api::all(client.clone())
}
