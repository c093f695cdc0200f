//! A hub, a directory, and the binary.

use crate::hub::Hub;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// One test's hub and volumes.
pub struct Bench {
    pub hub: Hub,
    pub directory: tempfile::TempDir,
}

/// What a run of the binary left.
pub struct Ran {
    pub code: i32,
    /// The results, one for each volume or source.
    pub results: Vec<Value>,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        Self { hub: Hub::start(), directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The volume of [`Self::cache`].
    pub fn volume(&self) -> PathBuf {
        self.path("volumes/models")
    }

    /// A hub source of this bench's hub, with more fields.
    pub fn repo(&self, name: &str, repo: &str, more: &Value) -> Value {
        let mut hub = json!({"repo": repo, "endpoint": self.hub.url});
        hub.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"name": name, "huggingFace": hub})
    }

    /// An http source of a plain file of this bench's hub.
    pub fn file(&self, name: &str, file: &str, more: &Value) -> Value {
        let mut http = json!({"url": format!("{}/files/{file}", self.hub.url)});
        http.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"name": name, "http": http})
    }

    /// Writes a ModelCache with one volume, `models`, and these sources. JSON is YAML.
    pub fn cache(&self, sources: &[Value]) {
        self.write(&json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "studio"},
            "spec": {"volumes": [{"name": "models", "shared": {"size": "10Gi"}}], "sources": sources}
        }));
    }

    pub fn write(&self, cache: &Value) {
        std::fs::write(self.path("cache.yaml"), cache.to_string()).unwrap();
    }

    /// A command of the binary with the cache and the volumes, and nothing of this machine's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        command.arg("-f").arg(self.path("cache.yaml")).args(["-o", "json"]);
        if arguments.first() != Some(&"resolve") {
            command.arg("--volumes-dir").arg(self.path("volumes"));
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).output().unwrap())
    }

    /// `prefetch` that must do what is asked.
    pub fn prefetch(&self) -> Ran {
        let ran = self.run(&["prefetch"]);
        assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
        ran
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Requests that the hub has seen.
    pub fn requests(&self) -> u64 {
        self.hub.counters().requests.values().sum()
    }

    /// Paths of everything on the volume outside `.modelcache`, sorted.
    pub fn published(&self) -> Vec<String> {
        let all = paths(&self.volume());
        all.into_iter().filter(|path| !path.starts_with(".modelcache")).collect()
    }

    /// Path of a file of a repository in the snapshot of a commit.
    pub fn snapshot(&self, repo: &str, commit: &str, file: &str) -> PathBuf {
        let repo = repo.replace('/', "--");
        self.volume().join(format!("huggingface/hub/models--{repo}/snapshots/{commit}/{file}"))
    }

    /// The commit that `main` is on the volume.
    pub fn main(&self, repo: &str) -> String {
        let repo = repo.replace('/', "--");
        let path = self.volume().join(format!("huggingface/hub/models--{repo}/refs/main"));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    pub fn current(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.volume().join(".modelcache/studio/current")).ok()?;
        Some(text.trim().to_owned())
    }
}

impl Ran {
    /// The only result.
    pub fn one(&self) -> &Value {
        assert_eq!(self.results.len(), 1, "{:?} {}", self.results, self.stderr);
        &self.results[0]
    }

    pub fn reason(&self) -> &str {
        self.one()["reason"].as_str().unwrap()
    }

    pub fn message(&self) -> &str {
        self.one()["message"].as_str().unwrap()
    }

    pub fn fetched(&self) -> u64 {
        self.one()["evidence"]["fetchedBytes"].as_u64().unwrap()
    }

    /// It fetched so many bytes, and few of them twice: a connection that a busy machine holds up for a second gets help.
    #[track_caller]
    pub fn fetched_once(&self, bytes: u64) {
        let fetched = self.fetched();
        assert!((bytes..=bytes + bytes / 4).contains(&fetched), "{fetched} bytes were fetched for {bytes}");
    }

    /// It failed for this reason, and says these words.
    #[track_caller]
    pub fn failed(&self, code: i32, reason: &str, words: &[&str]) {
        assert_eq!((self.code, self.reason()), (code, reason), "{}", self.message());
        for word in words {
            assert!(self.message().contains(word), "{word:?} is not in: {}", self.message());
        }
    }
}

/// The binary without any of this machine's own settings.
pub fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelcache"));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

pub fn ran(output: Output) -> Ran {
    let Output { status, stdout, stderr } = output;
    let results = serde_json::from_slice(&stdout).unwrap_or_default();
    Ran { code: status.code().unwrap_or(-1), results, stderr: String::from_utf8_lossy(&stderr).into_owned() }
}

/// Everything below a directory, sorted; links are not followed.
pub fn paths(directory: &Path) -> Vec<String> {
    let mut found = vec![];
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned());
            if path.symlink_metadata().unwrap().is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What takes less than this time, in one of three tries: a busy machine can only add to it, and what is slow is so each time.
#[track_caller]
pub fn quickly<T>(limit: Duration, mut work: impl FnMut() -> T) -> T {
    let mut took = vec![];
    while took.len() < 3 {
        let started = Instant::now();
        let done = work();
        took.push(started.elapsed());
        if started.elapsed() < limit {
            return done;
        }
    }
    panic!("not once in less than {limit:?}: {took:?}");
}

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(240);
    while !holds() {
        assert!(Instant::now() < deadline, "after 240 s still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
