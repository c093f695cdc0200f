//! A repository that is written object by object, volumes, and the binary.

use modelcache::agent::backup::check::{self, Check};
use modelcache::agent::backup::repository::list::{At, Chunk, Entry, File, Stamp, What};
use modelcache::agent::backup::repository::marker::Owner;
use modelcache::agent::backup::repository::seal::{Form, Seal};
use modelcache::agent::backup::repository::snapshot::{Snapshot, VolumeSnapshot};
use modelcache::agent::backup::repository::store::Store;
use modelcache::agent::backup::repository::{Repository, names};
use modelcache::api::backup::BackupContent;
use modelcache::api::name::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Content of a volume, by path. A text that begins with `-> ` is a link.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// Files below this are kept in packs.
const SMALL: usize = 64 << 10;

pub struct Ground {
    directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

pub struct Ran {
    pub code: i32,
    pub results: Vec<Value>,
    pub stdout: String,
    pub stderr: String,
}

pub fn tree(files: &[(&str, &[u8])]) -> Tree {
    files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect()
}

/// Bytes that no two seeds share and nobody can compress.
pub fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut block = Sha256::digest([seed]);
    while bytes.len() < length {
        bytes.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    bytes.truncate(length);
    bytes
}

impl Ground {
    pub fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    /// In a directory.
    pub fn at(directory: tempfile::TempDir) -> Self {
        let ground = Self {
            directory,
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
        };
        std::fs::create_dir_all(ground.path("nas")).unwrap();
        ground.retention(&json!({"keepLast": 1}));
        ground
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The volume.
    pub fn volume(&self) -> PathBuf {
        self.path("volumes/data")
    }

    /// The repository's own directory.
    pub fn store(&self) -> PathBuf {
        self.path("nas/default/studio")
    }

    pub fn repository(&self) -> Repository {
        let owner = Owner { namespace: "default".into(), cache: "studio".into() };
        let store = Store::in_directory(&self.path("nas"), "default/studio", true).unwrap();
        self.runtime.block_on(Repository::open_or_create(store, &owner, Seal::default())).unwrap()
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Writes a ModelCache with one volume, `data`, and this retention.
    pub fn retention(&self, retention: &Value) {
        let mut spec = Self::spec();
        spec["backup"]["retention"] = retention.clone();
        self.write_cache(&spec);
    }

    /// Writes a ModelCache with this source.
    pub fn source(&self, source: &Value) {
        self.sources(std::slice::from_ref(source));
    }

    /// Writes a ModelCache with these sources.
    pub fn sources(&self, sources: &[Value]) {
        let mut spec = Self::spec();
        spec["sources"] = json!(sources);
        self.write_cache(&spec);
    }

    pub fn write_cache(&self, spec: &Value) {
        let cache = json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "studio"}, "spec": spec
        });
        std::fs::write(self.path("cache.yaml"), cache.to_string()).unwrap();
    }

    pub fn spec() -> Value {
        json!({
            "volumes": [{"name": "data", "shared": {"size": "10Gi"}}],
            "backup": {"destination": {"volume": {"claimName": "nas"}}}
        })
    }

    /// A snapshot of a tree, as a backup writes it.
    pub fn snapshot(&self, time: &str, tree: &Tree) -> String {
        let entries = tree.iter().map(|(path, bytes)| (path.clone(), bytes.clone())).collect::<Vec<_>>();
        let (repository, time) = (self.repository(), time.parse().unwrap());
        self.block_on(async {
            let mut lines = Vec::new();
            let (mut block, mut packed) = (Vec::new(), Vec::new());
            for (path, bytes) in &entries {
                if let Some(target) = bytes.strip_prefix(b"-> ") {
                    let target = String::from_utf8(target.to_vec()).unwrap();
                    lines.push(Entry { path: path.clone(), mode: 0o777, what: What::Link { target } });
                } else if bytes.len() < SMALL {
                    packed.push((path, block.len() as u64, bytes));
                    block.extend_from_slice(bytes);
                } else {
                    let form = Form::default();
                    let at = At::Blob { form, stored: bytes.len() as u64 };
                    repository.store.put_new(&names::blob(&sha256(bytes), form), bytes.clone().into()).await.unwrap();
                    lines.push(file(path, bytes, at));
                }
            }
            let (pack, form) = (names::unique().unwrap(), Form { zstd: true, age: false });
            let sealed = repository.seal.seal(&block, form).unwrap();
            let length = sealed.len() as u64;
            repository.store.put_new(&names::pack(&pack), sealed.into()).await.unwrap();
            for (path, start, bytes) in packed {
                lines.push(file(path, bytes, At::Pack { pack: pack.clone(), offset: 0, length, form, start }));
            }
            self.write(&repository, time, lines).await
        })
    }

    /// A snapshot with a list that somebody else made up.
    pub fn planted(&self, time: &str, entries: Vec<Entry>) -> String {
        let repository = self.repository();
        self.block_on(self.write(&repository, time.parse().unwrap(), entries))
    }

    /// A snapshot with a spec and a name of a volume that somebody else made up.
    pub fn planted_spec(&self, time: &str, volume: &str, spec: Value) -> String {
        let repository = self.repository();
        let volume = VolumeSnapshot { name: volume.into(), ..Default::default() };
        self.block_on(self.write_volume(&repository, time.parse().unwrap(), Vec::new(), volume, spec))
    }

    /// A snapshot of what `prefetch` put on the volume, with our manifests and pins. `bytes`: of every file; otherwise what
    /// sources list comes from their origin again.
    pub fn of_volume(&self, time: &str, source: &Value, bytes: bool) -> String {
        self.of_sources(time, std::slice::from_ref(source), bytes)
    }

    /// The same of several sources.
    pub fn of_sources(&self, time: &str, sources: &[Value], bytes: bool) -> String {
        let repository = self.repository();
        let own = self.volume().join(".modelcache/studio");
        let pins: Value = serde_json::from_slice(&std::fs::read(own.join("pins.json")).unwrap()).unwrap();
        let named: Vec<&str> = sources.iter().map(|it| it["name"].as_str().unwrap()).collect();
        let manifest = |name: &str| std::fs::read(own.join(format!("manifests/{name}.json"))).unwrap();
        let lists = |name: &str, path: &str| {
            let listed: Value = serde_json::from_slice(&manifest(name)).unwrap();
            listed["entries"].as_array().unwrap().iter().any(|it| it["path"] == path)
        };
        let mut spec = Self::spec();
        spec["sources"] = json!(sources);
        self.block_on(async {
            let mut entries = Vec::new();
            let form = Form::default();
            for (path, content) in self.on_volume() {
                if let Some(target) = content.strip_prefix(b"-> ") {
                    let target = String::from_utf8(target.to_vec()).unwrap();
                    entries.push(Entry { path, mode: 0o777, what: What::Link { target } });
                    continue;
                }
                let source = named.iter().find(|name| !bytes && lists(name, &path));
                if let Some(source) = source {
                    entries.push(file(&path, &content, At::Origin { source: (*source).into() }));
                } else {
                    let at = At::Blob { form, stored: content.len() as u64 };
                    let blob = names::blob(&sha256(&content), form);
                    repository.store.put_new(&blob, content.clone().into()).await.unwrap();
                    entries.push(file(&path, &content, at));
                }
            }
            let mut volume = VolumeSnapshot { name: "data".into(), ..Default::default() };
            for name in named {
                let manifest = manifest(name);
                let blob = names::blob(&sha256(&manifest), form);
                repository.store.put_new(&blob, manifest.clone().into()).await.unwrap();
                let kept = Chunk { sha256: sha256(&manifest), form, stored: manifest.len() as u64, entries: 0 };
                volume.manifests.insert(name.to_owned(), kept);
                let pin = serde_json::from_value(pins[name]["pin"].clone()).unwrap();
                volume.pins.insert(name.to_owned(), pin);
            }
            self.write_volume(&repository, time.parse().unwrap(), entries, volume, spec).await
        })
    }

    async fn write(&self, repository: &Repository, time: jiff::Timestamp, entries: Vec<Entry>) -> String {
        let volume = VolumeSnapshot { name: "data".into(), ..Default::default() };
        self.write_volume(repository, time, entries, volume, Self::spec()).await
    }

    async fn write_volume(
        &self,
        repository: &Repository,
        time: jiff::Timestamp,
        entries: Vec<Entry>,
        volume: VolumeSnapshot,
        spec: Value,
    ) -> String {
        let files: Vec<&File> = entries.iter().filter_map(Entry::file).collect();
        let (count, bytes) = (files.len() as u64, files.iter().map(|it| it.size).sum());
        let text: Vec<String> = entries.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
        let text = text.join("\n").into_bytes();
        let form = Form { zstd: true, age: false };
        let sealed = repository.seal.seal(&text, form).unwrap();
        let stored = sealed.len() as u64;
        repository.store.put_new(&names::blob(&sha256(&text), form), sealed.into()).await.unwrap();
        let chunk = Chunk { sha256: sha256(&text), form, stored, entries: entries.len() as u64 };
        let volume = VolumeSnapshot { files: count, bytes, list: vec![chunk], ..volume };
        let id = names::unique().unwrap();
        let snapshot = Snapshot {
            version: 1,
            id: id.clone(),
            time,
            repository: repository.marker.repository.clone(),
            namespace: "default".into(),
            cache: "studio".into(),
            content: BackupContent::Full,
            spec,
            volumes: vec![volume],
            files: count,
            bytes,
            new_bytes: bytes,
            seconds: 1,
            digest: sha256(&text),
        };
        repository.write(&snapshot).await.unwrap();
        id
    }

    /// Puts a tree on the volume.
    pub fn put(&self, tree: &Tree) {
        for (path, bytes) in tree {
            let path = self.volume().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match bytes.strip_prefix(b"-> ") {
                Some(target) => std::os::unix::fs::symlink(std::str::from_utf8(target).unwrap(), path).unwrap(),
                None => std::fs::write(&path, bytes).unwrap(),
            }
        }
    }

    /// What is on the volume outside `.modelcache`.
    pub fn on_volume(&self) -> Tree {
        read(&self.volume())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelcache"));
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let nas = format!("file://{}", self.path("nas").display());
        let own = matches!(arguments.first(), Some(&"prefetch" | &"verify" | &"wait"))
            || arguments.contains(&"--archive")
            || arguments.contains(&"--rollback")
            || arguments.contains(&"--finish");
        if arguments.first() == Some(&"backup") {
            command.arg("--to").arg(self.path("nas"));
        } else if !own && !arguments.contains(&"--from") {
            command.args(["--from", &nas]);
        }
        if arguments.first() == Some(&"prune") {
            command.arg("-f").arg(self.path("cache.yaml"));
        } else if !arguments.contains(&"--to") {
            command.arg("-f").arg(self.path("cache.yaml")).arg("--volumes-dir").arg(self.path("volumes"));
        }
        command.args(["-o", "json"]);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).output().unwrap())
    }

    #[track_caller]
    pub fn done(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {} {}", ran.stdout, ran.stderr);
        ran
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Files of any snapshot whose bytes are not all there: every byte is read.
    pub fn damage(&self) -> Vec<String> {
        let repository = self.repository();
        let look = async {
            let mut check = Check::new(&repository, &check::all(&repository).await.unwrap());
            let mut found = vec![];
            for snapshot in repository.snapshots().await.unwrap() {
                found.extend(check.quick(&snapshot).await.unwrap());
                found.extend(check.deep(&snapshot).await.unwrap());
            }
            found
        };
        self.block_on(look).into_iter().map(|it| format!("{}: {}", it.path, it.why)).collect()
    }

    /// Ids of the snapshots that there are, oldest first.
    pub fn ids(&self) -> Vec<String> {
        let snapshots = self.block_on(self.repository().snapshots()).unwrap();
        snapshots.into_iter().map(|it| it.id).collect()
    }
}

impl Ran {
    #[track_caller]
    pub fn failed(&self, code: i32, reason: &str, words: &[&str]) {
        let one = self.results.first().cloned().unwrap_or_default();
        let message = one["message"].as_str().unwrap_or_default();
        assert_eq!((self.code, one["reason"].as_str()), (code, Some(reason)), "{} {}", self.stdout, self.stderr);
        for word in words {
            assert!(message.contains(word), "{word:?} is not in: {message}");
        }
    }

    pub fn message(&self) -> &str {
        self.results[0]["message"].as_str().unwrap()
    }
}

/// What a command has said.
pub fn ran(output: Output) -> Ran {
    let Output { status, stdout, stderr } = output;
    let results = serde_json::from_slice(&stdout).unwrap_or_default();
    let text = |it: Vec<u8>| String::from_utf8_lossy(&it).into_owned();
    Ran { code: status.code().unwrap_or(-1), results, stdout: text(stdout), stderr: text(stderr) }
}

/// Every file and link below a directory, but what is ours.
pub fn read(directory: &Path) -> Tree {
    let mut found = Tree::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
            let kind = path.symlink_metadata().unwrap();
            if name == ".modelcache" {
            } else if kind.is_dir() {
                open.push(path);
            } else if kind.is_symlink() {
                found.insert(name, format!("-> {}", std::fs::read_link(&path).unwrap().display()).into_bytes());
            } else {
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

pub fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn file(path: &str, bytes: &[u8], at: At) -> Entry {
    let mode = if Path::new(path).extension().is_some_and(|it| it == "sh") { 0o755 } else { 0o644 };
    let file = File { size: bytes.len() as u64, sha256: sha256(bytes), stamp: Stamp::default(), at };
    Entry { path: path.to_owned(), mode, what: What::File(file) }
}
