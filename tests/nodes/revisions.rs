//! A pin holds until its own spec changes; a new revision never takes the old one away before it is complete.

use crate::manifests::{cache, hugging_face, pool};
use crate::reader;
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_pin_holds_when_main_moves_and_when_the_cache_is_deleted_and_applied_again),
        scenario!(a_reader_never_misses_a_file_while_a_new_revision_arrives),
        scenario!(a_spec_that_changes_during_a_warm_up_is_what_is_there_at_the_end),
        scenario!(suspend_starts_nothing_new_until_it_is_lifted),
    ]
}

fn one_node(namespace: &str) -> String {
    pool(namespace, ", nodeSelector: {matchLabels: {kubernetes.io/hostname: node-2}}")
}

async fn a_pin_holds_when_main_moves_and_when_the_cache_is_deleted_and_applied_again(world: Arc<World>) {
    world.namespace("pin");
    let hub = world.hub();
    hub.control("repo?spec=org/moving=a.bin:3Mi,b.bin:2Mi");
    let sources = [hugging_face("moving", &hub.url, "org/moving", "")];
    let manifest = cache("pin", "moving", "pin", "100Mi", &sources, "  deletionPolicy: Retain\n");
    world.apply(&(one_node("pin") + &manifest));
    let first = world.ready("pin", "moving").await.status.unwrap().sources[0].revision.clone();
    hub.control("move?repo=org/moving");
    hub.control("reset");
    world.kubectl(&["-n", "pin", "annotate", "mcache", "moving", "look=again"]);
    world.kubectl(&["-n", "pin", "delete", "mcache", "moving", "--wait=false"]);
    world.cache_gone("pin", "moving").await;
    assert!(
        world.exists("", "v1", "PersistentVolumeClaim", Some("pin"), "moving-models").await,
        "Retain keeps the claim"
    );
    world.apply(&manifest);
    let again = world.ready("pin", "moving").await.status.unwrap();
    assert_eq!(again.sources[0].revision, first, "the pin is remembered");
    assert!(hub.counters().bytes_sent < 100_000, "adopted without fetching content: {:?}", hub.counters());
}

async fn a_reader_never_misses_a_file_while_a_new_revision_arrives(world: Arc<World>) {
    world.namespace("reader");
    let hub = world.hub();
    hub.control("repo?spec=org/served=a.bin:2Mi,b.bin:30Mi");
    let manifest = |more: &str| {
        cache("reader", "served", "reader", "500Mi", &[hugging_face("served", &hub.url, "org/served", more)], "")
    };
    world.apply(&(one_node("reader") + &manifest("")));
    let old = world.ready("reader", "served").await.status.unwrap().sources[0].revision.clone().unwrap();
    let watch = format!(
        "ref=/models/huggingface/hub/models--org--served; n=0; while [ ! -e $ref/snapshots/$(cat /models/next 2>/dev/null || echo none)/b.bin ]; do \
         c=$(cat $ref/refs/main); [ -e $ref/snapshots/$c/a.bin ] && [ -e $ref/snapshots/$c/b.bin ] || {{ echo MISSING $c; exit 1; }}; \
         [ -e $ref/snapshots/{old}/b.bin ] || {{ echo OLD GONE; exit 1; }}; n=$((n+1)); [ $c != {old} ] && {{ echo switched after $n; exit 0; }}; done"
    );
    world.apply(&reader::pod(
        "reader",
        "watch",
        Some("node-2"),
        "served-models",
        "localhost/busybox:test",
        &["sh", "-c", &watch],
    ));
    let api: Api<Pod> = Api::namespaced(world.client.clone(), "reader");
    until("the reader to run", SOON, || async {
        let phase = api.get("watch").await.map_err(|it| it.to_string())?.status.and_then(|it| it.phase);
        if phase.as_deref() == Some("Running") { Ok(()) } else { Err(format!("{phase:?}")) }
    })
    .await;
    let moved = hub.control("move?repo=org/served");
    let commit = serde_json::to_value(&moved).unwrap()["commit"].as_str().unwrap().to_owned();
    assert_ne!(commit, old);
    // Asking for `main` in other words makes it be resolved again; `refs/main` is what the reader follows.
    world.apply(&manifest(", exclude: [\"*.never\"]"));
    let said = reader::ended(&world, "reader", "watch").await;
    assert!(said.contains("switched"), "{said}");
    let now = world.ready("reader", "served").await.status.unwrap().sources[0].revision.clone();
    assert_eq!(now.as_deref(), Some(commit.as_str()));
}

async fn a_spec_that_changes_during_a_warm_up_is_what_is_there_at_the_end(world: Arc<World>) {
    world.namespace("change");
    let hub = world.hub();
    hub.control("repo?spec=org/first=a.bin:30Mi");
    hub.control("throttle?bytesPerSecond=500000");
    let manifest =
        |repo: &str| cache("change", "one", "change", "200Mi", &[hugging_face("one", &hub.url, repo, "")], "");
    world.apply(&(one_node("change") + &manifest("org/first")));
    until("a warm-up at work", SOON, || async {
        let sent = hub.counters().bytes_sent;
        if sent > 2 << 20 { Ok(()) } else { Err(format!("{sent}")) }
    })
    .await;
    world.apply(&manifest("demo/tiny-llm"));
    hub.control("throttle?bytesPerSecond=0");
    world.ready("change", "one").await;
    let code = "from huggingface_hub import snapshot_download; import os; print(os.listdir(snapshot_download('demo/tiny-llm')))";
    assert!(
        reader::python(&world, "change", "reader", Some("node-2"), "one-models", code).await.contains("config.json")
    );
}

async fn suspend_starts_nothing_new_until_it_is_lifted(world: Arc<World>) {
    use modelcache::api::condition::ConditionType;
    world.namespace("suspend");
    let hub = world.hub();
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(&(one_node("suspend") + &cache("suspend", "tiny", "suspend", "100Mi", &sources, "  suspend: true\n")));
    world.reason("suspend", "tiny", ConditionType::Ready, "Suspended").await;
    assert!(world.jobs("suspend").await.is_empty());
    assert_eq!(hub.counters().bytes_sent, 0);
    world.kubectl(&["-n", "suspend", "patch", "mcache", "tiny", "--type=merge", "-p", r#"{"spec":{"suspend":false}}"#]);
    world.ready("suspend", "tiny").await;
}
