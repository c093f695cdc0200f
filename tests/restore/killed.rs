//! Killed at any moment: never a volume that looks whole and is not, never a backup that is gone.

use crate::ground::{Ground, Tree, noise, tree};
use crate::memory;
use serde_json::json;
use std::process::Child;
use std::time::{Duration, Instant};

/// Moments at which each is killed.
const MOMENTS: u32 = 50;

/// A number that differs from round to round, and is the same in every run of the test.
fn fraction(round: u32) -> f64 {
    f64::from((round.wrapping_mul(2_654_435_761)) >> 8) / f64::from(1_u32 << 24)
}

fn kill_after(mut child: Child, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    let _ = child.kill();
    child.wait().unwrap().code().is_none()
}

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
    let whole = began.elapsed();
    let mut killed = 0;
    for round in 0..MOMENTS {
        reset();
        let time = whole.mul_f64(fraction(round) * 1.05);
        killed += u32::from(kill_after(ground.start(&["restore"]), time));
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
    assert!(killed >= MOMENTS / 4, "only {killed} of {MOMENTS} runs were killed at work");
}

#[test]
fn a_prune_that_is_killed_leaves_every_snapshot_with_all_its_objects_and_the_last_good_ones() {
    let ground = Ground::at(memory::directory());
    ground.retention(&json!({"keepLast": 3, "minGood": 2, "maxDeletePercent": 100}));
    let mut killed = 0;
    let mut day = 0;
    let mut whole = Duration::from_millis(200);
    for round in 0..MOMENTS {
        while ground.ids().len() < 6 {
            day += 1;
            let own = noise(u8::try_from(day % 250).unwrap(), 100 << 10);
            let time = jiff::Timestamp::from_second(1_700_000_000 + day * 86_400).unwrap().to_string();
            let shared = noise(251, 200 << 10);
            ground.snapshot(&time, &tree(&[("own", &own), ("shared", &shared), ("small", &day.to_le_bytes())]));
        }
        let before = ground.ids();
        let arguments = ["prune", "--grace", "1s"];
        if round % 10 == 0 {
            let began = Instant::now();
            ground.done(&arguments);
            whole = began.elapsed();
            assert_eq!(ground.ids(), before[3..]);
            continue;
        }
        killed += u32::from(kill_after(ground.start(&arguments), whole.mul_f64(fraction(round) * 1.1)));
        let left = ground.ids();
        assert!(left.ends_with(&before[3..]), "round {round}: a snapshot that stays is gone");
        // Every one that is left has all its bytes.
        assert_eq!(ground.damage(), Vec::<String>::new(), "round {round}");
        // What a killed prune leaves says only that one was at work.
        let _ = std::fs::remove_dir_all(ground.store().join("pruning"));
    }
    assert!(killed >= MOMENTS / 4, "only {killed} of {MOMENTS} runs were killed at work");
}
