//! Two processes that want the same on one volume: one of them works, the other one is told, and nothing is fetched twice.

use crate::bench::{Bench, Ran, paths, quickly, ran, until};
use crate::killed::is;
use crate::pod::{attempt, plan};
use serde_json::json;
use std::process::{Child, Stdio};
use std::time::Duration;

const SIZE: u64 = 24 << 20;

fn wanted() -> Bench {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:16Mi,d/b.bin:8Mi,c.json@8:300");
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench
}

/// The end of a process that was started.
fn end(child: Child) -> Ran {
    ran(child.wait_with_output().unwrap())
}

/// All of it is there, with the right bytes, and nothing that only a run at work needs.
fn complete(bench: &Bench) {
    let commit = bench.main("org/x");
    for file in ["a.bin", "d/b.bin", "c-00003.json"] {
        assert!(is(&bench.snapshot("org/x", &commit, file), &bench.hub.content("org/x", file)), "{file}");
    }
    let ran = bench.run(&["verify"]);
    assert_eq!(ran.code, 0, "{}", ran.message());
    let left = paths(&bench.volume().join(".modelcache/studio/staging"));
    assert!(!left.iter().any(|it| it.len() > 40), "{left:?}");
}

#[test]
fn a_second_run_is_told_at_once_who_is_at_work_and_changes_nothing_for_the_first() {
    let bench = wanted();
    bench.hub.control("throttle?bytesPerSecond=500000");
    let first = bench.start(&["prefetch"]);
    until("the first one fetches", || bench.hub.counters().bytes_sent > SIZE / 8);
    let commit = bench.hub.control("move?repo=org/x")["commit"].as_str().unwrap().to_owned();
    let asked = bench.hub.counters().requests["revision"];
    for arguments in [&["prefetch"][..], &["prefetch", "--refresh"], &["prefetch", "--anew"]] {
        let second = quickly(Duration::from_secs(10), || bench.run(arguments));
        let who = format!("process {}", first.id());
        second.failed(41, "VolumeError", &["another modelcache writes to this volume", &who, "wait for it"]);
    }
    assert_eq!(bench.hub.counters().requests["revision"], asked, "who may not write asks nobody");
    bench.hub.control("throttle?bytesPerSecond=0");
    let first = end(first);
    assert_eq!(first.code, 0, "{}", first.stderr);
    first.fetched_once(SIZE + 8 * 300);
    assert_ne!(bench.main("org/x"), commit);
    // What the refused ones were asked for did not become what is wanted.
    assert_eq!(bench.prefetch().fetched(), 0);
    assert_ne!(bench.main("org/x"), commit);
}

#[test]
fn of_runs_that_begin_in_the_same_moment_one_does_the_work_and_none_disturbs_another() {
    let bench = wanted();
    let mut refused = 0;
    for round in 0..8 {
        let _ = std::fs::remove_dir_all(bench.volume());
        bench.hub.control("reset");
        // Now they fetch at the same time, now one comes when the other publishes.
        bench.hub.control(&format!("throttle?bytesPerSecond={}", [0, 40_000_000][round % 2]));
        let started: Vec<Child> = (0..3).map(|_| bench.start(&["prefetch"])).collect();
        let ended: Vec<Ran> = started.into_iter().map(end).collect();
        for it in ended.iter().filter(|it| it.code != 0) {
            it.failed(41, "VolumeError", &["another modelcache writes to this volume"]);
            refused += 1;
        }
        assert!(ended.iter().any(|it| it.code == 0), "round {round}: nobody did it");
        let fetched = ended.iter().filter(|it| it.code == 0).map(Ran::fetched).sum::<u64>();
        let sent = bench.hub.counters().bytes_sent;
        assert!(fetched <= SIZE * 5 / 4 && sent <= SIZE * 5 / 4, "round {round}: {fetched} and {sent} for {SIZE}");
        complete(&bench);
    }
    assert!(refused > 0, "no two of them ever met");
}

#[test]
fn a_later_attempt_takes_over_from_a_process_that_still_runs_and_goes_on_from_what_it_has() {
    let bench = wanted();
    let source = bench.repo("x", "org/x", &json!({}));
    let plan = plan(&bench, &source);
    bench.hub.control("throttle?bytesPerSecond=500000");
    let start = |number: u64| {
        let message = bench.path(&format!("termination-{number}"));
        attempt(&bench, &plan, number, &message).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let first = start(1);
    until("the first one fetches", || bench.hub.counters().bytes_sent > SIZE / 4);
    bench.hub.control("throttle?bytesPerSecond=4000000");
    let second = start(2);
    let (second, first) = (end(second), end(first));
    assert_eq!(second.code, 0, "{}", second.stderr);
    first.failed(50, "Superseded", &["2"]);
    let sent = bench.hub.counters().bytes_sent;
    assert!(sent < SIZE * 2, "{sent} bytes were sent for {SIZE}");
    assert_eq!(bench.current().unwrap(), plan.content_hash());
    complete(&bench);
}
