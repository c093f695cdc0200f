//! Is everything there that the operator needs: its kinds, and its permissions? What is missing is said by name.
//!
//! A missing one is a reason not to be ready, never a crash. A namespace that is to be served and is not there is none: the
//! others are served.

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
use std::time::Duration;

/// Between two looks while something is missing.
const RETRY: Duration = Duration::from_secs(2);
/// Between two looks while nothing is: reads only, so that an idle operator writes nothing.
const RECHECK: Duration = Duration::from_secs(20);

/// Returns when nothing is missing: the namespaces that are to be served, and there.
pub(super) async fn wait(client: &Client, health: &Health, options: &OperatorOptions) -> BTreeSet<String> {
    loop {
        let (there, mut missing) = namespaces(client, &options.namespaces).await;
        missing.extend(missing_reads(client, &there, options).await);
        missing.extend(missing_writes(client, &there, options).await);
        if missing.is_empty() {
            return there;
        }
        say(health, &missing);
        tokio::time::sleep(RETRY).await;
    }
}

/// Keeps looking for as long as the process leads, and returns when a namespace that was not there is: nothing watches it yet.
pub(super) async fn keep_checking(
    client: Client,
    health: Arc<Health>,
    options: &OperatorOptions,
    served: &BTreeSet<String>,
) {
    say_absent(&health, &options.namespaces, served);
    loop {
        tokio::time::sleep(RECHECK).await;
        let (there, mut missing) = namespaces(&client, &options.namespaces).await;
        if missing.is_empty() {
            say_absent(&health, &options.namespaces, &there);
            let new: BTreeSet<String> = there.difference(served).cloned().collect();
            // Its roles come after it: until then the others are worked for.
            if !new.is_empty() && missing_reads(&client, &new, options).await.is_empty() {
                tracing::info!(?new, "a namespace that is to be served is there now: ends, to begin anew with it");
                return;
            }
        }
        let watched = there.intersection(served).cloned().collect();
        missing.extend(missing_reads(&client, &watched, options).await);
        if missing.is_empty() {
            health.ready();
        } else {
            say(&health, &missing);
        }
    }
}

fn say(health: &Health, missing: &[String]) {
    let text = missing.join("\n");
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
async fn namespaces(client: &Client, scope: &Scope) -> (BTreeSet<String>, Vec<String>) {
    let api: Api<Namespace> = Api::all(client.clone());
    let (mut there, mut missing) = (BTreeSet::new(), vec![]);
    for name in scope.names().into_iter().flatten() {
        match api.get_metadata_opt(name).await {
            Ok(Some(_)) => _ = there.insert(name.clone()),
            Ok(None) => {}
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                missing.push(format!("the permission to get namespace {name} is missing: apply the chart's roles"));
            }
            Err(error) => missing.push(format!("cannot get namespace {name}: {error}")),
        }
    }
    (there, missing)
}

async fn missing_reads(client: &Client, there: &BTreeSet<String>, options: &OperatorOptions) -> Vec<String> {
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
                    missing.push(format!(
                        "the CustomResourceDefinition {plural}.{group} is missing: apply the files in crds/"
                    ));
                }
                Err(kube::Error::Api(status)) if status.is_forbidden() => {
                    missing.push(permission("list", plural, namespace));
                }
                Err(error) => missing.push(format!("cannot list {plural}: {error}")),
            }
        }
    }
    missing.dedup();
    missing
}

fn permission(verb: &str, resource: &str, namespace: Option<&str>) -> String {
    match namespace {
        None => format!("the permission to {verb} {resource} is missing: apply config/rbac"),
        Some(namespace) => format!(
            "the permission to {verb} {resource} in namespace {namespace} is missing: the chart gives it to those in watch.namespaces"
        ),
    }
}

async fn missing_writes(client: &Client, there: &BTreeSet<String>, options: &OperatorOptions) -> Vec<String> {
    let mut missing = vec![];
    for Need { group, resource, verbs, reach } in WRITES {
        for namespace in reach.namespaces(&options.namespaces, there, options) {
            for verb in *verbs {
                missing.extend(denied(client, group, resource, verb, namespace).await);
            }
        }
    }
    if options.label_nodes && denied(client, "", "nodes", "patch", None).await.is_some() {
        missing.push(
            "the permission to patch nodes is missing, which labels of nodes take: apply config/policy/node-labels (in the chart \
             nodeLabels.enabled), or leave MODELCACHE_LABEL_NODES out"
                .to_owned(),
        );
    }
    for verb in ["get", "create", "patch"] {
        missing.extend(denied(client, "coordination.k8s.io", "leases", verb, Some(&options.namespace)).await);
    }
    missing
}

/// Asks the API server whether we may. `None` when we may.
async fn denied(client: &Client, group: &str, resource: &str, verb: &str, namespace: Option<&str>) -> Option<String> {
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
    match api.create(&PostParams::default(), &review).await {
        Ok(answer) if answer.status.as_ref().is_some_and(|it| it.allowed) => None,
        Ok(_) if plain == "leases" => {
            Some(format!("the permission to {verb} {resource} is missing: apply config/rbac"))
        }
        Ok(_) => Some(permission(verb, resource, namespace)),
        Err(kube::Error::Api(status)) => {
            Some(format!("cannot ask whether {verb} {resource} is allowed: {}", status.message))
        }
        Err(error) => Some(format!("cannot ask whether {verb} {resource} is allowed: {error}")),
    }
}
