//! Is everything there that the operator needs: its kinds, and its permissions? What is missing is said by name.
//!
//! A missing one is a reason not to be ready, never a crash.

use super::health::Health;
use crate::api::{GROUP, VERSION};
use crate::operator::options::OperatorOptions;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use std::sync::Arc;
use std::time::Duration;

/// Between two looks while something is missing.
const RETRY: Duration = Duration::from_secs(2);
/// Between two looks while nothing is: reads only, so that an idle operator writes nothing.
const RECHECK: Duration = Duration::from_secs(20);

/// What is written: group, resource, verbs.
const WRITES: &[(&str, &str, &[&str])] = &[
    ("", "persistentvolumes", &["create", "patch", "delete"]),
    ("", "persistentvolumeclaims", &["create", "patch", "delete"]),
    ("", "configmaps", &["create", "patch", "delete"]),
    ("batch", "jobs", &["create", "delete"]),
    ("batch", "cronjobs", &["create", "patch", "delete"]),
    ("events.k8s.io", "events", &["create", "patch"]),
    (GROUP, "modelcaches", &["patch"]),
    (GROUP, "modelcaches/status", &["patch"]),
    (GROUP, "modelcachereplicas", &["create", "patch", "delete"]),
    (GROUP, "modelcachereplicas/status", &["patch"]),
    (GROUP, "modelcachebackups", &["create", "delete"]),
    (GROUP, "modelcachebackups/status", &["patch"]),
    (GROUP, "modelcacherestores/status", &["patch"]),
    (GROUP, "nodecachepools/status", &["patch"]),
];

/// What is read: group, version, kind, plural.
const READS: &[(&str, &str, &str, &str)] = &[
    (GROUP, VERSION, "ModelCache", "modelcaches"),
    (GROUP, VERSION, "ModelCacheReplica", "modelcachereplicas"),
    (GROUP, VERSION, "ModelCacheBackup", "modelcachebackups"),
    (GROUP, VERSION, "ModelCacheRestore", "modelcacherestores"),
    (GROUP, VERSION, "NodeCachePool", "nodecachepools"),
    ("", "v1", "Node", "nodes"),
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Event", "events"),
    ("", "v1", "PersistentVolume", "persistentvolumes"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("batch", "v1", "Job", "jobs"),
    ("batch", "v1", "CronJob", "cronjobs"),
];

/// Returns when nothing is missing.
pub(super) async fn wait(client: &Client, health: &Health, options: &OperatorOptions) {
    loop {
        let mut missing = missing_reads(client).await;
        missing.extend(missing_writes(client, options).await);
        if missing.is_empty() {
            return;
        }
        say(health, &missing);
        tokio::time::sleep(RETRY).await;
    }
}

/// Keeps looking for as long as the process leads.
pub(super) async fn keep_checking(client: Client, health: Arc<Health>) {
    loop {
        tokio::time::sleep(RECHECK).await;
        let missing = missing_reads(&client).await;
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

async fn missing_reads(client: &Client) -> Vec<String> {
    let mut missing = vec![];
    for (group, version, kind, plural) in READS {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        match api.list_metadata(&ListParams::default().limit(1)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                missing.push(format!(
                    "the CustomResourceDefinition {plural}.{group} is missing: apply the files in crds/"
                ));
            }
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                missing.push(format!("the permission to list {plural} is missing: apply config/rbac"));
            }
            Err(error) => missing.push(format!("cannot list {plural}: {error}")),
        }
    }
    missing
}

async fn missing_writes(client: &Client, options: &OperatorOptions) -> Vec<String> {
    let mut missing = vec![];
    for (group, resource, verbs) in WRITES {
        for verb in *verbs {
            missing.extend(denied(client, group, resource, verb, None).await);
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
        Ok(_) => Some(format!("the permission to {verb} {resource} is missing: apply config/rbac")),
        Err(kube::Error::Api(status)) => {
            Some(format!("cannot ask whether {verb} {resource} is allowed: {}", status.message))
        }
        Err(error) => Some(format!("cannot ask whether {verb} {resource} is allowed: {error}")),
    }
}
