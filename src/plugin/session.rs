//! Which cluster is meant, and what is there? The reads that several commands share.

use super::error::Error;
use super::options::{Format, Global};
use super::print::paint_for;
use super::render::paint::Paint;
use crate::api::{GROUP, ModelCache, ModelCacheReplica};
use k8s_openapi::NamespaceResourceScope;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A cluster, and a part of it.
#[derive(Clone)]
pub struct Session {
    /// The client.
    pub client: Client,
    /// The namespace that is meant where `all` is not.
    pub namespace: String,
    /// Whether every namespace is meant.
    pub all: bool,
    /// How results are printed.
    pub format: Format,
    /// Colours, or none.
    pub paint: Paint,
}

impl Session {
    /// Reads the kubeconfig. Asks the cluster for nothing.
    pub async fn connect(global: &Global) -> Result<Self, Error> {
        let config = config(global).await?;
        let namespace = global.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| Error::Kubeconfig(error.to_string()))?;
        let format = global.output.unwrap_or_default();
        Ok(Self { client, namespace, all: global.all_namespaces, format, paint: paint_for(global.color) })
    }

    /// Objects of the namespace that is meant, or of all.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        if self.all { Api::all(self.client.clone()) } else { self.here() }
    }

    /// Objects of the one namespace that is meant.
    pub fn here<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Refuses `-A` where one object is meant.
    pub fn one_namespace(&self) -> Result<(), Error> {
        let many = || Error::Usage("this command is about one namespace: leave out --all-namespaces".into());
        if self.all { Err(many()) } else { Ok(()) }
    }

    /// All objects of a kind that a selector takes, by namespace and name.
    pub async fn list<K>(&self, api: &Api<K>, labels: &str) -> Result<Vec<K>, Error>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
    {
        let parameters = ListParams::default().labels(labels);
        let mut items = api.list(&parameters).await?.items;
        items.sort_by_key(|it| (it.namespace(), it.name_any()));
        Ok(items)
    }

    /// The cache of a name.
    pub async fn cache(&self, name: &str) -> Result<ModelCache, Error> {
        self.one_namespace()?;
        let found = self.here::<ModelCache>().get_opt(name).await?;
        found.ok_or_else(|| self.no_such("ModelCache", name))
    }

    /// The caches of these names; all when there are none.
    pub async fn caches(&self, names: &[String]) -> Result<Vec<ModelCache>, Error> {
        if !names.is_empty() {
            self.one_namespace()?;
        }
        let all = self.list(&self.api::<ModelCache>(), "").await?;
        self.all_there(&all, names)?;
        Ok(all.into_iter().filter(|it| names.is_empty() || names.contains(&it.name_any())).collect())
    }

    /// Whether caches of all these names are among the found ones.
    pub fn all_there(&self, found: &[ModelCache], names: &[String]) -> Result<(), Error> {
        match names.iter().find(|name| !found.iter().any(|it| it.name_any() == **name)) {
            Some(missing) => Err(self.no_such("ModelCache", missing)),
            None => Ok(()),
        }
    }

    /// The copies of all caches that are meant.
    pub async fn replicas(&self) -> Result<Vec<ModelCacheReplica>, Error> {
        self.list(&self.api::<ModelCacheReplica>(), "").await
    }

    /// That there is no such object.
    pub fn no_such(&self, kind: &'static str, name: &str) -> Error {
        Error::NoSuch { kind, name: name.into(), namespace: self.namespace.clone() }
    }

    /// Says, on standard error, that a list is empty.
    pub fn nothing(&self, what: &str) {
        if self.all {
            eprintln!("no {what} in any namespace");
        } else {
            eprintln!("no {what} in namespace `{}`", self.namespace);
        }
    }
}

/// The full name of an object, as kubectl prints and takes it.
pub fn full_name(kind: &str, name: &str) -> String {
    format!("{kind}.{GROUP}/{name}")
}

async fn config(global: &Global) -> Result<Config, Error> {
    let unusable = |error: &dyn std::fmt::Display| Error::Kubeconfig(error.to_string());
    let options = KubeConfigOptions { context: global.context.clone(), ..KubeConfigOptions::default() };
    if let Some(file) = &global.kubeconfig {
        let read = Kubeconfig::read_from(file).map_err(|error| unusable(&error))?;
        return Config::from_custom_kubeconfig(read, &options).await.map_err(|error| unusable(&error));
    }
    if global.context.is_some() {
        return Config::from_kubeconfig(&options).await.map_err(|error| unusable(&error));
    }
    Config::infer().await.map_err(|error| unusable(&error))
}
