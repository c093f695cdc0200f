//! What the agent lays out, the real clients load: offline, as another user, from a read-only mount.
//!
//! Each version of `huggingface_hub` runs `matrix.py` in a namespace without network, with the environment that the
//! operator gives to pods. Needs root (for the namespaces), `unshare`, `setpriv`, Python 3 with pip, and once the package
//! index; packages are kept under `${XDG_CACHE_HOME:-~/.cache}/modelcache-operator/clients`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is test code; the lint knows only marked functions")]

#[path = "../support/hub/mod.rs"]
mod hub;

mod archives;
mod beside;
mod from_a_claim;
mod hf;
mod materialized;
mod nltk;
mod online;
mod python;
mod restored;
mod speech;
mod wheels;

use hub::Hub;
use modelcache::agent::layout::environment::environment;
use modelcache::api::ModelCacheSpec;
use python::Python;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Where pods would see the volume: inside the namespace's own directory.
const MOUNT: &str = "models";

/// A volume with a complete repository, one that was filtered, a data set, and one asked for by tag and by commit.
fn warmed(hub: &Hub, directory: &Path) -> (ModelCacheSpec, Value) {
    hub.repo("org/filtered=config.json:200,model.safetensors:1Mi,original/model.safetensors:1Mi,a/b/c.json:20");
    hub.repo("dataset:org/rows=data/train.parquet:1Mi,README.md:90");
    let tagged = hub.repo("org/tagged=config.json:70,deep/er/x.bin:300Ki");
    let source = |name: &str, repo: &str, more: Value| {
        let mut hub_source = json!({"repo": repo, "endpoint": hub.url});
        hub_source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"name": name, "huggingFace": hub_source})
    };
    let sources = [
        source("tiny", "demo/tiny-llm", json!({})),
        source("filtered", "org/filtered", json!({"exclude": ["original/"]})),
        source("rows", "org/rows", json!({"repoType": "Dataset"})),
        source("tag", "org/tagged", json!({"revision": "v1"})),
        source("commit", "org/tagged", json!({"revision": tagged})),
    ];
    let spec = spec(directory, &sources);

    let main = |id: &str| {
        let inner = hub.state.lock();
        let repo = inner.repos.values().find(|it| it.id == id).unwrap();
        let commit = repo.refs["main"].clone();
        let files: BTreeMap<String, String> =
            repo.commits[&commit].iter().map(|(path, it)| (path.clone(), it.hashes().sha256.clone())).collect();
        json!({"commit": commit, "files": files})
    };
    let expected: BTreeMap<&str, Value> =
        ["demo/tiny-llm", "org/filtered", "org/rows", "org/tagged"].map(|id| (id, main(id))).into();
    (prefetched(directory, &spec), json!(expected))
}

/// Puts the content of a cache of one volume, `models`, below the directory, for everybody to enter.
fn prefetched(directory: &Path, spec: &Value) -> ModelCacheSpec {
    std::fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let cache =
        json!({"apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "x"}, "spec": spec});
    let file = directory.join("cache.yaml");
    std::fs::write(&file, cache.to_string()).unwrap();
    let mut prefetch = Command::new(env!("CARGO_BIN_EXE_modelcache"));
    prefetch.arg("prefetch").arg("-f").arg(file).arg("--volumes-dir").arg(directory.join("volumes"));
    let output = prefetch.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    serde_json::from_value(spec.clone()).unwrap()
}

/// The spec of a cache of one volume, as the clients below the directory see it.
fn spec(directory: &Path, sources: &[Value]) -> Value {
    let mount = directory.join("aside").join(MOUNT);
    json!({"volumes": [{"name": "models", "mountPath": mount, "shared": {"size": "1Gi"}}], "sources": sources})
}

/// Python, with the volume of the directory.
fn python(directory: &Path) -> Python {
    Python::new(directory.join("aside"), directory.join("volumes/models"), MOUNT)
}

#[test]
fn every_client_loads_everything_offline_as_another_user_from_a_read_only_mount() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let (spec, expected) = warmed(&hub, directory.path());
    let python = python(directory.path());
    let environment = environment(&spec);
    for (version, transformers) in [("0.36.2", None), ("1.17.0", None), ("1.31.0", None), ("2.4.0", Some("5.23.0"))] {
        let mut packages = vec![format!("huggingface_hub=={version}")];
        packages.extend(transformers.map(|it| format!("transformers=={it}")));
        let said = python.run(&packages, include_str!("matrix.py"), &environment, &expected);
        assert!(said.ends_with(&format!("{version}: all of it\n")), "{version}: {said}");
    }
}
