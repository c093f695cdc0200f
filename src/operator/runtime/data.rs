//! Who wakes the reconciles of backups and restores?

use super::context::Context;
use super::place::{Place, of_roles, ours};
use super::reconciles::{config, observed, pause};
use super::seen::Seen;
use crate::api::{
    JobRole, ModelCache, ModelCacheBackup, ModelCacheBackupStatus, ModelCacheReplica, ModelCacheRestore,
    ModelCacheRestoreStatus, label, name,
};
use crate::operator::backup::history::due;
use crate::operator::{backup, restore};
use futures::{StreamExt, future};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Controller;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};
use std::sync::Arc;

/// Backups, and the records of scheduled ones.
pub(super) async fn backups(client: &Client, place: &Place, backups: &Seen<ModelCacheBackup>, context: Arc<Context>) {
    let (on_cache, on_job, on_pod) = (backups.clone(), backups.clone(), backups.clone());
    let runs = Controller::new(place.api::<ModelCacheBackup>(client), watcher::Config::default())
        .with_config(config())
        .owns(place.meta::<Job>(client), ours())
        // A scheduled one's Job belongs to the CronJob.
        .watches(place.meta::<Job>(client), of_roles(&[JobRole::Backup]), move |it| unfinished(&on_job, &it))
        .watches(place.meta::<Pod>(client), of_roles(&[JobRole::Backup]), move |it| unfinished(&on_pod, &it))
        // `suspend` and `backup` are the cache's.
        .watches(place.api::<ModelCache>(client), watcher::Config::default(), move |cache| {
            let of_it = |it: &Arc<ModelCacheBackup>| {
                it.spec.cache == cache.name_any() && it.namespace() == cache.namespace() && !is_complete(it)
            };
            on_cache.state().into_iter().filter(of_it).map(|it| ObjectRef::from_obj(it.as_ref())).collect::<Vec<_>>()
        })
        .run(|object, context| observed("modelcachebackup", backup::reconcile, object, context), pause, context.clone())
        .for_each(|_| future::ready(()));
    let records = Controller::new(place.meta::<Job>(client), of_roles(&[JobRole::Backup]))
        .with_config(config())
        .run(|object, context| observed("scheduledbackup", backup::record::reconcile, object, context), pause, context)
        .for_each(|_| future::ready(()));
    future::join(Box::pin(runs), Box::pin(records)).await;
}

/// Restores.
pub(super) async fn restores(
    client: &Client,
    place: &Place,
    restores: &Seen<ModelCacheRestore>,
    context: Arc<Context>,
) {
    let by_label = |it: PartialObjectMeta<Pod>| {
        let name = it.labels().get(label::RESTORE)?;
        Some(ObjectRef::<ModelCacheRestore>::new(name).within(it.metadata.namespace.as_deref()?))
    };
    let (on_cache, on_replica) = (restores.clone(), restores.clone());
    Controller::new(place.api::<ModelCacheRestore>(client), watcher::Config::default())
        .with_config(config())
        .owns(place.meta::<Job>(client), ours())
        .watches(place.meta::<Pod>(client), of_roles(&[JobRole::Restore]), by_label)
        .watches(place.api::<ModelCache>(client), watcher::Config::default(), move |it| {
            open_in(&on_cache, it.metadata.namespace.as_ref())
        })
        // A warm-up that ends leaves the volume to the restore that waits for it.
        .watches(place.api::<ModelCacheReplica>(client), watcher::Config::default(), move |it| {
            open_in(&on_replica, it.metadata.namespace.as_ref())
        })
        .run(|object, context| observed("modelcacherestore", restore::reconcile, object, context), pause, context)
        .for_each(|_| future::ready(()))
        .await;
}

/// The backups that a Job or a pod may be of: the one that it names, and those of its cache that were scheduled and are open.
fn unfinished<K>(backups: &Seen<ModelCacheBackup>, object: &PartialObjectMeta<K>) -> Vec<ObjectRef<ModelCacheBackup>>
where
    PartialObjectMeta<K>: Resource<DynamicType = ()>,
{
    let (cache, named) = (object.labels().get(label::CACHE).cloned(), object.labels().get(label::BACKUP).cloned());
    let is_it = |it: &Arc<ModelCacheBackup>| {
        let same = it.namespace() == object.namespace() && Some(&it.spec.cache) == cache.as_ref();
        same && match &named {
            Some(named) => *named == name::label_value(&it.name_any()),
            None => due(it).is_some() && !is_complete(it),
        }
    };
    backups.state().into_iter().filter(is_it).map(|it| ObjectRef::from_obj(it.as_ref())).collect()
}

fn is_complete(backup: &ModelCacheBackup) -> bool {
    backup.status.as_ref().is_some_and(ModelCacheBackupStatus::is_complete)
}

/// The restores of a namespace that are not over.
fn open_in(restores: &Seen<ModelCacheRestore>, namespace: Option<&String>) -> Vec<ObjectRef<ModelCacheRestore>> {
    let open = |it: &Arc<ModelCacheRestore>| {
        it.metadata.namespace.as_ref() == namespace
            && !it.status.as_ref().is_some_and(ModelCacheRestoreStatus::is_complete)
    };
    restores.state().into_iter().filter(open).map(|it| ObjectRef::from_obj(it.as_ref())).collect()
}
