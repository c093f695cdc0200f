//! How is the real `hf` run with the network, on a volume that the agent fills?

use crate::hub::Hub;
use crate::python;
use crate::python::Python;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A released version of the client.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    /// What pip is asked for.
    packages: &'static [&'static str],
    /// Whether `hf cache` has `ls`, `verify`, `rm` and `prune`: before, it had `scan`, and a menu to delete from.
    pub has_cache_commands: bool,
}

pub const VERSIONS: [Version; 4] = [
    Version { packages: &["huggingface_hub==0.36.2"], has_cache_commands: false },
    Version { packages: &["huggingface_hub==1.17.0"], has_cache_commands: true },
    Version { packages: &["huggingface_hub==1.31.0"], has_cache_commands: true },
    Version { packages: &["huggingface_hub==2.4.0", "transformers==5.23.0"], has_cache_commands: true },
];

/// A hub, a volume, and both programs.
pub struct Both {
    pub hub: Hub,
    directory: tempfile::TempDir,
    python: Python,
    packages: PathBuf,
}

impl Both {
    /// With these repositories, each a source of its own with more fields.
    pub fn new(version: Version, sources: &dyn Fn(&Hub) -> Vec<Value>) -> Self {
        let (hub, directory) = (Hub::start(), tempfile::tempdir().unwrap());
        let sources: Vec<Value> = sources(&hub)
            .into_iter()
            .map(|mut it| {
                it["huggingFace"]["endpoint"] = json!(hub.url);
                it
            })
            .collect();
        let cache = json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "x"},
            "spec": {"volumes": [{"name": "models", "shared": {"size": "1Gi"}}], "sources": sources}
        });
        std::fs::write(directory.path().join("cache.yaml"), cache.to_string()).unwrap();
        let python = python(directory.path());
        let packages: Vec<String> = version.packages.iter().map(|it| (*it).to_owned()).collect();
        let packages = python.packages(&packages);
        Self { hub, directory, python, packages }
    }

    pub fn volume(&self) -> PathBuf {
        self.directory.path().join("volumes/models")
    }

    /// The directory of a repository of models in the cache.
    pub fn repository(&self, repo: &str) -> PathBuf {
        self.volume().join(format!("huggingface/hub/models--{}", repo.replace('/', "--")))
    }

    /// `modelcache`, with its results as JSON.
    pub fn ours(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelcache"));
        command.arg(verb).args(["-o", "json", "-f"]).arg(self.directory.path().join("cache.yaml"));
        command.arg("--volumes-dir").arg(self.directory.path().join("volumes"));
        command
    }

    /// Runs `modelcache`, which ends so; returns its only result.
    #[track_caller]
    pub fn ours_ends(&self, verb: &str, code: i32) -> Value {
        result(&self.ours(verb).output().unwrap(), code)
    }

    /// Bytes that a `prefetch` takes from the network to put everything right.
    #[track_caller]
    pub fn prefetch(&self) -> u64 {
        let result = self.ours_ends("prefetch", 0);
        self.ours_ends("verify", 0);
        result["evidence"]["fetchedBytes"].as_u64().unwrap()
    }

    /// The real client, on the same cache.
    pub fn theirs(&self, arguments: &[&str]) -> Command {
        let mut command = self.python.program(&self.packages, "hf");
        command.args(arguments).env("HF_ENDPOINT", &self.hub.url).env("HF_HOME", self.volume().join("huggingface"));
        command.env("HF_HUB_DISABLE_TELEMETRY", "1").env("HF_HUB_DISABLE_UPDATE_CHECK", "1").env("COLUMNS", "300");
        command
    }

    /// What it prints; it ends well.
    #[track_caller]
    pub fn hf(&self, arguments: &[&str]) -> String {
        let output = self.theirs(arguments).output().unwrap();
        let said = said(&output);
        assert!(output.status.success(), "hf {arguments:?}: {said}");
        said
    }

    /// Python code with this client's packages and cache.
    #[track_caller]
    pub fn code(&self, code: &str) {
        let hf = self.theirs(&[]);
        let mut command = Command::new(hf.get_program());
        command.env_clear().args(["-c", code]);
        for (name, value) in hf.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }

    /// GETs of files that the hub and its file server have seen.
    pub fn gets(&self) -> u64 {
        let counters = self.hub.counters();
        ["resolve", "cdn"].iter().filter_map(|it| counters.requests.get(*it)).sum()
    }

    /// All bytes of a repository's branch are right, as a reader finds them.
    #[track_caller]
    pub fn is_right(&self, repo: &str, without: &str) {
        let (commit, files) = {
            let inner = self.hub.state.lock();
            let it = inner.repos.values().find(|it| it.id == repo).unwrap();
            (it.refs["main"].clone(), it.commits[&it.refs["main"]].clone())
        };
        for (path, content) in files.iter().filter(|(path, _)| without.is_empty() || !path.starts_with(without)) {
            let found = std::fs::read(self.repository(repo).join("snapshots").join(&commit).join(path));
            assert!(found.is_ok_and(|it| it == content.bytes()), "{repo}: {path}");
        }
    }
}

/// What a process said on both of its outputs.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The only result of a run of ours that ended so.
#[track_caller]
pub fn result(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
    let results: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    results.into_iter().next().unwrap()
}

/// A process with its outputs kept.
pub fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Names below a directory that end so.
pub fn ending(directory: &Path, end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|it| it.ends_with(end)).collect()
}
