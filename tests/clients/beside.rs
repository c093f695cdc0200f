//! The real `hf download` and our `prefetch` at work on one cache at the same time: never a wrong byte, and both are well.

use crate::hf::{Both, VERSIONS, Version, ending, result, said, start};
use modelcache::agent::fetch::hex;
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::time::{Duration, Instant};

/// Whether each file under a name that says what it is is that.
#[track_caller]
fn every_blob_is_what_its_name_says(blobs: &Path, when: &str) {
    for name in ending(blobs, "").into_iter().filter(|it| [40, 64].contains(&it.len())) {
        // It may be put in the place of one with the same bytes at any time.
        let bytes = std::fs::read(blobs.join(&name)).unwrap();
        let hash = if name.len() == 64 {
            hex(&Sha256::digest(&bytes))
        } else {
            hex(&Sha1::digest([format!("blob {}\0", bytes.len()).as_bytes(), &bytes].concat()))
        };
        assert_eq!(hash, name, "{when}: {} bytes", bytes.len());
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(240);
    while !holds() {
        assert!(Instant::now() < deadline, "after 240 s still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn together(version: Version, ours_first: bool) {
    let when = format!("{version:?}, ours first: {ours_first}");
    let both = Both::new(version, &|hub| {
        hub.repo("org/x=model.safetensors:8Mi,other.bin:4Mi,d/e/config.json:300,tokenizer.json:90Ki");
        vec![json!({"name": "x", "huggingFace": {"repo": "org/x"}})]
    });
    // Slow enough that neither is done before the other is at work; lifted then.
    both.hub.control("throttle?bytesPerSecond=100000");
    let blobs = both.repository("org/x").join("blobs");
    let staging = both.volume().join(".modelcache/x/staging");
    let at_work = |ours: bool| {
        if ours { !ending(&staging, ".journal").is_empty() } else { !ending(&blobs, ".incomplete").is_empty() }
    };
    let begin = |ours: bool| {
        let child = start(&mut if ours { both.ours("prefetch") } else { both.theirs(&["download", "org/x"]) });
        until(&format!("{when}: ours {ours} is at work"), || at_work(ours));
        child
    };
    let mut first = begin(ours_first);
    let mut second = begin(!ours_first);
    assert!(at_work(ours_first), "{when}: they did not meet");
    both.hub.control("throttle?bytesPerSecond=3000000");
    while first.try_wait().unwrap().is_none() || second.try_wait().unwrap().is_none() {
        every_blob_is_what_its_name_says(&blobs, &when);
        std::thread::sleep(Duration::from_millis(20));
    }
    let (first, second) = (first.wait_with_output().unwrap(), second.wait_with_output().unwrap());
    let (ours, theirs) = if ours_first { (first, second) } else { (second, first) };
    result(&ours, 0);
    assert!(theirs.status.success(), "{when}: {}", said(&theirs));
    every_blob_is_what_its_name_says(&blobs, &when);
    both.is_right("org/x", "");
    // Also to itself: each finds what it needs, whoever brought it.
    assert_eq!(both.prefetch(), 0, "{when}");
    both.hub.control("reset");
    both.hf(&["download", "org/x"]);
    assert_eq!(both.gets(), 0, "{when}");
    both.is_right("org/x", "");
}

#[test]
fn a_download_of_hf_beside_ours_harms_neither_whoever_came_first() {
    // A partial of the first one has a name that another process may take up, of the others one of its own.
    for (version, ours_first) in [(VERSIONS[0], true), (VERSIONS[2], false), (VERSIONS[3], true), (VERSIONS[3], false)]
    {
        together(version, ours_first);
    }
}
