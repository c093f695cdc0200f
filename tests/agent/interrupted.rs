//! Killed at any moment, the next run goes on where this one was.

use crate::bench::{Bench, paths, until};
use serde_json::json;
use std::time::{Duration, Instant};

/// Large enough that what the engine may lose at a kill (32 MiB that are not on the disk yet) is below a tenth.
const SIZE: u64 = 400 << 20;

/// A run that is about half through a repository of one large file and some small ones.
fn half_way(bench: &Bench) -> std::process::Child {
    bench.hub.repo("org/large=dir/large.bin:400Mi,small.json@20:500");
    bench.cache(&[bench.repo("x", "org/large", &json!({}))]);
    bench.hub.control("throttle?bytesPerSecond=5000000");
    let child = bench.start(&["prefetch"]);
    until("half of it was sent", || bench.hub.counters().bytes_sent > SIZE / 2);
    child
}

#[test]
fn a_killed_run_is_resumed_with_little_sent_twice_and_nothing_seen_before_the_end() {
    let bench = Bench::new();
    let mut child = half_way(&bench);
    child.kill().unwrap();
    child.wait().unwrap();
    let published = bench.published();
    assert!(!published.iter().any(|it| it.contains("snapshots") || it.contains("refs")), "{published:?}");
    assert_eq!(bench.current(), None);

    bench.hub.control("throttle?bytesPerSecond=0");
    bench.prefetch();
    let sent = bench.hub.counters().bytes_sent;
    assert!(sent * 10 <= SIZE * 11, "{sent} bytes were sent for {SIZE}");
    let commit = bench.main("org/large");
    let bytes = std::fs::read(bench.snapshot("org/large", &commit, "dir/large.bin")).unwrap();
    assert!(bytes == bench.hub.content("org/large", "dir/large.bin").bytes());
    let left = paths(&bench.volume().join(".modelcache/studio/staging"));
    assert!(!left.iter().any(|it| it.contains('.') && it.len() > 40), "{left:?}");
}

#[test]
fn what_was_fetched_stays_while_its_source_cannot_be_listed() {
    let bench = Bench::new();
    let mut child = half_way(&bench);
    child.kill().unwrap();
    child.wait().unwrap();
    bench.hub.control("throttle?bytesPerSecond=0");

    let small = bench.repo("y", "demo/tiny-llm", &json!({}));
    let nowhere = json!({"endpoint": format!("{}/nowhere", bench.hub.url)});
    bench.cache(&[bench.repo("x", "org/large", &nowhere), small]);
    bench.run(&["prefetch"]).failed(12, "NotFound", &["source `x`"]);

    bench.cache(&[bench.repo("x", "org/large", &json!({}))]);
    bench.prefetch();
    let sent = bench.hub.counters().bytes_sent;
    assert!(sent * 10 <= SIZE * 12, "{sent} bytes were sent for {SIZE}");
}

#[test]
fn a_run_that_is_told_to_stop_ends_at_once_and_keeps_what_it_has() {
    let mut took = vec![];
    // What a pod of ours is given to end. Three tries, since a busy machine has its pauses.
    while took.last().is_none_or(|it| *it >= Duration::from_secs(15)) {
        assert!(took.len() < 3, "each time it took {took:?}");
        let bench = Bench::new();
        let child = half_way(&bench);
        let asked = Instant::now();
        let id = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let output = child.wait_with_output().unwrap();
        took.push(asked.elapsed());
        // It did not simply finish.
        assert_eq!(output.status.code(), Some(1));
        bench.hub.control("throttle?bytesPerSecond=0");
        bench.prefetch();
        let sent = bench.hub.counters().bytes_sent;
        assert!(sent * 10 <= SIZE * 11, "{sent} bytes were sent for {SIZE}");
    }
}
