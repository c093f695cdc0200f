//! Pods with the label `modelcache.dev/cache` and nothing else about models: whoever makes them, and whenever.

use crate::commands::root;
use crate::manifests::{cache, hugging_face, pool};
use crate::reader::ended;
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_deployment_that_was_applied_before_its_cache_comes_up_by_itself),
        scenario!(jobs_stateful_sets_and_bare_pods_load_a_model_by_the_label_alone),
        scenario!(a_pod_on_a_node_that_is_still_warming_says_why_it_waits_and_starts_when_it_is_warm),
        scenario!(alone a_cache_that_a_pod_uses_is_not_deleted_by_mistake_and_goes_with_its_namespace),
    ]
}

/// Loads the model with nothing but what the pod was given: no network for the client, another user, a volume that it cannot
/// write to and that its `fsGroup` has not touched.
const LOAD: &str = r#"
import os
from huggingface_hub import snapshot_download
assert os.environ["HF_HUB_OFFLINE"] == "1", os.environ
root = snapshot_download("demo/tiny-llm")
assert root.startswith("/modelcache/models/"), root
files = [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]
for file in files:
    with open(file, "rb") as opened:
        assert opened.read(), file
    status = os.stat(file)
    assert (status.st_gid, status.st_mode & 0o7777) == (65532, 0o644), (file, status)
try:
    open("/modelcache/models/x", "w")
    raise SystemExit("the volume can be written to")
except OSError as error:
    print("LOADED", len(files), error.strerror)
"#;

/// A pod template that asks for a cache; `then` is what its command does after the model was loaded.
fn template(cache: &str, restart: &str, then: &str) -> String {
    let code = serde_json::to_string(&format!("{LOAD}{then}")).unwrap();
    format!(
        "metadata: {{labels: {{app: reader, modelcache.dev/cache: {cache}}}}}
spec:
  restartPolicy: {restart}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  tolerations: [{{operator: Exists}}]
  securityContext: {{runAsNonRoot: true, runAsUser: 4321, runAsGroup: 4321, fsGroup: 4321, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: reader
    image: localhost/python:test
    imagePullPolicy: Never
    command: [python3, -u, -c, {code}]
    env: [{{name: HOME, value: /tmp}}]
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"
    )
}

/// The template with requests and limits.
fn sized(template: &str) -> String {
    let image = "    image: localhost/python:test\n";
    let resources = "    resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 1, memory: 512Mi}}\n";
    template.replace(image, &format!("{image}{resources}"))
}

/// The template as a part of something else, indented.
fn indented(text: &str, by: usize) -> String {
    let indent = " ".repeat(by);
    let lines: Vec<String> = text.lines().map(|line| format!("{indent}{line}")).collect();
    lines.join("\n") + "\n"
}

fn bare_pod(namespace: &str, name: &str, template: &str) -> String {
    let template = template.replacen("metadata: {", &format!("metadata: {{name: {name}, namespace: {namespace}, "), 1);
    format!("---\napiVersion: v1\nkind: Pod\n{template}")
}

fn deployment(namespace: &str, name: &str, template: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  replicas: 2\n  selector: {{matchLabels: {{app: reader}}}}\n  template:\n{}",
        indented(template, 4)
    )
}

fn stateful_set(namespace: &str, name: &str, template: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  replicas: 2\n  podManagementPolicy: Parallel\n  serviceName: {name}\n  selector: {{matchLabels: {{app: reader}}}}\n  template:\n{}",
        indented(template, 4)
    )
}

fn job(namespace: &str, name: &str, template: &str) -> String {
    format!(
        "---\napiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  template:\n{}",
        indented(template, 4)
    )
}

/// Sleeps for as long as nobody ends it.
const STAY: &str = "\nimport time\ntime.sleep(100000)\n";

async fn a_deployment_that_was_applied_before_its_cache_comes_up_by_itself(world: Arc<World>) {
    world.namespace("early");
    let hub = world.hub();
    world.apply(&pool("early", ""));
    world.apply(&deployment("early", "reader", &template("tiny", "Always", STAY)));
    let sets: Api<ReplicaSet> = Api::namespaced(world.client.clone(), "early");
    until("the ReplicaSet to say that the cache is missing", SOON, || async {
        let list = sets.list(&ListParams::default()).await.map_err(|it| it.to_string())?;
        let conditions = list.items.into_iter().filter_map(|it| it.status?.conditions).flatten();
        let said: Vec<String> = conditions.filter_map(|it| it.message).collect();
        let expected = "asks for the ModelCache tiny, and the namespace early has none yet";
        if said.iter().any(|it| it.contains(expected)) { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await;
    assert!(world.pods("early").await.is_empty(), "a pod without its volumes was let in");

    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(&cache("early", "tiny", "early", "100Mi", &sources, ""));
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), "early");
    until("the Deployment to be available", SOON, || async {
        let status = deployments.get_status("reader").await.map_err(|it| it.to_string())?.status.unwrap_or_default();
        if status.available_replicas == Some(2) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    until("both pods to have loaded the model", SOON, || async {
        let said = world.try_kubectl(&["-n", "early", "logs", "-l", "app=reader", "-c", "reader"], None)?;
        if said.matches("LOADED").count() == 2 { Ok(()) } else { Err(said) }
    })
    .await;
}

async fn jobs_stateful_sets_and_bare_pods_load_a_model_by_the_label_alone(world: Arc<World>) {
    world.namespace("kinds");
    let hub = world.hub();
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    // A tenant with a quota on everything: a pod whose init container says nothing would be refused.
    let quota = "---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {name: all, namespace: kinds}\nspec: {hard: {requests.cpu: 20, limits.cpu: 20, requests.memory: 20Gi, limits.memory: 20Gi}}\n";
    let (once, stay) = (sized(&template("tiny", "Never", "")), sized(&template("tiny", "Always", STAY)));
    // Ours say what they take; they count against the quota as everybody's do.
    let resources =
        "  podTemplate: {resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 1, memory: 512Mi}}}\n";
    world.apply(&(pool("kinds", "") + quota + &cache("kinds", "tiny", "kinds", "100Mi", &sources, resources)));
    world.apply(&(job("kinds", "job", &once) + &stateful_set("kinds", "set", &stay)));
    // Nobody tries again for a bare pod: it is applied once the API server knows the cache.
    until("the bare pod to be let in", SOON, || async {
        let pod = bare_pod("kinds", "bare", &once);
        world.try_kubectl(&["apply", "-f", "-"], Some(&pod))
    })
    .await;
    let said = ended(&world, "kinds", "bare").await;
    assert!(said.contains("LOADED"), "{said}");
    until("the Job and the StatefulSet to have loaded the model", SOON, || async {
        for pod in ["job/job", "pod/set-0", "pod/set-1"] {
            let said = world.try_kubectl(&["-n", "kinds", "logs", pod, "-c", "reader"], None)?;
            said.contains("LOADED").then_some(()).ok_or_else(|| format!("{pod}: {said}"))?;
        }
        Ok(())
    })
    .await;
    let sets: Api<StatefulSet> = Api::namespaced(world.client.clone(), "kinds");
    until("the StatefulSet to be ready", SOON, || async {
        let status = sets.get_status("set").await.map_err(|it| it.to_string())?.status.unwrap_or_default();
        if status.ready_replicas == Some(2) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
}

async fn a_pod_on_a_node_that_is_still_warming_says_why_it_waits_and_starts_when_it_is_warm(world: Arc<World>) {
    world.namespace("waiting");
    let hub = world.hub();
    hub.control("repo?spec=demo/tiny-llm=model.bin:40Mi,config.json:300");
    hub.control("throttle?bytesPerSecond=500000");
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(&(pool("waiting", "") + &cache("waiting", "tiny", "waiting", "200Mi", &sources, "")));
    let template = template("tiny", "Never", "").replace(
        "  restartPolicy: Never\n",
        "  restartPolicy: Never\n  nodeSelector: {kubernetes.io/hostname: node-2}\n",
    );
    until("the pod to be let in", SOON, || async {
        let pod = bare_pod("waiting", "reader", &template);
        world.try_kubectl(&["apply", "-f", "-"], Some(&pod))
    })
    .await;
    let said = until("the pod to say what it waits for", SOON, || async {
        let pods: Api<Pod> = Api::namespaced(world.client.clone(), "waiting");
        let status = pods.get("reader").await.map_err(|it| it.to_string())?.status.unwrap_or_default();
        let waits = status.init_container_statuses.iter().flatten().next();
        let running = waits.and_then(|it| it.state.as_ref()).is_some_and(|it| it.running.is_some());
        let main = status.container_statuses.iter().flatten().any(|it| it.started == Some(true));
        assert!(!main, "the pod runs before the copy is complete");
        if !running {
            return Err(format!("{status:?}"));
        }
        let said = world.try_kubectl(&["-n", "waiting", "logs", "reader", "-c", "modelcache-wait"], None)?;
        if said.contains("waiting for cache") { Ok(said) } else { Err(said) }
    })
    .await;
    for expected in [
        "cache `tiny` on /volumes/models of node node-2",
        "nothing is complete yet",
        "kubectl describe modelcache tiny",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    hub.control("throttle?bytesPerSecond=0");
    let said = ended(&world, "waiting", "reader").await;
    assert!(said.contains("LOADED 2"), "{said}");
}

async fn a_cache_that_a_pod_uses_is_not_deleted_by_mistake_and_goes_with_its_namespace(world: Arc<World>) {
    world.set_operator(&[("MODELCACHE_TRACK_USE", "true")]);
    world.operator_ready();
    let policy = root().join("config/policy/delete-guard/policy.yaml");
    world.kubectl(&["apply", "-f", policy.to_str().unwrap()]);
    world.namespace("guarded");
    let hub = world.hub();
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(&(pool("guarded", "") + &cache("guarded", "tiny", "guarded", "100Mi", &sources, "")));
    world.apply(&deployment("guarded", "reader", &template("tiny", "Always", STAY)));
    let in_use = |expected: bool| {
        let world = world.clone();
        async move {
            until(&format!("inUse to be {expected}"), SOON, || async {
                let said = world.cache("guarded", "tiny").await.status.and_then(|it| it.in_use);
                if said == Some(expected) { Ok(()) } else { Err(format!("{said:?}")) }
            })
            .await;
        }
    };
    in_use(true).await;
    let delete = ["-n", "guarded", "delete", "mcache", "tiny", "--wait=false"];
    let refused = until("the guard to be in force", SOON, || async {
        let dry: Vec<&str> = delete.iter().copied().chain(["--dry-run=server"]).collect();
        world.try_kubectl(&dry, None).err().ok_or_else(|| "it would be deleted".to_owned())
    })
    .await;
    assert!(refused.contains("pods use the ModelCache tiny"), "{refused}");
    world.kubectl(&["-n", "guarded", "scale", "deployment", "reader", "--replicas=0"]);
    in_use(false).await;
    world.kubectl(&["-n", "guarded", "scale", "deployment", "reader", "--replicas=1"]);
    in_use(true).await;
    world.kubectl(&["delete", "namespace", "guarded", "--wait=false"]);
    world.gone("", "v1", "Namespace", None, "guarded").await;
    world.kubectl(&["delete", "-f", policy.to_str().unwrap()]);
    world.set_operator(&[("MODELCACHE_TRACK_USE", "false")]);
    world.operator_ready();
}
