//! What GitOps tools see of a cache while it lives, and that they find nothing to set right.

use crate::manifests::{cache, hugging_face, pool};
use crate::reader;
use crate::runner::Scenario;
use crate::scenario;
use crate::tools::{Answer, health, kstatus};
use crate::wait::until;
use crate::world::{SOON, World};
use modelcache::api::condition::ConditionType;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(gitops_tools_know_every_stage_of_a_cache_and_find_no_drift_after_the_operators_work)]
}

/// The object as it is stored.
fn stored(world: &World, name: &str) -> Value {
    serde_json::from_str(&world.kubectl(&["-n", "gitops", "get", "mcache", name, "-o", "json"])).unwrap()
}

/// What Flux and Argo CD make of a cache.
fn judged(world: &World, name: &str) -> (Answer, Answer) {
    let object = stored(world, name);
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/gitops/argocd/resource_customizations/modelcache.dev/ModelCache/health.lua");
    (kstatus(std::iter::once(&object)).remove(0), health(&script, std::iter::once(&object)).remove(0))
}

async fn both_say(world: &World, name: &str, by_kstatus: &str, by_argo: &str) {
    until(&format!("{name} to be {by_kstatus} and {by_argo}"), SOON, || async {
        let (kstatus, argo) = judged(world, name);
        let agreed = kstatus.status == by_kstatus && argo.status == by_argo;
        if agreed { Ok(()) } else { Err(format!("{kstatus:?} {argo:?}")) }
    })
    .await;
}

fn apply(world: &World, yaml: &str) {
    world.kubectl_with(&["apply", "--server-side", "--field-manager", "gitops", "-f", "-"], Some(yaml));
}

/// Resource version and generation.
fn version(world: &World, name: &str) -> (String, i64) {
    let meta = &stored(world, name)["metadata"];
    (meta["resourceVersion"].as_str().unwrap().to_owned(), meta["generation"].as_i64().unwrap())
}

/// Waits until the operator has stopped to write to a cache, and gives back its version.
async fn at_rest(world: &World, name: &str) -> (String, i64) {
    until(&format!("{name} to rest"), SOON, || async {
        let before = version(world, name);
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let after = version(world, name);
        if before == after { Ok(after) } else { Err(format!("{before:?} became {after:?}")) }
    })
    .await
}

async fn gitops_tools_know_every_stage_of_a_cache_and_find_no_drift_after_the_operators_work(world: Arc<World>) {
    world.namespace("gitops");
    let hub = world.hub();
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    let of = |more: &str| pool("gitops", "") + &cache("gitops", "tiny", "gitops", "100Mi", &sources, more);

    apply(&world, &of("  suspend: true\n"));
    world.reason("gitops", "tiny", ConditionType::Ready, "Suspended").await;
    both_say(&world, "tiny", "InProgress", "Suspended").await;

    apply(&world, &of(""));
    // From the first look to the last there is no moment in which a tool takes it for failed, or for done before it is.
    until("tiny to be Current", SOON, || async {
        let object = stored(&world, "tiny");
        let answer = kstatus(std::iter::once(&object)).remove(0);
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.iter().any(|it| it["type"] == "Ready" && it["status"] == "True");
        match answer.status.as_str() {
            "Current" => {
                assert!(ready, "{object}");
                Ok(())
            }
            "InProgress" => Err(answer.message),
            other => panic!("{other}: {object}"),
        }
    })
    .await;
    both_say(&world, "tiny", "Current", "Healthy").await;

    let before = at_rest(&world, "tiny").await;
    let difference =
        world.kubectl_with(&["diff", "--server-side", "--field-manager", "gitops", "-f", "-"], Some(&of("")));
    assert_eq!(difference, "", "the operator's work is drift to a GitOps tool");
    apply(&world, &of(""));
    assert_eq!(version(&world, "tiny"), before, "applying the same again writes something");

    let missing = [hugging_face("missing", &hub.url, "demo/no-such-model", "")];
    apply(&world, &cache("gitops", "missing", "gitops", "100Mi", &missing, ""));
    both_say(&world, "missing", "Failed", "Degraded").await;

    let busybox = "localhost/busybox:test";
    world.apply(&reader::pod("gitops", "user", Some("node-1"), "tiny-models", busybox, &["sleep", "3600"]));
    world.kubectl(&["-n", "gitops", "wait", "--for=condition=Ready", "pod/user", "--timeout=480s"]);
    world.kubectl(&["-n", "gitops", "delete", "mcache", "tiny", "--wait=false"]);
    world.reason("gitops", "tiny", ConditionType::Ready, "InUse").await;
    both_say(&world, "tiny", "Terminating", "Progressing").await;
    world.kubectl(&["-n", "gitops", "delete", "pod", "user", "--wait=false"]);
    world.cache_gone("gitops", "tiny").await;
}
