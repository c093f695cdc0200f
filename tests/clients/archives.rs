//! What comes out of archives, the real clients load: spaCy by path, torch.hub from its cache.
//!
//! spaCy is the real one. torch's own `hub.py` is too, from its smallest wheel, with the rest of torch replaced by the two
//! names that it uses: what is tested is where it looks and what it trusts, not tensors.

use crate::hub::Hub;
use crate::python::{Python, output};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const MOUNT: &str = "models";
const TORCH: &str = "2.15.0";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Makes a pipeline, and a wheel of it with what spaCy's own wheels have.
const MAKE: &str = r#"
import os, sys, zipfile
import spacy
nlp = spacy.blank("en", meta={"name": "tiny", "version": "1.0.0"})
nlp.add_pipe("sentencizer")
nlp.to_disk(sys.argv[1] + "/pipeline")
with zipfile.ZipFile(sys.argv[1] + "/wheel", "w", zipfile.ZIP_DEFLATED) as wheel:
    wheel.writestr("en_tiny/__init__.py", "raise Exception('not by import')")
    wheel.writestr("en_tiny-1.0.0.dist-info/RECORD", "")
    for base, _, names in os.walk(sys.argv[1] + "/pipeline"):
        for name in names:
            path = os.path.join(base, name)
            wheel.write(path, "en_tiny/en_tiny-1.0.0/" + os.path.relpath(path, sys.argv[1] + "/pipeline"))
"#;

const SPACY: &str = r#"
import json, os, sys
import spacy
nlp = spacy.load(os.environ["HERE"] + "/spacy/en_tiny/en_tiny-1.0.0")
assert [str(it) for it in nlp("One is here. Two are there.").sents] == ["One is here.", "Two are there."]
assert nlp.meta["name"] == "tiny"
print("spacy: all of it")
"#;

const TORCH_HUB: &str = r#"
import builtins, json, os, sys
import torch

def nobody(*_):
    raise AssertionError("torch.hub asks whether somebody trusts this")

builtins.input = nobody
expected = json.loads(sys.argv[1])
url = expected["checkpoint"]
found = torch.hub.load_state_dict_from_url(url, check_hash=True, weights_only=True)
assert found == expected["bytes"].encode(), found
assert torch.hub.load("org/nets:feature/x", "net", 3, trust_repo="check") == 6
assert torch.hub.list("org/nets:feature/x", trust_repo="check", skip_validation=True) == ["net"]
with open(torch.hub.get_dir() + "/trusted_list") as file:
    assert file.read() == "org_nets\n"
print("torch.hub: all of it")
"#;

/// Fetches the sources to the volume, and gives a client's view of it.
fn warmed(directory: &Path, sources: &[Value]) -> (Python, BTreeMap<String, String>) {
    fs::set_permissions(directory, PermissionsExt::from_mode(0o755)).unwrap();
    let cache = json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "x"},
        "spec": {"volumes": [{"name": "models", "shared": {"size": "1Gi"}}], "sources": sources}
    });
    let file = directory.join("cache.yaml");
    fs::write(&file, cache.to_string()).unwrap();
    let mut prefetch = Command::new(env!("CARGO_BIN_EXE_modelcache"));
    output(prefetch.arg("prefetch").arg("-f").arg(file).arg("--volumes-dir").arg(directory.join("volumes")));
    let aside = directory.join("aside");
    let here = aside.join(MOUNT).to_str().unwrap().to_owned();
    let environment = BTreeMap::from([("TORCH_HOME".to_owned(), format!("{here}/torch")), ("HERE".to_owned(), here)]);
    (Python::new(aside, directory.join("volumes/models"), MOUNT), environment)
}

#[test]
fn spacy_loads_a_pipeline_by_its_path() {
    let (directory, hub) = (tempfile::tempdir().unwrap(), Hub::start());
    let packages = ["spacy==3.8.18".to_owned()];
    let aside = directory.path().join("made");
    fs::create_dir(&aside).unwrap();
    let python = Python::new(aside.clone(), aside.clone(), MOUNT);
    let installed = python.packages(&packages);
    output(Command::new("python3").env("PYTHONPATH", installed).args(["-c", MAKE]).arg(&aside));
    hub.put("en_tiny-1.0.0/en_tiny-1.0.0-py3-none-any.whl", fs::read(aside.join("wheel")).unwrap());
    let endpoint = format!("{}/files", hub.url);
    let source = json!({"name": "s", "spacy": {"model": "en_tiny", "version": "1.0.0", "endpoint": endpoint}});
    let (python, environment) = warmed(directory.path(), &[source]);
    let said = python.run(&packages, SPACY, &environment, &json!({}));
    assert!(said.ends_with("spacy: all of it\n"), "{said}");
}

#[test]
fn torch_hub_finds_checkpoint_and_repository_and_asks_nobody() {
    let (directory, hub) = (tempfile::tempdir().unwrap(), Hub::start());
    let hash = hub.put("net.pth", b"weights".to_vec());
    let name = format!("net-{hash:.8}.pth");
    hub.put(&name, b"weights".to_vec());
    let hubconf = "dependencies = ['json']\nfrom lib.x import FACTOR\ndef net(n):\n    return n * FACTOR\n";
    hub.put(
        &format!("org/nets/zipball/{COMMIT}"),
        zip(&[
            ("org-nets-0123456/hubconf.py", hubconf),
            ("org-nets-0123456/lib/__init__.py", ""),
            ("org-nets-0123456/lib/x.py", "FACTOR = 2"),
        ]),
    );
    hub.put("api/v3/repos/org/nets/commits/feature/x", COMMIT.as_bytes().to_vec());
    let endpoint = format!("{}/files", hub.url);
    let checkpoint = format!("{endpoint}/{name}");
    let sources = [
        json!({"name": "w", "torchHub": {"checkpoint": checkpoint}}),
        json!({"name": "r", "torchHub": {"repo": "org/nets:feature/x", "endpoint": endpoint}}),
    ];
    let (python, environment) = warmed(directory.path(), &sources);
    let packages = torch(&python);
    let expected = json!({"checkpoint": checkpoint, "bytes": "weights"});
    let said = python.run_with(&packages, TORCH_HUB, &environment, &expected);
    assert!(said.ends_with("torch.hub: all of it\n"), "{said}");
}

/// torch's own `hub.py`, alone.
fn torch(python: &Python) -> std::path::PathBuf {
    python.cached(&format!("torch-{TORCH}-hub"), |partial| {
        let wheels = tempfile::tempdir().unwrap();
        let mut pip = Command::new("python3");
        // The smallest of its wheels: `hub.py` is the same in all.
        pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.12"]);
        pip.args(["--platform", "macosx_14_0_arm64", "--dest"]).arg(wheels.path());
        output(pip.arg(format!("torch=={TORCH}")));
        let extract = "import sys, zipfile, glob\n\
                       zipfile.ZipFile(glob.glob(sys.argv[1] + '/*.whl')[0]).extract('torch/hub.py', sys.argv[2])";
        output(Command::new("python3").args(["-c", extract]).arg(wheels.path()).arg(partial));
        fs::write(partial.join("torch/serialization.py"), "MAP_LOCATION = object\n").unwrap();
        let load = "def load(path, map_location=None, weights_only=None):\n    return open(path, 'rb').read()\n";
        fs::write(partial.join("torch/__init__.py"), format!("{load}from . import hub\n")).unwrap();
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        output(pip.arg(partial).arg("typing_extensions"));
    })
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
