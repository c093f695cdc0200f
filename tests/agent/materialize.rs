//! A tree without symbolic links: whole or not at all, and nothing that is not ours is replaced.

use crate::bench::{Bench, Ran, paths};
use serde_json::json;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

fn warmed() -> Bench {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,d/e/b.bin:3Mi,c.json:70,empty.txt:0");
    bench.hub.control("file?name=f.bin&size=1Mi");
    bench.cache(&[bench.repo("x", "org/x", &json!({})), bench.file("f", "f.bin", &json!({}))]);
    bench.prefetch();
    bench
}

fn materialize(bench: &Bench, to: &Path, more: &[&str]) -> Ran {
    let mut arguments = vec!["materialize", "--to", to.to_str().unwrap()];
    arguments.extend(more);
    bench.run(&arguments)
}

/// Names and inodes of everything below.
fn state(directory: &Path) -> Vec<(String, u64)> {
    let inode = |path: &String| std::fs::symlink_metadata(directory.join(path)).unwrap().ino();
    paths(directory).into_iter().map(|path| (path.clone(), inode(&path))).collect()
}

#[test]
fn every_file_is_a_plain_one_under_its_own_path_and_takes_no_space() {
    let bench = warmed();
    let to = bench.path("plain");
    let ran = materialize(&bench, &to, &[]);
    assert_eq!(ran.code, 0, "{:?}", ran.results);
    for file in ["a.bin", "d/e/b.bin", "c.json", "empty.txt"] {
        let path = to.join("x").join(file);
        assert!(path.symlink_metadata().unwrap().is_file());
        assert!(std::fs::read(&path).unwrap() == bench.hub.content("org/x", file).bytes(), "{file}");
        assert!(path.metadata().unwrap().nlink() >= 2, "{file}");
    }
    assert_eq!(std::fs::metadata(to.join("f/files/f.bin")).unwrap().len(), 1 << 20);
    assert_eq!(paths(&to).iter().filter(|it| !it.contains('/')).count(), 2, "nothing is left beside the trees");
    let before = state(&to);
    let again = materialize(&bench, &to, &[]);
    assert!(again.results.iter().all(|it| it["message"].as_str().unwrap().contains("there already")));
    assert_eq!(state(&to), before);
}

#[test]
fn copies_are_files_of_their_own_and_are_hashed_on_the_way() {
    let bench = warmed();
    let to = bench.path("plain");
    assert_eq!(materialize(&bench, &to, &["--copy", "--source", "x"]).code, 0);
    assert!(!to.join("f").exists());
    let copied = to.join("x/a.bin");
    assert_eq!(copied.metadata().unwrap().nlink(), 1);
    assert_eq!(bench.run(&["verify"]).code, 0);

    let blob = bench.snapshot("org/x", &bench.main("org/x"), "a.bin").canonicalize().unwrap();
    std::fs::write(&blob, vec![0; 2 << 20]).unwrap();
    let other = bench.path("other");
    let ran = materialize(&bench, &other, &["--copy", "--source", "x"]);
    ran.failed(33, "Damaged", &["other bytes", "prefetch"]);
    assert_eq!(paths(&other), Vec::<String>::new(), "nothing half-made is left");
    assert!(std::fs::read(&copied).unwrap() == bench.hub.content("org/x", "a.bin").bytes());
}

/// A small disk of its own; needs root.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: std::path::PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "modelcache-test"]).arg(&at).status();
        assert!(mounted.unwrap().success(), "mounting a disk for the test needs root");
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn copies_that_do_not_fit_are_refused_before_a_byte_is_written_and_the_tree_before_them_stays() {
    let bench = warmed();
    let disk = Disk::mount(bench.path("small"), "7m");
    assert_eq!(materialize(&bench, &disk.0, &["--source", "x"]).code, 0);
    let before = state(&disk.0);
    // As large again, and the old tree is there until the new one is whole.
    bench.hub.control("move?repo=org/x&files=a.bin");
    assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0);
    let ran = materialize(&bench, &disk.0, &["--source", "x"]);
    ran.failed(40, "InsufficientSpace", &["5.0 MiB are to be copied", "nothing was copied", "--to"]);
    assert_eq!(state(&disk.0), before);
}

#[test]
fn a_new_revision_takes_the_place_of_the_old_one_at_once() {
    let bench = warmed();
    let to = bench.path("plain");
    materialize(&bench, &to, &[]);
    let held = std::fs::File::open(to.join("x")).unwrap().metadata().unwrap().ino();
    bench.hub.control("move?repo=org/x&files=a.bin");
    assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0);
    assert_eq!(materialize(&bench, &to, &[]).code, 0);
    assert_ne!(std::fs::metadata(to.join("x")).unwrap().ino(), held);
    assert!(std::fs::read(to.join("x/a.bin")).unwrap() == bench.hub.content("org/x", "a.bin").bytes());
    assert_eq!(paths(&to).iter().filter(|it| !it.contains('/')).count(), 2);
}

#[test]
fn a_file_that_was_mended_in_the_cache_is_mended_in_the_tree() {
    let bench = warmed();
    let to = bench.path("plain");
    materialize(&bench, &to, &[]);
    let blob = bench.snapshot("org/x", &bench.main("org/x"), "a.bin").canonicalize().unwrap();
    std::fs::write(&blob, vec![0; 2 << 20]).unwrap();
    assert_eq!(bench.run(&["verify"]).code, 33);
    bench.prefetch();
    assert_eq!(materialize(&bench, &to, &[]).code, 0);
    assert!(std::fs::read(to.join("x/a.bin")).unwrap() == bench.hub.content("org/x", "a.bin").bytes());
}

#[test]
fn a_target_that_is_not_ours_to_touch_is_refused() {
    let bench = warmed();
    let volume = bench.volume();
    let link = bench.path("link");
    symlink(volume.join(".modelcache"), &link).unwrap();
    let before = state(&volume);
    for (to, words) in [
        (volume.join(".modelcache/studio/x"), "own state"),
        (volume.join(".modelcache"), "own state"),
        (link.join("below"), "own state"),
        (volume.clone(), "the volume itself"),
        (volume.join("huggingface/hub"), "hub's cache"),
        (volume.join("huggingface/hub/models--org--x/snapshots"), "hub's cache"),
        (bench.path("volumes/models/../models/x"), "`..`"),
    ] {
        materialize(&bench, &to, &["--source", "x"]).failed(2, "InvalidSpec", &[words]);
    }
    materialize(&bench, &volume.join("files"), &["--source", "f"]).failed(2, "InvalidSpec", &["content of the cache"]);
    assert_eq!(state(&volume), before);

    let to = bench.path("plain");
    std::fs::create_dir_all(to.join("x")).unwrap();
    std::fs::write(to.join("x/mine"), "mine").unwrap();
    materialize(&bench, &to, &["--source", "x"]).failed(2, "InvalidSpec", &["not made by materialize"]);
    assert_eq!(std::fs::read(to.join("x/mine")).unwrap(), b"mine");
    std::fs::remove_dir_all(to.join("x")).unwrap();
    symlink(&volume, to.join("x")).unwrap();
    materialize(&bench, &to, &["--source", "x"]).failed(2, "InvalidSpec", &["not made by materialize"]);
    assert_eq!(state(&volume), before);
}

#[test]
fn what_is_not_complete_makes_no_tree() {
    let bench = warmed();
    let to = bench.path("plain");
    let blob = bench.snapshot("org/x", &bench.main("org/x"), "a.bin").canonicalize().unwrap();
    std::fs::remove_file(blob).unwrap();
    materialize(&bench, &to, &["--source", "x"]).failed(33, "Damaged", &["run prefetch"]);
    assert!(!to.join("x").exists());
    materialize(&bench, &to, &["--source", "nobody"]).failed(2, "InvalidSpec", &["`nobody`"]);
}
