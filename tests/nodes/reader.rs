//! A client in a pod: another user, a read-only mount, no network, the real library.

use crate::wait::until;
use crate::world::{SOON, World};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

/// A pod that mounts a claim read-only at `/models` and runs a command in an image.
pub fn pod(namespace: &str, name: &str, node: Option<&str>, claim: &str, image: &str, command: &[&str]) -> String {
    let selector =
        node.map_or_else(String::new, |node| format!("  nodeSelector: {{kubernetes.io/hostname: {node}}}\n"));
    let command = serde_json::to_string(command).unwrap();
    format!(
        r#"---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
{selector}  tolerations: [{{operator: Exists}}]
  securityContext: {{runAsNonRoot: true, runAsUser: 4321, runAsGroup: 4321, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: reader
    image: {image}
    imagePullPolicy: Never
    command: {command}
    env: [{{name: HF_HOME, value: /models/huggingface}}, {{name: HF_HUB_OFFLINE, value: "1"}}, {{name: HOME, value: /tmp}}]
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
    volumeMounts: [{{name: models, mountPath: /models, readOnly: true}}]
  volumes: [{{name: models, persistentVolumeClaim: {{claimName: {claim}, readOnly: true}}}}]
"#
    )
}

/// A pod that mounts nothing and runs a command of busybox on a node.
pub fn without_claim(namespace: &str, name: &str, node: &str, command: &[&str]) -> String {
    let all = pod(namespace, name, Some(node), "none", "localhost/busybox:test", command);
    let lines = all.lines().filter(|it| !it.contains("volumeMounts:") && !it.starts_with("  volumes:"));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// Runs Python in a pod and gives back what it printed. Panics when it fails.
pub async fn python(world: &World, namespace: &str, name: &str, node: Option<&str>, claim: &str, code: &str) -> String {
    world.apply(&pod(namespace, name, node, claim, "localhost/python:test", &["python3", "-c", code]));
    ended(world, namespace, name).await
}

/// Waits for the end of a pod; what it printed.
pub async fn ended(world: &World, namespace: &str, name: &str) -> String {
    let api: Api<Pod> = Api::namespaced(world.client.clone(), namespace);
    let phase = until(&format!("pod {name} to end"), SOON, || async {
        let pod = api.get(name).await.map_err(|it| it.to_string())?;
        let status = pod.status.unwrap_or_default();
        let phase = status.phase.clone().unwrap_or_default();
        if phase == "Succeeded" || phase == "Failed" { Ok(phase) } else { Err(format!("{status:?}")) }
    })
    .await;
    let said = world.kubectl(&["-n", namespace, "logs", name]);
    assert_eq!(phase, "Succeeded", "pod {name}: {said}");
    world.kubectl(&["-n", namespace, "delete", "pod", name, "--wait=false"]);
    said
}
