//! Who wakes whom? The wiring diagram, in code.

use super::context::{Context, Stores};
use super::feeds::{Feeds, feeds};
use super::health::Health;
use super::log;
use super::metrics::Sources;
use super::throttle::Throttle;
use super::{data, nodes};
use crate::api::{JobRole, ModelCache, ModelCacheBackup, ModelCacheReplica, ModelCacheRestore, NodeCachePool, label};
use crate::operator::cluster::Cluster;
use crate::operator::error::Error;
use crate::operator::options::Settings;
use crate::operator::replica::slots::Slots;
use crate::operator::{modelcache, pool, replica, tombstone};
use futures::{Stream, StreamExt, future};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// Objects of one kind that are reconciled at once.
const CONCURRENCY: u16 = 16;
/// A cache is woken by everything that its copies do.
const CACHE_INTERVAL: Duration = Duration::from_millis(300);
/// A pool is woken by every node and cache, and only counts them.
const POOL_INTERVAL: Duration = Duration::from_millis(500);

/// Runs all controllers until their streams end, which they do only when the process does.
pub(super) async fn run(client: Client, cluster: Cluster, settings: Settings, health: Arc<Health>) {
    let namespace = settings.node_jobs_namespace.clone();
    let Feeds { stores, used, feed } = feeds(&client, settings.track_use, &health);
    let context = Arc::new(Context {
        cluster,
        stores: stores.clone(),
        settings,
        slots: Slots::default(),
        metrics: health.metrics.clone(),
        errors: std::sync::Mutex::default(),
    });
    let Stores { caches, replicas, pools, .. } = &stores;
    context.metrics.leads(Sources { caches: caches.clone(), replicas: replicas.clone(), pools: pools.clone() });
    let work = async {
        // Before the first look everything that is there must have been seen.
        stores.wait_until_ready().await;
        health.ready();
        tracing::info!("has seen everything, and works");
        let data = future::join3(
            data::backups(&client, &stores.backups, context.clone()),
            data::restores(&client, &stores.restores, context.clone()),
            nodes::labels(&client, context.clone()),
        );
        let copies = future::join4(
            cache_controller(&client, caches, used, context.clone()),
            replica_controller(&client, &namespace, replicas, context.clone()),
            pool_controller(&client, pools, context.clone()),
            tombstone_controller(&client, &namespace, context.clone()),
        );
        future::join(Box::pin(copies), Box::pin(data)).await;
    };
    future::join(feed, Box::pin(work)).await;
}

async fn cache_controller(
    client: &Client,
    caches: &Store<ModelCache>,
    used: impl Stream<Item = ObjectRef<ModelCache>> + Send + 'static,
    context: Arc<Context>,
) {
    let by_label = |object: PartialMeta| -> Option<ObjectRef<ModelCache>> {
        Some(ObjectRef::new(object.label(label::CACHE)?).within(object.namespace.as_deref()?))
    };
    let all = |caches: &Store<ModelCache>| {
        let caches = caches.clone();
        move || caches.state().into_iter().map(|it| ObjectRef::from_obj(it.as_ref())).collect::<Vec<_>>()
    };
    let (on_pool, on_cache, on_volume) = (all(caches), caches.clone(), caches.clone());
    let (per_node, on_restore) = (caches.clone(), caches.clone());
    let throttle = Arc::new(Throttle::new(CACHE_INTERVAL));
    Controller::new(Api::<ModelCache>::all(client.clone()), watcher::Config::default())
        .with_config(config())
        // Who begins or ends to use its claims, where that is tracked.
        .reconcile_on(used)
        .owns(Api::<ModelCacheReplica>::all(client.clone()), watcher::Config::default())
        .owns(meta::<Job>(client), ours())
        .watches(meta::<Pod>(client), of_roles(&[JobRole::Resolve, JobRole::Refresh]), move |it| {
            by_label(PartialMeta::of(&it))
        })
        // Those of a CronJob belong to it.
        .watches(meta::<Job>(client), of_roles(&[JobRole::Clean]), move |it| {
            by_label(PartialMeta::of(&it)).filter(|_| !it.labels().contains_key(label::REPLICA))
        })
        // Nothing is to be cleaned where a restore is at work.
        .watches(Api::<ModelCacheRestore>::all(client.clone()), watcher::Config::default(), move |it| {
            let cleaned = |other: &Arc<ModelCache>| other.spec.cleanup.is_some() && other.namespace() == it.namespace();
            on_restore
                .state()
                .into_iter()
                .filter(cleaned)
                .map(|it| ObjectRef::from_obj(it.as_ref()))
                .collect::<Vec<_>>()
        })
        .owns(meta::<CronJob>(client), ours())
        .watches(Api::<ModelCacheBackup>::all(client.clone()), watcher::Config::default(), |it| {
            Some(ObjectRef::<ModelCache>::new(&it.spec.cache).within(it.metadata.namespace.as_deref()?))
        })
        .watches(meta::<PersistentVolumeClaim>(client), ours(), move |it| by_label(PartialMeta::of(&it)))
        .watches(meta::<ConfigMap>(client), ours(), move |it| by_label(PartialMeta::of(&it)))
        .watches(meta::<PersistentVolume>(client), ours(), move |it| {
            let (cache, labels) = (it.labels().get(label::CACHE).cloned(), it.labels().get(label::NAMESPACE).cloned());
            let same = on_volume.find(|it| Some(it.name_any()) == cache && it.namespace() == labels);
            same.map(|it| ObjectRef::from_obj(it.as_ref()))
        })
        .watches(Api::<NodeCachePool>::all(client.clone()), watcher::Config::default(), move |_| on_pool())
        .watches(Api::<Node>::all(client.clone()), watcher::Config::default(), move |_| {
            let local = |it: &Arc<ModelCache>| it.spec.volumes.iter().any(|it| it.per_node.is_some());
            per_node.state().into_iter().filter(local).map(|it| ObjectRef::from_obj(it.as_ref())).collect::<Vec<_>>()
        })
        // A cache that goes gives its reservation to those that wait for it.
        .watches(Api::<ModelCache>::all(client.clone()), watcher::Config::default(), move |it| {
            let others = |other: &Arc<ModelCache>| it.metadata.deletion_timestamp.is_some() && other.uid() != it.uid();
            on_cache.state().into_iter().filter(others).map(|it| ObjectRef::from_obj(it.as_ref())).collect::<Vec<_>>()
        })
        .run(
            move |object, context| throttled(throttle.clone(), "modelcache", modelcache::reconcile, object, context),
            pause,
            context,
        )
        .for_each(|_| future::ready(()))
        .await;
}

async fn replica_controller(
    client: &Client,
    node_jobs_namespace: &str,
    replicas: &Store<ModelCacheReplica>,
    context: Arc<Context>,
) {
    let by_label = |namespaced: bool| {
        move |object: PartialMeta| -> Option<ObjectRef<ModelCacheReplica>> {
            let name = object.label(label::REPLICA)?;
            let namespace = if namespaced { object.namespace.as_deref()? } else { object.label(label::NAMESPACE)? };
            Some(ObjectRef::new(name).within(namespace))
        }
    };
    let (in_namespace, elsewhere) = (by_label(true), by_label(false));
    let node_jobs = |client: &Client| Api::<PartialObjectMeta<Job>>::namespaced(client.clone(), node_jobs_namespace);
    let node_pods = |client: &Client| Api::<PartialObjectMeta<Pod>>::namespaced(client.clone(), node_jobs_namespace);
    let (on_node, on_cache) = (replicas.clone(), replicas.clone());
    let work = of_roles(&[JobRole::WarmUp, JobRole::Verify, JobRole::Clean]);
    Controller::new(Api::<ModelCacheReplica>::all(client.clone()), watcher::Config::default())
        .with_config(config())
        .owns(meta::<Job>(client), ours())
        .watches(meta::<Pod>(client), work, move |it| in_namespace(PartialMeta::of(&it)))
        .watches(node_jobs(client), ours(), move |it| elsewhere(PartialMeta::of(&it)))
        .watches(node_pods(client), ours(), move |it| elsewhere(PartialMeta::of(&it)))
        .watches(Api::<Node>::all(client.clone()), watcher::Config::default(), move |node| {
            let on_it =
                |it: &Arc<ModelCacheReplica>| it.spec.node.as_ref().is_some_and(|it| it.name == node.name_any());
            on_node.state().into_iter().filter(on_it).map(|it| ObjectRef::from_obj(it.as_ref())).collect::<Vec<_>>()
        })
        // `suspend`, `rollout` and `podTemplate` are the cache's.
        .watches(Api::<ModelCache>::all(client.clone()), watcher::Config::default(), move |cache| {
            let of_it =
                |it: &Arc<ModelCacheReplica>| it.spec.cache == cache.name_any() && it.namespace() == cache.namespace();
            on_cache.state().into_iter().filter(of_it).map(|it| ObjectRef::from_obj(it.as_ref())).collect::<Vec<_>>()
        })
        .run(|object, context| observed("modelcachereplica", replica::reconcile, object, context), pause, context)
        .for_each(|_| future::ready(()))
        .await;
}

async fn pool_controller(client: &Client, pools: &Store<NodeCachePool>, context: Arc<Context>) {
    let all = |pools: &Store<NodeCachePool>| {
        let pools = pools.clone();
        move || pools.state().into_iter().map(|it| ObjectRef::from_obj(it.as_ref())).collect::<Vec<_>>()
    };
    let (on_node, on_cache) = (all(pools), all(pools));
    let throttle = Arc::new(Throttle::new(POOL_INTERVAL));
    Controller::new(Api::<NodeCachePool>::all(client.clone()), watcher::Config::default())
        .with_config(config())
        .watches(Api::<Node>::all(client.clone()), watcher::Config::default(), move |_| on_node())
        .watches(Api::<ModelCache>::all(client.clone()), watcher::Config::default(), move |_| on_cache())
        .run(
            move |object, context| throttled(throttle.clone(), "nodecachepool", pool::reconcile, object, context),
            pause,
            context,
        )
        .for_each(|_| future::ready(()))
        .await;
}

async fn tombstone_controller(client: &Client, node_jobs_namespace: &str, context: Arc<Context>) {
    let buried = watcher::Config::default().labels(&format!("{}=true", label::TOMBSTONE));
    let controller = Controller::new(Api::<PersistentVolume>::all(client.clone()), buried).with_config(config());
    let (on_node, on_job) =
        (controller.store(), Api::<PartialObjectMeta<Job>>::namespaced(client.clone(), node_jobs_namespace));
    controller
        .watches(on_job, ours(), |it| {
            it.labels().get(label::PURGED_VOLUME).map(|name| ObjectRef::<PersistentVolume>::new(name))
        })
        .watches(Api::<Node>::all(client.clone()), watcher::Config::default(), move |_| {
            on_node.state().into_iter().map(|it| ObjectRef::from_obj(it.as_ref())).collect::<Vec<_>>()
        })
        .run(|object, context| observed("tombstone", tombstone::reconcile, object, context), pause, context)
        .for_each(|_| future::ready(()))
        .await;
}

/// Runs a reconcile, unless the object was looked at a moment ago: then it is looked at as soon as that is no longer so.
pub(super) async fn throttled<K, F, R>(
    throttle: Arc<Throttle>,
    controller: &'static str,
    reconcile: F,
    object: Arc<K>,
    context: Arc<Context>,
) -> Result<Action, Error>
where
    K: Resource<DynamicType = ()>,
    F: Fn(Arc<K>, Arc<Context>) -> R,
    R: Future<Output = Result<Action, Error>>,
{
    let key = format!("{}/{}", object.meta().namespace.as_deref().unwrap_or_default(), object.name_any());
    match throttle.begin(&key, std::time::Instant::now()) {
        Ok(()) => observed(controller, reconcile, object, context).await,
        Err(wait) => Ok(Action::requeue(wait)),
    }
}

/// Runs a reconcile, counts it, and reports its error: here and nowhere else.
pub(super) async fn observed<K, F, R>(
    controller: &'static str,
    reconcile: F,
    object: Arc<K>,
    context: Arc<Context>,
) -> Result<Action, Error>
where
    K: Resource<DynamicType = ()>,
    F: Fn(Arc<K>, Arc<Context>) -> R,
    R: Future<Output = Result<Action, Error>>,
{
    let key = format!("{controller}/{}/{}", object.meta().namespace.clone().unwrap_or_default(), object.name_any());
    let started = std::time::Instant::now();
    context.metrics.begun(controller);
    // Whatever is logged meanwhile says which object it is about.
    let result = reconcile(object.clone(), context.clone()).instrument(log::span(object.as_ref())).await;
    context.metrics.reconciled(controller, started.elapsed(), result.as_ref().err().map(Error::class));
    let mut errors = context.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match &result {
        Ok(_) => {
            errors.remove(&key);
        }
        Err(error) => {
            *errors.entry(key).or_default() += 1;
            log::failed(controller, object.as_ref(), error);
        }
    }
    result
}

/// The pause after an error: longer the more there were in a row for this object.
#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub(super) fn pause<K: Resource<DynamicType = ()>>(object: Arc<K>, error: &Error, context: Arc<Context>) -> Action {
    let suffix = format!("/{}/{}", object.meta().namespace.clone().unwrap_or_default(), object.name_any());
    let errors = context.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let count = errors.iter().filter(|(key, _)| key.ends_with(&suffix)).map(|(_, count)| *count).max().unwrap_or(1);
    Action::requeue(error.pause(count.saturating_sub(1)))
}

pub(super) fn config() -> Config {
    Config::default().concurrency(CONCURRENCY)
}

pub(super) fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{}={}", label::MANAGED_BY, label::MANAGER))
}

/// What is ours and does one of these.
pub(super) fn of_roles(roles: &[JobRole]) -> watcher::Config {
    let roles: Vec<&str> = roles.iter().map(|it| it.as_str()).collect();
    let (manager, roles) = (label::MANAGER, roles.join(","));
    watcher::Config::default().labels(&format!("{} in ({roles}),{}={manager}", label::JOB, label::MANAGED_BY))
}

/// Only the metadata of a kind: every change of an object moves its resourceVersion, and that is all a wake-up needs.
pub(super) fn meta<K>(client: &Client) -> Api<PartialObjectMeta<K>>
where
    K: Resource<DynamicType = ()>,
    PartialObjectMeta<K>: Resource<DynamicType = ()>,
{
    Api::all(client.clone())
}

/// What a mapper looks at.
struct PartialMeta {
    namespace: Option<String>,
    labels: std::collections::BTreeMap<String, String>,
}

impl PartialMeta {
    fn of<K>(object: &PartialObjectMeta<K>) -> Self
    where
        PartialObjectMeta<K>: Resource<DynamicType = ()>,
    {
        Self { namespace: object.namespace(), labels: object.labels().clone() }
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}
