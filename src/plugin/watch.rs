//! What is there, kept up to date? Two watches, and what they have seen so far.

use super::error::Error;
use super::session::Session;
use crate::api::{ModelCache, ModelCacheReplica};
use futures::{StreamExt, future};
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often what a watch has seen is looked at by those who wait for something.
pub const LOOK: Duration = Duration::from_millis(200);

/// Caches and their copies, kept up to date for as long as this lives.
pub struct Watch {
    caches: Store<ModelCache>,
    replicas: Store<ModelCacheReplica>,
    names: Vec<String>,
    _tasks: JoinSet<()>,
}

impl Watch {
    /// Begins to watch, and waits for the first answer. The reads before it say why where nothing may be read.
    pub async fn start(session: &Session, names: &[String]) -> Result<Self, Error> {
        session.caches(names).await?;
        session.replicas().await?;
        let mut tasks = JoinSet::new();
        let caches = follow::<ModelCache>(session, &mut tasks);
        let replicas = follow::<ModelCacheReplica>(session, &mut tasks);
        let ended = || Error::Print("the watch ended".into());
        caches.wait_until_ready().await.map_err(|_| ended())?;
        replicas.wait_until_ready().await.map_err(|_| ended())?;
        Ok(Self { caches, replicas, names: names.to_vec(), _tasks: tasks })
    }

    /// The caches as they are now, by namespace and name.
    pub fn caches(&self) -> Vec<ModelCache> {
        let chosen = |it: &ModelCache| self.names.is_empty() || self.names.contains(&it.name_any());
        let mut found: Vec<ModelCache> =
            self.caches.state().iter().map(|it| it.as_ref().clone()).filter(chosen).collect();
        found.sort_by_key(|it| (it.namespace(), it.name_any()));
        found
    }

    /// The copies as they are now.
    pub fn replicas(&self) -> Vec<ModelCacheReplica> {
        let mut found: Vec<ModelCacheReplica> = self.replicas.state().iter().map(|it| it.as_ref().clone()).collect();
        found.sort_by_key(|it| (it.namespace(), it.name_any()));
        found
    }
}

fn follow<K>(session: &Session, tasks: &mut JoinSet<()>) -> Store<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    let stream = watcher(session.api::<K>(), watcher::Config::default()).default_backoff().reflect(writer);
    tasks.spawn(stream.for_each(|_| future::ready(())));
    store
}
