//! Killed at any moment: never a volume that looks whole and is not, never a backup that is gone.

use crate::ground::{Ground, Tree, noise, tree};
use crate::hub::Hub;
use crate::killing::Killing;
use crate::memory;
use serde_json::json;
use std::time::Instant;

/// Kills at work, of each kind.
const KILLS: u32 = 50;

fn versions() -> (Tree, Tree) {
    let (mut old, mut new) = (Tree::new(), Tree::new());
    for file in 0..40_u8 {
        old.insert(format!("d{}/f{file}", file % 5), vec![file; 20]);
        new.insert(format!("d{}/f{file}", file % 7), vec![file ^ 255; 20]);
    }
    for file in 0..6_u8 {
        old.insert(format!("large{file}"), noise(file, 256 << 10));
        new.insert(format!("large{file}"), noise(100 + file, 256 << 10));
    }
    (old, new)
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_or_says_that_it_is_not_done() {
    let (old, new) = versions();
    let ground = Ground::at(memory::directory());
    ground.snapshot("2026-03-01T00:00:00Z", &new);
    let mut merged = old.clone();
    merged.extend(new.clone());
    let marker = ground.volume().join(".modelcache/studio/current");
    let reset = || {
        let _ = std::fs::remove_dir_all(ground.volume());
        ground.put(&old);
        std::fs::create_dir_all(marker.parent().unwrap()).unwrap();
        std::fs::write(&marker, format!("{}\n", "a".repeat(64))).unwrap();
    };
    reset();
    let began = Instant::now();
    ground.done(&["restore"]);
    let mut killing = Killing::new(KILLS, 0x5eed, began.elapsed());
    while let Some(round) = killing.next() {
        reset();
        killing.kill(ground.start(&["restore"]));
        let found = ground.on_volume();
        // Every file is the old one or the new one, and whoever sees the marker sees one of the two trees.
        for (path, bytes) in &found {
            assert!(old.get(path) == Some(bytes) || new.get(path) == Some(bytes), "round {round}: {path}");
        }
        assert!(old.keys().all(|path| found.contains_key(path)), "round {round}: an old file is gone");
        if marker.exists() {
            assert!(found == old, "round {round}: a half-restored volume looks whole");
        }
        if round % 2 == 0 {
            ground.done(&["restore"]);
            assert!(ground.on_volume() == merged, "round {round}");
        } else {
            let ran = ground.run(&["restore", "--rollback"]);
            assert!(ran.code == 0 || ran.results[0]["reason"] == "NotFound", "{}", ran.stdout);
            assert!(ground.on_volume() == old, "round {round}: not what was there");
            assert!(marker.exists(), "round {round}");
        }
    }
}

#[test]
fn a_restore_that_is_killed_while_sources_bring_the_rest_never_looks_whole_before_it_is() {
    let (ground, hub) = (Ground::at(memory::directory()), Hub::start());
    hub.repo("org/model=weights.bin:768Ki,other.bin:256Ki,config.json:500,part@20:300");
    let source = json!({"name": "model", "huggingFace": {"repo": "org/model", "endpoint": hub.url}});
    ground.source(&source);
    ground.done(&["prefetch"]);
    // Bytes of what people made, names and hashes of the models.
    let own: Vec<(String, Vec<u8>)> = (0..20).map(|it| (format!("images/{it}.png"), noise(it, 20 << 10))).collect();
    ground.put(&own.into_iter().collect());
    ground.of_volume("2026-03-01T00:00:00Z", &source, false);
    let there = ground.on_volume();
    let weights = there.iter().find(|(_, bytes)| bytes.len() == 768 << 10).unwrap().0.clone();
    let marker = ground.volume().join(".modelcache/studio/current");
    // Slow enough that what comes from the origin is most of the time.
    let throttle = |bytes: u64| hub.state.lock().throttle = bytes;
    throttle(3 << 20);
    let wiped = || std::fs::remove_dir_all(ground.volume()).unwrap();
    wiped();
    let began = Instant::now();
    ground.done(&["restore"]);
    let mut killing = Killing::new(KILLS, 0x0a1b, began.elapsed());
    let mut fetching = 0;
    while let Some(round) = killing.next() {
        // Everything is lost, or bytes went wrong in place and nobody knows it yet.
        let mut before = Tree::new();
        if round % 3 == 0 {
            std::fs::write(ground.volume().join(&weights), vec![7; 768 << 10]).unwrap();
            std::fs::remove_file(ground.volume().join("images/3.png")).unwrap();
            before = ground.on_volume();
        } else {
            wiped();
        }
        throttle(3 << 20);
        let killed = killing.kill(ground.start(&["restore"]));
        throttle(0);
        let found = ground.on_volume();
        for (path, bytes) in &found {
            let right = there.get(path) == Some(bytes) || before.get(path) == Some(bytes);
            assert!(right, "round {round}: {path} is neither what was there nor what is restored");
        }
        if marker.exists() {
            assert!(found == there || found == before, "round {round}: a half-restored volume looks whole");
        }
        fetching += u32::from(killed && found.contains_key("images/3.png") && found != there);
        ground.done(&["restore"]);
        assert!(ground.on_volume() == there, "round {round}");
        assert!(marker.exists(), "round {round}");
        if round % 10 == 0 {
            ground.done(&["verify"]);
        }
    }
    assert!(fetching >= KILLS / 4, "only {fetching} were killed while sources were at work");
}

#[test]
fn a_prune_that_is_killed_leaves_every_snapshot_with_all_its_objects_and_the_last_good_ones() {
    let ground = Ground::at(memory::directory());
    ground.retention(&json!({"keepLast": 3, "minGood": 2, "maxDeletePercent": 100}));
    let mut day = 0;
    let mut refill = || {
        while ground.ids().len() < 6 {
            day += 1;
            let own = noise(u8::try_from(day % 250).unwrap(), 100 << 10);
            let time = jiff::Timestamp::from_second(1_700_000_000 + day * 86_400).unwrap().to_string();
            let shared = noise(251, 200 << 10);
            ground.snapshot(&time, &tree(&[("own", &own), ("shared", &shared), ("small", &day.to_le_bytes())]));
        }
        ground.ids()
    };
    let arguments = ["prune", "--grace", "1s"];
    let before = refill();
    let began = Instant::now();
    ground.done(&arguments);
    assert_eq!(ground.ids(), before[3..]);
    let mut killing = Killing::new(KILLS, 0x9a4e, began.elapsed());
    while let Some(round) = killing.next() {
        let before = refill();
        killing.kill(ground.start(&arguments));
        let left = ground.ids();
        assert!(left.ends_with(&before[3..]), "round {round}: a snapshot that stays is gone");
        // Every one that is left has all its bytes.
        assert_eq!(ground.damage(), Vec::<String>::new(), "round {round}");
        // What a killed prune leaves says only that one was at work.
        let _ = std::fs::remove_dir_all(ground.store().join("pruning"));
    }
}
