//! Thousands of small files: bounded memory, few requests, latency hidden.

use std::time::{Duration, Instant};

use modelcache::agent::fetch::FetchOptions;

use crate::{
    origin::{Reply, Server, bytes, content},
    volume::Volume,
};

#[test]
fn two_thousand_small_files_take_one_request_each() {
    let (server, volume) = (Server::start(), Volume::new());
    server.delay(Duration::from_millis(5));
    let contents: Vec<_> = (0..2000_u64)
        .map(|index| {
            let body = bytes(index, 3000 + usize::try_from(index).unwrap());
            let path = format!("/{index}");
            let content = content(&server.url(&path), &body);
            server.put(&path, body, |_| Reply::Good);
            content
        })
        .collect();
    let before = resident_kib();
    let started = Instant::now();
    let summary = volume.fetch(contents, &FetchOptions::default()).unwrap();
    assert_eq!(summary.files, 2000);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!((0..2000).all(|index| server.requests(&format!("/{index}")).len() == 1));
    assert!((0..2000).all(|index: usize| volume.published(index).unwrap() == bytes(index as u64, 3000 + index)));
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 64 * 1024, "resident memory grew by {grown} KiB");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
