//! A volume with files of any age, rules, and the binary.

use crate::bench::{bare, paths};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

/// One test's volume, called `data`.
pub struct Desk {
    directory: tempfile::TempDir,
}

/// What a run of the binary left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub results: Value,
    pub stderr: String,
}

#[allow(clippy::needless_pass_by_value, reason = "what a test says of its rules reads better so")]
impl Desk {
    pub fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    /// In a directory.
    pub fn at(directory: tempfile::TempDir) -> Self {
        let desk = Self { directory };
        std::fs::create_dir_all(desk.volume()).unwrap();
        desk
    }

    /// A volume with rules.
    pub fn with(rules: Value) -> Self {
        let desk = Self::new();
        desk.rules(rules);
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn volume(&self) -> PathBuf {
        self.path("volumes/data")
    }

    /// Writes a ModelCache with one volume and these rules.
    pub fn rules(&self, rules: Value) {
        self.cleanup(json!({"rules": rules}));
    }

    /// Writes a ModelCache with one volume and this clean-up.
    pub fn cleanup(&self, cleanup: Value) {
        let volumes = json!([{"name": "data", "existingClaim": {"claimName": "data"}, "directories": ["images"]}]);
        self.spec(json!({"volumes": volumes, "cleanup": cleanup}));
    }

    pub fn spec(&self, spec: Value) {
        let cache = json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "studio"}, "spec": spec
        });
        std::fs::write(self.path("cache.yaml"), cache.to_string()).unwrap();
    }

    /// A file that was last written to so many days ago.
    pub fn file(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>, days: u64) -> PathBuf {
        let path = self.volume().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        aged(&path, days);
        path
    }

    /// A file of two days ago, where its directory is at this moment a directory.
    pub fn file_unless_moved(&self, path: &str) {
        let path = self.volume().join(path);
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::NOFOLLOW;
        let parent = rustix::fs::openat(rustix::fs::CWD, path.parent().unwrap(), flags, rustix::fs::Mode::empty());
        let Ok(parent) = parent else { return };
        let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NOFOLLOW;
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        if let Ok(file) = rustix::fs::openat(&parent, path.file_name().unwrap(), flags, mode) {
            std::fs::File::from(file).set_modified(SystemTime::now() - Duration::from_secs(2 * 24 * 3600)).unwrap();
        }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        if arguments.first() == Some(&"restore-trash") {
            command.arg("--volume").arg(self.volume());
        } else {
            command.arg("-f").arg(self.path("cache.yaml")).arg("--volumes-dir").arg(self.path("volumes"));
        }
        command.args(["-o", "json"]);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            results: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// `clean` that must do what is asked.
    #[track_caller]
    pub fn clean(&self) -> Ran {
        let ran = self.run(&["clean"]);
        assert_eq!(ran.code, 0, "{:#} {}", ran.results, ran.stderr);
        ran
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Paths of all files on the volume outside `.modelcache`, sorted.
    pub fn files(&self) -> Vec<String> {
        let all = paths(&self.volume());
        all.into_iter().filter(|path| !path.starts_with(".modelcache") && !self.volume().join(path).is_dir()).collect()
    }

    /// Everything on the volume, with its inode, size, mode and time: equal means that nothing was done.
    pub fn everything(&self) -> BTreeMap<String, (u64, u64, u32, i64)> {
        let stat = |path: &String| {
            let it = self.volume().join(path).symlink_metadata().unwrap();
            (it.ino(), it.size(), it.mode(), it.mtime())
        };
        paths(&self.volume()).into_iter().map(|path| (path.clone(), stat(&path))).collect()
    }
}

impl Ran {
    /// The report of a rule.
    #[track_caller]
    pub fn rule(&self, name: &str) -> &Value {
        let rules = self.results.as_array().unwrap().iter().flat_map(|it| it["rules"].as_array().unwrap());
        let mut found = rules.filter(|it| it["rule"] == name);
        found.next().unwrap_or_else(|| panic!("no rule {name} in {:#}", self.results))
    }

    /// It failed for this reason, and says these words.
    #[track_caller]
    pub fn failed(&self, code: i32, reason: &str, words: &[&str]) {
        let message = self.results[0]["message"].as_str().unwrap_or_default();
        assert_eq!(
            (self.code, &self.results[0]["reason"]),
            (code, &json!(reason)),
            "{:#} {}",
            self.results,
            self.stderr
        );
        for word in words {
            assert!(message.contains(word), "{word:?} is not in: {message}");
        }
    }
}

/// Makes a file look as if it was last written to so many days ago.
pub fn aged(path: &Path, days: u64) {
    let time = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// All lines of a log and of everything that was made of it, compressed or not; what a killed run left beside it is not read.
pub fn lines(log: &Path) -> Vec<String> {
    let name = log.file_name().unwrap().to_str().unwrap().to_owned();
    let mut lines = vec![];
    for entry in std::fs::read_dir(log.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let its = path.file_name().unwrap().to_str().unwrap().to_owned();
        if its == name || its.starts_with(&format!("{name}.")) {
            lines.extend(text(&path).lines().map(str::to_owned));
        }
    }
    lines.sort();
    lines
}

/// The text of a file, decompressed.
pub fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    if path.extension().is_some_and(|it| it == "zst") {
        let mut text = String::new();
        zstd::stream::read::Decoder::new(&bytes[..]).unwrap().read_to_string(&mut text).unwrap();
        return text;
    }
    String::from_utf8(bytes).unwrap()
}

/// Numbered lines.
pub fn numbered(from: usize, to: usize) -> String {
    (from..to).map(|number| format!("2026-11-21T03:00:00Z line {number:06} of the log\n")).collect()
}
