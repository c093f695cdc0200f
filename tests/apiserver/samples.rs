//! Samples: accepted as they are, and applied twice without a change.

use crate::support::apiserver::{administrator, control_plane, eventually, refusal, send};
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

#[tokio::test]
async fn what_kubectl_has_applied_it_finds_as_it_was_also_after_a_status_was_written() {
    let (client, plane) = (administrator().await, control_plane().await);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "studio"}});
    send(&client, "PATCH", "/api/v1/namespaces/studio?fieldManager=test", &namespace).await.unwrap();
    let apply = || plane.kubectl(&["apply", "--server-side", "--field-manager=test", "-f", "config/samples"]);
    apply();
    for sample in all()
        .into_iter()
        .filter(|it| it.document["apiVersion"].as_str().is_some_and(|it| it.starts_with("modelcache.dev/")))
    {
        let status = json!({
            "apiVersion": sample.document["apiVersion"], "kind": sample.kind(),
            "status": {"observedGeneration": 1, "conditions": [{
                "type": "Ready", "status": "Unknown", "reason": "Pending", "message": "", "lastTransitionTime": "2026-11-21T00:00:00Z"
            }]}
        });
        let target = format!("{}/status?fieldManager={}", path(&sample), modelcache::api::STATUS_FIELD_MANAGER);
        send(&client, "PATCH", &target, &status)
            .await
            .unwrap_or_else(|it| panic!("{}: {:#?}", sample.file, refusal(&it)));
    }
    let difference = plane.kubectl(&["diff", "--server-side", "--field-manager=test", "-f", "config/samples"]);
    assert_eq!(difference, "", "a GitOps tool would see drift");
    let versions = || {
        plane.kubectl(&[
            "get",
            "mcache,mcbackup,mcrestore",
            "-n",
            "studio",
            "-o",
            "jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{\"\\n\"}{end}",
        ])
    };
    let before = versions();
    apply();
    assert_eq!(versions(), before, "applying the same again writes something");
}
