//! Logs: rotated, compressed, kept and deleted, and no line lost.

use crate::bench::until;
use crate::desk::{Desk, aged, lines, numbered, text};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn rotate(more: &Value) -> Value {
    let mut rule = json!({"name": "logs", "paths": ["logs/**/*.log"], "rotate": {"maxSize": "1Ki", "keep": 3}});
    rule["rotate"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([rule])
}

fn rotated(desk: &Desk, log: &str) -> Vec<String> {
    desk.files().into_iter().filter(|it| it.starts_with(&format!("{log}."))).collect()
}

#[test]
fn a_large_log_is_rotated_by_a_new_name_and_an_empty_one_of_its_mode_takes_its_place() {
    let desk = Desk::with(rotate(&json!({})));
    let log = desk.file("logs/app/a.log", numbered(0, 100), 0);
    std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o640)).unwrap();
    let small = desk.file("logs/small.log", "one line\n", 0);
    let before = std::fs::metadata(&log).unwrap();
    let ran = desk.clean();
    assert_eq!(ran.rule("logs")["rotated"], 1, "{:#}", ran.results);
    let old = rotated(&desk, "logs/app/a.log");
    assert_eq!(old.len(), 1);
    let (old, new) = (std::fs::metadata(desk.volume().join(&old[0])).unwrap(), std::fs::metadata(&log).unwrap());
    assert_eq!((old.ino(), old.size()), (before.ino(), before.size()), "the same file by another name");
    assert_eq!((new.size(), new.mode() & 0o7777, new.uid()), (0, 0o640, before.uid()));
    assert_eq!(text(&small), "one line\n");
    let ran = desk.clean();
    assert_eq!(ran.rule("logs")["deeds"], json!([]), "an empty log is not rotated again");
    assert!(ran.results[0]["message"].as_str().unwrap().contains("nothing to do"), "{:#}", ran.results);
}

#[test]
fn no_line_is_lost_over_many_rotations_and_the_oldest_beyond_the_number_kept_go() {
    let desk = Desk::with(rotate(&json!({"compress": "Zstd", "delayCompress": false, "keep": 3})));
    for round in 0..5 {
        let log = desk.file("logs/a.log", numbered(round * 100, (round + 1) * 100), 1);
        aged(&log, 5 - round as u64);
        desk.clean();
    }
    let left = rotated(&desk, "logs/a.log");
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.iter().all(|it| it.ends_with("Z.zst")), "{left:?}");
    let expected: Vec<String> = numbered(200, 500).lines().map(str::to_owned).collect();
    assert_eq!(lines(&desk.volume().join("logs/a.log")), expected);
    let newest = std::fs::metadata(desk.volume().join(&left[2])).unwrap();
    let age = newest.modified().unwrap().elapsed().unwrap().as_secs();
    assert!((86_000..87_000).contains(&age), "the compressed file keeps the time of the last line: {age}");
}

#[test]
fn the_newest_rotated_file_is_left_to_who_still_writes_to_it() {
    let desk = Desk::with(rotate(&json!({"compress": "Zstd"})));
    let log = desk.file("logs/a.log", numbered(0, 100), 1);
    let mut writer = std::fs::File::options().append(true).open(&log).unwrap();
    desk.clean();
    writer.write_all(b"late\n").unwrap();
    desk.clean();
    assert!(rotated(&desk, "logs/a.log").iter().all(|it| !it.ends_with(".zst")));
    assert!(lines(&log).contains(&"late".to_owned()), "a line that was written after the rotation is there");
}

#[test]
fn what_a_process_has_open_is_not_compressed_under_it() {
    let desk = Desk::with(rotate(&json!({"compress": "Zstd", "delayCompress": false})));
    let log = desk.file("logs/a.log", numbered(0, 100), 1);
    let mut writer = std::fs::File::options().append(true).open(&log).unwrap();
    let ran = desk.clean();
    let notes = ran.rule("logs")["notes"].to_string();
    assert!(notes.contains("is still open in process") && notes.contains("CopyTruncate"), "{notes}");
    assert!(notes.contains("is compressed later"), "{notes}");
    writer.write_all(b"late\n").unwrap();
    drop(writer);
    let old = rotated(&desk, "logs/a.log");
    aged(&desk.volume().join(&old[0]), 1);
    desk.clean();
    assert!(rotated(&desk, "logs/a.log")[0].ends_with(".zst"));
    assert!(lines(&log).contains(&"late".to_owned()));
}

#[test]
fn copy_truncate_keeps_the_file_that_a_program_has_open() {
    let desk = Desk::with(rotate(&json!({"method": "CopyTruncate"})));
    let log = desk.file("logs/a.log", numbered(0, 100), 0);
    let mut writer = std::fs::File::options().append(true).open(&log).unwrap();
    let inode = std::fs::metadata(&log).unwrap().ino();
    desk.clean();
    let now = std::fs::metadata(&log).unwrap();
    assert_eq!((now.ino(), now.size()), (inode, 0));
    writer.write_all(b"after\n").unwrap();
    assert_eq!(text(&log), "after\n");
    assert_eq!(lines(&log).len(), 101);
}

#[test]
fn logs_that_nobody_wrote_to_for_a_week_go_and_so_do_their_rotated_files() {
    let rule = json!({"name": "logs", "paths": ["**/*.log"], "rotate": {"maxSize": "100Mi", "keep": 7, "compress": "Zstd"}, "deleteAfter": "7d"});
    let desk = Desk::with(json!([rule]));
    desk.file("logs/supervisor/old.log", "x", 8);
    desk.file("logs/supervisor/new.log", "x", 6);
    desk.file("logs/new.log.20260101T000000Z", "x", 9);
    desk.file("logs/notes.txt", "x", 900);
    let ran = desk.clean();
    assert_eq!(ran.rule("logs")["deleted"], 2, "{:#}", ran.results);
    assert_eq!(desk.files(), ["logs/notes.txt", "logs/supervisor/new.log"]);
}

#[test]
fn a_log_is_rotated_by_the_age_that_the_file_system_knows() {
    let rule = |age: &str| json!([{"name": "logs", "paths": ["*.log"], "rotate": {"maxAge": age, "keep": 5}}]);
    let desk = Desk::with(rule("1d"));
    desk.file("a.log", "x\n", 9);
    assert_eq!(desk.clean().rule("logs")["rotated"], 0, "it was begun just now, whatever its last line says");
    desk.rules(rule("1s"));
    until("it is older than a second", || desk.clean().rule("logs")["rotated"] == 1);
    assert_eq!(rotated(&desk, "a.log").len(), 1);
}

#[test]
fn two_rotations_in_one_second_overwrite_nothing() {
    let desk = Desk::with(rotate(&json!({"keep": 100})));
    for round in 0..6 {
        desk.file("logs/a.log", numbered(round * 50, (round + 1) * 50), 0);
        desk.clean();
    }
    assert_eq!(rotated(&desk, "logs/a.log").len(), 6);
    assert_eq!(lines(&desk.volume().join("logs/a.log")).len(), 300);
}

#[test]
fn a_dry_run_says_all_and_does_nothing() {
    let desk = Desk::with(json!([
        {"name": "logs", "paths": ["logs/*.log"], "rotate": {"maxSize": "1Ki", "keep": 1, "compress": "Zstd", "delayCompress": false}, "deleteAfter": "7d"},
        {"name": "images", "paths": ["images/*"], "delete": {"olderThan": "30d", "emptyDirectories": true}},
        {"name": "modes", "paths": ["logs/*"], "permissions": {"fileMode": "0600"}}
    ]));
    desk.file("logs/a.log", numbered(0, 100), 1);
    desk.file("logs/a.log.20261101T000000Z", numbered(0, 100), 1);
    desk.file("logs/b.log", "x", 9);
    desk.file("images/old.png", "x", 31);
    let before = desk.everything();
    let ran = desk.run(&["clean", "--dry-run"]);
    assert_eq!(ran.code, 0, "{:#}", ran.results);
    assert_eq!(desk.everything(), before);
    let rule = ran.rule("logs");
    assert_eq!((&rule["rotated"], &rule["deleted"]), (&json!(1), &json!(2)), "{rule:#}");
    assert_eq!(ran.rule("images")["deleted"], 1);
    assert_eq!(ran.rule("modes")["mended"], 3);
    assert_eq!(ran.results[0]["clean"]["dryRun"], true);
}
