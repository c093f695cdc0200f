//! Thousands of small files: bounded memory, one request each, latency hidden.

use std::{
    env,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use modelcache::agent::fetch::{Content, FetchOptions, Writer};

use crate::{
    origin::{Reply, Server, bytes, content},
    volume::{Volume, fetch_onto},
};

const FILES: u64 = 2000;

fn body(index: u64) -> Vec<u8> {
    bytes(index, 3000 + usize::try_from(index).unwrap())
}

/// Not a test: what the child process of the test here does. A process of its own, as memory is counted by process.
#[test]
fn child() {
    let (Ok(volume), Ok(base)) = (env::var("MANY_VOLUME"), env::var("MANY_URL")) else { return };
    let wanted = |index| -> Content { content(&format!("{base}/{index}"), &body(index)) };
    let options = FetchOptions::default();
    let contents = (0..FILES).map(wanted).collect();
    let summary = fetch_onto(Path::new(&volume), Writer::Local, contents, &options, &Arc::default()).unwrap();
    assert_eq!(summary.files, FILES);
    let peak = peak_kib();
    assert!(peak < 32 * 1024, "{peak} KiB");
}

#[test]
fn two_thousand_small_files_take_one_request_each_and_little_memory() {
    let (server, volume) = (Server::start(), Volume::new());
    server.delay(Duration::from_millis(5));
    for index in 0..FILES {
        server.put(&format!("/{index}"), body(index), |_| Reply::Good);
    }
    let started = Instant::now();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "many::child"])
        .env("MANY_VOLUME", volume.path())
        .env("MANY_URL", server.url(""))
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!((0..FILES).all(|index| server.requests(&format!("/{index}")).len() == 1));
    assert!((0..FILES).all(|index| volume.published(usize::try_from(index).unwrap()).unwrap() == body(index)));
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
