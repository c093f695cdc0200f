//! Nodes join, leave, are relabelled, cordoned, and stop to answer; the truth about them follows.

use crate::manifests::{cache, hugging_face, pool};
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::{throughout, until};
use crate::world::{SOON, World};
use std::sync::Arc;
use std::time::Duration;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(alone a_node_that_joins_is_warmed_and_one_that_is_deleted_is_forgotten),
        scenario!(a_node_that_loses_its_label_loses_its_replica_and_one_that_gets_it_is_warmed),
        scenario!(alone a_cordoned_node_starts_nothing_and_one_that_does_not_answer_is_counted_as_unreachable),
        scenario!(a_claim_that_is_lost_is_made_again_and_its_content_is_shown_anew),
    ]
}

async fn nodes(world: &World, namespace: &str, name: &str, wanted: &str) {
    until(&format!("{wanted} nodes"), SOON, || async {
        let found = world.cache(namespace, name).await.status.and_then(|it| it.nodes);
        if found.as_deref() == Some(wanted) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

async fn a_node_that_joins_is_warmed_and_one_that_is_deleted_is_forgotten(world: Arc<World>) {
    world.namespace("join");
    let hub = world.hub();
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(&(pool("join", "") + &cache("join", "tiny", "join", "100Mi", &sources, "")));
    nodes(&world, "join", "tiny", "2/2").await;
    let joined = world.node("add", &["--disk-size", "1Gi"]).trim().to_owned();
    world.make_gpu_node(&joined);
    nodes(&world, "join", "tiny", "3/3").await;
    world.node("remove", &[&joined]);
    until("the Replica and the Jobs of the node to be gone", SOON, || async {
        let replicas = world.replicas("join").await;
        let left = replicas.iter().any(|it| it.spec.node.as_ref().is_some_and(|it| it.name == joined));
        let jobs = world
            .jobs("modelcache-node-jobs")
            .await
            .iter()
            .any(|it| it.metadata.name.as_ref().is_some_and(|it| it.contains(&joined)));
        if left || jobs { Err(format!("replica {left}, jobs {jobs}")) } else { Ok(()) }
    })
    .await;
    nodes(&world, "join", "tiny", "2/2").await;
}

async fn a_node_that_loses_its_label_loses_its_replica_and_one_that_gets_it_is_warmed(world: Arc<World>) {
    world.namespace("labels");
    let hub = world.hub();
    world.kubectl(&["label", "node", "node-1", "fast=yes", "--overwrite"]);
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(
        &(pool("labels", ", nodeSelector: {matchLabels: {fast: \"yes\"}}")
            + &cache("labels", "tiny", "labels", "100Mi", &sources, "")),
    );
    nodes(&world, "labels", "tiny", "1/1").await;
    world.kubectl(&["label", "node", "node-2", "fast=yes", "--overwrite"]);
    nodes(&world, "labels", "tiny", "2/2").await;
    world.kubectl(&["label", "node", "node-1", "fast-"]);
    nodes(&world, "labels", "tiny", "1/1").await;
    // What is counted is counted before the Replica that left is deleted.
    until("the Replica of the node that left to be gone", SOON, || async {
        let replicas = world.replicas("labels").await;
        if replicas.len() == 1 { Ok(()) } else { Err(format!("{} Replicas", replicas.len())) }
    })
    .await;
    // The bytes stay: labels flap. The node that returns is adopted without fetching.
    let before = hub.counters().bytes_sent;
    world.kubectl(&["label", "node", "node-1", "fast=yes"]);
    nodes(&world, "labels", "tiny", "2/2").await;
    assert!(hub.counters().bytes_sent < before + 100_000);
}

async fn a_cordoned_node_starts_nothing_and_one_that_does_not_answer_is_counted_as_unreachable(world: Arc<World>) {
    world.namespace("cordon");
    let hub = world.hub();
    world.kubectl(&["cordon", "node-1"]);
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(&(pool("cordon", "") + &cache("cordon", "tiny", "cordon", "100Mi", &sources, "")));
    nodes(&world, "cordon", "tiny", "1/2").await;
    throughout("nothing is started on the cordoned node", Duration::from_secs(5), || async {
        let nodes = world.cache("cordon", "tiny").await.status.and_then(|it| it.nodes);
        if nodes.as_deref() == Some("1/2") { Ok(()) } else { Err(format!("{nodes:?}")) }
    })
    .await;
    world.kubectl(&["uncordon", "node-1"]);
    nodes(&world, "cordon", "tiny", "2/2").await;
    world.node("stop", &["node-2"]);
    until("the node to be counted as unreachable", SOON, || async {
        let counts = world.cache("cordon", "tiny").await.status.unwrap().volumes[0].replicas;
        if (counts.ready, counts.unreachable, counts.desired) == (1, 1, 2) {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    })
    .await;
    world.ready("cordon", "tiny").await;
    world.node("start", &["node-2"]);
    nodes(&world, "cordon", "tiny", "2/2").await;
}

async fn a_claim_that_is_lost_is_made_again_and_its_content_is_shown_anew(world: Arc<World>) {
    world.namespace("lost");
    let hub = world.hub();
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(&(pool("lost", "") + &cache("lost", "tiny", "lost", "100Mi", &sources, "")));
    nodes(&world, "lost", "tiny", "2/2").await;
    let uid = world.kubectl(&["-n", "lost", "get", "pvc", "tiny-models", "-o", "jsonpath={.metadata.uid}"]);
    let sent = hub.counters().bytes_sent;
    world.kubectl(&["-n", "lost", "delete", "pvc", "tiny-models"]);
    until("the copies to be shown for the new claim", SOON, || async {
        let replicas = world.replicas("lost").await;
        let all = replicas.iter().all(|it| {
            let holds = it.status.as_ref().and_then(|it| it.holds.as_ref()).and_then(|it| it.claim_uid.clone());
            holds.is_some() && holds == it.spec.claim_uid && holds.as_deref() != Some(uid.as_str())
        });
        if all && replicas.len() == 2 { Ok(()) } else { Err("not yet".into()) }
    })
    .await;
    world.ready("lost", "tiny").await;
    assert!(hub.counters().bytes_sent < sent + 200_000, "per-node data is still there");
}
