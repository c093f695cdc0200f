//! Files: by age, by number, by size; and what stops a rule that would delete too much.

use crate::bench::until;
use crate::desk::Desk;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;

fn delete(rule: &Value) -> Desk {
    Desk::with(json!([{"name": "old", "paths": ["images/**"], "trash": false, "delete": rule}]))
}

#[test]
fn images_older_than_thirty_days_go_and_nothing_else() {
    let desk = delete(&json!({"olderThan": "30d"}));
    for (name, days) in [("images/a.png", 31), ("images/deep/b.png", 300), ("images/c.png", 29), ("models/d.glb", 99)] {
        desk.file(name, "x", days);
    }
    let ran = desk.clean();
    assert_eq!(desk.files(), ["images/c.png", "models/d.glb"]);
    let deeds = ran.rule("old")["deeds"].as_array().unwrap().clone();
    assert_eq!(deeds.len(), 2);
    assert_eq!(deeds[0]["path"], "images/a.png");
    assert_eq!(deeds[0]["why"], "not written to for more than 30d");
    assert!(ran.rule("old")["freedBytes"].as_u64().unwrap() >= 2 * 512, "{:#}", ran.results);
    assert!(desk.volume().join("images/deep").is_dir(), "directories stay where nobody asked for more");
    let again = desk.clean();
    assert!(again.results[0]["message"].as_str().unwrap().contains("nothing to do"), "{:#}", again.results);
}

#[test]
fn reading_a_file_does_not_make_it_younger() {
    let desk = delete(&json!({"olderThan": "30d"}));
    let path = desk.file("images/a.png", "x", 31);
    let written = std::fs::metadata(&path).unwrap().modified().unwrap();
    let now = std::time::SystemTime::now();
    let times = std::fs::FileTimes::new().set_accessed(now).set_modified(written);
    std::fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    desk.clean();
    assert!(desk.files().is_empty());
}

#[test]
fn the_oldest_go_until_the_rest_fits_and_the_newest_stay_whatever_the_caps_say() {
    let desk = delete(&json!({"maxTotalSize": "25k"}));
    for age in 1..=5 {
        desk.file(format!("images/{age}.png"), vec![1; 10_000], age);
    }
    desk.clean();
    assert_eq!(desk.files(), ["images/1.png", "images/2.png"]);

    let desk = delete(&json!({"olderThan": "1d", "maxFiles": 0, "keepNewest": 3}));
    for age in 1..=5 {
        desk.file(format!("images/{age}.png"), "x", age * 10);
    }
    desk.clean();
    assert_eq!(desk.files(), ["images/1.png", "images/2.png", "images/3.png"]);
}

#[test]
fn empty_directories_go_only_when_asked_and_never_those_that_the_spec_names() {
    let desk = delete(&json!({"olderThan": "1d", "emptyDirectories": true}));
    desk.file("images/2026/11/a.png", "x", 2);
    desk.file("images/2026/12/b.png", "x", 0);
    std::fs::create_dir_all(desk.volume().join("images/was-empty")).unwrap();
    desk.clean();
    assert!(!desk.volume().join("images/2026/11").exists());
    assert!(desk.volume().join("images/2026/12").is_dir());
    assert!(desk.volume().join("images/was-empty").is_dir(), "it is not empty because of this rule");
    std::fs::remove_file(desk.file("images/2026/12/b.png", "x", 2)).unwrap();
    desk.file("images/2026/12/c.png", "x", 2);
    desk.clean();
    assert!(!desk.volume().join("images/2026").exists());
    assert!(desk.volume().join("images").is_dir());
}

#[test]
fn too_much_at_once_is_refused_with_its_plan_until_somebody_says_that_it_is_right() {
    let desk = delete(&json!({"olderThan": "30d"}));
    for number in 0..30 {
        desk.file(format!("images/{number:02}.png"), "x", 40);
    }
    let ran = desk.run(&["clean"]);
    ran.failed(61, "DeletionRefused", &["would delete 30 of 30 files", "50 %", "--acknowledge"]);
    assert_eq!(desk.files().len(), 30);
    assert_eq!(ran.rule("old")["refused"].as_array().unwrap().len(), 30);
    assert_eq!(ran.rule("old")["deleted"], 0);
    assert_eq!(desk.run(&["clean", "--acknowledge"]).code, 0);
    assert!(desk.files().is_empty());
}

#[test]
fn a_rule_that_may_delete_all_says_so_and_up_to_twenty_files_are_never_refused() {
    let rule = json!({"name": "reset", "paths": ["images/**"], "delete": {"maxFiles": 0}, "maxDeletePercent": 100});
    let desk = Desk::with(json!([rule]));
    for number in 0..30 {
        desk.file(format!("images/{number:02}.png"), "x", 0);
    }
    desk.clean();
    assert!(desk.files().is_empty());

    let desk = delete(&json!({"olderThan": "30d"}));
    for number in 0..20 {
        desk.file(format!("images/{number:02}.png"), "x", 40);
    }
    desk.clean();
    assert!(desk.files().is_empty());
}

#[test]
fn a_rule_that_fails_does_not_hold_back_the_others_and_the_report_says_which() {
    let desk = Desk::with(json!([
        {"name": "broken", "paths": ["logs/*"], "delete": {"olderThan": "1d"}},
        {"name": "fine", "paths": ["images/*"], "delete": {"olderThan": "1d"}}
    ]));
    symlink("/etc", desk.volume().join("logs")).unwrap();
    desk.file("images/a.png", "x", 2);
    let ran = desk.run(&["clean"]);
    ran.failed(41, "VolumeError", &["rule `broken`", "logs is a symbolic link"]);
    assert!(desk.files().iter().all(|it| it != "images/a.png"));
    assert_eq!(ran.results[0]["clean"]["failedRules"], 1);
    assert_eq!(ran.rule("fine")["failure"], Value::Null);
}

#[test]
fn a_volume_that_is_not_there_is_a_failure_and_so_is_a_file_without_rules() {
    let desk = delete(&json!({"olderThan": "30d"}));
    std::fs::remove_dir(desk.volume()).unwrap();
    desk.run(&["clean"]).failed(41, "VolumeError", &["rule `old` can never match", "volumes/data"]);
    desk.spec(json!({"volumes": [{"name": "data", "shared": {"size": "1Gi"}}]}));
    desk.run(&["clean"]).failed(2, "InvalidSpec", &["nothing to clean"]);
}

#[test]
fn a_directory_that_is_not_there_is_nothing_to_do() {
    let desk = delete(&json!({"olderThan": "30d"}));
    let ran = desk.clean();
    assert_eq!(ran.rule("old")["matched"], 0);
    assert_eq!(ran.results[0]["reason"], "Cleaned");
}

#[test]
fn a_deleted_file_that_a_process_has_open_frees_nothing_and_the_report_says_so() {
    let desk = delete(&json!({"olderThan": "30d"}));
    // Others free space on this disk too: so until it shows.
    until("what is open frees nothing", || {
        let path = desk.file("images/big.bin", vec![1; 64 << 20], 31);
        let open = std::fs::File::open(&path).unwrap();
        let ran = desk.clean();
        assert_eq!(ran.rule("old")["freedBytes"].as_u64().unwrap() >> 20, 64);
        drop(open);
        ran.results[0]["notes"].to_string().contains("still has deleted files open")
    });
}
