//! What is asked of the API server, for all namespaces or for one of those that are served?

use crate::api::{JobRole, label};
use crate::operator::scope::Scope;
use k8s_openapi::NamespaceResourceScope;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Where a set of watches looks. Those of a namespace that cannot be watched hold up no other namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// All namespaces: one watch for each kind.
    Everywhere,
    /// One namespace: nothing is asked for beyond it.
    Namespace(String),
}

impl Place {
    /// The places of a scope, of which these namespaces are there.
    pub(super) fn all(scope: &Scope, there: &BTreeSet<String>) -> Vec<Self> {
        match scope.names() {
            None => vec![Self::Everywhere],
            Some(names) => names.intersection(there).cloned().map(Self::Namespace).collect(),
        }
    }

    /// The objects of a kind that lives in namespaces.
    pub(super) fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Self::Everywhere => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }

    /// The same, and only their metadata: every change of an object moves its resourceVersion, and that is all a wake-up needs.
    pub(super) fn meta<K>(&self, client: &Client) -> Api<PartialObjectMeta<K>>
    where
        PartialObjectMeta<K>: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        self.api(client)
    }

    /// Whether an object of this namespace is here.
    pub(super) fn has(&self, namespace: Option<&str>) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Namespace(here) => namespace == Some(here),
        }
    }

    /// Narrows a watch of children outside the namespaces to those of caches here.
    pub(super) fn narrow(&self, config: watcher::Config) -> watcher::Config {
        match self {
            Self::Everywhere => config,
            Self::Namespace(namespace) => {
                let here = crate::api::name::label_value(namespace);
                and(config, &format!("{}={here}", label::NAMESPACE))
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Self::Everywhere => "all namespaces",
            Self::Namespace(namespace) => namespace,
        })
    }
}

/// A watch that is narrowed by one more selector.
pub(super) fn and(config: watcher::Config, selector: &str) -> watcher::Config {
    let all = config.label_selector.as_ref().map_or_else(|| selector.to_owned(), |it| format!("{it},{selector}"));
    config.labels(&all)
}

/// What is ours.
pub(super) fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{}={}", label::MANAGED_BY, label::MANAGER))
}

/// What is ours and does one of these.
pub(super) fn of_roles(roles: &[JobRole]) -> watcher::Config {
    let roles: Vec<&str> = roles.iter().map(|it| it.as_str()).collect();
    let (manager, roles) = (label::MANAGER, roles.join(","));
    watcher::Config::default().labels(&format!("{} in ({roles}),{}={manager}", label::JOB, label::MANAGED_BY))
}

/// What is looked at to find whom a change wakes.
pub(super) struct PartialMeta {
    pub(super) namespace: Option<String>,
    labels: BTreeMap<String, String>,
}

impl PartialMeta {
    pub(super) fn of<K>(object: &PartialObjectMeta<K>) -> Self
    where
        PartialObjectMeta<K>: Resource<DynamicType = ()>,
    {
        Self { namespace: object.namespace(), labels: object.labels().clone() }
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_namespace_that_is_not_there_holds_up_none_that_is() {
        let scope = Scope::parse("studio,team,gone").unwrap();
        let places: Vec<String> =
            Place::all(&scope, &there(&["team", "studio", "other"])).iter().map(ToString::to_string).collect();
        assert_eq!(places, ["studio", "team"]);
        assert_eq!(Place::all(&Scope::default(), &there(&[])), [Place::Everywhere]);
    }

    #[test]
    fn outside_namespaces_only_what_belongs_to_caches_here_is_asked_for() {
        let place = Place::Namespace("team".into());
        let selector = place.narrow(ours()).label_selector;
        let expected = "app.kubernetes.io/managed-by=modelcache-operator,modelcache.dev/namespace=team";
        assert_eq!(selector.as_deref(), Some(expected));
        assert_eq!(Place::Everywhere.narrow(ours()).label_selector, ours().label_selector);
        assert!(place.has(Some("team")) && !place.has(Some("studio")) && !place.has(None));
    }
}
