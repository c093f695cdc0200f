//! What a switch promises wherever it is stopped.

use super::*;
use crate::agent::restore::rollback;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;

const CACHE: &str = "c";

fn put(volume: &Path, path: &str, text: &str) {
    let path = volume.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Every file and link outside of what restores keep, with its content.
fn content(volume: &Path) -> BTreeMap<String, String> {
    fn walk(at: &Path, volume: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(volume).unwrap().to_str().unwrap().to_owned();
            let kind = std::fs::symlink_metadata(&path).unwrap();
            if name == ".modelcache/c/restore" || name == ".modelcache/c/new" {
            } else if kind.is_dir() {
                walk(&path, volume, found);
            } else if kind.is_symlink() {
                found.insert(name, format!("-> {}", std::fs::read_link(&path).unwrap().display()));
            } else {
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(volume, volume, &mut found);
    found
}

/// A volume with old content, and new content staged beside it.
fn volume() -> (tempfile::TempDir, Root, Journal) {
    let volume = tempfile::tempdir().unwrap();
    let at = volume.path();
    for (path, text) in [
        ("models/a", "old a"),
        ("models/untouched", "mine"),
        ("turns/into/directory", "old"),
        ("becomes", "a file"),
        (".modelcache/c/current", "0000000000000000000000000000000000000000000000000000000000000000\n"),
        (".modelcache/c/manifests/s.json", "old manifest"),
    ] {
        put(at, path, text);
    }
    std::os::unix::fs::symlink("a", at.join("models/link")).unwrap();
    let staged = at.join(".modelcache/c/restore/new");
    for (path, text) in [
        ("models/a", "new a"),
        ("models/link", "no link any more"),
        ("models/sub/b", "new b"),
        ("turns", "a file now"),
        ("becomes/directory", "new"),
        ("fresh/x/y", "new"),
        (".modelcache/c/manifests/s.json", "new manifest"),
    ] {
        put(&staged, path, text);
    }
    let root = Root::open(at).unwrap();
    let mut journal = Journal::new("1", Timestamp::MAX, plan(&root, CACHE).unwrap());
    journal.current = Some("1".repeat(64));
    journal.before = current::read(&root, CACHE).unwrap();
    journal.write(&root, CACHE).unwrap();
    (volume, root, journal)
}

fn after() -> BTreeMap<String, String> {
    let (volume, root, mut journal) = volume();
    forward(&root, CACHE, &mut journal).unwrap();
    content(volume.path())
}

#[test]
fn what_is_staged_takes_its_place_and_all_else_stays() {
    let found = after();
    let expected = [
        ("models/a", "new a"),
        ("models/untouched", "mine"),
        ("models/link", "no link any more"),
        ("models/sub/b", "new b"),
        ("turns", "a file now"),
        ("becomes/directory", "new"),
        ("fresh/x/y", "new"),
        (".modelcache/c/manifests/s.json", "new manifest"),
        (".modelcache/c/current", "1111111111111111111111111111111111111111111111111111111111111111\n"),
    ];
    assert_eq!(found, expected.map(|(path, text)| (path.to_owned(), text.to_owned())).into());
}

#[test]
fn a_rollback_gives_back_exactly_what_was_there() {
    let (volume, root, mut journal) = volume();
    let before = content(volume.path());
    forward(&root, CACHE, &mut journal).unwrap();
    rollback::roll_back(&root, CACHE).unwrap();
    assert_eq!(content(volume.path()), before);
    let again = rollback::roll_back(&root, CACHE).unwrap_err();
    assert!(again.message.contains("rolled back already"), "{again}");
}

fn staged(path: &str) -> String {
    format!("{}/{path}", journal::staged(CACHE))
}

fn kept(path: &str) -> String {
    format!("{}/{path}", journal::kept(CACHE))
}

/// A step is done by hand as far as a kill would let it come; the rest is left to the next run.
#[test]
fn stopped_after_any_step_the_next_run_ends_at_the_same_place_and_nothing_looks_whole_before() {
    let expected = after();
    let (_keep, _, journal) = volume();
    for done in 0..=journal.steps.len() {
        for half in [false, true] {
            let (volume, root, journal) = volume();
            let before = content(volume.path());
            current::remove(&root, CACHE).unwrap();
            for step in journal.steps.iter().take(done) {
                let (from, kept) = (staged(&step.path), kept(&step.path));
                if step.replaces {
                    set_aside(&root, &step.path, &kept, !is_directory(&root, &from).unwrap()).unwrap();
                }
                rename(&root, &from, &step.path).unwrap();
            }
            if let Some(next) = journal.steps.get(done).filter(|it| half && it.replaces) {
                let (from, kept) = (staged(&next.path), kept(&next.path));
                set_aside(&root, &next.path, &kept, !is_directory(&root, &from).unwrap()).unwrap();
            }
            assert_eq!(current::read(&root, CACHE).unwrap(), None);
            let copy = tempfile::tempdir().unwrap();
            let copied =
                std::process::Command::new("cp").arg("-a").arg(volume.path()).arg(copy.path()).status().unwrap();
            assert!(copied.success());
            rollback::resume(&root, CACHE).unwrap().unwrap();
            assert_eq!(content(volume.path()), expected, "after {done} steps");
            // The other direction, from the same moment.
            let other = copy.path().join(volume.path().file_name().unwrap());
            let root = Root::open(&other).unwrap();
            rollback::roll_back(&root, CACHE).unwrap();
            assert_eq!(content(&other), before, "back after {done} steps");
        }
    }
}

#[test]
fn a_rollback_that_was_stopped_goes_on_backwards() {
    let (volume, root, mut journal) = volume();
    let before = content(volume.path());
    forward(&root, CACHE, &mut journal).unwrap();
    journal.phase = Phase::RollingBack;
    journal.write(&root, CACHE).unwrap();
    assert_eq!(rollback::resume(&root, CACHE).unwrap().unwrap().phase, Phase::RolledBack);
    assert_eq!(content(volume.path()), before);
    assert_eq!(rollback::resume(&root, CACHE).unwrap(), None);
}

#[test]
fn a_link_in_the_place_of_a_directory_is_refused_before_anything_moves() {
    let volume = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), volume.path().join("models")).unwrap();
    put(&volume.path().join(".modelcache/c/restore/new"), "models/a", "x");
    let root = Root::open(volume.path()).unwrap();
    let failure = plan(&root, CACHE).unwrap_err();
    assert!(failure.message.contains("symbolic link"), "{failure}");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn what_was_kept_goes_when_its_time_is_over_and_not_before() {
    let (volume, root, mut journal) = volume();
    journal.keep_until = "2026-01-02T00:00:00Z".parse().unwrap();
    rollback::sweep(&root, CACHE, Timestamp::MAX).unwrap();
    forward(&root, CACHE, &mut journal).unwrap();
    rollback::sweep(&root, CACHE, "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
    assert!(volume.path().join(".modelcache/c/restore/old/models/a").exists());
    rollback::sweep(&root, CACHE, Timestamp::MAX).unwrap();
    assert!(!volume.path().join(".modelcache/c/restore").exists());
}

#[test]
fn what_a_later_restore_left_staged_does_not_stand_in_the_way_back() {
    let (volume, root, mut journal) = volume();
    let before = content(volume.path());
    forward(&root, CACHE, &mut journal).unwrap();
    let staged = volume.path().join(".modelcache/c/restore/new");
    put(&staged, "models/a", "half of a later one");
    put(&staged, "models/sub/b", "half of a later one");
    rollback::roll_back(&root, CACHE).unwrap();
    assert_eq!(content(volume.path()), before);
}

#[test]
fn what_has_appeared_since_the_plan_was_made_is_kept_and_comes_back_with_a_rollback() {
    let (volume, root, mut journal) = volume();
    for (path, text) in [("models/sub/b", "somebody's"), ("models/sub/theirs", "theirs"), ("fresh/x/z", "theirs")] {
        put(volume.path(), path, text);
    }
    let before = content(volume.path());
    let mut expected = after();
    expected.extend([("models/sub/theirs", "theirs"), ("fresh/x/z", "theirs")].map(|(a, b)| (a.into(), b.into())));
    forward(&root, CACHE, &mut journal).unwrap();
    assert_eq!(content(volume.path()), expected);
    rollback::roll_back(&root, CACHE).unwrap();
    assert_eq!(content(volume.path()), before);
}

#[test]
fn a_new_name_never_takes_anything_away_whatever_the_file_system_can_do() {
    for move_new in [rename_new, name_new] {
        let volume = tempfile::tempdir().unwrap();
        let at = |path: &str| volume.path().join(path);
        let text = |path: &str| std::fs::read_to_string(at(path)).unwrap();
        put(volume.path(), "from/file", "new");
        put(volume.path(), "from/directory/x", "new");
        std::os::unix::fs::symlink("nothing", at("from/link")).unwrap();
        put(volume.path(), "taken/file", "theirs");
        put(volume.path(), "taken/directory/y", "theirs");
        put(volume.path(), "taken/link", "theirs");
        let root = Root::open(volume.path()).unwrap();
        for name in ["file", "directory", "link"] {
            assert!(!move_new(&root, &format!("from/{name}"), &format!("taken/{name}")).unwrap(), "{name}");
            assert!(at("from").join(name).symlink_metadata().is_ok(), "{name}");
        }
        assert_eq!((text("taken/file"), text("taken/directory/y"), text("taken/link")), {
            let theirs = || "theirs".to_owned();
            (theirs(), theirs(), theirs())
        });
        for name in ["file", "directory", "link"] {
            assert!(move_new(&root, &format!("from/{name}"), &format!("free/{name}")).unwrap(), "{name}");
        }
        assert_eq!((text("free/file"), text("free/directory/x")), ("new".into(), "new".into()));
        assert_eq!(std::fs::read_dir(at("from")).unwrap().count(), 0);
        // Killed between the two names.
        put(volume.path(), "from/twice", "new");
        std::fs::hard_link(at("from/twice"), at("free/twice")).unwrap();
        assert!(move_new(&root, "from/twice", "free/twice").unwrap());
        assert!(!at("from/twice").exists() && at("free/twice").exists());
    }
}
