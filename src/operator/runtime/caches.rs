//! Who wakes the reconciles of caches?

use super::context::Context;
use super::place::{PartialMeta, Place, of_roles, ours};
use super::reconciles::{config, pause, throttled};
use super::seen::Seen;
use super::throttle::Throttle;
use crate::api::{JobRole, ModelCache, ModelCacheBackup, ModelCacheReplica, ModelCacheRestore, NodeCachePool, label};
use crate::operator::modelcache;
use futures::channel::mpsc::UnboundedSender;
use futures::{Stream, StreamExt, future};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Controller;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;
use std::time::Duration;

/// A cache is woken by everything that its copies do.
const INTERVAL: Duration = Duration::from_millis(300);

/// The caches of a place. `woken` are those of them that something beyond it concerns.
pub(super) async fn run(
    client: &Client,
    place: &Place,
    caches: &Seen<ModelCache>,
    woken: impl Stream<Item = ObjectRef<ModelCache>> + Send + 'static,
    context: Arc<Context>,
) {
    let by_label = |object: PartialMeta| -> Option<ObjectRef<ModelCache>> {
        Some(ObjectRef::new(object.label(label::CACHE)?).within(object.namespace.as_deref()?))
    };
    // Those of the place that a change concerns.
    let here = |caches: &Seen<ModelCache>| {
        let (caches, place) = (caches.clone(), place.clone());
        move |concerns: &dyn Fn(&ModelCache) -> bool| caches.concerned(&place, concerns)
    };
    let (on_pool, on_node, on_restore) = (here(caches), here(caches), here(caches));
    let on_volume = caches.clone();
    let throttle = Arc::new(Throttle::new(INTERVAL));
    Controller::new(place.api::<ModelCache>(client), watcher::Config::default())
        .with_config(config())
        .reconcile_on(woken)
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

/// Where the caches of a place are woken.
pub(super) type Wake = (Place, UnboundedSender<ObjectRef<ModelCache>>);

/// A cache that goes gives what it had reserved to those that wait for it, in whatever place they are: all are woken.
pub(super) async fn freed(client: &Client, place: &Place, caches: &Seen<ModelCache>, wake: &[Wake]) {
    let touched = watcher(place.meta::<ModelCache>(client), watcher::Config::default());
    let goes = |it: watcher::Result<PartialObjectMeta<ModelCache>>| {
        if let Some(it) = it.ok().filter(|it| it.metadata.deletion_timestamp.is_some()) {
            wake_others(it.uid().as_deref(), caches, wake);
        }
        future::ready(())
    };
    touched.default_backoff().touched_objects().for_each(goes).await;
}

fn wake_others(uid: Option<&str>, caches: &Seen<ModelCache>, wake: &[Wake]) {
    for (place, here) in wake {
        for cache in caches.concerned(place, |it| it.uid().as_deref() != uid) {
            // Nobody listens any more when the process ends.
            let _ = here.unbounded_send(cache);
        }
    }
}

fn volumes(client: &Client) -> Api<PartialObjectMeta<PersistentVolume>> {
    Api::all(client.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::channel::mpsc::{UnboundedReceiver, unbounded};
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use std::collections::BTreeSet;

    #[test]
    fn a_cache_that_goes_wakes_all_others_where_they_are_and_not_itself() {
        let (mut stores, mut wake, mut woken) = (vec![], vec![], vec![]);
        for namespace in ["studio", "team"] {
            let (known, mut writer) = store();
            for name in ["a", "b"] {
                let mut cache = crate::operator::modelcache::build::fixtures::cache();
                cache.metadata.name = Some(name.into());
                cache.metadata.namespace = Some(namespace.into());
                cache.metadata.uid = Some(format!("{namespace}-{name}"));
                writer.apply_watcher_event(&Event::Apply(cache));
            }
            let (to, from) = unbounded();
            stores.push(known);
            wake.push((Place::Namespace(namespace.into()), to));
            woken.push(from);
        }
        wake_others(Some("team-b"), &stores.into_iter().collect(), &wake);
        drop(wake);
        let names = |from: UnboundedReceiver<ObjectRef<ModelCache>>| -> BTreeSet<(Option<String>, String)> {
            futures::executor::block_on(from.map(|it| (it.namespace, it.name)).collect())
        };
        let all: Vec<_> = woken.into_iter().map(names).collect();
        let of = |namespace: &str, name: &str| (Some(namespace.to_owned()), name.to_owned());
        assert_eq!(all[0], BTreeSet::from([of("studio", "a"), of("studio", "b")]));
        assert_eq!(all[1], BTreeSet::from([of("team", "a")]));
    }
}
