//! What is asked of copies on real nodes: a clean-up that is first only said, and a reset that no reader is disturbed by.

use crate::manifests::{cache_with, hugging_face, pool};
use crate::plugin::{attempt, plugin};
use crate::reader;
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use modelcache::api::Reason;
use modelcache::api::request::RequestedReset;
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(a_clean_up_is_said_before_it_is_done_and_a_reset_leaves_readers_and_files_of_others_alone)]
}

/// How the reset of a node's copy has gone, and the attempt that the copy is at.
async fn reset(world: &World, namespace: &str, node: &str) -> (Option<RequestedReset>, i64) {
    let copies = world.replicas(namespace).await;
    let copy = copies.into_iter().find(|it| it.spec.node.as_ref().is_some_and(|it| it.name == node));
    let status = copy.and_then(|it| it.status).unwrap_or_default();
    (status.requested_reset.filter(|it| it.time.is_some()), status.attempt.map_or(0, |it| it.number))
}

async fn a_clean_up_is_said_before_it_is_done_and_a_reset_leaves_readers_and_files_of_others_alone(world: Arc<World>) {
    let namespace = "cleared";
    world.namespace(namespace);
    let hub = world.hub();
    hub.control("repo?spec=org/cleared=a.bin:3Mi,b.bin:2Mi");
    let sources = [hugging_face("served", &hub.url, "org/cleared", "")];
    let volumes = "[{name: models, perNode: {pool: cleared, size: 200Mi}, directories: [tmp]}]";
    // No schedule: it is only done when somebody asks.
    let rules = "  cleanup: {rules: [{name: left, paths: [\"tmp/*.part\"], delete: {maxFiles: 0}, trash: false}]}\n";
    world.apply(&(pool(namespace, "") + &cache_with(namespace, "served", volumes, &sources, rules)));
    plugin(&world, namespace, &["wait", "served", "--timeout", "8m"]).await;
    let directory = world.directory(namespace, "served", "models").await;
    let fill = format!(
        "cd {directory}/tmp && for it in 1 2 3; do head -c 100000 /dev/zero > left-$it.part; done; echo mine > mine.txt"
    );
    world.on_node("node-1", &["sh", "-c", &fill]);
    let left = || world.on_node("node-1", &["ls", &format!("{directory}/tmp")]);

    let said = plugin(&world, namespace, &["clean", "served", "--dry-run", "--timeout", "8m"]).await;
    assert!(said.contains("tmp/left-2.part") && !said.contains("mine.txt"), "{said}");
    assert!(
        said.contains("models on node-1: 3 would be deleted") && said.contains("models on node-2: 0 would"),
        "{said}"
    );
    assert_eq!(left().lines().count(), 4, "it was only said");
    let said = plugin(&world, namespace, &["clean", "served", "--node", "node-1", "--wait", "--timeout", "8m"]).await;
    assert!(said.contains("served models on node-1: 3 deleted"), "{said}");
    assert_eq!(left().trim(), "mine.txt");

    // Damage of the same size, that no ordinary warm-up sees.
    let flip = format!(
        "f=$(find {directory}/huggingface -type f -size +2M | head -1); printf XXXXXXXX | dd of=$f bs=1 seek=4096 conv=notrunc"
    );
    world.on_node("node-1", &["sh", "-c", &flip]);
    let sleep = ["sleep", "3600"];
    world.apply(&reader::pod(namespace, "app", Some("node-2"), "served-models", "localhost/busybox:test", &sleep));
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), namespace);
    until("the pod to run", SOON, || async {
        let phase = pods.get("app").await.map_err(|it| it.to_string())?.status.and_then(|it| it.phase);
        if phase.as_deref() == Some("Running") { Ok(()) } else { Err(format!("{phase:?}")) }
    })
    .await;
    let (code, said) = attempt(&world, namespace, &["reset", "served", "--yes"]).await.unwrap_err();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("pod `app` has served models on node-2 mounted"), "{said}");

    // Who asks by hand is refused by the operator, for that copy alone.
    let (_, before) = reset(&world, namespace, "node-2").await;
    world.kubectl(&["-n", namespace, "annotate", "mcache", "served", "modelcache.dev/resetRequestedAt=by-hand"]);
    let mut answers = vec![];
    for node in ["node-1", "node-2"] {
        answers.push(
            until(&format!("an answer of {node}"), SOON, || async {
                let (answer, _) = reset(&world, namespace, node).await;
                answer.ok_or_else(|| "none yet".to_owned())
            })
            .await,
        );
    }
    assert_eq!(answers[0].failure, None, "{answers:?}");
    let refused = answers[1].failure.as_ref().unwrap();
    assert_eq!(refused.reason, Reason::InUse);
    assert!(refused.message.contains("pod `app` mounts it"), "{}", refused.message);
    assert_eq!(reset(&world, namespace, "node-2").await.1, before, "nothing was begun there");
    assert_eq!(left().trim(), "mine.txt", "nobody's files but ours went");

    // It is whole again, which only a look at every byte can say.
    let said = plugin(&world, namespace, &["verify", "served", "--wait", "--timeout", "8m"]).await;
    assert!(said.contains("served models on node-1: as it was put there"), "{said}");
    let again = ["reset", "served", "--yes", "--node", "node-1", "--wait", "--timeout", "8m"];
    let said = plugin(&world, namespace, &again).await;
    assert!(said.contains("served models on node-1: fetched anew"), "{said}");
    let copies = world.replicas(namespace).await;
    let copy = copies.iter().find(|it| it.spec.node.as_ref().is_some_and(|it| it.name == "node-1")).unwrap();
    let holds = copy.status.as_ref().unwrap().holds.as_ref().unwrap();
    assert_eq!(holds.fetched_bytes, holds.bytes, "every byte came over the network");
    assert_eq!(holds.bytes, 5 << 20);
    world.ready(namespace, "served").await;
}
