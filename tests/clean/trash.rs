//! What is thrown away comes back as it was, until the grace time is over.

use crate::desk::Desk;
use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn desk() -> Desk {
    let desk = Desk::new();
    desk.cleanup(json!({"trashGrace": "3d", "rules": [
        {"name": "old", "paths": ["images/**"], "delete": {"olderThan": "30d", "emptyDirectories": true}}
    ]}));
    desk
}

fn entries(desk: &Desk) -> Vec<String> {
    let ran = desk.run(&["restore-trash", "--list"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let entries = ran.results[0]["entries"].as_array().unwrap().clone();
    entries.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_file_comes_back_with_its_bytes_its_mode_and_its_time() {
    let desk = desk();
    let path = desk.file("images/2026/a.png", "the picture", 31);
    desk.file("images/2026/b.png", "another", 31);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let before = std::fs::metadata(&path).unwrap();
    let ran = desk.clean();
    assert!(!path.exists());
    assert!(ran.rule("old")["trashedBytes"].as_u64().unwrap() > 0);
    assert_eq!(ran.rule("old")["freedBytes"], 0);
    assert_eq!(entries(&desk).len(), 1);
    let mode = std::fs::metadata(desk.volume().join(".modelcache/trash")).unwrap().mode() & 0o7777;
    assert_eq!(mode, 0o700, "nobody else looks into it");

    let back = desk.run(&["restore-trash", "images/2026/a.png"]);
    assert_eq!((back.code, &back.results[0]["files"]), (0, &json!(1)), "{}", back.stderr);
    let now = std::fs::metadata(&path).unwrap();
    assert_eq!((now.ino(), now.mode(), now.mtime()), (before.ino(), before.mode(), before.mtime()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "the picture");

    let id = entries(&desk).remove(0);
    let back = desk.run(&["restore-trash", &id]);
    assert_eq!((back.code, &back.results[0]["files"]), (0, &json!(1)));
    assert!(entries(&desk).is_empty(), "what is empty goes");
    assert_eq!(desk.files().len(), 2);
}

#[test]
fn a_directory_comes_back_and_nothing_that_is_there_is_overwritten() {
    let desk = desk();
    desk.file("images/a/1.png", "old", 31);
    desk.file("images/a/2.png", "old", 31);
    desk.clean();
    desk.file("images/a/1.png", "new", 0);
    let back = desk.run(&["restore-trash", "images/a/"]);
    assert_eq!(back.code, 1);
    assert_eq!(back.results[0]["taken"], json!(["images/a/1.png"]));
    assert_eq!(std::fs::read_to_string(desk.volume().join("images/a/1.png")).unwrap(), "new");
    assert!(desk.volume().join("images/a/2.png").exists());
    assert_eq!(entries(&desk).len(), 1, "what could not come back is still there");
}

#[test]
fn what_is_not_in_the_trash_is_not_found() {
    let desk = desk();
    let ran = desk.run(&["restore-trash", "images/never.png"]);
    ran.failed(12, "NotFound", &["images/never.png", "--list"]);
    assert_eq!(desk.run(&["restore-trash", "../../etc/passwd"]).code, 12);
}

#[test]
fn the_trash_is_emptied_after_its_grace_time_and_not_before() {
    let desk = desk();
    desk.file("images/a.png", vec![1; 100_000], 31);
    desk.clean();
    desk.clean();
    let id = entries(&desk).remove(0);
    let note = desk.volume().join(format!(".modelcache/trash/{id}/note.json"));
    let mut document: serde_json::Value = serde_json::from_slice(&std::fs::read(&note).unwrap()).unwrap();
    let time = document["time"].as_i64().unwrap();
    document["time"] = json!(time - 4 * 24 * 3600);
    std::fs::write(&note, document.to_string()).unwrap();
    let dry = desk.run(&["clean", "--dry-run"]);
    assert!(dry.results[0]["trashEmptiedBytes"].as_u64().unwrap() >= 100_000);
    assert_eq!(entries(&desk).len(), 1);
    let ran = desk.clean();
    assert!(ran.results[0]["trashEmptiedBytes"].as_u64().unwrap() >= 100_000, "{:#}", ran.results);
    assert!(ran.results[0]["clean"]["freedBytes"].as_u64().unwrap() >= 100_000);
    assert!(entries(&desk).is_empty());
}

#[test]
fn du_counts_the_trash_as_what_could_go() {
    let desk = desk();
    desk.file("images/a.png", vec![1; 100_000], 31);
    desk.clean();
    let usage = desk.run(&["du"]);
    let could_go = usage.results[0]["reclaimable"].to_string();
    assert!(could_go.contains("\"trash\""), "{could_go}");
}
