//! Files past 4 GiB, and past 50 GB: offsets hold where 32 bits end.
//!
//! Nearly all of a file is there before the run, as an interrupted one would have left it: holes of a sparse file, with a
//! stamp in each MiB that says which one it is, so that a part in the wrong place is a wrong part. Only what lies around
//! the edges of 31 and 32 bits, and the end, is fetched.

use crate::bench::{Bench, ran, until};
use crate::hub::content::{Content, STAMP, TILE, hex};
use crate::hub::state::Plain;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A disk in memory, with room for what nobody writes; needs root.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=200g", "modelcache-test"]).arg(&at).status();
        assert!(mounted.unwrap().success(), "mounting a disk for the test needs root");
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A file on the hub, of which an earlier run has left all but some ranges.
struct Large {
    bench: Bench,
    content: Content,
    sha256: String,
    missing: Vec<Range<u64>>,
    _disk: Disk,
}

impl Large {
    /// With a hash that is made up, for a run that does not get to its end, nothing is stamped.
    fn new(size: u64, missing: &[Range<u64>], made_up: Option<String>) -> Self {
        let bench = Bench::new();
        let disk = Disk::mount(bench.path("volumes"));
        let content = Content::sparse(7, size);
        let stamps = made_up.is_none();
        let sha256 = made_up.unwrap_or_else(|| content.hashes().sha256.clone());
        let plain = Plain { etag: Some("a-large-one".into()), ..Plain::of(content.clone()) };
        bench.hub.state.lock().plain.insert("large.bin".into(), plain);
        bench.write(&json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "studio"},
            "spec": {
                "volumes": [{"name": "models", "shared": {"size": "150Gi"}}],
                "sources": [bench.file("x", "large.bin", &json!({"sha256": sha256}))]
            }
        }));
        let large = Self { bench, content, sha256, missing: missing.to_vec(), _disk: disk };
        large.leave(stamps);
        large
    }

    fn partial(&self) -> PathBuf {
        let staging = self.bench.volume().join(".modelcache/studio/staging");
        staging.join(format!("{}.{}", self.sha256, self.content.size()))
    }

    /// What an interrupted run has left: the bytes, and the journal that says which of them are on the disk.
    fn leave(&self, stamps: bool) {
        let partial = self.partial();
        std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
        let file = File::create(&partial).unwrap();
        let size = self.content.size();
        file.set_len(size).unwrap();
        for stamp in (0..size).step_by(usize::try_from(TILE).unwrap()) {
            if stamps && !self.missing.iter().any(|it| it.contains(&stamp)) {
                file.write_all_at(&self.content.piece(stamp, (stamp + STAMP).min(size)), stamp).unwrap();
            }
        }
        let starts = std::iter::once(0).chain(self.missing.iter().map(|it| it.end));
        let ends = self.missing.iter().map(|it| it.start).chain([size]);
        let held: Vec<(u64, u64)> = starts.zip(ends).filter(|(start, end)| start < end).collect();
        let record = json!({"size": size, "validator": "a-large-one", "held": held}).to_string();
        let line = format!("\n{} {record}", hex(&Sha256::digest(&record)[..8]));
        std::fs::write(partial.with_file_name(format!("{}.{size}.journal", self.sha256)), line).unwrap();
    }

    fn bytes_missing(&self) -> u64 {
        self.missing.iter().map(|it| it.end - it.start).sum()
    }

    /// Whether each missing range has its bytes in this file.
    fn has_what_was_missing(&self, path: &Path) -> bool {
        let Ok(file) = File::open(path) else { return false };
        self.missing.iter().all(|range| {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
            file.read_exact_at(&mut bytes, range.start).is_ok() && {
                let mut at = range.start;
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let piece = self.content.piece(at, range.end);
                    let Some(after) = rest.strip_prefix(&piece[..]) else { return false };
                    (at, rest) = (at + piece.len() as u64, after);
                }
                true
            }
        })
    }
}

/// Around an offset.
fn around(offset: u64) -> Range<u64> {
    offset - 2 * MIB - 5..offset + 3 * MIB + 11
}

#[test]
fn a_file_past_four_gibibytes_is_resumed_where_it_was_and_hashes_right() {
    let size = 5 * GIB + 12_345;
    let large = Large::new(size, &[around(2 * GIB), around(4 * GIB), size - 3 * MIB..size], None);
    let done = large.bench.prefetch();
    let (missing, sent) = (large.bytes_missing(), large.bench.hub.counters().bytes_sent);
    done.fetched_once(missing);
    assert!(sent <= missing * 5 / 4, "{sent} bytes were sent for {missing}");
    assert_eq!(done.one()["evidence"]["bytes"], size);
    let published = large.bench.volume().join("files/large.bin");
    assert!(large.has_what_was_missing(&published));
    let metadata = std::fs::metadata(&published).unwrap();
    assert_eq!(metadata.len(), size);
    assert!(metadata.blocks() * 512 < 256 * MIB, "what was there was written again");
    assert!(!large.partial().exists());
    assert_eq!(large.bench.run(&["verify", "--quick"]).code, 0);
}

#[test]
fn parts_past_fifty_gigabytes_go_where_they_belong() {
    // To hash all of it would take a minute: the run is ended when every part has arrived, and the hash is made up.
    let size = 53 * GIB + 777;
    let missing = [4 * MIB..5 * MIB, around(4 * GIB), around(32 * GIB), around(50_000_000_000), size - 3 * MIB..size];
    let large = Large::new(size, &missing, Some("ab".repeat(32)));
    let mut child = large.bench.start(&["prefetch"]);
    let partial = large.partial();
    until("every part has arrived, or the run has ended", || {
        large.bench.hub.counters().bytes_sent >= large.bytes_missing() && large.has_what_was_missing(&partial)
            || child.try_wait().unwrap().is_some()
    });
    let arrived = large.has_what_was_missing(&partial);
    let _ = child.kill();
    let ended = ran(child.wait_with_output().unwrap());
    assert!(arrived, "{:?}", ended.results);
    let (missing, sent) = (large.bytes_missing(), large.bench.hub.counters().bytes_sent);
    assert!(sent <= missing * 5 / 4, "{sent} bytes were sent for {missing}");
    assert!(!large.bench.volume().join("files/large.bin").exists(), "nothing is seen before it is hashed");
}
