//! A snapshot that is whole: what was there comes back, exactly, and can be taken back.

use crate::ground::{Ground, mode, noise, read, tree};
use serde_json::Value;

fn first() -> crate::ground::Tree {
    tree(&[
        ("assets/a.txt", b"first a"),
        ("assets/run.sh", b"#!/bin/sh\n"),
        ("large.bin", &noise(1, 3 << 20)),
        ("copy-of-large.bin", &noise(1, 3 << 20)),
        ("link", b"-> assets/a.txt"),
        ("deep/er/x", b""),
    ])
}

fn second() -> crate::ground::Tree {
    let mut second = first();
    second.insert("assets/a.txt".into(), b"second".to_vec());
    second.remove("deep/er/x");
    second.insert("new".into(), b"new".to_vec());
    second
}

fn ground() -> (Ground, String, String) {
    let ground = Ground::new();
    let one = ground.snapshot("2026-03-01T10:00:00Z", &first());
    let two = ground.snapshot("2026-03-02T10:00:00Z", &second());
    (ground, one, two)
}

#[test]
fn an_empty_volume_gets_everything_of_the_latest_and_says_what_it_was() {
    let (ground, _, two) = ground();
    let ran = ground.done(&["restore"]);
    assert_eq!(ground.on_volume(), second());
    assert_eq!(mode(&ground.volume().join("assets/run.sh")), 0o755);
    assert_eq!(mode(&ground.volume().join("assets/a.txt")), 0o644);
    let restored = &ran.results[0]["restore"];
    assert_eq!((restored["snapshot"].as_str(), restored["files"].as_u64()), (Some(two.as_str()), Some(5)));
}

#[test]
fn a_snapshot_is_chosen_by_its_id_or_by_a_time_or_not_at_all() {
    let (ground, one, _) = ground();
    ground.done(&["restore", "--snapshot", &one[..8]]);
    assert_eq!(ground.on_volume(), first());
    std::fs::remove_dir_all(ground.volume()).unwrap();
    ground.done(&["restore", "--as-of", "2026-03-02T09:59:59Z"]);
    assert_eq!(ground.on_volume(), first());
    ground.run(&["restore", "--as-of", "2026-02-01T00:00:00Z"]).failed(12, "NotFound", &["no snapshot is as old"]);
    ground.run(&["restore", "--snapshot", "ffffffffffff"]).failed(12, "NotFound", &["is called"]);
    ground.run(&["restore", "--include", "nothing/*"]).failed(32, "NoFiles", &["nothing was restored"]);
    ground.run(&["restore", "--volume", "other"]).failed(12, "NotFound", &["no volume `other`, but data"]);
    assert_eq!(ground.on_volume(), first());
}

#[test]
fn what_a_snapshot_does_not_have_is_left_alone_and_a_rollback_gives_all_of_it_back() {
    let (ground, ..) = ground();
    let mine = tree(&[
        ("assets/a.txt", b"newer than any"),
        ("assets/mine", b"keep"),
        ("large.bin", b"short"),
        ("other/x", b"y"),
    ]);
    ground.put(&mine);
    ground.done(&["restore"]);
    let mut expected = second();
    expected.extend(tree(&[("assets/mine", b"keep"), ("other/x", b"y")]));
    assert_eq!(ground.on_volume(), expected);
    ground.done(&["restore", "--rollback"]);
    assert_eq!(ground.on_volume(), mine);
    ground.run(&["restore", "--rollback"]).failed(12, "NotFound", &["rolled back already"]);
    ground.done(&["restore"]);
    ground.done(&["restore", "--finish"]);
    assert_eq!(ground.on_volume(), expected);
    ground.run(&["restore", "--rollback"]).failed(12, "NotFound", &["nothing to roll back"]);
}

#[test]
fn a_part_is_restored_with_what_its_links_lead_to() {
    let (ground, ..) = ground();
    ground.done(&["restore", "--include", "link", "--include", "*.bin", "--exclude", "copy*"]);
    let found: Vec<String> = ground.on_volume().into_keys().collect();
    assert_eq!(found, ["assets/a.txt", "large.bin", "link"]);
}

#[test]
fn what_is_there_already_is_neither_written_nor_moved() {
    use std::os::unix::fs::MetadataExt;
    let (ground, ..) = ground();
    ground.done(&["restore"]);
    let inode = |name: &str| ground.volume().join(name).metadata().unwrap().ino();
    let before = (inode("large.bin"), inode("assets/a.txt"));
    std::fs::write(ground.volume().join("new"), "damaged").unwrap();
    let ran = ground.done(&["restore"]);
    assert_eq!((inode("large.bin"), inode("assets/a.txt")), before);
    assert!(ran.message().contains(" 3 B written"), "{}", ran.message());
    assert_eq!(ground.on_volume(), second());
}

#[test]
fn with_no_objects_left_the_place_alone_is_enough() {
    let (ground, ..) = ground();
    let nas = format!("file://{}", ground.path("nas").display());
    let to = ground.path("claim");
    ground.done(&["restore", "--from", &nas, "--to", to.to_str().unwrap()]);
    assert_eq!(read(&to), second());
    let itself = format!("file://{}", ground.store().display());
    let ran = ground.done(&["restore", "--from", &itself, "--print-spec", "--to", "/nowhere"]);
    let cache: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&cache["kind"], &cache["metadata"]["name"]), (&"ModelCache".into(), &"studio".into()));
    assert_eq!(cache["spec"]["volumes"][0]["name"], "data");
    let empty = ground.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let ran = ground.run(&["restore", "--from", empty.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    ran.failed(12, "NotFound", &["no backup of any cache"]);
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0, "a restore makes no repository");
}

#[test]
fn a_document_that_says_only_where_the_backups_are_is_enough_for_all_volumes() {
    let (ground, ..) = ground();
    let mut spec = Ground::spec();
    spec["volumes"] = serde_json::json!([{"name": "target", "existingClaim": {"claimName": "nas"}}]);
    ground.write_cache(&spec);
    ground.done(&["restore", "--volumes-of-snapshot"]);
    assert_eq!(ground.on_volume(), second());
}

#[test]
fn a_volume_that_is_too_small_is_told_so_before_anything_is_written() {
    let (ground, ..) = ground();
    ground.run(&["restore", "--min-free", "99999999999999"]).failed(40, "InsufficientSpace", &["nothing was written"]);
    assert!(ground.on_volume().is_empty());
}
