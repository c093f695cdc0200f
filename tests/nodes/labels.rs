//! Nodes say which caches they hold, from the moment that a copy is complete until it is no more.

use crate::commands::root;
use crate::manifests::{cache, hugging_face, pool};
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use modelcache::api::condition::{ConditionType, is_true};
use modelcache::api::name::node_label;
use std::collections::BTreeSet;
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(alone a_node_has_the_label_of_a_cache_while_its_copy_is_complete_and_no_longer)]
}

/// Nodes that have a label.
async fn labelled(world: &World, key: &str) -> BTreeSet<String> {
    let api: Api<Node> = Api::all(world.client.clone());
    let with = ListParams::default().labels(&format!("{key}=true"));
    let nodes = crate::commands::answered(|| api.list(&with)).await;
    nodes.items.iter().map(ResourceExt::name_any).collect()
}

/// Nodes whose copy is complete.
async fn complete(world: &World, namespace: &str, cache: &str) -> BTreeSet<String> {
    let replicas = world.replicas(namespace).await.into_iter().filter(|it| it.spec.cache == cache);
    let ready = replicas
        .filter(|it| it.status.as_ref().is_some_and(|it| is_true(&it.conditions, ConditionType::Ready)))
        .filter_map(|it| it.spec.node.map(|it| it.name));
    ready.collect()
}

/// Waits until just these nodes have a label.
async fn wait(world: &World, key: &str, expected: &[&str]) {
    until(&format!("{key} on {expected:?}"), SOON, || async {
        let found = labelled(world, key).await;
        if found.iter().eq(expected) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

async fn a_node_has_the_label_of_a_cache_while_its_copy_is_complete_and_no_longer(world: Arc<World>) {
    world.namespace("warm-nodes");
    let hub = world.hub();
    hub.control("repo?spec=org/slow=a.bin:40Mi,config.json:900");
    hub.control("throttle?bytesPerSecond=4000000");
    let files = ["role.yaml", "policy.yaml"].map(|it| root().join("config/policy/node-labels").join(it));
    for file in &files {
        world.kubectl(&["apply", "--server-side", "-f", file.to_str().unwrap()]);
    }
    world.set_operator(&[("MODELCACHE_LABEL_NODES", "true")]);
    world.operator_ready();
    let sources = |repo: &str| [hugging_face("model", &hub.url, repo, "")];
    world.apply(
        &(pool("warm-nodes", "")
            + &cache("warm-nodes", "slow", "warm-nodes", "200Mi", &sources("org/slow"), "")
            + &cache("warm-nodes", "tiny", "warm-nodes", "100Mi", &sources("demo/tiny-llm"), "")),
    );
    let (slow, tiny) = (node_label("warm-nodes", "slow"), node_label("warm-nodes", "tiny"));
    // At no moment before the copy is complete.
    until("both nodes to have both labels", SOON, || async {
        for (key, cache) in [(&slow, "slow"), (&tiny, "tiny")] {
            let (said, is) = (labelled(&world, key).await, complete(&world, "warm-nodes", cache).await);
            assert!(said.is_subset(&is), "{cache} is said to be on {said:?} and is complete on {is:?}");
        }
        let both = labelled(&world, &format!("{slow}=true,{tiny}")).await;
        if both.len() == 2 { Ok(()) } else { Err(format!("{both:?}")) }
    })
    .await;
    hub.control("throttle?bytesPerSecond=0");
    let said = world.ready("warm-nodes", "tiny").await.status.and_then(|it| it.node_label);
    assert_eq!(said.as_deref(), Some(tiny.as_str()), "the cache names its label");
    // It is back when somebody takes it off.
    world.kubectl(&["label", "node", "node-1", &format!("{tiny}-")]);
    wait(&world, &tiny, &["node-1", "node-2"]).await;
    // A pod that insists finds a node.
    world.apply(&insistent("warm-nodes", &tiny));
    until("the pod that insists to be scheduled", SOON, || async {
        let pods = world.pods("warm-nodes").await;
        let pod = pods.iter().find(|it| it.name_any() == "insistent");
        let node = pod.and_then(|it| it.spec.as_ref()).and_then(|it| it.node_name.clone());
        node.map(drop).ok_or_else(|| "not scheduled".to_owned())
    })
    .await;
    world.kubectl(&["-n", "warm-nodes", "delete", "pod", "insistent", "--grace-period=0", "--force"]);
    // The cache goes, and its label with it; the other's stays.
    world.kubectl(&["-n", "warm-nodes", "delete", "mcache", "tiny", "--wait=false"]);
    wait(&world, &tiny, &[]).await;
    wait(&world, &slow, &["node-1", "node-2"]).await;
    // Switched off, the operator leaves nothing behind.
    world.set_operator(&[("MODELCACHE_LABEL_NODES", "false")]);
    world.operator_ready();
    wait(&world, &slow, &[]).await;
    until("the cache to name no label", SOON, || async {
        let said = world.cache("warm-nodes", "slow").await.status.and_then(|it| it.node_label);
        if said.is_none() { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await;
    for file in files.iter().rev() {
        world.kubectl(&["delete", "-f", file.to_str().unwrap()]);
    }
    world.kubectl(&["delete", "namespace", "warm-nodes", "--wait=false"]);
    world.gone("", "v1", "Namespace", None, "warm-nodes").await;
}

/// A pod that only goes where a label is.
fn insistent(namespace: &str, key: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: insistent, namespace: {namespace}}}
spec:
  automountServiceAccountToken: false
  tolerations: [{{operator: Exists}}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{{matchExpressions: [{{key: \"{key}\", operator: Exists}}]}}]
  securityContext: {{runAsNonRoot: true, runAsUser: 4321, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: waits
    image: localhost/busybox:test
    imagePullPolicy: Never
    command: [sleep, \"3600\"]
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"
    )
}
