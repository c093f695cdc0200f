//! Two releases that label nodes in one cluster: may each say what a node holds of the namespaces that it serves, and nobody else?

use crate::documents::{all, name};
use crate::helm::template;
use crate::support::apiserver::{administrator, control_plane, eventually, refusal, send, user};
use http::Request;
use kube::Client;
use modelcache::api::name::node_label;
use serde_json::{Value, json};

/// A merge patch of the node's labels, or what the server says against it.
async fn patch(client: &Client, labels: &Value, query: &str) -> Result<(), String> {
    let request = Request::patch(format!("/api/v1/nodes/labelled{query}"))
        .header("content-type", "application/merge-patch+json")
        .body(json!({"metadata": {"labels": labels}}).to_string().into_bytes())
        .unwrap();
    match client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(refusal(&status).join("; ")),
        Err(error) => Err(error.to_string()),
    }
}

async fn try_patch(client: &Client, labels: &Value) -> Result<(), String> {
    patch(client, labels, "?dryRun=All").await
}

/// The operator of a release that serves this namespace, with its right to patch nodes and the bounds of it.
async fn operator(release: &str, serves: &str) -> Client {
    let values =
        format!("{{watch: {{namespaces: [{serves}]}}, nodeLabels: {{enabled: true}}, policies: {{enabled: false}}}}");
    let objects = all(&template(release, &values).unwrap());
    let wanted = |it: &&Value| name(it).contains("-node-labels.") || name(it).contains("-nodes.");
    let objects: Vec<&Value> = objects.iter().filter(wanted).collect();
    assert_eq!(objects.len(), 8, "a role and three policies, each bound");
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(file.path(), json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).unwrap();
    control_plane().await.kubectl(&["apply", "--server-side", "-f", file.path().to_str().unwrap()]);
    user(&format!("system:serviceaccount:{release}:modelcache-operator"), &["system:authenticated"]).await
}

#[tokio::test]
async fn each_of_two_operators_labels_nodes_for_the_namespaces_that_it_serves_and_nobody_else_does() {
    let administrator = administrator().await;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "labelled", "labels": {"zone": "a"}}});
    send(&administrator, "POST", "/api/v1/nodes", &node).await.unwrap();
    let (first, second) = (operator("labels-a", "label-studio").await, operator("labels-b", "label-team").await);
    let long = "c".repeat(63);
    let (of_first, of_second) = (node_label("label-studio", "x"), node_label("label-team", "x"));
    let (cut_of_first, cut_of_second) = (node_label("label-studio", &long), node_label("label-team", &long));
    let others = "of a namespace that it does not serve";
    let refusals = [
        (&first, json!({of_second.clone(): "true"}), others),
        (&first, json!({cut_of_second.clone(): "true"}), others),
        (&first, json!({of_first.clone(): "true", of_second.clone(): "true"}), others),
        (&first, json!({"cached.modelcache.dev/label-studios.x": "true"}), others),
        (&first, json!({"cached.modelcache.dev/x": "true"}), others),
        (&second, json!({of_first.clone(): "true"}), others),
        (&second, json!({cut_of_first.clone(): "true"}), others),
        (&first, json!({of_first.clone(): "false"}), "must be true or not there"),
        (&second, json!({"zone": "b"}), "but those that begin with cached.modelcache.dev/"),
        (&administrator, json!({of_first.clone(): "true"}), "others may only"),
        (&administrator, json!({cut_of_second.clone(): "true"}), "others may only"),
    ];
    for (client, labels, expected) in &refusals {
        eventually(&format!("{labels} is refused"), || async move {
            match try_patch(client, labels).await {
                Err(said) if said.contains(expected) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
    for (client, plain, cut) in [(&first, &of_first, &cut_of_first), (&second, &of_second, &cut_of_second)] {
        let labels = &json!({plain.clone(): "true", cut.clone(): "true"});
        // The right may be known a moment later than the policies.
        eventually(&format!("{labels} is set"), || patch(client, labels, "")).await;
    }
    for (other, own, key) in [
        (&first, &second, &of_second),
        (&second, &first, &of_first),
        (&first, &second, &cut_of_second),
        (&second, &first, &cut_of_first),
    ] {
        let off = json!({key.clone(): null});
        let said = try_patch(other, &off).await.unwrap_err();
        assert!(said.contains(others), "{key}: {said}");
        try_patch(own, &off).await.unwrap();
        try_patch(&administrator, &off).await.unwrap();
    }
}
