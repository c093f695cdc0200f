//! Is everything there that the operator needs: its kinds, and its permissions? What is missing is said by name.
//!
//! A missing one is a reason not to be ready, never a crash. What is missing in one of several namespaces holds up no other: that
//! one is served as soon as it is mended. A namespace that is to be served and is not there is no reason.

use super::health::Health;
use super::needs::{Need, READS, Read, WRITES};
use crate::operator::options::OperatorOptions;
use crate::operator::scope::Scope;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Between two looks while something is missing.
const RETRY: Duration = Duration::from_secs(2);
/// Between two looks while nothing is: reads only, so that an idle operator writes nothing.
const RECHECK: Duration = Duration::from_secs(20);
/// Looks at which a namespace may lack something before the others are served without it: roles that were made a moment ago are
/// not known at once.
const PATIENCE: usize = 5;
/// Namespaces of which all is read at each look; with more of them it is read less often.
const READ_AT_ONCE: usize = 5;

/// Something that is missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Missing {
    /// The served namespace where it is. What is missing elsewhere is missing for all of them.
    namespace: Option<String>,
    what: String,
}

impl Missing {
    const fn everywhere(what: String) -> Self {
        Self { namespace: None, what }
    }
}

/// Returns the namespaces that are there and where nothing is missing, once nothing is missing for all of them.
pub(super) async fn wait(client: &Client, health: &Health, options: &OperatorOptions) -> BTreeSet<String> {
    let mut looks = 0;
    loop {
        looks += 1;
        let (there, mut missing) = namespaces(client, &options.namespaces).await;
        missing.extend(missing_reads(client, &there, options).await);
        missing.extend(missing_writes(client, &there, options).await);
        say_absent(health, &options.namespaces, &there);
        if missing.is_empty() {
            return there;
        }
        say(health, &missing);
        if let Some(whole) = whole(&there, &missing).filter(|it| looks >= PATIENCE && !it.is_empty()) {
            return whole;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// The namespaces where nothing is missing. `None` while something is missing for all of them.
fn whole(there: &BTreeSet<String>, missing: &[Missing]) -> Option<BTreeSet<String>> {
    let lacking: Option<BTreeSet<String>> = missing.iter().map(|it| it.namespace.clone()).collect();
    Some(there.difference(&lacking?).cloned().collect())
}

/// Keeps looking for as long as the process leads, and returns when another set of namespaces is to be served: one more can be, which
/// nothing watches yet; or one is gone before everything had been seen, which is waited for in vain.
pub(super) async fn keep_checking(
    client: Client,
    health: Arc<Health>,
    options: &OperatorOptions,
    served: &BTreeSet<String>,
    begun: &AtomicBool,
) {
    let rarely = 1 + served.len() / READ_AT_ONCE;
    let mut known: Vec<Missing> = vec![];
    for look in 0.. {
        tokio::time::sleep(RECHECK).await;
        let (there, mut missing) = namespaces(&client, &options.namespaces).await;
        if missing.is_empty() {
            say_absent(&health, &options.namespaces, &there);
            if !begun.load(Ordering::Relaxed) && !served.is_subset(&there) {
                tracing::info!("a namespace went before everything in it was seen: ends, to begin anew without it");
                return;
            }
        }
        let new: BTreeSet<String> = there.difference(served).cloned().collect();
        if !new.is_empty() {
            let mut lacking = missing_reads(&client, &new, options).await;
            if whole(&new, &lacking).is_some_and(|it| !it.is_empty()) {
                lacking.extend(missing_writes(&client, &new, options).await);
            }
            if let Some(whole) = whole(&new, &lacking).filter(|it| !it.is_empty()) {
                tracing::info!(namespaces = ?whole, "can be served now: ends, to begin anew with them");
                return;
            }
            missing.extend(lacking);
        }
        if look % rarely == 0 || !known.is_empty() {
            known = missing_reads(&client, &there.intersection(served).cloned().collect(), options).await;
        }
        missing.extend(known.iter().cloned());
        if missing.is_empty() {
            health.ready();
        } else {
            say(&health, &missing);
        }
    }
}

fn say(health: &Health, missing: &[Missing]) {
    let once: BTreeSet<&str> = missing.iter().map(|it| it.what.as_str()).collect();
    let text = once.into_iter().collect::<Vec<_>>().join("\n");
    if health.not_ready(text.clone()) {
        tracing::warn!(missing = text, "something is missing in the cluster");
    }
}

fn say_absent(health: &Health, scope: &Scope, there: &BTreeSet<String>) {
    let absent: BTreeSet<String> =
        scope.names().into_iter().flatten().filter(|it| !there.contains(*it)).cloned().collect();
    let names = absent.iter().cloned().collect::<Vec<_>>().join(", ");
    if health.absent(&absent) && !names.is_empty() {
        tracing::warn!(namespaces = names, "to be served, and not there: served from when they are made");
    }
}

/// Which namespaces of a scope are there, and what keeps us from knowing.
async fn namespaces(client: &Client, scope: &Scope) -> (BTreeSet<String>, Vec<Missing>) {
    let api: Api<Namespace> = Api::all(client.clone());
    let (mut there, mut missing) = (BTreeSet::new(), vec![]);
    for name in scope.names().into_iter().flatten() {
        match api.get_metadata_opt(name).await {
            Ok(Some(_)) => _ = there.insert(name.clone()),
            Ok(None) => {}
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                let what = format!("the permission to get namespace {name} is missing: apply the chart's roles");
                missing.push(Missing { namespace: Some(name.clone()), what });
            }
            Err(error) => missing.push(Missing::everywhere(format!("cannot get namespace {name}: {error}"))),
        }
    }
    (there, missing)
}

async fn missing_reads(client: &Client, there: &BTreeSet<String>, options: &OperatorOptions) -> Vec<Missing> {
    let mut missing = vec![];
    for Read { group, version, kind, plural, reach } in READS {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        for namespace in reach.namespaces(&options.namespaces, there, options) {
            let api: Api<DynamicObject> = match namespace {
                None => Api::all_with(client.clone(), &resource),
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            };
            match api.list_metadata(&ListParams::default().limit(1)).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {
                    missing.push(Missing::everywhere(format!(
                        "the CustomResourceDefinition {plural}.{group} is missing: apply the files in crds/"
                    )));
                }
                Err(kube::Error::Api(status)) if status.is_forbidden() => {
                    missing.push(permission("list", plural, namespace, options));
                }
                Err(error) => missing.push(Missing::everywhere(format!("cannot list {plural}: {error}"))),
            }
        }
    }
    missing
}

fn permission(verb: &str, resource: &str, namespace: Option<&str>, options: &OperatorOptions) -> Missing {
    match namespace.filter(|_| options.namespaces.names().is_some()) {
        None => Missing::everywhere(format!("the permission to {verb} {resource} is missing: apply config/rbac")),
        Some(namespace) => Missing {
            namespace: Some(namespace.to_owned()).filter(|it| options.namespaces.serves(it)),
            what: format!(
                "the permission to {verb} {resource} in namespace {namespace} is missing: apply the chart's roles with watch.namespaces"
            ),
        },
    }
}

async fn missing_writes(client: &Client, there: &BTreeSet<String>, options: &OperatorOptions) -> Vec<Missing> {
    let mut missing = vec![];
    for Need { group, resource, verbs, reach } in WRITES {
        for namespace in reach.namespaces(&options.namespaces, there, options) {
            for verb in *verbs {
                missing.extend(denied(client, (group, resource, verb), namespace, options).await);
            }
        }
    }
    if options.label_nodes && denied(client, ("", "nodes", "patch"), None, options).await.is_some() {
        missing.push(Missing::everywhere(
            "the permission to patch nodes is missing, which labels of nodes take: apply config/policy/node-labels (in the chart \
             nodeLabels.enabled), or leave MODELCACHE_LABEL_NODES out"
                .to_owned(),
        ));
    }
    for verb in ["get", "create", "patch"] {
        let lease = ("coordination.k8s.io", "leases", verb);
        missing.extend(denied(client, lease, Some(&options.namespace), options).await);
    }
    missing
}

/// Asks the API server whether we may. `None` when we may.
async fn denied(
    client: &Client,
    (group, resource, verb): (&str, &str, &str),
    namespace: Option<&str>,
    options: &OperatorOptions,
) -> Option<Missing> {
    let (plain, subresource) =
        resource.split_once('/').map_or((resource, None), |(plain, sub)| (plain, Some(sub.to_owned())));
    let name = (plain == "leases" && verb != "create").then(|| crate::operator::cluster::LEASE.to_owned());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(plain.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                namespace: namespace.map(str::to_owned),
                name,
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let why = match api.create(&PostParams::default(), &review).await {
        Ok(answer) if answer.status.as_ref().is_some_and(|it| it.allowed) => return None,
        Ok(_) => return Some(permission(verb, resource, namespace, options)),
        Err(kube::Error::Api(status)) => status.message,
        Err(error) => error.to_string(),
    };
    Some(Missing::everywhere(format!("cannot ask whether {verb} {resource} is allowed: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_in_a_namespace_holds_up_no_other_and_what_is_missing_outside_holds_up_all() {
        let there = BTreeSet::from(["studio".to_owned(), "team".to_owned()]);
        let missing = |namespaces: &[Option<&str>]| -> Vec<Missing> {
            let each = namespaces.iter().map(|it| Missing { namespace: it.map(str::to_owned), what: "x".into() });
            each.collect()
        };
        for (lacks, expected) in [
            (&[][..], Some(vec!["studio", "team"])),
            (&[Some("team")], Some(vec!["studio"])),
            (&[Some("gone")], Some(vec!["studio", "team"])),
            (&[Some("team"), Some("studio")], Some(vec![])),
            (&[Some("team"), None], None),
        ] {
            let found = whole(&there, &missing(lacks)).map(|it| it.into_iter().collect::<Vec<_>>());
            assert_eq!(found, expected.map(|it| it.into_iter().map(str::to_owned).collect()), "{lacks:?}");
        }
    }
}
