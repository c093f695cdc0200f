//! Backups: the built binary on real directories, MinIO as a real bucket, and a reader that takes nothing for granted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is test code; the lint knows only marked functions")]

#[path = "../agent/bench.rs"]
#[allow(dead_code, reason = "shared with other tests, each uses a part of it")]
mod bench;
#[path = "../support/hub/mod.rs"]
#[allow(dead_code, reason = "as above")]
mod hub;
#[path = "../support/killing.rs"]
mod killing;
#[path = "../support/memory.rs"]
mod memory;
#[path = "../support/minio/mod.rs"]
#[allow(dead_code, reason = "as above")]
mod minio;
#[path = "../support/samples.rs"]
#[allow(dead_code, reason = "as above")]
mod samples;

mod auto;
mod bucket;
mod files;
mod guides;
mod killed;
mod place;
mod refused;
mod slept;
mod whole;

use bench::Ran;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A cache with user data on one shared volume, and a place for its backups.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(directory: tempfile::TempDir) -> Self {
        let place = Self { directory };
        std::fs::create_dir_all(place.volume()).unwrap();
        std::fs::create_dir_all(place.to()).unwrap();
        place.cache(&json!({"destination": {"volume": {"claimName": "nas"}}}));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn volume(&self) -> PathBuf {
        self.path("volumes/assets")
    }

    fn to(&self) -> PathBuf {
        self.path("to")
    }

    /// Where the repository is.
    fn repository(&self) -> PathBuf {
        self.to().join("default/studio")
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.volume().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn cache(&self, backup: &Value) {
        let document = json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "studio"},
            "spec": {"volumes": [{"name": "assets", "shared": {"size": "10Gi"}}], "backup": backup}
        });
        std::fs::write(self.path("cache.yaml"), document.to_string()).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bench::bare(arguments);
        command.arg("-f").arg(self.path("cache.yaml")).args(["-o", "json"]);
        if arguments.first() != Some(&"snapshots") {
            command.arg("--volumes-dir").arg(self.path("volumes"));
        }
        command
    }

    /// A backup to the directory.
    fn local(&self) -> Command {
        let mut command = self.command(&["backup"]);
        command.arg("--to").arg(self.to());
        command
    }

    fn run(&self) -> Ran {
        bench::ran(self.local().output().unwrap())
    }

    /// A backup that must succeed; what its outcome says of it.
    fn backup(&self) -> Value {
        let ran = self.run();
        assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
        ran.one()["backup"].clone()
    }
}

/// Programs that write to their logs without a pause.
struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Writers {
    /// On logs that have so many lines already.
    fn on(logs: impl IntoIterator<Item = (PathBuf, u64)>, line: fn(u64) -> Vec<u8>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let write = |(path, first): (PathBuf, u64)| {
            let mut file = std::fs::File::options().append(true).open(path).unwrap();
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                for number in first.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    file.write_all(&line(number)).unwrap();
                    // More often than anybody reads, and less than fills a disk.
                    std::thread::sleep(Duration::from_micros(100));
                }
            })
        };
        Self { threads: logs.into_iter().map(write).collect(), stop: Arc::clone(&stop) }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|it| it.join().unwrap());
    }
}

/// Bytes that differ with the seed and do not repeat.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(next).collect();
    bytes.truncate(length);
    bytes
}

/// Files below a directory, sorted.
fn files(directory: &Path) -> Vec<String> {
    let mut paths = bench::paths(directory);
    paths.retain(|it| directory.join(it).is_file());
    paths
}
