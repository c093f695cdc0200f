//! What goes and what stays, said before it is done; and what stops it.

use crate::ground::{Ground, noise, sha256, tree};
use serde_json::{Value, json};

/// Five days, a file that all share, and one of each day.
fn ground() -> (Ground, Vec<String>) {
    let ground = Ground::new();
    let ids = (1..=5_u8)
        .map(|day| {
            let own = noise(day, 200 << 10);
            let files = tree(&[("own.bin", &own), ("shared.bin", &noise(99, 200 << 10)), ("small", &[day])]);
            ground.snapshot(&format!("2026-03-{day:02}T10:00:00Z"), &files)
        })
        .collect();
    (ground, ids)
}

fn blob(ground: &Ground, bytes: &[u8]) -> std::path::PathBuf {
    let hash = sha256(bytes);
    ground.store().join("blobs/sha256").join(&hash[..2]).join(hash)
}

/// Makes everything in the store older than any grace time.
fn age(ground: &Ground) {
    let old = std::process::Command::new("find")
        .arg(ground.store())
        .args(["-type", "f", "-exec", "touch", "-d", "2020-01-01", "{}", "+"])
        .status();
    assert!(old.unwrap().success());
}

#[test]
fn a_dry_run_says_why_and_does_nothing() {
    let (ground, ids) = ground();
    ground.retention(&json!({"keepLast": 2, "minGood": 3}));
    let ran = ground.done(&["prune", "--dry-run"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let said: Vec<(&str, &str)> = plan[0]["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["snapshot"].as_str().unwrap(), it["why"].as_str().unwrap()))
        .collect();
    assert_eq!(said[0], (ids[4].as_str(), "among the last, among the last good ones"));
    assert_eq!(said[2], (ids[2].as_str(), "among the last good ones"));
    assert_eq!(said[4], (ids[0].as_str(), "no rule keeps it"));
    assert_eq!(ground.ids(), ids);
    assert!(!ground.store().join("pruning").exists(), "a dry run writes nothing");
}

#[test]
fn what_only_removed_snapshots_needed_goes_when_it_is_old_enough_and_all_else_stays() {
    let (ground, ids) = ground();
    ground.retention(&json!({"keepLast": 2}));
    ground.done(&["prune"]);
    assert_eq!(ground.ids(), ids[3..]);
    assert!(blob(&ground, &noise(1, 200 << 10)).exists(), "younger than its grace time");
    age(&ground);
    ground.done(&["prune"]);
    for day in 1..=3 {
        assert!(!blob(&ground, &noise(day, 200 << 10)).exists());
    }
    for kept in [4, 5, 99] {
        assert!(blob(&ground, &noise(kept, 200 << 10)).exists());
    }
    for id in &ids[3..] {
        let _ = std::fs::remove_dir_all(ground.volume());
        ground.done(&["restore", "--snapshot", id]);
        assert_eq!(ground.on_volume().len(), 3);
    }
}

#[test]
fn more_than_may_go_at_once_is_held_until_somebody_agrees() {
    let (ground, ids) = ground();
    ground.retention(&json!({"keepLast": 1, "maxDeletePercent": 50}));
    ground.run(&["prune"]).failed(61, "DeletionRefused", &["4 of 5 snapshots would go", "nothing was removed"]);
    assert_eq!(ground.ids(), ids);
    ground.done(&["prune", "--acknowledge", "--pin", &ids[1][..10]]);
    assert_eq!(ground.ids(), [ids[1].clone(), ids[4].clone()]);
}

#[test]
fn dated_archives_are_under_the_same_rules_among_themselves() {
    let (ground, ids) = ground();
    let archives = ground.store().join("archives");
    std::fs::create_dir_all(&archives).unwrap();
    let name = |day: u8| format!("202603{day:02}T100000Z-{}.tar.zst", format!("{day:x}").repeat(16));
    for day in 1..=4 {
        std::fs::write(archives.join(name(day)), "whole").unwrap();
    }
    std::fs::write(archives.join("by-hand.tar.zst"), "somebody's").unwrap();
    std::fs::write(archives.join(name(5)), "").unwrap();
    let left = || {
        let mut names: Vec<String> =
            std::fs::read_dir(&archives).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    ground.retention(&json!({"keepLast": 5, "maxDeletePercent": 25}));
    ground.done(&["prune"]);
    assert_eq!(left().len(), 6, "no rule lets one go");
    ground.retention(&json!({"keepLast": 2, "maxDeletePercent": 60}));
    let ran = ground.done(&["prune", "--dry-run", "--pin", &name(1)]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let said: Vec<(bool, &str)> = plan[0]["archives"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["kept"].as_bool().unwrap(), it["why"].as_str().unwrap()))
        .collect();
    assert_eq!(said[2], (true, "among the last"), "{plan:#}");
    assert_eq!(said.iter().filter(|it| !it.0).count(), 1, "{plan:#}");
    assert_eq!(left().len(), 6);
    let ran = ground.done(&["prune", "--pin", &name(1)]);
    assert!(ran.message().contains("1 archives removed, 4 kept"), "{}", ran.message());
    // An empty one that is newer than every good one is no backup, and no reason to give one up.
    assert_eq!(left(), [name(1), name(3), name(4), name(5), "by-hand.tar.zst".to_owned()]);
    assert_eq!(ground.ids(), ids[3..]);
}

#[test]
fn a_pin_that_names_nothing_stops_it_before_anything_goes() {
    let (ground, ids) = ground();
    ground.retention(&json!({"keepLast": 4}));
    for pin in ["ffff0000ffff0000", ""] {
        let ran = ground.run(&["prune", "--pin", &ids[0], "--pin", pin]);
        ran.failed(12, "NotFound", &[&format!("{pin:?}"), "--pin", "nothing was removed"]);
    }
    assert_eq!(ground.ids(), ids);
    ground.done(&["prune", "--pin", &format!("20260301T100000Z-{}", ids[0])]);
    assert_eq!(ground.ids(), ids, "an object's name is as good as an id");
}

#[test]
fn what_cannot_be_read_stops_it_before_anything_goes() {
    let (ground, ids) = ground();
    ground.retention(&json!({"keepLast": 4}));
    let documents = std::fs::read_dir(ground.store().join("snapshots")).unwrap();
    let one = documents.map(|it| it.unwrap().path()).find(|it| it.to_str().unwrap().contains(&ids[4])).unwrap();
    let text = std::fs::read(&one).unwrap();
    std::fs::write(&one, &text[..text.len() / 2]).unwrap();
    ground.run(&["prune"]).failed(30, "ChecksumMismatch", &[&ids[4], "cannot be read"]);
    std::fs::write(&one, &text).unwrap();
    assert_eq!(ground.ids(), ids);
    // A list of a snapshot that stays.
    let chunk = ground.block_on(ground.repository().snapshots()).unwrap()[4].volumes[0].list[0].sha256.clone();
    let list = ground.store().join("blobs/sha256").join(&chunk[..2]).join(format!("{chunk}.zst"));
    std::fs::remove_file(list).unwrap();
    ground.run(&["prune"]).failed(30, "ChecksumMismatch", &[&chunk, "is missing"]);
    assert_eq!(ground.ids(), ids);
}

#[test]
fn a_snapshot_that_lacks_an_object_is_not_what_the_last_good_one_is_given_up_for() {
    let (ground, ids) = ground();
    ground.retention(&json!({"keepLast": 1, "maxDeletePercent": 100}));
    std::fs::remove_file(blob(&ground, &noise(5, 200 << 10))).unwrap();
    ground.done(&["prune"]);
    assert_eq!(ground.ids(), ids[3..], "the newest lacks a blob: the one before it is the last good one");
}

#[test]
fn a_prune_gives_way_to_a_backup_and_forgets_a_dead_one() {
    let (ground, ids) = ground();
    ground.retention(&json!({"keepLast": 3}));
    let running = ground.store().join("running");
    std::fs::create_dir_all(&running).unwrap();
    std::fs::write(running.join("00ff.json"), "{}").unwrap();
    ground.run(&["prune"]).failed(71, "RepositoryInUse", &["running/00ff.json", "nothing was removed"]);
    assert_eq!(ground.ids(), ids);
    assert!(!ground.store().join("pruning").exists_with_entries(), "it has said that it is at work no longer");
    age(&ground);
    ground.done(&["prune"]);
    assert_eq!(ground.ids(), ids[2..]);
    assert!(!running.join("00ff.json").exists());
}

#[test]
fn what_is_not_ours_is_left_alone_and_a_foreign_marker_is_refused() {
    let (ground, ids) = ground();
    ground.retention(&json!({"keepLast": 5}));
    std::fs::write(ground.store().join("blobs/notes.txt"), "mine").unwrap();
    age(&ground);
    ground.done(&["prune"]);
    assert!(ground.store().join("blobs/notes.txt").exists());
    let marker = ground.store().join("modelcache.json");
    let text = std::fs::read_to_string(&marker).unwrap().replace("\"studio\"", "\"other\"");
    std::fs::write(&marker, text).unwrap();
    ground.run(&["prune"]).failed(70, "ForeignBackup", &["other"]);
    ground.run(&["restore", "--of", "default/studio"]).failed(70, "ForeignBackup", &["other"]);
    std::fs::remove_file(&marker).unwrap();
    ground.run(&["prune"]).failed(12, "NotFound", &["holds no backup"]);
    assert!(!marker.exists());
    assert_eq!(ids.len(), 5);
}

trait Entries {
    fn exists_with_entries(&self) -> bool;
}

impl Entries for std::path::PathBuf {
    fn exists_with_entries(&self) -> bool {
        std::fs::read_dir(self).is_ok_and(|it| it.count() > 0)
    }
}
