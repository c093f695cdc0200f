//! Links, second names, names that are no names, files that vanish, directories that change under the run.

use crate::desk::{Desk, numbered};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

fn logs() -> Value {
    json!({"name": "logs", "paths": ["logs/**"], "rotate": {"maxSize": "1", "keep": 2, "compress": "Zstd", "delayCompress": false}, "deleteAfter": "7d"})
}

fn old(paths: &[&str]) -> Value {
    json!({"name": "old", "paths": paths, "trash": false, "maxDeletePercent": 100, "delete": {"olderThan": "1d", "emptyDirectories": true}})
}

#[test]
fn no_link_is_followed_wherever_it_stands() {
    let outside = tempfile::tempdir().unwrap();
    let treasure = outside.path().join("treasure.log");
    std::fs::write(&treasure, numbered(0, 10)).unwrap();
    crate::desk::aged(&treasure, 100);
    let desk = Desk::with(json!([logs(), old(&["images/**", "also/*"])]));
    std::fs::create_dir_all(desk.volume().join("logs")).unwrap();
    std::fs::create_dir_all(desk.volume().join("images")).unwrap();
    symlink(outside.path(), desk.volume().join("logs/out")).unwrap();
    symlink(&treasure, desk.volume().join("logs/app.log")).unwrap();
    symlink(outside.path(), desk.volume().join("images/out")).unwrap();
    symlink(outside.path(), desk.volume().join("also")).unwrap();
    let ran = desk.run(&["clean"]);
    assert_eq!(ran.code, 41, "a rule that begins at a link says so: {:#}", ran.results);
    assert!(ran.rule("old")["failure"]["message"].as_str().unwrap().contains("also is a symbolic link"));
    assert!(ran.rule("logs")["notes"].to_string().contains("symbolic links match"), "{:#}", ran.results);
    assert_eq!(std::fs::read_to_string(&treasure).unwrap(), numbered(0, 10));
    assert!(desk.volume().join("logs/app.log").is_symlink());
}

#[test]
fn a_log_with_a_second_name_is_refused_by_name() {
    let desk = Desk::with(json!([logs()]));
    let kept = desk.file("kept", numbered(0, 10), 0);
    std::fs::create_dir_all(desk.volume().join("logs")).unwrap();
    std::fs::hard_link(&kept, desk.volume().join("logs/a.log")).unwrap();
    let ran = desk.clean();
    assert!(ran.rule("logs")["notes"].to_string().contains("logs/a.log has another name"), "{:#}", ran.results);
    assert_eq!(desk.files(), ["kept", "logs/a.log"]);
    assert_eq!(std::fs::read_to_string(kept).unwrap(), numbered(0, 10));
}

#[test]
fn names_of_any_bytes_are_names() {
    let desk = Desk::with(json!([logs(), old(&["images/**"])]));
    let strange: [&[u8]; 4] = [b"two\nlines.log", b"no-utf-8-\xff.log", b"-rf", b"$(touch x) *.log"];
    for name in strange {
        for directory in ["logs", "images"] {
            desk.file(std::path::Path::new(directory).join(OsStr::from_bytes(name)), numbered(0, 5), 2);
        }
    }
    let ran = desk.clean();
    assert_eq!(ran.rule("logs")["rotated"], 4, "{:#}", ran.results);
    assert_eq!(ran.rule("old")["deleted"], 4);
    assert!(ran.results.to_string().contains("two\\\\nlines"), "one line in messages: {}", ran.results);
    assert_eq!(std::fs::read_dir(desk.volume().join("images")).unwrap().count(), 0);
    let compressed = std::fs::read_dir(desk.volume().join("logs")).unwrap();
    let names: Vec<_> = compressed.map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.iter().filter(|it| it.as_bytes().ends_with(b".zst")).count(), 4, "{names:?}");
}

#[test]
fn our_own_directory_and_pipes_are_no_files_of_a_rule() {
    let desk = Desk::with(json!([old(&["**"])]));
    desk.file(".modelcache/studio/manifests/x.json", "{\"version\": 1, \"sour", 9);
    std::fs::remove_file(desk.volume().join(".modelcache/studio/manifests/x.json")).unwrap();
    let own = desk.file(".modelcache/other/keep", "x", 9);
    let status = std::process::Command::new("mkfifo").arg(desk.volume().join("pipe")).status().unwrap();
    assert!(status.success());
    desk.file("old", "x", 9);
    desk.clean();
    assert_eq!(desk.files(), ["pipe"]);
    assert!(own.exists());
}

#[test]
fn where_a_manifest_cannot_be_believed_nothing_is_deleted() {
    let desk = Desk::with(json!([old(&["**"])]));
    desk.file(".modelcache/studio/manifests/x.json", "{\"version\": 1, \"sour", 9);
    desk.file("files/model.bin", "x", 9);
    desk.run(&["clean"]).failed(33, "Damaged", &["manifest of source `x`", "modelcache prefetch"]);
    assert_eq!(desk.files(), ["files/model.bin"]);
}

#[test]
fn files_that_vanish_meanwhile_are_no_failure() {
    let desk = Desk::with(json!([old(&["images/**"])]));
    for round in 0..3 {
        for number in 0..3000 {
            desk.file(format!("images/{}/{number}", number % 10), "x", 2);
        }
        let mut child = desk.start(&["clean"]);
        for number in (0..3000).rev() {
            _ = std::fs::remove_file(desk.volume().join(format!("images/{}/{number}", number % 10)));
        }
        assert_eq!(child.wait().unwrap().code(), Some(0), "round {round}");
    }
    desk.clean();
    assert!(desk.files().is_empty());
}

#[test]
fn a_directory_that_becomes_a_link_between_the_look_and_the_deed_leads_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    let desk = Desk::with(json!([old(&["images/**"]), logs()]));
    // The same names on both sides: whoever follows the link deletes there.
    for number in 0..200 {
        let path = outside.path().join(format!("{number}.log"));
        std::fs::write(&path, "treasure").unwrap();
        crate::desk::aged(&path, 9);
    }
    for base in ["images", "logs"] {
        for number in 0..200 {
            desk.file(format!("{base}/d/{number}.log"), "x", 9);
        }
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for base in ["images", "logs"] {
                    let (here, aside) = (desk.volume().join(base).join("d"), desk.path(&format!("aside-{base}")));
                    if std::fs::rename(&here, &aside).is_ok() {
                        // It may have been made again meanwhile: before the link, or after it.
                        if symlink(outside.path(), &here).is_ok() {
                            std::fs::remove_file(&here).unwrap();
                        }
                        if std::fs::rename(&aside, &here).is_err() {
                            std::fs::remove_dir_all(&aside).unwrap();
                        }
                    }
                }
            }
        });
        for _ in 0..20 {
            _ = desk.run(&["clean"]);
            for base in ["images", "logs"] {
                _ = std::fs::create_dir(desk.volume().join(base).join("d"));
                for number in 0..200 {
                    desk.file_unless_moved(&format!("{base}/d/{number}.log"));
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    for number in 0..200 {
        let path = outside.path().join(format!("{number}.log"));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "treasure");
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 200, "and nothing was made there");
}

#[test]
fn a_directory_that_may_not_be_written_fails_by_name_and_the_other_rules_go_on() {
    use std::os::unix::process::CommandExt;
    let desk = Desk::with(
        json!([old(&["images/*"]), {"name": "other", "paths": ["models/*"], "trash": false, "delete": {"olderThan": "1d"}}]),
    );
    desk.file("images/a.png", "x", 2);
    desk.file("models/b.glb", "x", 2);
    let open =
        |path: &std::path::Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    open(&desk.path(""), 0o755);
    open(&desk.volume(), 0o777);
    open(&desk.volume().join("models"), 0o777);
    open(&desk.volume().join("images"), 0o555);
    let mut command = desk.command(&["clean"]);
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let results: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    open(&desk.volume().join("images"), 0o755);
    assert_eq!(output.status.code(), Some(41), "{results:#} {}", String::from_utf8_lossy(&output.stderr));
    assert!(results[0]["message"].as_str().unwrap().contains("images/a.png"), "{results:#}");
    assert_eq!(desk.files(), ["images/a.png"], "the other rule has done its work");
}
