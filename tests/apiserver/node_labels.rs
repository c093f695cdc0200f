//! The right to patch nodes, where nodes are labelled: what it is good for, and who else may say what a node holds.

use crate::support::apiserver::{OPERATOR, administrator, control_plane, eventually, refusal, user};
use http::Request;
use k8s_openapi::api::core::v1::Node;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

const KEY: &str = "cached.modelcache.dev/studio.image-models";

/// A merge patch that is only tried; or what the server says against it.
async fn patch(client: &Client, node: &str, part: &str, patch: &Value) -> Result<(), String> {
    let request = Request::patch(format!("/api/v1/nodes/{node}{part}?dryRun=All&fieldManager=labels"))
        .header("content-type", "application/merge-patch+json")
        .body(serde_json::to_vec(patch).unwrap())
        .unwrap();
    match client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(refusal(&status).join("; ")),
        Err(error) => Err(error.to_string()),
    }
}

/// The node is there with labels, annotations and a taint; nobody reports for it.
async fn node(client: &Client, name: &str, labels: &Value) {
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels, "annotations": {"note": "1"}, "finalizers": ["example.com/kept"]},
        "spec": {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]}
    }))
    .unwrap();
    Api::<Node>::all(client.clone()).create(&PostParams::default(), &node).await.unwrap();
}

/// The operator as it is where nodes are labelled: its role is given to a group, so that the operator of the other tests, which run
/// beside this one, is not given it.
async fn ready() -> (Client, Client) {
    let (administrator, plane) = (administrator().await, control_plane().await);
    let role = std::fs::read_to_string("config/policy/node-labels/role.yaml").unwrap();
    let (role, binding) = role.split_once("\n---\n").unwrap();
    let mut binding: Value = serde_saphyr::from_str(binding).unwrap();
    let account = json!([{"kind": "ServiceAccount", "name": "modelcache-operator", "namespace": "modelcache-system"}]);
    assert_eq!(binding["subjects"], account);
    binding["subjects"] = json!([{"kind": "Group", "name": "labels", "apiGroup": "rbac.authorization.k8s.io"}]);
    let directory = tempfile::tempdir().unwrap();
    for (file, text) in [("role.yaml", role.to_owned()), ("binding.json", binding.to_string())] {
        std::fs::write(directory.path().join(file), text).unwrap();
    }
    plane.kubectl(&["apply", "--server-side", "-f", directory.path().to_str().unwrap()]);
    plane.kubectl(&["apply", "--server-side", "-f", "config/policy/node-labels/policy.yaml"]);
    let groups =
        ["system:serviceaccounts", "system:serviceaccounts:modelcache-system", "system:authenticated", "labels"];
    (administrator, user(OPERATOR, &groups).await)
}

#[tokio::test]
async fn of_a_node_the_operator_may_change_its_own_labels_and_nothing_else_and_nobody_else_may_set_them() {
    let (administrator, operator) = ready().await;
    let stale = "cached.modelcache.dev/studio.gone";
    node(&administrator, "labelled", &json!({"zone": "a", "kubernetes.io/hostname": "labelled"})).await;
    let labels = |labels: Value| json!({"metadata": {"labels": labels}});
    eventually("the policies are in force", || async {
        let refused = patch(&operator, "labelled", "", &labels(json!({"zone": "b"}))).await.err();
        let others = patch(&administrator, "labelled", "", &labels(json!({KEY: "true"}))).await.err();
        let said = format!("{} {}", refused.unwrap_or_default(), others.unwrap_or_default());
        let both =
            said.contains("but those that begin with cached.modelcache.dev/") && said.contains("others may only");
        both.then_some(()).ok_or(said)
    })
    .await;

    // For good: so that there is something to take off.
    let set = json!({"metadata": {"labels": {KEY: "true", stale: "true"}}});
    let api: Api<Node> = Api::all(operator.clone());
    let patched =
        api.patch("labelled", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(&set)).await.unwrap();
    assert_eq!(patched.metadata.labels.as_ref().unwrap().get(KEY).map(String::as_str), Some("true"));
    for allowed in [
        labels(json!({KEY: null})),
        labels(json!({KEY: null, stale: null, "cached.modelcache.dev/a.b": "true"})),
        labels(json!({KEY: "true"})),
    ] {
        patch(&operator, "labelled", "", &allowed).await.unwrap();
    }
    let taint = json!([{"key": "nvidia.com/gpu", "effect": "NoExecute"}]);
    for (refused, expected) in [
        (labels(json!({"zone": "b"})), "must not change labels"),
        (labels(json!({"zone": null})), "must not change labels"),
        (labels(json!({"new": "1", KEY: "true"})), "must not change labels"),
        (labels(json!({"modelcache.dev/x": "true"})), "must not change labels"),
        (labels(json!({"cached.modelcache.dev": "true"})), "must not change labels"),
        (labels(json!({"node-role.kubernetes.io/control-plane": ""})), "must not change labels"),
        (labels(json!({KEY: "false"})), "must be true or not there"),
        (json!({"metadata": {"annotations": {"note": "2"}}}), "must not change annotations"),
        (json!({"metadata": {"annotations": null}}), "must not change annotations"),
        (json!({"metadata": {"annotations": {"more": "2"}}}), "must not change annotations"),
        (json!({"metadata": {"finalizers": null}}), "must not change finalizers"),
        (
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "b"}]}}),
            "must not change finalizers or owners",
        ),
        (json!({"spec": {"unschedulable": true}}), "must not change the spec"),
        (json!({"spec": {"taints": null}}), "must not change the spec"),
        (json!({"spec": {"taints": taint}}), "must not change the spec"),
        (json!({"spec": {"providerID": "aws:///a/i-1"}}), "must not change the spec"),
    ] {
        let said = patch(&operator, "labelled", "", &refused).await.expect_err(&refused.to_string());
        assert!(said.contains(expected), "{refused}: {said}");
    }
    // The role stops there already; the policy would, should the role ever be more.
    let said = patch(&operator, "labelled", "/status", &labels(json!({KEY: "true"}))).await.unwrap_err();
    assert!(said.contains("forbidden"), "{said}");
    let more = user(OPERATOR, &["system:masters"]).await;
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let said = patch(&more, "labelled", "/status", &ready).await.unwrap_err();
    assert!(said.contains("must not change the status"), "{said}");

    // A kubelet's rights over its own node, and an administrator's.
    let kubelet = user("system:node:labelled", &["system:nodes", "system:authenticated", "system:masters"]).await;
    for (who, client) in [("an administrator", &administrator), ("a kubelet", &kubelet)] {
        for part in ["", "/status"] {
            let new = labels(json!({"cached.modelcache.dev/studio.other": "true"}));
            let said = patch(client, "labelled", part, &new).await.expect_err(who);
            assert!(said.contains("others may only take them off"), "{who}: {said}");
        }
        let said = patch(client, "labelled", "", &labels(json!({KEY: "false"}))).await.expect_err(who);
        assert!(said.contains("others may only take them off"), "{who}: {said}");
        // What they do all day.
        patch(client, "labelled", "/status", &ready).await.unwrap();
        patch(client, "labelled", "", &labels(json!({"zone": "b", KEY: null}))).await.unwrap();
        patch(client, "labelled", "", &json!({"spec": {"unschedulable": true}})).await.unwrap();
    }
    let born: Node = serde_json::from_value(json!({"metadata": {"name": "born", "labels": {KEY: "true"}}})).unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let nodes: Api<Node> = Api::all(administrator.clone());
    let said = nodes.create(&dry, &born).await.unwrap_err().to_string();
    assert!(said.contains("others may only take them off"), "{said}");
}

#[tokio::test]
async fn the_policies_pass_the_servers_type_check() {
    use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
    let (administrator, _) = ready().await;
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(administrator);
    for name in ["modelcache-operator-nodes", "modelcache-node-labels"] {
        let policies = &policies;
        let checked = eventually(&format!("the type check of {name}"), || async move {
            let answer = policies.get_status(name).await.map_err(|error| error.to_string())?;
            answer.status.and_then(|it| it.type_checking).ok_or_else(|| "not checked yet".to_owned())
        })
        .await;
        let warnings = checked.expression_warnings.unwrap_or_default();
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
    }
}
