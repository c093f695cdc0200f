//! The optional guard: a cache that pods use is not deleted by mistake, and nothing that is deleted with its namespace is held up.

use crate::support::apiserver::{administrator, control_plane, eventually, refusal, send, user};
use kube::Client;
use modelcache::api::annotation;
use serde_json::{Value, json};

fn target(namespace: &str) -> String {
    format!("/apis/modelcache.dev/v1alpha1/namespaces/{namespace}/modelcaches")
}

/// A cache whose status says whether it is in use.
async fn cache(client: &Client, namespace: &str, name: &str, in_use: Option<bool>) {
    let head = json!({"apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache"});
    let mut document = head.clone();
    document["metadata"] = json!({"name": name, "namespace": namespace});
    document["spec"] = json!({"volumes": [{"name": "models", "shared": {"size": "1Gi"}}]});
    let object = format!("{}/{name}", target(namespace));
    send(client, "PATCH", &format!("{object}?fieldManager=guard"), &document).await.unwrap();
    let mut status = head;
    status["metadata"] = document["metadata"].clone();
    status["status"] = in_use.map_or(json!({"nodes": "1/1"}), |it| json!({"inUse": it}));
    send(client, "PATCH", &format!("{object}/status?fieldManager=guard&force=true"), &status).await.unwrap();
}

/// The options of a deletion that is only tried. Where there is a body, the server looks at no parameter.
fn dry() -> Value {
    json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]})
}

async fn delete(client: &Client, namespace: &str, name: &str) -> Result<Value, String> {
    send(client, "DELETE", &format!("{}/{name}", target(namespace)), &dry())
        .await
        .map_err(|status| refusal(&status).join("; "))
}

/// The namespace is there, and the guard is in force.
async fn ready(namespace: &str) -> Client {
    let client = administrator().await;
    let plane = control_plane().await;
    let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    send(&client, "PATCH", &format!("/api/v1/namespaces/{namespace}?fieldManager=guard"), &document).await.unwrap();
    plane.kubectl(&["apply", "--server-side", "-f", "config/policy/delete-guard/policy.yaml"]);
    cache(&client, namespace, "used", Some(true)).await;
    eventually("the guard is in force", || async {
        delete(&client, namespace, "used").await.err().map(drop).ok_or_else(|| "deleted".to_owned())
    })
    .await;
    client
}

#[tokio::test]
async fn only_a_cache_that_is_in_use_is_kept_and_an_annotation_lets_it_go() {
    let client = ready("guard").await;
    let refused = delete(&client, "guard", "used").await.expect_err("a cache in use was deleted");
    assert!(refused.contains("pods use the ModelCache used: stop them first"), "{refused}");
    assert!(refused.contains(&format!("{}=true", annotation::ALLOW_DELETE)), "{refused}");
    for (name, in_use) in [("unused", Some(false)), ("untracked", None)] {
        cache(&client, "guard", name, in_use).await;
        delete(&client, "guard", name).await.unwrap();
    }
    let all = format!("{}?fieldSelector=metadata.name=used", target("guard"));
    let refused = send(&client, "DELETE", &all, &dry()).await.expect_err("deleted with its collection");
    assert!(refused.message.contains("pods use the ModelCache used"), "{}", refused.message);

    let controllers = ["system:kube-controller-manager", "system:serviceaccount:kube-system:generic-garbage-collector"];
    for controller in controllers {
        delete(&user(controller, &["system:masters"]).await, "guard", "used").await.unwrap();
    }
    for (value, allowed) in [("false", false), ("true", true)] {
        let document = json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache",
            "metadata": {"name": "used", "namespace": "guard", "annotations": {annotation::ALLOW_DELETE: value}}
        });
        let path = format!("{}/used?fieldManager=override&force=true", target("guard"));
        send(&client, "PATCH", &path, &document).await.unwrap();
        assert_eq!(delete(&client, "guard", "used").await.is_ok(), allowed, "{value}");
    }
}

#[tokio::test]
async fn a_namespace_goes_with_the_caches_in_use_that_it_has() {
    let client = ready("guard-namespace").await;
    send(&client, "DELETE", "/api/v1/namespaces/guard-namespace", &json!({})).await.unwrap();
    eventually("the namespace is gone", || async {
        match send(&client, "GET", "/api/v1/namespaces/guard-namespace", &Value::Null).await {
            Err(status) if status.code == 404 => Ok(()),
            answer => Err(format!("{answer:?}")),
        }
    })
    .await;
}
