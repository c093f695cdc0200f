//! Samples: accepted as they are, and applied twice without a change.

use crate::support::apiserver::{administrator, eventually, refusal, send};
use crate::support::samples::{Sample, all};
use serde_json::json;

fn path(sample: &Sample) -> String {
    let metadata = &sample.document["metadata"];
    let name = sample.name();
    match (sample.kind(), metadata["namespace"].as_str()) {
        ("ModelCache", Some(namespace)) => {
            format!("/apis/modelcache.dev/v1alpha1/namespaces/{namespace}/modelcaches/{name}")
        }
        ("ModelCacheBackup", Some(namespace)) => {
            format!("/apis/modelcache.dev/v1alpha1/namespaces/{namespace}/modelcachebackups/{name}")
        }
        ("ModelCacheRestore", Some(namespace)) => {
            format!("/apis/modelcache.dev/v1alpha1/namespaces/{namespace}/modelcacherestores/{name}")
        }
        ("Deployment", Some(namespace)) => format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}"),
        ("Job", Some(namespace)) => format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}"),
        ("NodeCachePool", None) => format!("/apis/modelcache.dev/v1alpha1/nodecachepools/{name}"),
        (kind, namespace) => panic!("{}: {kind} in {namespace:?}", sample.file),
    }
}

#[tokio::test]
async fn every_sample_can_be_applied_twice_and_the_second_time_changes_nothing() {
    let client = administrator().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "studio"}});
    send(&client, "PATCH", "/api/v1/namespaces/studio?fieldManager=test", &namespace).await.unwrap();
    for sample in all() {
        let target = format!("{}?fieldManager=test&fieldValidation=Strict", path(&sample));
        let apply = || async {
            send(&client, "PATCH", &target, &sample.document)
                .await
                .unwrap_or_else(|status| panic!("{}: {:#?}", sample.file, refusal(&status)))
        };
        let (first, second) = (apply().await, apply().await);
        assert_eq!(first["metadata"]["generation"], 1, "{}", sample.file);
        if !sample.document["apiVersion"].as_str().unwrap_or_default().starts_with(modelcache::api::GROUP) {
            // Kubernetes' own kinds have defaults, and controllers that write their status meanwhile.
            assert_eq!(second["metadata"]["generation"], 1, "{} drifts", sample.file);
            continue;
        }
        assert_eq!(
            first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"],
            "{} drifts",
            sample.file
        );
        assert_eq!(first["spec"], sample.document["spec"], "{}: the server added or changed something", sample.file);
    }
}

#[tokio::test]
async fn every_pod_of_a_sample_is_given_its_cache() {
    let client = administrator().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "studio"}});
    send(&client, "PATCH", "/api/v1/namespaces/studio?fieldManager=test", &namespace).await.unwrap();
    let samples = all();
    for sample in samples.iter().filter(|it| it.kind() == "ModelCache") {
        send(&client, "PATCH", &format!("{}?fieldManager=test", path(sample)), &sample.document).await.unwrap();
    }
    for sample in samples.iter().filter(|it| it.document["spec"]["template"].is_object()) {
        let template = &sample.document["spec"]["template"];
        let mut pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
        pod["metadata"]["generateName"] = json!("sample-");
        let given = eventually(&sample.file, || async {
            let answer = send(&client, "POST", "/api/v1/namespaces/studio/pods?dryRun=All", &pod).await;
            answer.map_err(|status| refusal(&status).join("; "))
        })
        .await;
        assert_eq!(given["spec"]["initContainers"][0]["name"], "modelcache-wait", "{}", sample.file);
    }
}
