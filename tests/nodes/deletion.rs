//! `Delete` really removes, from every node and nothing else; `Retain` keeps; a mounted volume is waited for.

use crate::manifests::{cache, hugging_face, pool};
use crate::reader;
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World};
use kube::ResourceExt;
use modelcache::api::condition::ConditionType;
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(delete_removes_the_directories_of_every_node_and_leaves_a_foreign_one),
        scenario!(deletion_waits_while_a_pod_mounts_the_claim_and_says_so),
        scenario!(a_namespace_made_again_under_the_same_name_does_not_get_the_old_data),
        scenario!(alone a_node_that_does_not_answer_leaves_a_tombstone_that_is_worked_off_when_it_returns),
    ]
}

fn persistent_volume(world: &World, namespace: &str, cache: &str) -> String {
    let claim = format!("{cache}-models");
    world.kubectl(&["-n", namespace, "get", "pvc", &claim, "-o", "jsonpath={.spec.volumeName}"])
}

async fn delete_removes_the_directories_of_every_node_and_leaves_a_foreign_one(world: Arc<World>) {
    world.namespace("delete");
    let hub = world.hub();
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(
        &(pool("delete", "") + &cache("delete", "tiny", "delete", "100Mi", &sources, "  deletionPolicy: Delete\n")),
    );
    world.ready("delete", "tiny").await;
    let directory = world.directory("delete", "tiny", "models").await;
    let foreign = "/var/lib/modelcache/somebody-elses";
    for node in ["node-1", "node-2"] {
        world.on_node(node, &["mkdir", "-p", foreign]);
        world.on_node(node, &["test", "-d", &directory]);
    }
    let volume = persistent_volume(&world, "delete", "tiny");
    world.kubectl(&["-n", "delete", "delete", "mcache", "tiny", "--wait=false"]);
    world.cache_gone("delete", "tiny").await;
    for node in ["node-1", "node-2"] {
        world.on_node(node, &["test", "!", "-e", &directory]);
        world.on_node(node, &["test", "-d", foreign]);
    }
    world.gone("", "v1", "PersistentVolume", None, &volume).await;
    world.gone("", "v1", "PersistentVolumeClaim", Some("delete"), "tiny-models").await;
}

async fn deletion_waits_while_a_pod_mounts_the_claim_and_says_so(world: Arc<World>) {
    world.namespace("in-use");
    world.apply(&(pool("in-use", "") + &cache("in-use", "tiny", "in-use", "100Mi", &[], "  deletionPolicy: Delete\n")));
    world.ready("in-use", "tiny").await;
    world.apply(&reader::pod(
        "in-use",
        "user",
        Some("node-1"),
        "tiny-models",
        "localhost/busybox:test",
        &["sleep", "3600"],
    ));
    until("the pod to run", SOON, || async {
        let running = world.pods("in-use").await.iter().any(|it| {
            it.name_any() == "user" && it.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Running")
        });
        if running { Ok(()) } else { Err("not yet".into()) }
    })
    .await;
    world.kubectl(&["-n", "in-use", "delete", "mcache", "tiny", "--wait=false"]);
    let message = world.reason("in-use", "tiny", ConditionType::Ready, "InUse").await;
    assert!(message.contains("`user`"), "{message}");
    // The Event comes after the status.
    until("an Event that names the pod", SOON, || async {
        let events = world.kubectl(&["-n", "in-use", "get", "events", "--field-selector=reason=InUse"]);
        if events.contains("`user`") { Ok(()) } else { Err(events) }
    })
    .await;
    world.kubectl(&["-n", "in-use", "delete", "pod", "user"]);
    world.cache_gone("in-use", "tiny").await;
}

async fn a_namespace_made_again_under_the_same_name_does_not_get_the_old_data(world: Arc<World>) {
    world.namespace("again");
    let hub = world.hub();
    let manifest = cache("again", "tiny", "again", "100Mi", &[hugging_face("tiny", &hub.url, "demo/tiny-llm", "")], "");
    world.apply(&(pool("again", ", nodeSelector: {matchLabels: {kubernetes.io/hostname: node-1}}") + &manifest));
    world.ready("again", "tiny").await;
    let old = persistent_volume(&world, "again", "tiny");
    let before = hub.counters().bytes_sent;
    world.kubectl(&["delete", "namespace", "again"]);
    world.namespace("again");
    world.apply(&manifest);
    world.ready("again", "tiny").await;
    assert_ne!(persistent_volume(&world, "again", "tiny"), old);
    assert!(hub.counters().bytes_sent > before + 5_000_000, "fetched anew");
}

async fn a_node_that_does_not_answer_leaves_a_tombstone_that_is_worked_off_when_it_returns(world: Arc<World>) {
    world.namespace("tombstone");
    let hub = world.hub();
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(
        &(pool("tombstone", "")
            + &cache("tombstone", "tiny", "tombstone", "100Mi", &sources, "  deletionPolicy: Delete\n")),
    );
    world.ready("tombstone", "tiny").await;
    let directory = world.directory("tombstone", "tiny", "models").await;
    let volume = persistent_volume(&world, "tombstone", "tiny");
    world.node("stop", &["node-2"]);
    world.kubectl(&["-n", "tombstone", "delete", "mcache", "tiny", "--wait=false"]);
    world.cache_gone("tombstone", "tiny").await;
    world.on_node("node-1", &["test", "!", "-e", &directory]);
    let left = world.kubectl(&["get", "pv", &volume, "-o", r"jsonpath={.metadata.annotations.modelcache\.dev/nodes}"]);
    assert!(left.contains("node-2") && !left.contains("node-1"), "{left}");
    world.node("start", &["node-2"]);
    world.gone("", "v1", "PersistentVolume", None, &volume).await;
    world.on_node("node-2", &["test", "!", "-e", &directory]);
}
