//! The only room that writes to the API server.

mod apply;
mod events;
mod lease;
mod node_labels;
mod progress;
mod read;
mod runs;
mod unchanged;

pub use apply::{Children, Removal};
pub use events::Note;
pub use lease::{LEASE, Leadership};
pub use read::PODS;

use crate::operator::error::Error;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client, Resource};

/// The API server, and the agents' pods.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    recorder: Recorder,
    http: reqwest::Client,
}

impl Cluster {
    /// The cluster behind a client. `identity` names this process in Events.
    pub fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: "modelcache-operator".into(), instance: Some(identity.into()) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, recorder, http: agents() }
    }

    /// Objects of a namespace.
    pub fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Objects outside namespaces.
    pub fn global<K>(&self) -> Api<K>
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()>,
    {
        Api::all(self.client.clone())
    }
}

/// A client for the agents' pods. They are in the users' hands: what they answer leads nowhere else.
fn agents() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap_or_default()
}

/// `ModelCacheReplica studio/x`, for errors and logs.
fn describe<K: Resource<DynamicType = ()>>(object: &K) -> String {
    let name = object.meta().name.as_deref().unwrap_or("?");
    match object.meta().namespace.as_deref() {
        Some(namespace) => format!("{} {namespace}/{name}", K::kind(&())),
        None => format!("{} {name}", K::kind(&())),
    }
}

fn write_error<K: Resource<DynamicType = ()>>(object: &K) -> impl FnOnce(kube::Error) -> Error {
    let what = describe(object);
    move |source| Error::Write { what, source: Box::new(source) }
}
