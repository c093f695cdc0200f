//! What a backup of user data holds, and what it costs when little has changed.

use super::{Place, Writers, bytes, whole};
use serde_json::json;
use std::os::unix::fs::{PermissionsExt as _, symlink};

#[test]
fn every_file_link_and_directory_is_in_the_backup_with_its_mode_and_nothing_of_our_own() {
    let place = Place::new();
    place.put("scenes/a.json", b"{}");
    place.put("scenes/empty", b"");
    place.put("models/large.bin", &bytes(1, 3 << 20));
    place.put("text/large.txt", &b"prompt ".repeat(100_000));
    place.put("run.sh", b"#!/bin/sh\n");
    place.put(".modelcache/studio/staging/half", b"x");
    std::fs::create_dir(place.volume().join("inbox")).unwrap();
    std::fs::set_permissions(place.volume().join("run.sh"), std::fs::Permissions::from_mode(0o750)).unwrap();
    symlink("scenes/a.json", place.volume().join("latest")).unwrap();
    symlink("/etc/passwd", place.volume().join("outside")).unwrap();

    let said = place.backup();
    assert_eq!((said["files"].as_u64(), said["notCovered"].as_u64()), (Some(5), Some(0)));
    let found = whole::contents(&place.to(), "studio", None);
    let (snapshot, files) = &found[0];
    assert_eq!(found.len(), 1);
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        [
            "inbox",
            "latest",
            "models",
            "models/large.bin",
            "outside",
            "run.sh",
            "scenes",
            "scenes/a.json",
            "scenes/empty",
            "text",
            "text/large.txt"
        ]
    );
    assert_eq!(files["models/large.bin"], bytes(1, 3 << 20));
    assert_eq!(files["outside"], b"/etc/passwd", "a link is kept as a link");
    assert_eq!(snapshot.bytes, (3 << 20) + 700_000 + 2 + 10);
    let blobs = super::files(&place.repository().join("blobs"));
    assert_eq!(
        blobs.iter().filter(|it| it.split('.').nth(1) == Some("zst")).count(),
        2,
        "the text and the list are compressed: {blobs:?}"
    );
}

#[test]
fn what_did_not_change_is_neither_read_nor_sent_again() {
    let place = Place::new();
    place.put("models/large.bin", &bytes(2, 2 << 20));
    for number in 0..300 {
        place.put(&format!("small/{number}"), &bytes(number, 500));
    }
    // A file that changed this moment is read once more, as its file system's clock may not tick before the next change.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let first = place.backup();
    assert!(first["newBytes"].as_u64().unwrap() > 2 << 20);
    let again = place.backup();
    assert_eq!(again["newBytes"], 0);
    assert_eq!((&again["files"], &again["manifest"]), (&first["files"], &first["manifest"]));
    // One small file, and one that was only moved.
    place.put("small/7", b"other");
    std::fs::rename(place.volume().join("models/large.bin"), place.volume().join("models/moved.bin")).unwrap();
    let third = place.backup();
    assert!(third["newBytes"].as_u64().unwrap() < 60_000, "{third}");
    assert_ne!(third["manifest"], first["manifest"]);
    let found = whole::contents(&place.to(), "studio", None);
    assert_eq!(found.len(), 3);
    assert_eq!(found[2].1["small/7"], b"other");
    assert_eq!(found[2].1["models/moved.bin"], bytes(2, 2 << 20));
    assert_eq!(found[0].1["small/7"], bytes(7, 500), "the first backup is what it was");
}

#[test]
fn a_changed_file_of_the_same_size_and_time_is_seen_by_its_change_time() {
    let place = Place::new();
    place.put("a", b"one");
    std::thread::sleep(std::time::Duration::from_millis(300));
    place.backup();
    let path = place.volume().join("a");
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, b"two").unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    place.backup();
    let found = whole::contents(&place.to(), "studio", None);
    assert_eq!((&found[0].1["a"], &found[1].1["a"]), (&b"one".to_vec(), &b"two".to_vec()));
}

#[test]
fn logs_that_are_always_written_to_are_in_the_backup_as_they_were_when_they_were_opened() {
    let place = Place::new();
    let line = |number: u64| format!("{number} {}\n", "x".repeat(100)).into_bytes();
    let lines = |count: u64| (0..count).flat_map(line).collect::<Vec<u8>>();
    // One that is packed, one that is a blob, and one that is put into an archive without being read first.
    let logs = [("small.log", 10), ("large.log", 3_000), ("larger.log", 60_000)];
    for (name, count) in logs {
        place.put(name, &lines(count));
    }
    let writers = Writers::on(logs.map(|(name, count)| (place.volume().join(name), count)), line);
    for format in ["Repository", "Archive"] {
        place.cache(&json!({"destination": {"volume": {"claimName": "nas"}}, "format": format}));
        place.backup();
    }
    writers.stop();
    let mut all = whole::contents(&place.to(), "studio", None).pop().unwrap().1;
    let archives = super::files(&place.repository().join("archives"));
    let bytes_of = std::fs::read(place.repository().join("archives").join(&archives[0])).unwrap();
    let out = place.path("out");
    tar::Archive::new(zstd::Decoder::new(bytes_of.as_slice()).unwrap()).unpack(&out).unwrap();
    for (name, count) in logs {
        all.insert(format!("archive/{name}"), std::fs::read(out.join("assets").join(name)).unwrap());
        let now = std::fs::read(place.volume().join(name)).unwrap();
        for kept in [&all[name], &all[&format!("archive/{name}")]] {
            assert!(kept.len() >= lines(count).len() && now.starts_with(kept), "{name}");
        }
    }
}

#[test]
fn what_is_left_out_is_counted() {
    let place = Place::new();
    place.put("keep.json", b"{}");
    place.put("cache/x.tmp", b"12345");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.volume().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    place.cache(&json!({"destination": {"volume": {"claimName": "nas"}}, "exclude": ["cache/"]}));
    let said = place.backup();
    assert_eq!((said["files"].as_u64(), said["notCovered"].as_u64()), (Some(1), Some(2)), "{said}");
    let found = whole::contents(&place.to(), "studio", None);
    let counts = serde_json::to_value(&found[0].0.volumes[0].not_covered).unwrap();
    assert_eq!(counts, json!({"Excluded": {"files": 1, "bytes": 5}, "Special": {"files": 1, "bytes": 0}}));
}

#[test]
fn a_dry_run_says_what_would_be_read_and_writes_nothing() {
    let place = Place::new();
    place.put("a", b"one");
    let dry = || {
        let ran = super::bench::ran(place.local().arg("--dry-run").output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.one().clone()
    };
    assert_eq!(dry()["read"], json!({"files": 1, "bytes": 3}));
    assert_eq!(super::files(&place.to()), Vec::<String>::new());
    std::thread::sleep(std::time::Duration::from_millis(300));
    place.backup();
    place.put("b", b"new");
    let before = super::files(&place.to());
    assert_eq!(dry()["read"], json!({"files": 1, "bytes": 3}));
    assert_eq!(super::files(&place.to()), before);
}

#[test]
fn what_is_encrypted_can_be_read_with_the_key_only() {
    let place = Place::new();
    place.cache(&json!({
        "destination": {"volume": {"claimName": "nas"}}, "encryption": {"keySecretRef": {"name": "age", "key": "key"}}
    }));
    place.put("secret.txt", &b"the secret prompt ".repeat(20_000));
    place.put("small", b"the small secret");
    let key = modelcache::agent::backup::repository::seal::new_key();
    let without = place.run();
    without.failed(13, "SecretNotFound", &["MODELCACHE_BACKUP_KEY"]);
    for _ in 0..2 {
        let ran = super::bench::ran(place.local().env("MODELCACHE_BACKUP_KEY", &key).output().unwrap());
        assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
        assert!(!format!("{:?}{}", ran.results, ran.stderr).contains(&key));
    }
    for file in super::files(&place.repository()) {
        let bytes = std::fs::read(place.repository().join(&file)).unwrap();
        assert!(!bytes.windows(6).any(|it| it == b"secret"), "{file}");
    }
    let found = whole::contents(&place.to(), "studio", Some(&key));
    assert_eq!(found[1].1["small"], b"the small secret");
    // Another key, or none, is refused before anything is read or written.
    let other = modelcache::agent::backup::repository::seal::new_key();
    let ran = super::bench::ran(place.local().env("MODELCACHE_BACKUP_KEY", &other).output().unwrap());
    ran.failed(70, "ForeignBackup", &["is encrypted for age1"]);
}

#[test]
fn an_archive_is_one_file_that_tar_unpacks_with_the_list_inside() {
    let place = Place::new();
    place.put("scenes/a.json", b"{}");
    place.put("large.bin", &bytes(9, 6 << 20));
    symlink("scenes/a.json", place.volume().join("latest")).unwrap();
    place.cache(&json!({"destination": {"volume": {"claimName": "nas"}}, "format": "Archive"}));
    let said = place.backup();
    assert_eq!(said["files"], 2);
    let archives = super::files(&place.repository().join("archives"));
    assert_eq!(archives.len(), 1);
    let bytes_of = std::fs::read(place.repository().join("archives").join(&archives[0])).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(bytes_of.as_slice()).unwrap());
    let out = place.path("out");
    archive.unpack(&out).unwrap();
    assert_eq!(std::fs::read(out.join("assets/large.bin")).unwrap(), bytes(9, 6 << 20));
    assert_eq!(std::fs::read_link(out.join("assets/latest")).unwrap().to_str(), Some("scenes/a.json"));
    let snapshot = std::fs::read(out.join(".modelcache-backup/snapshot.json")).unwrap();
    let snapshot: serde_json::Value = serde_json::from_slice(&snapshot).unwrap();
    assert_eq!((&snapshot["files"], &snapshot["digest"]), (&json!(2), &said["manifest"]));
    let list = std::fs::read_to_string(out.join(".modelcache-backup/list-assets.jsonl")).unwrap();
    assert_eq!(list.lines().count(), 4);
}
