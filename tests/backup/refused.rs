//! What cannot be backed up is a failure that says what and why: never a success over nothing, or over half.

use super::{Place, bytes, whole};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_backup_of_nothing_is_a_failure() {
    let place = Place::new();
    place.run().failed(32, "NoFiles", &["`assets` has nothing to back up"]);
    std::fs::create_dir(place.volume().join("inbox")).unwrap();
    place.run().failed(32, "NoFiles", &["no file"]);
    assert_eq!(whole::contents(&place.to(), "studio", None).len(), 0);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let place = Place::new();
    place.put("a", b"x");
    place.put("private", b"x");
    std::fs::set_permissions(place.volume().join("private"), std::fs::Permissions::from_mode(0o000)).unwrap();
    std::fs::set_permissions(place.to(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::set_permissions(place.directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = place.local();
    if rustix::process::getuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let ran = super::bench::ran(command.output().unwrap());
    ran.failed(41, "VolumeError", &["private", "backup.exclude"]);
    assert_eq!(whole::contents(&place.to(), "studio", None).len(), 0);
}

#[test]
fn a_directory_that_cannot_be_read_is_named_unless_it_is_excluded() {
    let place = Place::new();
    place.put("a", b"x");
    place.put("private/b", b"x");
    std::fs::create_dir(place.volume().join("lost+found")).unwrap();
    for closed in ["private", "lost+found"] {
        std::fs::set_permissions(place.volume().join(closed), std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    std::fs::set_permissions(place.to(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::set_permissions(place.directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = || {
        let mut command = place.local();
        if rustix::process::getuid().is_root() {
            command.uid(65534).gid(65534);
        }
        super::bench::ran(command.output().unwrap())
    };
    run().failed(41, "VolumeError", &["private", "backup.exclude"]);
    place.cache(&serde_json::json!({"destination": {"volume": {"claimName": "nas"}}, "exclude": ["private/"]}));
    let ran = run();
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    let said = &ran.one()["backup"];
    assert_eq!((said["files"].as_u64(), said["notCovered"].as_u64()), (Some(1), Some(1)), "{said}");
}

#[test]
fn a_file_that_never_stops_changing_fails_the_backup_by_name_and_is_never_torn() {
    let place = Place::new();
    place.put("busy.db", &bytes(1, 200_000));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (stop, path) = (Arc::clone(&stop), place.volume().join("busy.db"));
        std::thread::spawn(move || {
            use std::os::unix::fs::FileExt as _;
            let file = std::fs::File::options().write(true).open(path).unwrap();
            let mut round = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                file.write_all_at(&round.to_le_bytes(), round % 200_000 / 8 * 8).unwrap();
                round += 1;
            }
        })
    };
    let ran = place.run();
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    ran.failed(41, "VolumeError", &["busy.db", "changed"]);
}

#[test]
fn a_backup_into_the_volume_that_it_is_of_is_refused() {
    let place = Place::new();
    place.put("a", b"x");
    let to = place.volume().join("backups");
    std::fs::create_dir(&to).unwrap();
    let ran = super::bench::ran(place.command(&["backup"]).arg("--to").arg(&to).output().unwrap());
    ran.failed(2, "InvalidSpec", &["lies on the volume"]);
}

/// A small disk of its own; needs root.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: std::path::PathBuf, options: &str) -> Self {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "modelcache-test"]).arg(&at).status();
        assert!(mounted.unwrap().success(), "mounting a disk for the test needs root");
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_destination_is_said_so_and_leaves_nothing_half_written() {
    let place = Place::new();
    place.put("model.bin", &bytes(1, 4 << 20));
    let disk = Disk::mount(place.to(), "size=2m");
    place.run().failed(40, "InsufficientSpace", &["the destination of the backup"]);
    assert_eq!(super::files(&disk.0.join("default/studio/tmp")), Vec::<String>::new());
    assert_eq!(whole::contents(&place.to(), "studio", None).len(), 0);
}

#[test]
fn a_destination_that_takes_no_writes_is_said_so() {
    let place = Place::new();
    place.put("a", b"x");
    let _disk = Disk::mount(place.to(), "ro");
    place.run().failed(41, "VolumeError", &["the destination of the backup", "Read-only"]);
}
