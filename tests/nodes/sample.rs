//! The samples of a per-node cache and of a Deployment that uses it, as a cluster without GPUs and without the internet can run
//! them: where the model comes from, and what the containers are, is all that is changed.

use crate::commands::root;
use crate::hub::Hub;
use crate::world::World;
use serde_json::{Value, json};

/// Where both samples are.
pub const NAMESPACE: &str = "studio";
/// The cache.
pub const CACHE: &str = "image-studio";
/// The Deployment.
pub const DEPLOYMENT: &str = "image-server";

/// Loads the whole model with the real client, offline, and stays.
const SERVER: &str = r#"
import os, time
from huggingface_hub import snapshot_download
assert os.environ["HF_HUB_OFFLINE"] == "1", os.environ
root = snapshot_download("Efficient-Large-Model/Sana_Sprint_0.6B_1024px_diffusers")
files = [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]
for file in files:
    with open(file, "rb") as opened:
        assert opened.read(), file
print("LOADED", len(files))
time.sleep(100000)
"#;

fn read(file: &str) -> Value {
    let text = std::fs::read_to_string(root().join("config/samples").join(file)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// `per-node.yaml`, with a hub that has its repository.
pub fn cache(hub: &Hub) -> String {
    let mut sample = read("per-node.yaml");
    let source = &mut sample["spec"]["sources"][0]["huggingFace"];
    let repo = source["repo"].as_str().unwrap().to_owned();
    hub.control(&format!(
        "repo?spec={repo}=model_index.json:1Ki,transformer/model.safetensors:9Mi,unet/model.onnx:5Mi"
    ));
    source["endpoint"] = json!(hub.url);
    sample.to_string()
}

/// `pod-deployment.yaml`, with programs that are there.
pub fn deployment() -> String {
    let mut sample = read("pod-deployment.yaml");
    let pod = &mut sample["spec"]["template"]["spec"];
    pod["securityContext"] = json!({
        "runAsNonRoot": true, "runAsUser": 4321, "runAsGroup": 4321, "seccompProfile": {"type": "RuntimeDefault"}
    });
    pod["terminationGracePeriodSeconds"] = json!(0);
    let containers = pod["containers"].as_array_mut().unwrap();
    for container in containers.iter_mut() {
        let (image, command) = match container["name"].as_str().unwrap() {
            "server" => ("localhost/python:test", json!(["python3", "-u", "-c", SERVER])),
            _ => ("localhost/busybox:test", json!(["sleep", "100000"])),
        };
        container["image"] = json!(image);
        container["command"] = command;
        container["imagePullPolicy"] = json!("Never");
        container["env"] = json!([{"name": "HOME", "value": "/tmp"}]);
        container["securityContext"] = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        // No device plugin hands out GPUs here.
        container.as_object_mut().unwrap().remove("resources");
    }
    sample.to_string()
}

/// The pods of the Deployment: UID, restarts of the server, and what it said.
pub async fn pods(world: &World) -> Vec<(String, i32, String)> {
    let mut found = vec![];
    for pod in world.pods(NAMESPACE).await {
        if pod.metadata.labels.as_ref().is_none_or(|it| it.get("app").is_none_or(|it| it != DEPLOYMENT)) {
            continue;
        }
        let name = pod.metadata.name.unwrap_or_default();
        let states = pod.status.and_then(|it| it.container_statuses).unwrap_or_default();
        let restarts = states.iter().find(|it| it.name == "server").map_or(0, |it| it.restart_count);
        let log = world.try_kubectl(&["-n", NAMESPACE, "logs", &name, "-c", "server"], None).unwrap_or_default();
        found.push((pod.metadata.uid.unwrap_or_default(), restarts, log));
    }
    found.sort();
    found
}
