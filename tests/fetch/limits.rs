//! Space, budget, bandwidth: what is not there is not taken.

use std::{process::Command, time::Instant};

use modelcache::agent::fetch::{FetchOptions, Reason};

use crate::{
    origin::{Reply, Server, bytes, content},
    volume::{Volume, fetch_onto, options},
};

const SIZE: usize = 3 * 1024 * 1024;

#[test]
fn what_does_not_fit_is_refused_before_the_first_byte() {
    let (server, volume) = (Server::start(), Volume::new());
    let body = bytes(1, SIZE);
    server.put("/model", body.clone(), |_| Reply::Good);
    let wanted = || vec![content(&server.url("/model"), &body)];
    let budget = FetchOptions { budget_bytes: Some(SIZE as u64 + 10), used_bytes: 11, ..options() };
    let full = FetchOptions { min_free_bytes: u64::MAX / 2, ..options() };
    for options in [budget, full] {
        let error = volume.fetch(wanted(), &options).unwrap_err();
        assert_eq!(error.reason(), Reason::InsufficientSpace);
        assert!(error.to_string().contains(&SIZE.to_string()), "{error}");
    }
    assert_eq!(server.requests("/model").len(), 0);
    assert_eq!(volume.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn content_of_unknown_size_does_not_outgrow_the_budget() {
    for reply in [Reply::Good, Reply::NoLength] {
        let (server, volume) = (Server::start(), Volume::new());
        let body = bytes(1, 20 * SIZE);
        server.put("/model", body.clone(), move |_| reply.clone());
        let mut wanted = content(&server.url("/model"), &body);
        wanted.size = None;
        let options = FetchOptions { budget_bytes: Some(17 << 20), ..options() };
        let error = volume.fetch(vec![wanted], &options).unwrap_err();
        assert_eq!(error.reason(), Reason::InsufficientSpace);
        assert!(volume.progress.snapshot().bytes_done <= 17 << 20);
    }
}

#[test]
fn identical_content_is_fetched_once() {
    let (server, volume) = (Server::start(), Volume::new());
    let body = bytes(1, SIZE);
    server.put("/a", body.clone(), |_| Reply::Good);
    let contents = vec![content(&server.url("/a"), &body), content(&server.url("/b"), &body)];
    let summary = volume.fetch(contents, &options()).unwrap();
    assert_eq!((summary.files, summary.fetched_bytes), (1, SIZE as u64));
}

#[test]
fn a_bandwidth_limit_is_kept() {
    let (server, volume) = (Server::start(), Volume::new());
    let body = bytes(1, SIZE);
    server.put("/model", body.clone(), |_| Reply::Good);
    let options = FetchOptions { max_bandwidth: Some(2 * SIZE as u64), ..options() };
    let started = Instant::now();
    volume.fetch(vec![content(&server.url("/model"), &body)], &options).unwrap();
    assert!(started.elapsed().as_millis() >= 400, "took {:?}", started.elapsed());
}

#[test]
fn a_disk_that_fills_up_ends_in_insufficient_space_and_publishes_nothing() {
    let mount = Tmpfs::new(4 << 20);
    let server = Server::start();
    let body = bytes(1, 6 << 20);
    // The size is learned too late for the check: only the disk itself can say no.
    server.put("/model", body.clone(), |_| Reply::NoLength);
    let mut wanted = content(&server.url("/model"), &body);
    wanted.size = None;
    let volume = mount.path();
    let filler = vec![0; 3 << 20];
    std::thread::scope(|scope| {
        // Somebody else takes the space that the check saw.
        scope.spawn(|| std::fs::write(volume.join("filler"), &filler)).join().unwrap().unwrap();
    });
    let error = fetch_onto(
        volume,
        modelcache::agent::fetch::Writer::Local,
        vec![wanted],
        &options(),
        &std::sync::Arc::default(),
    )
    .unwrap_err();
    assert_eq!(error.reason(), Reason::InsufficientSpace);
    assert!(!volume.join("0").exists());
}

/// A small file system, unmounted when its test ends, however that ends.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new(bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "modelcache-test"])
            .arg(dir.path())
            .status()
            .unwrap();
        assert!(mounted.success(), "this test mounts a small tmpfs, which needs root");
        Self(dir)
    }

    fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
