//! Archives that people carry: made by hand, or hostile.

use crate::ground::{Ground, Tree, noise, tree};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

/// What `tar` makes of a directory.
fn tar(ground: &Ground, name: &str, compress: &str, files: &crate::ground::Tree) -> PathBuf {
    let from = ground.path("from");
    let _ = std::fs::remove_dir_all(&from);
    for (path, bytes) in files {
        let path = from.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let archive = ground.path(name);
    let made =
        Command::new("tar").arg("-C").arg(&from).args([compress, "-cf"]).arg(&archive).arg(".").status().unwrap();
    assert!(made.success());
    archive
}

#[test]
fn an_archive_made_by_hand_comes_onto_a_volume_or_into_a_directory_of_it() {
    let ground = Ground::new();
    let files = tree(&[("images/a.png", &noise(1, 300 << 10)), ("readme", b"text")]);
    let to = ground.volume();
    let archive = tar(&ground, "assets.tar.gz", "--gzip", &files);
    ground.done(&["restore", "--archive", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    assert_eq!(ground.on_volume(), files);
    ground.done(&["restore", "--rollback", "--to", to.to_str().unwrap()]);
    assert!(ground.on_volume().is_empty());
    let archive = tar(&ground, "assets.tar.zst", "--zstd", &files);
    let below = format!("{}:old/assets", to.display());
    ground.done(&["restore", "--archive", archive.to_str().unwrap(), "--to", &below]);
    let found: Vec<String> = ground.on_volume().into_keys().collect();
    assert_eq!(found, ["old/assets/images/a.png", "old/assets/readme"]);
}

#[test]
fn a_hostile_or_broken_archive_changes_nothing() {
    let ground = Ground::new();
    let mine = tree(&[("readme", b"mine")]);
    ground.put(&mine);
    let to = ground.volume();
    let hostile = |name: &str, entry: &str, link: Option<&str>| {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        let bytes = header.as_old_mut();
        bytes.name[..entry.len()].copy_from_slice(entry.as_bytes());
        if let Some(link) = link {
            bytes.linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(tar::EntryType::Symlink);
        }
        header.set_size(u64::from(link.is_none()));
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, &b"x"[..usize::from(link.is_none())]).unwrap();
        let path = ground.path(name);
        std::fs::write(&path, builder.into_inner().unwrap()).unwrap();
        path
    };
    for (entry, link) in [
        ("../outside", None),
        ("/etc/outside", None),
        (".modelcache/studio/current", None),
        ("link", Some("/etc/passwd")),
        ("link", Some("../../outside")),
    ] {
        let archive = hostile("hostile.tar", entry, link);
        let ran = ground.run(&["restore", "--archive", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
        ran.failed(31, "ListingMismatch", &["nothing was taken from it"]);
        assert_eq!(ground.on_volume(), mine, "{entry}");
    }
    let archive = tar(&ground, "whole.tar.gz", "--gzip", &tree(&[("big", &noise(1, 1 << 20)), ("readme", b"theirs")]));
    let bytes = std::fs::read(&archive).unwrap();
    std::fs::write(&archive, &bytes[..bytes.len() / 2]).unwrap();
    let ran = ground.run(&["restore", "--archive", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    ran.failed(30, "ChecksumMismatch", &["cannot be unpacked"]);
    assert_eq!(ground.on_volume(), mine);
    let ran =
        ground.run(&["restore", "--archive", archive.to_str().unwrap(), "--to", &format!("{}:../x", to.display())]);
    ran.failed(2, "InvalidSpec", &["`..`"]);
}

/// A backup of two volumes, of which one is `data`, into one file.
fn backed_up(ground: &Ground, more: &Value, key: &str) -> PathBuf {
    let mut spec = Ground::spec();
    spec["volumes"] =
        json!([{"name": "data", "shared": {"size": "10Gi"}}, {"name": "other", "shared": {"size": "1Gi"}}]);
    spec["backup"]["format"] = json!("Archive");
    spec["backup"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ground.write_cache(&spec);
    std::fs::create_dir_all(ground.path("volumes/other")).unwrap();
    std::fs::write(ground.path("volumes/other/x"), "other").unwrap();
    let made = ground.command(&["backup"]).env("MODELCACHE_BACKUP_KEY", key).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let mut archives = std::fs::read_dir(ground.store().join("archives")).unwrap().map(|it| it.unwrap().path());
    let archive = archives.next().unwrap();
    let carried = ground.path(archive.file_name().unwrap().to_str().unwrap());
    std::fs::rename(&archive, &carried).unwrap();
    carried
}

fn assets() -> Tree {
    let large = noise(1, 5 << 20);
    tree(&[("images/a.png", &large), ("run.sh", b"#!/bin/sh"), ("empty", b""), ("latest", b"-> images/a.png")])
}

#[test]
fn what_a_backup_wrote_into_one_file_comes_back_volume_by_volume_with_its_modes() {
    let ground = Ground::new();
    ground.put(&assets());
    std::fs::create_dir(ground.volume().join("inbox")).unwrap();
    std::fs::set_permissions(ground.volume().join("run.sh"), std::fs::Permissions::from_mode(0o750)).unwrap();
    let archive = backed_up(&ground, &json!({}), "");
    let archive = archive.to_str().unwrap();
    std::fs::remove_dir_all(ground.volume()).unwrap();
    let to = ground.volume();
    let to = to.to_str().unwrap();
    let ran = ground.run(&["restore", "--archive", archive, "--to", to]);
    ran.failed(2, "InvalidSpec", &["several volumes", "data, other", "--volume"]);
    ground.run(&["restore", "--archive", archive, "--to", to, "--volume", "x"]).failed(
        12,
        "NotFound",
        &["no volume `x`"],
    );
    assert!(ground.on_volume().is_empty());
    ground.done(&["restore", "--archive", archive, "--to", to, "--volume", "data"]);
    assert!(ground.on_volume() == assets());
    assert_eq!(crate::ground::mode(&ground.volume().join("run.sh")), 0o750);
    assert!(ground.volume().join("inbox").is_dir());
    let below = format!("{to}:imported");
    ground.done(&["restore", "--archive", archive, "--to", &below, "--volume", "other"]);
    assert_eq!(ground.on_volume()["imported/x"], b"other");
    ground.done(&["restore", "--rollback", "--to", to]);
    assert!(ground.on_volume() == assets());
}

#[test]
fn an_archive_of_a_backup_that_was_cut_or_changed_changes_nothing() {
    let ground = Ground::new();
    ground.put(&assets());
    let archive = backed_up(&ground, &json!({}), "");
    let unpacked = ground.path("unpacked");
    std::fs::create_dir_all(&unpacked).unwrap();
    let tar = |arguments: &[&str]| {
        let done = Command::new("tar").current_dir(&unpacked).args(arguments).status().unwrap();
        assert!(done.success());
    };
    tar(&["--zstd", "-xf", archive.to_str().unwrap()]);
    let own = unpacked.join(".modelcache-backup");
    let mine = tree(&[("readme", b"mine")]);
    std::fs::remove_dir_all(ground.volume()).unwrap();
    ground.put(&mine);
    let changed = |what: &str, change: &dyn Fn(), reason: (i32, &str), words: &[&str]| {
        change();
        let again = ground.path("changed.tar.zst");
        tar(&["--zstd", "-cf", again.to_str().unwrap(), "."]);
        let to = ground.volume();
        let arguments =
            ["restore", "--archive", again.to_str().unwrap(), "--to", to.to_str().unwrap(), "--volume", "data"];
        ground.run(&arguments).failed(reason.0, reason.1, words);
        assert_eq!(ground.on_volume(), mine, "{what}");
        let ours = ground.volume().join(".modelcache/archive/restore");
        assert!(!ours.join("new").exists() && !ours.join("unpacked").exists(), "{what}");
    };
    let damage = (30, "ChecksumMismatch");
    let data = unpacked.join("data");
    changed("added", &|| std::fs::write(data.join("more"), "x").unwrap(), damage, &["its list has others"]);
    std::fs::remove_file(data.join("more")).unwrap();
    changed(
        "other bytes",
        &|| std::fs::write(data.join("run.sh"), "#!/bin/no").unwrap(),
        damage,
        &["run.sh", "other bytes"],
    );
    changed("a file less", &|| std::fs::remove_file(data.join("run.sh")).unwrap(), damage, &["run.sh", "missing"]);
    let out = || {
        std::fs::remove_file(data.join("latest")).unwrap();
        std::os::unix::fs::symlink("../other/x", data.join("latest")).unwrap();
        let list = own.join("list-data.jsonl");
        let text = std::fs::read_to_string(&list).unwrap().replace("\"images/a.png\"}", "\"../other/x\"}");
        std::fs::write(&list, text).unwrap();
    };
    changed("a link out of the volume", &out, (31, "ListingMismatch"), &["leaves the volume"]);
    let cut = || std::fs::remove_file(own.join("snapshot.json")).unwrap();
    changed("no end", &cut, damage, &["did not come to its end"]);
}

#[test]
fn an_encrypted_archive_is_read_with_its_key_only() {
    let ground = Ground::new();
    ground.put(&assets());
    let key = modelcache::agent::backup::repository::seal::new_key();
    let encryption = json!({"encryption": {"keySecretRef": {"name": "age", "key": "key"}}});
    let archive = backed_up(&ground, &encryption, &key);
    assert!(archive.to_str().unwrap().ends_with(".tar.zst.age"));
    std::fs::remove_dir_all(ground.volume()).unwrap();
    let to = ground.volume();
    let arguments =
        ["restore", "--archive", archive.to_str().unwrap(), "--to", to.to_str().unwrap(), "--volume", "data"];
    ground.run(&arguments).failed(13, "SecretNotFound", &["MODELCACHE_BACKUP_KEY"]);
    let with = |key: &str| ground.command(&arguments).env("MODELCACHE_BACKUP_KEY", key).output().unwrap();
    let other = with(&modelcache::agent::backup::repository::seal::new_key());
    assert!(!other.status.success() && ground.on_volume().is_empty());
    assert!(with(&key).status.success());
    assert!(ground.on_volume() == assets());
}

/// A cache with a hub repository, warmed and backed up into one file; what was on its volume. The hub is gone.
fn models_in_a_file() -> (Ground, PathBuf, Tree) {
    let (ground, hub) = (Ground::new(), crate::hub::Hub::start());
    hub.repo("org/model=weights.bin:3Mi,config.json:500,part@20:300");
    let source = json!({"name": "model", "huggingFace": {"repo": "org/model", "endpoint": hub.url}});
    let mut spec = Ground::spec();
    (spec["sources"], spec["backup"]["format"]) = (json!([source]), json!("Archive"));
    ground.write_cache(&spec);
    ground.done(&["prefetch"]);
    ground.put(&tree(&[("notes.txt", b"of a user")]));
    let there = ground.on_volume();
    ground.done(&["backup"]);
    let mut archives = std::fs::read_dir(ground.store().join("archives")).unwrap().map(|it| it.unwrap().path());
    let archive = archives.next().unwrap();
    (ground, archive, there)
}

#[test]
fn models_that_came_in_a_file_are_known_by_their_hashes_and_asked_for_nowhere() {
    for named in [true, false] {
        let (ground, archive, there) = models_in_a_file();
        std::fs::remove_dir_all(ground.volume()).unwrap();
        let (volume, cache) = (ground.volume(), ground.path("cache.yaml"));
        let mut arguments = vec!["restore", "--archive", archive.to_str().unwrap(), "--to", volume.to_str().unwrap()];
        if named {
            arguments.extend(["-f", cache.to_str().unwrap()]);
        }
        ground.done(&arguments);
        assert!(ground.on_volume() == there);
        ground.done(&["verify"]);
        ground.done(&["prefetch"]);
        ground.done(&["wait", "--timeout", "1s"]);
        let weights = volume.join(there.iter().find(|it| it.1.len() == 3 << 20).unwrap().0);
        std::fs::write(&weights, vec![7; 3 << 20]).unwrap();
        let ran = ground.run(&["verify", "--deep"]);
        ran.failed(33, "Damaged", &["1 damaged"]);
        if named {
            ground.done(&["restore", "--rollback", "--to", volume.to_str().unwrap(), "-f", cache.to_str().unwrap()]);
            assert!(ground.on_volume().is_empty());
            assert!(!volume.join(".modelcache/studio/manifests/model.json").exists());
        }
    }
}

#[test]
fn an_archive_without_manifests_is_taken_as_before_and_one_with_others_is_refused() {
    let (ground, archive, there) = models_in_a_file();
    std::fs::remove_dir_all(ground.volume()).unwrap();
    let unpacked = ground.path("unpacked");
    std::fs::create_dir_all(&unpacked).unwrap();
    let tar = |arguments: &[&str]| {
        assert!(Command::new("tar").current_dir(&unpacked).args(arguments).status().unwrap().success());
    };
    tar(&["--zstd", "-xf", archive.to_str().unwrap()]);
    let (changed, to) = (ground.path("changed.tar.zst"), ground.volume());
    let restore = || {
        tar(&["--zstd", "-cf", changed.to_str().unwrap(), "."]);
        ground.run(&["restore", "--archive", changed.to_str().unwrap(), "--to", to.to_str().unwrap()])
    };
    let own = unpacked.join(".modelcache-backup");
    let manifest = own.join("manifests/data/model.json");
    let right = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, right.replace("weights.bin", "weights.ban")).unwrap();
    restore().failed(30, "ChecksumMismatch", &["another manifest of source `model`", "nothing was taken"]);
    std::fs::remove_file(&manifest).unwrap();
    restore().failed(30, "ChecksumMismatch", &["another manifest of source `model`"]);
    assert!(ground.on_volume().is_empty());

    // As an older version wrote it.
    std::fs::remove_dir_all(own.join("manifests")).unwrap();
    let snapshot = own.join("snapshot.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(&snapshot).unwrap()).unwrap();
    document["volumes"][0].as_object_mut().unwrap().remove("manifests").unwrap();
    std::fs::write(&snapshot, document.to_string()).unwrap();
    let ran = restore();
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    assert!(ground.on_volume() == there);
    assert_ne!(ground.run(&["verify"]).code, 0, "nothing is known of its files");
}

#[test]
fn what_a_killed_unpacking_left_goes_with_the_next_run_of_any_cache_and_never_under_one_at_work() {
    let (ground, _archive, there) = models_in_a_file();
    let large: Tree = (0..64_u8).map(|it| (format!("part-{it}"), noise(it, 2 << 20))).collect();
    let archive = tar(&ground, "large.tar", "--format=gnu", &large);
    let to = ground.volume();
    let arguments = ["restore", "--archive", archive.to_str().unwrap(), "--to", to.to_str().unwrap()];
    let left = ground.volume().join(".modelcache/archive/restore");
    let started = std::time::Instant::now();
    let mut child = ground.start(&arguments);
    while !left.join("unpacked/part-3").exists() {
        assert!(started.elapsed() < std::time::Duration::from_secs(240), "it unpacks nothing");
        std::thread::yield_now();
    }
    // At work, with its lock, for as long as this takes.
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    ground.done(&["prefetch"]);
    let stays = left.join("unpacked/part-3").exists();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(stays, "a prefetch beside it takes nothing away");
    ground.done(&["prefetch"]);
    assert!(!left.exists());
    assert!(ground.on_volume() == there);
}
