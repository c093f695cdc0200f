//! Archives that people carry: made by hand, or hostile.

use crate::ground::{Ground, noise, tree};
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
        header.set_size(if link.is_some() { 0 } else { 1 });
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, &b"x"[..if link.is_some() { 0 } else { 1 }]).unwrap();
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
