//! Who uses a claim of a cache? Watched where use is tracked: of all pods of the namespaces that are served, those are kept that
//! mount a claim and are not over.
//!
//! ```text
//! all pods ──► those that mount claims, stripped ──► what is new of that ──► store ──► the caches it is about are woken
//! ```

use super::health::Health;
use super::place::Place;
use super::seen::{Seen, drive};
use crate::api::ModelCache;
use crate::operator::cluster::PODS;
use crate::operator::mounting_pod::MountingPod;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::future::{self, BoxFuture};
use futures::{FutureExt, Stream, StreamExt};
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;

/// Who mounts claims, and what must be driven to know it.
pub(super) struct Users {
    /// The pods, where use is tracked.
    pub(super) pods: Option<Seen<MountingPod>>,
    /// Caches that somebody begins or ends to use: for each place, in their order.
    pub(super) used: Vec<UnboundedReceiver<ObjectRef<ModelCache>>>,
    /// Sees them for as long as it is polled.
    pub(super) feed: BoxFuture<'static, ()>,
}

/// Prepares the watches of pods in all these places, where use is tracked.
pub(super) fn users(
    client: &Client,
    places: &[Place],
    track_use: bool,
    caches: &Seen<ModelCache>,
    health: &Arc<Health>,
) -> Users {
    let (mut stores, mut used, mut drivers) = (vec![], vec![], vec![]);
    for place in places {
        let (wake, woken) = unbounded();
        used.push(woken);
        if track_use {
            let (known, writer) = store();
            let events = watched(place.api(client), known.clone()).reflect(writer);
            let told = telling(events, place.clone(), caches.clone(), wake);
            drivers.push(drive(told, "pods", place.clone(), health.clone()));
            stores.push(known);
        }
    }
    let pods = track_use.then(|| stores.into_iter().collect());
    Users { pods, used, feed: future::join_all(drivers).map(drop).boxed() }
}

/// The changes of who mounts claims, for the store that is given.
fn watched(
    pods: Api<MountingPod>,
    known: Store<MountingPod>,
) -> impl Stream<Item = watcher::Result<Event<MountingPod>>> + use<> {
    let pods = watcher(pods, watcher::Config::default().page_size(PODS)).default_backoff();
    pods.filter_map(move |event| future::ready(event.map(|it| news(it, &known)).transpose()))
}

/// What of an event is new to the store: pods change all the time, and hardly ever in what they mount.
fn news(event: Event<MountingPod>, known: &Store<MountingPod>) -> Option<Event<MountingPod>> {
    let uses = |pod: &MountingPod| pod.claims().next().is_some() && !pod.is_over() && !pod.is_ours();
    match event {
        Event::Init | Event::InitDone => Some(event),
        Event::InitApply(pod) => uses(&pod).then(|| Event::InitApply(pod.stripped())),
        Event::Apply(pod) => {
            let before = known.get(&ObjectRef::from_obj(&pod));
            let (uses, pod) = (uses(&pod), pod.stripped());
            match before {
                Some(before) if uses && *before == pod => None,
                None if !uses => None,
                _ if uses => Some(Event::Apply(pod)),
                _ => Some(Event::Delete(pod)),
            }
        }
        Event::Delete(pod) => known.get(&ObjectRef::from_obj(&pod)).map(|_| Event::Delete(pod.stripped())),
    }
}

/// Passes the events of a place on, once the store has them, and wakes the caches that they are about.
fn telling<S>(
    events: S,
    place: Place,
    caches: Seen<ModelCache>,
    wake: UnboundedSender<ObjectRef<ModelCache>>,
) -> impl Stream<Item = watcher::Result<Event<MountingPod>>>
where
    S: Stream<Item = watcher::Result<Event<MountingPod>>>,
{
    events.inspect(move |event| {
        let Ok(event) = event else { return };
        for cache in caches.concerned(&place, |it| concerns(event, it)) {
            // Nobody listens any more when the process ends.
            let _ = wake.unbounded_send(cache);
        }
    })
}

/// Whether an event may change who uses a cache. A list that was read anew may change it for all.
fn concerns(event: &Event<MountingPod>, cache: &ModelCache) -> bool {
    match event {
        Event::Init | Event::InitApply(_) => false,
        Event::InitDone => true,
        Event::Apply(pod) | Event::Delete(pod) => {
            // As claims of ours are called, also those of volumes that the spec no longer has.
            let cache_name = cache.name_any();
            let of_it = |claim: &str| claim.strip_prefix(&cache_name).is_some_and(|rest| rest.starts_with('-'));
            pod.namespace() == cache.namespace() && pod.claims().any(of_it)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::modelcache::build::fixtures::cache;
    use futures::channel::mpsc::unbounded;
    use kube::runtime::reflector::store;
    use serde_json::{Value, json};

    /// A pod that mounts a claim, with this changed.
    fn pod(name: &str, change: &Value) -> MountingPod {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "team", "resourceVersion": "1"},
            "spec": {"nodeName": "a", "volumes": [{"persistentVolumeClaim": {"claimName": "studio-models"}}]},
            "status": {"phase": "Running"}
        });
        for (path, value) in change.as_object().unwrap() {
            let (parent, key) = path.rsplit_once('/').unwrap();
            pod.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        serde_json::from_value(pod).unwrap()
    }

    fn plain(name: &str) -> MountingPod {
        pod(name, &json!({"/spec/volumes": []}))
    }

    /// What the store has, and how often the cache was woken, after these events.
    fn after(events: Vec<Event<MountingPod>>) -> (Vec<String>, usize) {
        after_in(&Place::Everywhere, events)
    }

    /// The same of a watch that looks here.
    fn after_in(place: &Place, events: Vec<Event<MountingPod>>) -> (Vec<String>, usize) {
        let (users, writer) = store();
        let (caches, mut caches_writer) = store();
        caches_writer.apply_watcher_event(&Event::Apply(cache()));
        let (wake, woken) = unbounded();
        let known = users.clone();
        let events = futures::stream::iter(events).filter_map(move |it| future::ready(news(it, &known).map(Ok)));
        let told = telling(events.reflect(writer), place.clone(), Seen::from_iter([caches]), wake);
        futures::executor::block_on(told.for_each(|_| future::ready(())));
        let mut kept: Vec<String> = users.state().iter().map(|it| it.name_any()).collect();
        kept.sort();
        (kept, futures::executor::block_on(woken.collect::<Vec<_>>()).len())
    }

    #[test]
    fn of_all_pods_those_are_kept_that_use_a_claim() {
        let ours = json!({"/metadata/labels": {"app.kubernetes.io/managed-by": "modelcache-operator"}});
        let listed = vec![
            Event::Init,
            Event::InitApply(plain("plain")),
            Event::InitApply(pod("user", &json!({}))),
            Event::InitApply(pod("over", &json!({"/status/phase": "Succeeded"}))),
            Event::InitApply(pod("ours", &ours)),
            Event::InitDone,
        ];
        assert_eq!(after(listed), (vec!["user".to_owned()], 1), "the cache is woken once, when all is known");
    }

    #[test]
    fn a_list_that_is_read_anew_wakes_the_caches_of_its_namespace_and_no_other() {
        let listed = || vec![Event::Init, Event::InitApply(pod("user", &json!({}))), Event::InitDone];
        for (namespace, woken) in [("team", 1), ("other", 0)] {
            assert_eq!(after_in(&Place::Namespace(namespace.into()), listed()).1, woken, "{namespace}");
        }
    }

    #[test]
    fn a_pod_that_changes_in_what_nobody_asks_of_it_wakes_nobody() {
        let probed = json!({"/metadata/resourceVersion": "2", "/metadata/annotations": {"seen": "now"}});
        let same = vec![
            Event::Apply(pod("user", &json!({}))),
            Event::Apply(pod("user", &probed)),
            Event::Apply(plain("plain")),
            Event::Delete(plain("plain")),
        ];
        assert_eq!(after(same), (vec!["user".to_owned()], 1));
    }

    #[test]
    fn the_cache_is_woken_when_somebody_begins_or_ends_to_use_it() {
        for end in
            [Event::Delete(pod("user", &json!({}))), Event::Apply(pod("user", &json!({"/status/phase": "Failed"})))]
        {
            assert_eq!(after(vec![Event::Apply(pod("user", &json!({}))), end]), (vec![], 2));
        }
    }

    #[test]
    fn a_pod_of_another_namespace_or_of_another_claim_is_no_news_for_the_cache() {
        let claim = |name: &str| json!({"/spec/volumes": [{"persistentVolumeClaim": {"claimName": name}}]});
        for (change, woken) in [
            (json!({"/metadata/namespace": "other"}), 0),
            (claim("studio"), 0),
            (claim("studios-models"), 0),
            // Of a volume that the spec no longer has.
            (claim("studio-old"), 1),
        ] {
            assert_eq!(after(vec![Event::Apply(pod("user", &change))]).1, woken, "{change}");
        }
    }
}
