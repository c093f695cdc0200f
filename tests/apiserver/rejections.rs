//! A table of wrong specs, and what the API server says about each.
//!
//! Every case is one change to a spec that is accepted as it stands; the text is the whole answer.

use crate::support::apiserver::{administrator, refusal, send};
use serde_json::{Value, json};

mod backups;
mod caches;
mod cleanup;
mod pools;
mod registries;
mod runs;
mod schedules;
mod web;

/// A change to a document: where, and what instead (null removes).
pub struct Change(pub &'static str, pub Value);

/// What the answer must be: nothing when the change is fine.
pub type Answer = &'static [&'static str];

pub const FINE: Answer = &[];

const CACHES: &str = "/apis/modelcache.dev/v1alpha1/namespaces/default/modelcaches";
const POOLS: &str = "/apis/modelcache.dev/v1alpha1/nodecachepools";

/// A cache that is accepted, with one volume of each kind.
pub fn cache() -> Value {
    json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache",
        "metadata": {"name": "good"},
        "spec": {
            "volumes": [
                {"name": "models", "mountPath": "/models", "perNode": {"pool": "gpu", "size": "60Gi"}},
                {"name": "assets", "shared": {"size": "20Gi", "storageClassName": "rwx", "accessModes": ["ReadWriteMany"]},
                 "directories": ["images", "a/b"]},
                {"name": "logs", "existingClaim": {"claimName": "studio-logs"}}
            ],
            "sources": [
                {"name": "hub", "volume": "models", "huggingFace": {
                    "repo": "org/name", "revision": "main", "path": "huggingface", "endpoint": "https://hub.example",
                    "tokenSecretRef": {"name": "hf", "key": "token"}
                }},
                {"name": "web", "volume": "assets", "http": {"url": "https://x.org/a.bin", "path": "files/a.bin"}}
            ],
            "placement": {"nodeSelector": {"disk": "nvme"}},
            "rollout": {"maxParallel": 4, "maxFailures": "25%"},
            "podTemplate": {
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}],
                "labels": {"team": "studio"},
                "resources": {"requests": {"cpu": 1, "memory": "128Mi"}},
                "securityContext": {"runAsUser": 1000}
            }
        }
    })
}

/// A pool that is accepted.
pub fn pool() -> Value {
    json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "NodeCachePool",
        "metadata": {"name": "good"},
        "spec": {
            "nodeSelector": {"matchLabels": {"disk": "nvme"}}, "gpu": "NVIDIA",
            "path": "/mnt/nvme/modelcache", "capacity": "500Gi", "minFree": "1Gi", "maxParallel": 2,
            "namespaces": {"names": ["studio"]}
        }
    })
}

/// The document with changes made. A pointer to what is not there makes the last part of it.
pub fn with(document: &Value, changes: &[Change]) -> Value {
    let mut document = document.clone();
    for Change(pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
            Value::Object(object) if value.is_null() => drop(object.remove(key)),
            Value::Object(object) => drop(object.insert(key.to_owned(), value.clone())),
            Value::Array(items) if key == "-" => items.push(value.clone()),
            Value::Array(items) if value.is_null() => drop(items.remove(key.parse().unwrap())),
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{parent} is {other}"),
        }
    }
    document
}

/// Tries every case on its own and fails with all that answered otherwise.
async fn check_creates(path: &str, good: &Value, cases: Vec<(&str, Vec<Change>, Answer)>) {
    let client = administrator().await;
    let mut wrong = vec![];
    for (what, changes, expected) in cases {
        let answer =
            send(&client, "POST", &format!("{path}?dryRun=All&fieldValidation=Strict"), &with(good, &changes)).await;
        note(&mut wrong, what, answer, expected);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Tries every change to an object that exists.
async fn check_updates(path: &str, good: &Value, name: &str, cases: Vec<(&str, Vec<Change>, Answer)>) {
    let client = administrator().await;
    let mut stored = good.clone();
    stored["metadata"]["name"] = json!(name);
    let target = format!("{path}/{name}");
    let stored = send(&client, "PATCH", &format!("{target}?fieldManager=rejections"), &stored).await.unwrap();
    let mut wrong = vec![];
    for (what, changes, expected) in cases {
        let answer =
            send(&client, "PUT", &format!("{target}?dryRun=All&fieldValidation=Strict"), &with(&stored, &changes))
                .await;
        note(&mut wrong, what, answer, expected);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn note(wrong: &mut Vec<String>, what: &str, answer: Result<Value, Box<kube::core::Status>>, expected: Answer) {
    let said = answer.err().map(|status| refusal(&status)).unwrap_or_default();
    if said != expected {
        wrong.push(format!("{what}:\n  expected {expected:#?}\n  but got  {said:#?}"));
    }
}
