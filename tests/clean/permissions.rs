//! Modes and owners: mended where they are wrong, and nowhere else.

use crate::desk::Desk;
use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

fn set(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_and_directories_get_the_modes_they_should_have_and_a_second_run_has_nothing_to_do() {
    let rule = json!({"name": "modes", "paths": ["images", "images/**"], "permissions": {"fileMode": "0644", "directoryMode": "0755"}});
    let desk = Desk::with(json!([rule]));
    let (a, b, other) =
        (desk.file("images/d/a.png", "x", 0), desk.file("images/b.png", "x", 0), desk.file("notes", "x", 0));
    let directory = desk.volume().join("images/d");
    for (path, bits) in [(&a, 0o600), (&b, 0o644), (&other, 0o600), (&directory, 0o777)] {
        set(path, bits);
    }
    let ran = desk.clean();
    assert_eq!((mode(&a), mode(&b), mode(&other), mode(&directory)), (0o644, 0o644, 0o600, 0o755));
    assert_eq!(ran.rule("modes")["mended"], 2, "{:#}", ran.results);
    assert!(ran.results.to_string().contains("mode 0600 becomes 0644"), "{:#}", ran.results);
    assert_eq!(desk.clean().rule("modes")["mended"], 0);
}

#[test]
fn a_file_with_another_name_and_a_link_are_left_alone() {
    let rule = json!({"name": "modes", "paths": ["images/**"], "permissions": {"fileMode": "0644"}});
    let desk = Desk::with(json!([rule]));
    let secret = desk.file("secret", "x", 0);
    set(&secret, 0o600);
    std::fs::create_dir_all(desk.volume().join("images")).unwrap();
    std::fs::hard_link(&secret, desk.volume().join("images/hard")).unwrap();
    std::os::unix::fs::symlink("../secret", desk.volume().join("images/soft")).unwrap();
    let ran = desk.clean();
    assert_eq!(mode(&secret), 0o600);
    assert!(ran.rule("modes")["notes"].to_string().contains("hard link"), "{:#}", ran.results);
}

#[test]
fn an_owner_is_given_where_we_may_and_a_refusal_names_the_file_where_we_may_not() {
    let me = std::fs::metadata("/proc/self").unwrap().uid();
    let user = if me == 0 { 12_345 } else { 0 };
    let rule = json!({"name": "owner", "paths": ["images/*"], "permissions": {"user": user, "fileMode": "0640"}});
    let desk = Desk::with(json!([rule]));
    let path = desk.file("images/a.png", "x", 0);
    let ran = desk.run(&["clean"]);
    if me == 0 {
        let stat = std::fs::metadata(&path).unwrap();
        assert_eq!((ran.code, stat.uid(), stat.mode() & 0o7777), (0, 12_345, 0o640), "{:#}", ran.results);
    } else {
        ran.failed(41, "VolumeError", &["images/a.png"]);
    }
}
