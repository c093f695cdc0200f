//! Two operators in one cluster, each of namespaces of its own and with no rights beyond them: both work, and neither touches,
//! nor asks for, what is another's.

use crate::support::apiserver::{
    ControlPlane, DEADLINE, OPERATOR, administrator, control_plane, eventually, send, user,
};
use crate::tenants::Tenant;
use kube::Client;
use modelcache::api::name::node_label;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What may be asked for without a namespace.
const OUTSIDE: [&str; 4] = ["nodes", "namespaces", "persistentvolumes", "nodecachepools"];

async fn apply(client: &Client, path: &str, object: &Value) {
    send(client, "PATCH", &format!("{path}?fieldManager=test"), object)
        .await
        .unwrap_or_else(|error| panic!("{path}: {error}"));
}

async fn get(client: &Client, path: &str) -> Value {
    let request = http::Request::get(path).body(vec![]).unwrap();
    match client.request(request).await {
        Ok(found) => found,
        Err(kube::Error::Api(status)) if status.is_not_found() => Value::Null,
        Err(other) => panic!("{path}: {other}"),
    }
}

fn cache_path(namespace: &str, name: &str) -> String {
    format!("/apis/modelcache.dev/v1alpha1/namespaces/{namespace}/modelcaches/{name}")
}

/// One that is filled from an address, and one on the nodes of each pool.
async fn make_caches(client: &Client, namespace: &str, pools: &[&str]) {
    let source = json!([{"name": "file", "http": {"url": "https://example.invalid/a", "sha256": "0".repeat(64)}}]);
    let shared = json!({"volumes": [{"name": "files", "shared": {"size": "1Gi"}}], "sources": source});
    let on_nodes = |pool: &&str| {
        let spec = json!({
            "volumes": [{"name": "models", "perNode": {"pool": pool, "size": "1Gi"}}], "deletionPolicy": "Delete"
        });
        ((*pool).to_owned(), spec)
    };
    for (name, spec) in [("shared".to_owned(), shared)].into_iter().chain(pools.iter().map(on_nodes)) {
        let object = json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec
        });
        apply(client, &cache_path(namespace, &name), &object).await;
    }
}

async fn make_pool(client: &Client, name: &str, namespaces: Option<&[&str]>) {
    let mut spec =
        json!({"nodeSelector": {"matchLabels": {"none": "such"}}, "path": "/mnt/modelcache", "capacity": "10Gi"});
    if let Some(names) = namespaces {
        spec["namespaces"] = json!({"names": names});
    }
    let pool = json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "NodeCachePool", "metadata": {"name": name}, "spec": spec
    });
    apply(client, &format!("/apis/modelcache.dev/v1alpha1/nodecachepools/{name}"), &pool).await;
}

/// A volume whose data is gone from all nodes: an operator of its namespace removes it at the first look.
async fn make_tombstone(client: &Client, name: &str, namespace: &str) {
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/managed-by": "modelcache-operator", "modelcache.dev/tombstone": "true",
                "modelcache.dev/namespace": namespace, "modelcache.dev/cache": "gone", "modelcache.dev/volume": "models"
            },
            "annotations": {"modelcache.dev/nodes": "[]"}
        },
        "spec": {
            "accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "", "local": {"path": "/mnt/modelcache/x"},
            "claimRef": {"namespace": namespace, "name": "gone-models"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "none", "operator": "Exists"}]}]}}
        }
    });
    apply(client, &format!("/api/v1/persistentvolumes/{name}"), &volume).await;
}

/// A node that says of caches of these namespaces that it holds them, and of one whose label was cut. There are none of them.
async fn make_labelled_node(client: &Client, name: &str, namespaces: &[&str]) -> String {
    let node =
        |labels: Value| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
    apply(client, &format!("/api/v1/nodes/{name}"), &node(json!({}))).await;
    let cut = node_label(namespaces[0], &"c".repeat(63));
    let keys = namespaces.iter().map(|it| node_label(it, "gone")).chain([cut.clone()]);
    let labels: serde_json::Map<String, Value> = keys.map(|it| (it, json!("true"))).collect();
    // Other tests beside this one have the policies that let nobody else set such labels.
    let operator = user(OPERATOR, &["system:masters", "system:authenticated"]).await;
    apply(&operator, &format!("/api/v1/nodes/{name}"), &node(json!(labels))).await;
    cut
}

/// A pod that mounts the claim of the cache, on no node.
async fn make_user(client: &Client, namespace: &str) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user", "namespace": namespace},
        "spec": {
            "containers": [{"name": "user", "image": "user"}], "automountServiceAccountToken": false,
            "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": "shared-files"}}]
        }
    });
    eventually("the namespace takes pods", || async {
        let path = format!("/api/v1/namespaces/{namespace}/pods/user?fieldManager=test");
        send(client, "PATCH", &path, &pod).await.map_err(|error| error.message.clone())
    })
    .await;
}

/// The cache is served: its Job asks the origin, its claim is there.
async fn served(client: &Client, namespace: &str) {
    eventually(&format!("the cache in {namespace} is served"), || async move {
        let cache = get(client, &cache_path(namespace, "shared")).await;
        let jobs = get(client, &format!("/apis/batch/v1/namespaces/{namespace}/jobs")).await;
        let claim = get(client, &format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/shared-files")).await;
        let finalizers = cache["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
        let jobs = jobs["items"].as_array().map_or(0, Vec::len);
        if finalizers > 0 && jobs > 0 && !claim.is_null() {
            Ok(())
        } else {
            Err(format!("{finalizers} finalizers, {jobs} Jobs, claim {claim}; {}", cache["status"]))
        }
    })
    .await;
}

/// The cache says this.
async fn says(client: &Client, namespace: &str, name: &str, reason: &str) {
    eventually(&format!("{namespace}/{name} says {reason}"), || async move {
        let cache = get(client, &cache_path(namespace, name)).await;
        let said = cache["status"]["conditions"].as_array().into_iter().flatten();
        let found = said.into_iter().any(|it| it["reason"] == reason);
        if found { Ok(()) } else { Err(cache["status"].to_string()) }
    })
    .await;
}

async fn gone(client: &Client, path: &str) {
    eventually(&format!("{path} is gone"), || async move {
        let found = get(client, path).await;
        if found.is_null() { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
}

/// What an account was refused, and what it asked for beyond these namespaces, in the audit log.
fn beyond(plane: &ControlPlane, tenant: &Tenant) -> BTreeSet<String> {
    let node_jobs = tenant.node_jobs();
    let own = [tenant.namespace, &node_jobs];
    let text = std::fs::read_to_string(plane.audit_log()).unwrap();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut asked = 0;
    let mut found = BTreeSet::new();
    for event in events.filter(|it| it["user"]["username"] == tenant.account().as_str()) {
        // What the tests ask in its name is not what it asks.
        if event["impersonatedUser"].is_object() || !event["objectRef"]["resource"].is_string() {
            continue;
        }
        let part = |key: &str| event["objectRef"][key].as_str().unwrap_or_default();
        let (resource, namespace) = (part("resource"), part("namespace"));
        let inside = tenant.serves.contains(&namespace) || own.contains(&namespace);
        let outside = namespace.is_empty() && (OUTSIDE.contains(&resource) || resource == "selfsubjectaccessreviews");
        let code = event["responseStatus"]["code"].as_i64().unwrap_or_default();
        asked += 1;
        if code == 403 || !(inside || outside) {
            found.insert(format!("{code} {} {namespace}/{resource} {}", event["verb"], part("name")));
        }
    }
    assert!(asked > 50, "the audit log has {asked} requests of {}", tenant.namespace);
    found
}

/// The process ends by itself, and is started again, as a Deployment does.
async fn begins_anew(tenant: &mut Tenant) {
    let start = std::time::Instant::now();
    let ended = loop {
        if let Some(ended) = tenant.ended() {
            break ended;
        }
        assert!(start.elapsed() < DEADLINE, "the operator has not seen the namespace: {}", tenant.log());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    assert!(ended, "it ended by itself, and not by a failure: {}", tenant.log());
    tenant.start();
}

#[tokio::test]
async fn two_operators_of_different_namespaces_work_side_by_side_and_neither_asks_for_what_is_anothers() {
    let (plane, client) = (control_plane().await, &administrator().await);
    for namespace in ["scoped-a", "scoped-b", "scoped-nobodys"] {
        plane.kubectl(&["create", "namespace", namespace]);
    }
    // One of the namespaces is not there yet: the other is served all the same.
    let mut first = Tenant::install(plane, "operator-a", &["scoped-a", "scoped-late"], &["scoped-a"]).await;
    let mut second = Tenant::install(plane, "operator-b", &["scoped-b"], &["scoped-b"]).await;
    make_pool(client, "pool-a", Some(&["scoped-a", "scoped-late"])).await;
    make_pool(client, "pool-b", Some(&["scoped-b"])).await;
    make_pool(client, "pool-of-all", None).await;
    make_tombstone(client, "scoped-buried-a", "scoped-a").await;
    make_tombstone(client, "scoped-buried-nobodys", "scoped-nobodys").await;
    for (namespace, pool) in [("scoped-a", "pool-a"), ("scoped-b", "pool-b"), ("scoped-nobodys", "pool-a")] {
        make_caches(client, namespace, &[pool, "pool-of-all"]).await;
    }
    let node = "/api/v1/nodes/scoped-labelled";
    let cut = make_labelled_node(client, "scoped-labelled", &["scoped-a", "scoped-b", "scoped-nobodys"]).await;
    first.start();
    second.start();
    for (namespace, pool) in [("scoped-a", "pool-a"), ("scoped-b", "pool-b")] {
        served(client, namespace).await;
        says(client, namespace, pool, "NoMatchingNodes").await;
        // What others reserve of it is not known here.
        says(client, namespace, "pool-of-all", "PoolForbidden").await;
        let path = format!("/apis/modelcache.dev/v1alpha1/nodecachepools/{pool}");
        let path = path.as_str();
        eventually(&format!("{pool} is counted by its operator"), || async move {
            let pool = get(client, path).await;
            if pool["status"]["volumes"] == 1 { Ok(()) } else { Err(pool["status"].to_string()) }
        })
        .await;
        make_user(client, namespace).await;
        eventually(&format!("the cache in {namespace} is used"), || async move {
            let cache = get(client, &cache_path(namespace, "shared")).await;
            if cache["status"]["inUse"] == true { Ok(()) } else { Err(cache["status"].to_string()) }
        })
        .await;
        // Finalizer, claim, volume and tombstone: all of a life.
        send(client, "DELETE", &cache_path(namespace, pool), &json!({})).await.unwrap();
        gone(client, &cache_path(namespace, pool)).await;
    }
    gone(client, "/api/v1/persistentvolumes/scoped-buried-a").await;
    let left = [cut, node_label("scoped-nobodys", "gone")].map(|it| (it, json!("true")));
    let left = &Value::Object(left.into_iter().collect());
    eventually("each operator takes off the labels that are its own", || async move {
        let labels = get(client, node).await["metadata"]["labels"].take();
        if labels == *left { Ok(()) } else { Err(labels.to_string()) }
    })
    .await;

    let volumes = get(client, "/api/v1/persistentvolumes").await;
    let left: Vec<&str> =
        volumes["items"].as_array().unwrap().iter().filter_map(|it| it["metadata"]["name"].as_str()).collect();
    assert!(left.contains(&"scoped-buried-nobodys"), "another's volume was removed: {left:?}");
    for name in ["shared", "pool-a", "pool-of-all"] {
        let untouched = get(client, &cache_path("scoped-nobodys", name)).await;
        assert_eq!(
            (&untouched["metadata"]["finalizers"], &untouched["status"]),
            (&Value::Null, &Value::Null),
            "{name}"
        );
    }
    let pool = get(client, "/apis/modelcache.dev/v1alpha1/nodecachepools/pool-of-all").await;
    assert_eq!(pool["status"], Value::Null, "two operators would never agree on it");
    for tenant in [&first, &second] {
        assert_eq!(beyond(plane, tenant), BTreeSet::new(), "{}", tenant.namespace);
        let log = tenant.log().to_lowercase();
        let refused: Vec<&str> =
            log.lines().filter(|it| it.contains("is forbidden") || it.contains("is missing")).collect();
        assert!(refused.is_empty(), "{refused:#?}");
    }
    // And with the rights that it has on what lies outside namespaces it may not.
    let stranger = &second.client().await;
    eventually("the policy holds", || async move {
        let path = "/api/v1/persistentvolumes/scoped-buried-nobodys?dryRun=All";
        match send(stranger, "DELETE", path, &json!({})).await {
            Err(status) if status.message.contains("a namespace that it does not serve") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    // A namespace that comes later is served once its role is there: the process begins anew with it.
    plane.kubectl(&["create", "namespace", "scoped-late"]);
    first.grant(first.serves).await;
    make_caches(client, "scoped-late", &[]).await;
    begins_anew(&mut first).await;
    served(client, "scoped-late").await;

    // A namespace that is deleted takes the role with it, last: the operator lets the caches go before.
    plane.kubectl(&["delete", "namespace", "scoped-b", "--wait=false"]);
    gone(client, "/api/v1/namespaces/scoped-b").await;
}

#[tokio::test]
async fn a_namespace_that_has_no_role_yet_is_said_by_name_and_holds_up_no_other() {
    let (plane, client) = (control_plane().await, &administrator().await);
    let mut tenant = Tenant::install(plane, "operator-c", &["scoped-c", "scoped-bare"], &[]).await;
    for namespace in tenant.serves {
        plane.kubectl(&["create", "namespace", namespace]);
        make_caches(client, namespace, &[]).await;
    }
    tenant.grant(&["scoped-c"]).await;
    tenant.start();
    served(client, "scoped-c").await;
    let said = "the permission to list modelcaches in namespace scoped-bare is missing";
    assert!(tenant.log().contains(said), "{}", tenant.log());
    let waits = get(client, &cache_path("scoped-bare", "shared")).await;
    assert_eq!(waits["metadata"]["finalizers"], Value::Null);
    tenant.grant(tenant.serves).await;
    begins_anew(&mut tenant).await;
    served(client, "scoped-bare").await;
}
