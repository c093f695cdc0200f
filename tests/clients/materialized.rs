//! A tree without links that `materialize` made loads with the real clients: offline, as another user, read-only.

use crate::hub::Hub;
use crate::python::{Python, output};
use crate::{MOUNT, prefetched, spec};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Everything that a path to a directory is given to, and the bytes of each file.
const LOAD: &str = r#"
import hashlib, json, os, sys
expected = json.loads(sys.argv[1])
tree = expected["tree"]
found = {}
for base, directories, names in os.walk(tree):
    for name in directories + names:
        assert not os.path.islink(os.path.join(base, name)), name
    for name in names:
        path = os.path.join(base, name)
        found[os.path.relpath(path, tree)] = hashlib.sha256(open(path, "rb").read()).hexdigest()
ours = found.pop(".modelcache-materialized.json", None)
assert ours, sorted(found)
assert found == expected["files"], set(found) ^ set(expected["files"])

# For one file the client wants to write beside it; for all of them it takes the directory as it is.
from huggingface_hub import snapshot_download
assert snapshot_download("demo/tiny-llm", local_dir=tree) == tree

import importlib.util
if importlib.util.find_spec("transformers"):
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig
    from safetensors import safe_open

    config = AutoConfig.from_pretrained(tree)
    assert config.model_type == "llama"
    tokens = AutoTokenizer.from_pretrained(tree)
    assert tokens.decode(tokens("hello world offline")["input_ids"]), "no tokens"
    assert GenerationConfig.from_pretrained(tree).eos_token_id == 2
    with safe_open(os.path.join(tree, "model.safetensors"), framework="np") as weights:
        names = list(weights.keys())
        shape = weights.get_tensor("model.embed_tokens.weight").shape
    assert shape[1] == config.hidden_size and len(names) > config.num_hidden_layers, (shape, names)
print("the tree: all of it")
"#;

fn expected(hub: &Hub, tree: &Path) -> Value {
    let inner = hub.state.lock();
    let repo = inner.repos.values().find(|it| it.id == "demo/tiny-llm").unwrap();
    let files: BTreeMap<&String, String> =
        repo.commits[&repo.refs["main"]].iter().map(|(path, it)| (path, it.hashes().sha256.clone())).collect();
    json!({"tree": tree, "files": files})
}

#[test]
fn a_materialized_tree_loads_offline_as_another_user_from_a_read_only_mount() {
    let (directory, hub) = (tempfile::tempdir().unwrap(), Hub::start());
    let source = json!({"name": "tiny", "huggingFace": {"repo": "demo/tiny-llm", "endpoint": hub.url}});
    prefetched(directory.path(), &spec(directory.path(), &[source]));
    for (how, more) in [("linked", None), ("copied", Some("--copy"))] {
        let trees = directory.path().join(how);
        let mut materialize = Command::new(env!("CARGO_BIN_EXE_modelcache"));
        materialize.args(["materialize", "-f"]).arg(directory.path().join("cache.yaml"));
        materialize.arg("--volumes-dir").arg(directory.path().join("volumes")).arg("--to").arg(&trees);
        output(materialize.args(more));
        // Only the tree is mounted: nothing in it needs the cache.
        let aside = directory.path().join("aside");
        let python = Python::new(aside.clone(), trees, MOUNT);
        let expected = expected(&hub, &aside.join(MOUNT).join("tiny"));
        let offline = BTreeMap::from([("HF_HUB_OFFLINE".to_owned(), "1".to_owned())]);
        for packages in [&["huggingface_hub==0.36.2"][..], &["huggingface_hub==2.4.0", "transformers==5.23.0"]] {
            let packages: Vec<String> = packages.iter().map(|it| (*it).to_owned()).collect();
            let said = python.run(&packages, LOAD, &offline, &expected);
            assert!(said.ends_with("the tree: all of it\n"), "{how}, {packages:?}: {said}");
        }
    }
}
