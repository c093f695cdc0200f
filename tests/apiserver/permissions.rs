//! Roles: the operator may do what it does, and nothing that would make it dangerous. People get theirs by aggregation.

use crate::support::apiserver::{administrator, eventually, operator, send, user};
use kube::Client;
use serde_json::json;

async fn may(client: &Client, verb: &str, resource: &str, namespace: Option<&str>, name: Option<&str>) -> bool {
    let (path, group) = resource.split_once('.').unwrap_or((resource, ""));
    let (resource, subresource) = path.split_once('/').unwrap_or((path, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "verb": verb, "group": group, "resource": resource, "subresource": subresource,
            "namespace": namespace.unwrap_or_default(), "name": name.unwrap_or_default()
        }}
    });
    let answer = send(client, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await.unwrap();
    answer["status"]["allowed"] == true
}

/// It may, as soon as the server has seen the role that says so.
async fn allowed(client: &Client, verb: &str, resource: &str, namespace: Option<&str>, name: Option<&str>) {
    eventually(&format!("{verb} {resource} is allowed in {namespace:?}"), || async move {
        may(client, verb, resource, namespace, name).await.then_some(()).ok_or_else(|| "refused".to_owned())
    })
    .await;
}

#[tokio::test]
async fn the_operator_may_do_all_that_it_does() {
    let client = operator().await;
    for (resource, verbs) in [
        ("modelcaches.modelcache.dev", "get list watch patch"),
        ("modelcaches/finalizers.modelcache.dev", "update"),
        ("modelcaches/status.modelcache.dev", "patch"),
        ("modelcachereplicas.modelcache.dev", "get list watch create patch delete"),
        ("modelcachereplicas/finalizers.modelcache.dev", "update"),
        ("modelcachereplicas/status.modelcache.dev", "patch"),
        ("modelcachebackups.modelcache.dev", "get list watch create delete"),
        ("modelcachebackups/finalizers.modelcache.dev", "update"),
        ("modelcachebackups/status.modelcache.dev", "patch"),
        ("modelcacherestores.modelcache.dev", "get list watch"),
        ("modelcacherestores/finalizers.modelcache.dev", "update"),
        ("modelcacherestores/status.modelcache.dev", "patch"),
        ("nodecachepools.modelcache.dev", "get list watch"),
        ("nodecachepools/status.modelcache.dev", "patch"),
        ("persistentvolumes", "get list watch create patch delete"),
        ("persistentvolumeclaims", "get list watch create patch delete"),
        ("configmaps", "get list watch create patch delete"),
        ("jobs.batch", "get list watch create delete"),
        ("cronjobs.batch", "get list watch create patch delete"),
        ("pods", "get list watch"),
        ("nodes", "get list watch"),
        ("namespaces", "get list watch"),
        ("events.events.k8s.io", "create patch"),
        ("events", "list"),
    ] {
        for verb in verbs.split(' ') {
            allowed(&client, verb, resource, None, None).await;
        }
    }
    let lease = "leases.coordination.k8s.io";
    for verb in ["get", "patch", "update"] {
        allowed(&client, verb, lease, Some("modelcache-system"), Some("modelcache-operator")).await;
    }
    allowed(&client, "create", lease, Some("modelcache-system"), None).await;
}

#[tokio::test]
async fn the_operator_may_do_nothing_that_would_make_it_dangerous() {
    let client = operator().await;
    for (verb, resource) in [
        ("get", "secrets"),
        ("list", "secrets"),
        ("watch", "secrets"),
        ("create", "pods"),
        ("delete", "pods"),
        ("create", "pods/exec"),
        ("get", "pods/exec"),
        ("create", "pods/attach"),
        ("create", "pods/portforward"),
        ("get", "pods/log"),
        ("create", "pods/ephemeralcontainers"),
        ("create", "serviceaccounts/token"),
        ("create", "serviceaccounts"),
        ("patch", "nodes"),
        ("get", "nodes/proxy"),
        ("patch", "namespaces"),
        ("create", "namespaces"),
        ("create", "modelcaches.modelcache.dev"),
        ("delete", "modelcaches.modelcache.dev"),
        ("deletecollection", "persistentvolumeclaims"),
        ("deletecollection", "persistentvolumes"),
        ("patch", "nodecachepools.modelcache.dev"),
        ("create", "deployments.apps"),
        ("create", "daemonsets.apps"),
        ("deletecollection", "cronjobs.batch"),
        ("patch", "modelcachebackups.modelcache.dev"),
        ("deletecollection", "modelcachebackups.modelcache.dev"),
        ("create", "modelcacherestores.modelcache.dev"),
        ("delete", "modelcacherestores.modelcache.dev"),
        ("patch", "jobs.batch"),
        ("create", "clusterroles.rbac.authorization.k8s.io"),
        ("bind", "clusterroles.rbac.authorization.k8s.io"),
        ("escalate", "clusterroles.rbac.authorization.k8s.io"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("patch", "validatingadmissionpolicies.admissionregistration.k8s.io"),
        ("delete", "validatingadmissionpolicybindings.admissionregistration.k8s.io"),
        ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
        ("list", "customresourcedefinitions.apiextensions.k8s.io"),
        ("impersonate", "users"),
    ] {
        for namespace in [None, Some("modelcache-system"), Some("modelcache-node-jobs")] {
            assert!(
                !may(&client, verb, resource, namespace, None).await,
                "{verb} {resource} must be refused in {namespace:?}"
            );
        }
    }
    let lease = "leases.coordination.k8s.io";
    assert!(!may(&client, "update", lease, Some("kube-system"), Some("kube-scheduler")).await);
    assert!(!may(&client, "update", lease, Some("modelcache-system"), Some("another")).await);
}

#[tokio::test]
async fn people_who_may_view_a_namespace_see_caches_and_people_who_may_edit_it_write_them() {
    let administrator = administrator().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "people"}});
    send(&administrator, "PATCH", "/api/v1/namespaces/people?fieldManager=test", &namespace).await.unwrap();
    for role in ["view", "edit"] {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": "people"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role}]
        });
        let path =
            format!("/apis/rbac.authorization.k8s.io/v1/namespaces/people/rolebindings/{role}?fieldManager=test");
        send(&administrator, "PATCH", &path, &binding).await.unwrap();
    }
    let view = &user("view", &["system:authenticated"]).await;
    let edit = &user("edit", &["system:authenticated"]).await;
    let caches = "modelcaches.modelcache.dev";
    eventually("the roles are aggregated", || async move {
        let seen = may(view, "get", caches, Some("people"), None).await
            && may(edit, "create", caches, Some("people"), None).await;
        seen.then_some(()).ok_or_else(String::new)
    })
    .await;
    allowed(view, "list", "modelcachereplicas.modelcache.dev", Some("people"), None).await;
    assert!(!may(view, "create", caches, Some("people"), None).await, "who may not read Secrets may not make caches");
    assert!(
        !may(edit, "create", "modelcachereplicas.modelcache.dev", Some("people"), None).await,
        "copies are the operator's"
    );
    assert!(!may(edit, "create", "nodecachepools.modelcache.dev", None, None).await, "pools are the administrator's");
    assert!(!may(edit, "patch", "modelcaches/status.modelcache.dev", Some("people"), None).await);
}
