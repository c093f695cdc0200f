//! Thousands of small files: bounded memory, one request each, latency hidden.

use std::{
    env,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use modelcache::agent::fetch::{Arrival, Content, FetchOptions, Writer};

use crate::{
    origin::{Reply, Server, bytes, content},
    volume::{Volume, fetch_onto, fetch_with, undisturbed},
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
    undisturbed(|| {
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
    });
}

#[test]
fn small_files_hide_the_latency_of_each_other() {
    undisturbed(|| {
        let (server, volume) = (Server::start(), Volume::new());
        server.delay(Duration::from_millis(20));
        let bodies: Vec<_> = (0..500).map(|index| bytes(index, 20_000)).collect();
        for (index, body) in bodies.iter().enumerate() {
            server.put(&format!("/{index}"), body.clone(), |_| Reply::Good);
        }
        let wanted = bodies.iter().enumerate().map(|(index, body)| content(&server.url(&format!("/{index}")), body));
        let started = Instant::now();
        volume.fetch(wanted.collect(), &FetchOptions::default()).unwrap();
        // One after the other it would be ten seconds.
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        let most = server.most_at_once();
        assert!((24..=32).contains(&most), "{most} at a time");
        assert!((0..500).all(|index| server.requests(&format!("/{index}")).len() == 1));
    });
}

/// Not a test: what the child process of the next test does.
#[test]
fn child_with_a_long_list() {
    let (Ok(volume), Ok(base)) = (env::var("LIST_VOLUME"), env::var("LIST_URL")) else { return };
    let wanted = |index| {
        let Content { origin, .. } = content(&format!("{base}/{index}"), &[]);
        Content { label: format!("{index}"), size: Some(10), digest: None, origin }
    };
    let list: Vec<_> = (0..LISTED).map(wanted).collect();
    let before = kib("VmRSS:");
    let (mut staged, mut most_open) = (0, 0);
    let volume = Path::new(&volume);
    let done = fetch_with(volume, Writer::Local, vec![list], &FetchOptions::default(), &Arc::default(), |arrival| {
        let Arrival::Staged(arrived) = arrival else { return Err(std::io::Error::other("nothing fails here")) };
        std::fs::remove_file(arrived.path)?;
        staged += 1;
        if staged % 100 == 0 {
            most_open = most_open.max(std::fs::read_dir("/proc/self/fd")?.count());
        }
        // Enough is seen: the rest would only take time.
        Ok(if staged >= ENOUGH { vec![0] } else { vec![] })
    });
    assert!((ENOUGH..ENOUGH + 400).contains(&done.unwrap().files));
    let grown = kib("VmHWM:").saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more than the list itself");
    assert!(most_open < 400, "{most_open} files and sockets open at a time");
}

const LISTED: u64 = 100_000;
const ENOUGH: u64 = 2000;

#[test]
fn a_list_of_a_hundred_thousand_takes_no_more_memory_or_files_than_a_short_one() {
    let (server, volume) = (Server::start(), Volume::new());
    server.put("*", vec![7; 10], |_| Reply::Good);
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "many::child_with_a_long_list"])
        .env("LIST_VOLUME", volume.path())
        .env("LIST_URL", server.url(""))
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert!(server.requests("/0").len() <= 1);
}

fn peak_kib() -> u64 {
    kib("VmHWM:")
}

fn kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
