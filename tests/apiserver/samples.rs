//! Samples: accepted as they are, and applied twice without a change.

use crate::support::apiserver::{administrator, refusal, send};
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
        assert_eq!(
            first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"],
            "{} drifts",
            sample.file
        );
        assert_eq!(first["metadata"]["generation"], 1, "{}", sample.file);
        assert_eq!(first["spec"], sample.document["spec"], "{}: the server added or changed something", sample.file);
    }
}
