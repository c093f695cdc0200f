//! A store that is not what it was: everything damaged is named, nothing of it is restored.

use crate::ground::{Ground, file, noise, sha256, tree};
use modelcache::agent::backup::repository::list::{At, Entry, What};
use modelcache::agent::backup::repository::seal::Form;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Changes one bit of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn blob(ground: &Ground, bytes: &[u8]) -> PathBuf {
    let hash = sha256(bytes);
    ground.store().join("blobs/sha256").join(&hash[..2]).join(hash)
}

fn some() -> crate::ground::Tree {
    tree(&[
        ("a.bin", &noise(1, 1 << 20)),
        ("b.bin", &noise(2, 1 << 20)),
        ("same-as-a", &noise(1, 1 << 20)),
        ("small", b"text"),
    ])
}

#[test]
fn one_changed_byte_is_named_and_nothing_is_restored_unless_the_rest_is_asked_for() {
    let ground = Ground::new();
    ground.snapshot("2026-03-01T10:00:00Z", &some());
    let mine = tree(&[("a.bin", b"mine")]);
    ground.put(&mine);
    flip(&blob(&ground, &noise(1, 1 << 20)));
    ground.done(&["restore", "--verify"]);
    let ran = ground.run(&["restore", "--verify", "--deep"]);
    ran.failed(30, "ChecksumMismatch", &["2 files", "a.bin", "cannot be restored whole"]);
    let ran = ground.run(&["restore"]);
    ran.failed(30, "ChecksumMismatch", &["2 files", "a.bin", "same-as-a", "nothing was restored", "--keep-going"]);
    assert!(!ran.message().contains("b.bin"));
    assert_eq!(ground.on_volume(), mine);
    let ran = ground.run(&["restore", "--keep-going"]);
    ran.failed(30, "ChecksumMismatch", &["a.bin", "all other files are restored"]);
    assert_eq!(ground.on_volume(), tree(&[("a.bin", b"mine"), ("b.bin", &noise(2, 1 << 20)), ("small", b"text")]));
}

#[test]
fn a_damaged_pack_and_a_missing_blob_are_named_too() {
    let ground = Ground::new();
    ground.snapshot("2026-03-01T10:00:00Z", &some());
    let packs = std::fs::read_dir(ground.store().join("packs")).unwrap().next().unwrap().unwrap().path();
    flip(&std::fs::read_dir(packs).unwrap().next().unwrap().unwrap().path());
    std::fs::remove_file(blob(&ground, &noise(2, 1 << 20))).unwrap();
    let ran = ground.run(&["restore", "--verify"]);
    ran.failed(30, "ChecksumMismatch", &["1 files", "b.bin", "is missing"]);
    let ran = ground.run(&["restore", "--keep-going"]);
    ran.failed(30, "ChecksumMismatch", &["2 files", "small", "b.bin", "is missing"]);
    assert_eq!(ground.on_volume().len(), 2);
}

#[test]
fn a_list_that_was_changed_is_not_believed() {
    let ground = Ground::new();
    ground.snapshot("2026-03-01T10:00:00Z", &tree(&[("x", b"1")]));
    let mut lists = vec![];
    for directory in std::fs::read_dir(ground.store().join("blobs/sha256")).unwrap() {
        lists.extend(std::fs::read_dir(directory.unwrap().path()).unwrap().map(|it| it.unwrap().path()));
    }
    flip(lists.iter().find(|it| it.extension().is_some_and(|it| it == "zst")).unwrap());
    ground.run(&["restore"]).failed(30, "ChecksumMismatch", &[".zst"]);
    assert!(ground.on_volume().is_empty());
}

#[test]
fn a_damaged_snapshot_is_not_passed_over_in_silence_and_keeps_nobody_from_the_others() {
    let ground = Ground::new();
    let one = ground.snapshot("2026-03-01T10:00:00Z", &tree(&[("x", b"1")]));
    let two = ground.snapshot("2026-03-02T10:00:00Z", &tree(&[("x", b"2")]));
    let documents = std::fs::read_dir(ground.store().join("snapshots")).unwrap();
    let path = documents.map(|it| it.unwrap().path()).find(|it| it.to_str().unwrap().contains(&two)).unwrap();
    std::fs::write(path, "{").unwrap();
    ground.run(&["restore"]).failed(30, "ChecksumMismatch", &[&two, "choose another"]);
    ground.done(&["restore", "--snapshot", &one]);
    assert_eq!(ground.on_volume(), tree(&[("x", b"1")]));
}

#[test]
fn planted_names_are_refused_and_so_is_everything_beside_them() {
    let ground = Ground::new();
    let outside = ground.path("volumes/outside");
    let bytes = noise(1, 1 << 20);
    let at = At::Blob { form: Form::default(), stored: bytes.len() as u64 };
    for (day, name) in
        ["../outside", "/etc/outside", "a/../../outside", ".modelcache/studio/current", "a\nb", "a//b", "."]
            .iter()
            .enumerate()
    {
        ground.snapshot(&format!("2026-03-{:02}T00:00:00Z", day + 1), &tree(&[("good.bin", &bytes)]));
        ground.planted(
            &format!("2026-03-{:02}T10:00:00Z", day + 1),
            vec![file("good.bin", &bytes, at.clone()), file(name, &bytes, at.clone())],
        );
        ground.run(&["restore"]).failed(31, "ListingMismatch", &["nothing was restored"]);
        assert!(ground.on_volume().is_empty() && !outside.exists(), "{name:?}");
    }
}

#[test]
fn names_in_a_planted_spec_do_not_become_paths_of_volumes_or_of_secrets() {
    let ground = Ground::new();
    let spec = |volume: &str, source: &str| {
        json!({
            "volumes": [{"name": volume, "shared": {"size": "10Gi"}}],
            "sources": [{"name": source, "http": {"url": "https://evil.example/a", "tokenSecretRef": {"name": "a", "key": "b"}}}]
        })
    };
    let planted = [
        ("data", spec("data", ".backup")),
        ("data", spec("data", "../var/run/secrets/kubernetes.io/serviceaccount")),
        ("../../outside", spec("../../outside", "a")),
        ("../../outside", spec("data", "a")),
        ("data", json!({"volumes": [{"name": "data", "shared": {"size": "10Gi"}, "directories": ["../outside"]}]})),
    ];
    for (day, (volume, spec)) in planted.into_iter().enumerate() {
        ground.planted_spec(&format!("2026-03-{:02}T00:00:00Z", day + 1), volume, spec.clone());
        for arguments in [&["restore"][..], &["restore", "--volumes-of-snapshot"]] {
            let ran = ground.run(arguments);
            ran.failed(30, "ChecksumMismatch", &["is not understood", "nothing was restored"]);
        }
        assert!(ground.on_volume().is_empty(), "{spec}");
    }
}

#[test]
fn nothing_is_written_through_a_link_of_the_list_or_of_the_volume() {
    let ground = Ground::new();
    let bytes = noise(1, 1 << 20);
    ground.snapshot("2026-03-01T00:00:00Z", &tree(&[("d/good.bin", &bytes)]));
    let outside = ground.path("outside");
    std::fs::create_dir(&outside).unwrap();
    let at = At::Blob { form: Form::default(), stored: bytes.len() as u64 };
    let target = outside.to_str().unwrap().to_owned();
    let link = Entry { path: "way".into(), mode: 0o777, what: What::Link { target: target.clone() } };
    ground.planted("2026-03-02T00:00:00Z", vec![link, file("way/out.bin", &bytes, at)]);
    ground.run(&["restore"]).failed(41, "VolumeError", &["symbolic link"]);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    std::fs::create_dir_all(ground.volume()).unwrap();
    std::os::unix::fs::symlink(&outside, ground.volume().join("d")).unwrap();
    ground.run(&["restore", "--as-of", "2026-03-01T12:00:00Z"]).failed(41, "VolumeError", &["symbolic link"]);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}
