//! A missing kind or permission is a reason not to be ready, by name, and no crash.

use crate::commands::root;
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(alone a_missing_permission_or_kind_is_named_and_the_operator_stays_up)]
}

/// What `/readyz` of the operator's pod says.
async fn readyz(world: &World) -> Result<String, String> {
    let api: Api<Pod> = Api::namespaced(world.client.clone(), "modelcache-system");
    let pods = api.list(&ListParams::default()).await.map_err(|it| it.to_string())?;
    let pod = pods.items.into_iter().find(|it| it.metadata.deletion_timestamp.is_none()).ok_or("no pod")?;
    let ip = pod.status.and_then(|it| it.pod_ip).ok_or("no address")?;
    let said = reqwest::get(format!("http://{ip}:8080/readyz")).await.map_err(|it| it.to_string())?;
    said.text().await.map_err(|it| it.to_string())
}

/// Restarts of the pods that are to stay.
async fn restarts(world: &World) -> i32 {
    let pods = world.pods("modelcache-system").await;
    pods.iter()
        .filter(|it| it.metadata.deletion_timestamp.is_none())
        .flat_map(|it| it.status.iter().flat_map(|it| it.container_statuses.iter().flatten()))
        .map(|it| it.restart_count)
        .sum()
}

async fn says(world: &World, words: &str) {
    until(&format!("/readyz to say `{words}`"), SOON, || async {
        let said = readyz(world).await?;
        if said.contains(words) { Ok(()) } else { Err(said) }
    })
    .await;
}

async fn a_missing_permission_or_kind_is_named_and_the_operator_stays_up(world: Arc<World>) {
    // An operator that a busy machine keeps from its Lease ends, rightly: that is not what is looked at here.
    world.set_operator(&[("MODELCACHE_LEASE_SECONDS", "90")]);
    world.operator_ready();
    let role = world.kubectl(&["get", "clusterrole", "modelcache-operator", "-o", "json"]);
    let role: serde_json::Value = serde_json::from_str(&role).unwrap();
    let reads_nodes = |it: &serde_json::Value| it["resources"] == serde_json::json!(["nodes"]);
    let index = role["rules"].as_array().unwrap().iter().position(reads_nodes).unwrap();
    let without = format!(r#"[{{"op":"remove","path":"/rules/{index}"}}]"#);
    world.kubectl(&["patch", "clusterrole", "modelcache-operator", "--type=json", "-p", &without]);
    world.kubectl(&[
        "-n",
        "modelcache-system",
        "delete",
        "pod",
        "-l",
        "app.kubernetes.io/name=modelcache-operator",
        "--wait=false",
    ]);
    says(&world, "permission to list").await;
    world.kubectl(&[
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        root().join("config/rbac/operator-role.yaml").to_str().unwrap(),
    ]);
    says(&world, "ok").await;
    world.kubectl(&["delete", "crd", "nodecachepools.modelcache.dev"]);
    says(&world, "nodecachepools").await;
    world.kubectl(&["apply", "--server-side", "-k", root().join("config/crd").to_str().unwrap()]);
    says(&world, "ok").await;
    assert_eq!(restarts(&world).await, 0, "the operator stayed up");
}
