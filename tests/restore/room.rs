//! Room for what is written, and not for what is there: a volume that is nearly full can be mended.

use crate::ground::{Ground, noise, tree};
use crate::hub::Hub;
use serde_json::json;

/// With so much that must stay free, nothing may be written.
const FULL: [&str; 3] = ["restore", "--min-free", "99999999999999"];

#[test]
fn what_is_in_place_with_the_right_hash_needs_no_room() {
    let ground = Ground::new();
    let (large, small) = (noise(1, 300 << 10), noise(2, 100 << 10));
    ground.snapshot("2026-03-01T00:00:00Z", &tree(&[("large", &large), ("small", &small), ("text", b"some")]));
    ground.done(&["restore"]);
    ground.done(&FULL);
    // Only what is lost is counted, whether its size says so or its hash.
    std::fs::remove_file(ground.volume().join("small")).unwrap();
    ground.run(&FULL).failed(40, "InsufficientSpace", &["100.0 KiB are needed", "nothing was written"]);
    assert!(!ground.volume().join("small").exists());
    std::fs::write(ground.volume().join("small"), vec![7; 100 << 10]).unwrap();
    ground.run(&FULL).failed(40, "InsufficientSpace", &["100.0 KiB are needed"]);
    ground.done(&["restore"]);
    ground.done(&FULL);
}

#[test]
fn what_sources_would_bring_and_is_there_already_needs_no_room_either() {
    let (ground, hub) = (Ground::new(), Hub::start());
    hub.repo("org/model=weights.bin:3Mi,config.json:500");
    let source = json!({"name": "model", "huggingFace": {"repo": "org/model", "endpoint": hub.url}});
    ground.source(&source);
    ground.done(&["prefetch"]);
    let there = ground.on_volume();
    ground.of_volume("2026-03-01T00:00:00Z", &source, false);
    ground.done(&FULL);
    assert!(ground.on_volume() == there);
    let weights = there.iter().find(|(_, bytes)| bytes.len() == 3 << 20).unwrap().0;
    std::fs::remove_file(ground.volume().join(weights)).unwrap();
    ground.run(&FULL).failed(40, "InsufficientSpace", &["3.0 MiB are needed"]);
    ground.done(&["restore"]);
    assert!(ground.on_volume() == there);
}

#[test]
fn what_a_killed_run_had_made_takes_no_room_from_the_next() {
    let ground = Ground::new();
    ground.snapshot("2026-03-01T00:00:00Z", &tree(&[("file", &noise(1, 100 << 10))]));
    let left = ground.volume().join(".modelcache/studio/restore/new");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("half"), noise(3, 1 << 20)).unwrap();
    ground.run(&FULL).failed(40, "InsufficientSpace", &["100.0 KiB are needed"]);
    assert!(!left.exists());
}
