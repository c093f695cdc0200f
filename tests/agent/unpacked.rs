//! Archives whose content is wanted: what is on the volume, what is fetched again, what readers see meanwhile.

use crate::bench::{Bench, until};
use crate::killed::Moments;
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

/// A zip file of these files.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn archive(bench: &Bench, name: &str, more: &Value) -> Value {
    let mut wanted = json!({"unpack": "Zip"});
    wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    bench.file(name, &format!("{name}.zip"), &wanted)
}

fn files(bench: &Bench) -> Vec<String> {
    let mut all = bench.published();
    all.retain(|path| !bench.volume().join(path).is_dir());
    all
}

fn read(bench: &Bench, path: &str) -> String {
    std::fs::read_to_string(bench.volume().join(path)).unwrap()
}

#[test]
fn an_archive_becomes_a_tree_that_the_next_run_finds_whole_without_asking() {
    let bench = Bench::new();
    bench.hub.put("a.zip", zip(&[("x/one", b"1"), ("x/two", &vec![b'2'; 2 << 20]), ("three", b"3")]));
    bench.cache(&[archive(&bench, "a", &json!({}))]);
    let first = bench.prefetch();
    assert_eq!(files(&bench), ["files/a/three", "files/a/x/one", "files/a/x/two"]);
    let evidence = &first.one()["evidence"];
    assert_eq!((&evidence["files"], &evidence["bytes"]), (&json!(1), &json!((2 << 20) + 2)));
    let requests = bench.requests();
    assert_eq!((bench.prefetch().fetched(), bench.requests()), (0, requests));
    let own = crate::bench::paths(&bench.volume().join(".modelcache"));
    assert!(own.iter().all(|path| !path.contains("unpack")), "{own:?}");
}

#[test]
fn damage_in_a_tree_is_named_and_only_its_archive_is_fetched_again() {
    let bench = Bench::new();
    let (a, b) = (zip(&[("x", &vec![1; 200_000]), ("y", b"1")]), zip(&[("x", &vec![2; 300_000])]));
    let size = a.len() as u64;
    bench.hub.put("a.zip", a);
    bench.hub.put("b.zip", b);
    bench.cache(&[archive(&bench, "a", &json!({})), archive(&bench, "b", &json!({}))]);
    bench.prefetch();
    let victim = bench.volume().join("files/a/x");
    std::fs::write(&victim, vec![3; 200_000]).unwrap();
    assert_eq!(bench.run(&["verify", "--quick"]).code, 0, "a quick look sees sizes");
    bench.run(&["verify"]).failed(33, "Damaged", &["files/a/x"]);
    bench.prefetch().fetched_once(size);
    assert_eq!(std::fs::read(&victim).unwrap(), vec![1; 200_000]);
    assert_eq!(bench.run(&["verify"]).code, 0);
    std::fs::remove_file(&victim).unwrap();
    bench.run(&["verify", "--quick"]).failed(33, "Damaged", &["files/a/x"]);
    bench.prefetch().fetched_once(size);
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one_whole_and_leaves_nothing_of_it() {
    let bench = Bench::new();
    bench.hub.put(
        "a.zip",
        zip(&[("same", b"1"), ("changed", b"old"), ("old/gone", b"g"), ("kind", b"k"), ("kind2/was", b"k")]),
    );
    bench.cache(&[archive(&bench, "a", &json!({"path": "t"}))]);
    bench.prefetch();
    bench
        .hub
        .put("a.zip", zip(&[("same", b"1"), ("changed", b"new"), ("new", b"n"), ("kind/now", b"k"), ("kind2", b"k")]));
    assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0);
    assert_eq!(files(&bench), ["t/changed", "t/kind/now", "t/kind2", "t/new", "t/same"]);
    assert_eq!(read(&bench, "t/changed"), "new");
    assert!(!bench.volume().join("t/old").exists());
    assert_eq!(bench.run(&["verify"]).code, 0);
}

#[test]
fn what_others_keep_in_the_directory_stays() {
    let bench = Bench::new();
    bench.hub.put("a.zip", zip(&[("x/one", b"1"), ("x/gone", b"g")]));
    bench.cache(&[archive(&bench, "a", &json!({"path": "t"}))]);
    bench.prefetch();
    std::fs::write(bench.volume().join("t/x/theirs"), "theirs").unwrap();
    std::fs::create_dir(bench.volume().join("t/empty")).unwrap();
    bench.hub.put("a.zip", zip(&[("x/one", b"2"), ("y", b"y")]));
    assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0);
    assert_eq!(files(&bench), ["t/x/one", "t/x/theirs", "t/y"]);
    assert!(bench.volume().join("t/empty").is_dir());
    assert_eq!((read(&bench, "t/x/one"), read(&bench, "t/x/theirs")), ("2".into(), "theirs".into()));
}

#[test]
fn a_file_that_is_not_ours_in_the_place_of_a_directory_is_refused_and_stays() {
    let bench = Bench::new();
    bench.hub.put("a.zip", zip(&[("aa", b"1"), ("x/one", b"1")]));
    bench.cache(&[archive(&bench, "a", &json!({"path": "t"}))]);
    std::fs::create_dir_all(bench.volume().join("t")).unwrap();
    std::fs::write(bench.volume().join("t/x"), "theirs").unwrap();
    bench.run(&["prefetch"]).failed(2, "InvalidSpec", &["t/x stands in the way", "another `path`"]);
    // What is unpacked waits for somebody to make room: a retry brings nothing again.
    let again = bench.run(&["prefetch"]);
    again.failed(2, "InvalidSpec", &["t/x stands in the way"]);
    assert_eq!(again.fetched(), 0);
    assert_eq!(files(&bench), ["t/x"]);
    assert_eq!(bench.current(), None);
}

#[test]
fn two_sources_that_hold_different_files_of_one_name_do_not_fight() {
    let bench = Bench::new();
    bench.hub.put("a.zip", zip(&[("x", b"1"), ("same", b"s"), ("a", b"1")]));
    bench.hub.put("b.zip", zip(&[("b", b"2"), ("same", b"s")]));
    bench.hub.put("c.zip", zip(&[("x", b"2")]));
    let at = |name: &str| archive(&bench, name, &json!({"path": "t"}));
    bench.cache(&[at("a"), at("b")]);
    bench.prefetch();
    assert_eq!(files(&bench), ["t/a", "t/b", "t/same", "t/x"]);
    bench.cache(&[at("a"), at("b"), at("c")]);
    bench.run(&["prefetch"]).failed(2, "InvalidSpec", &["source `c`", "t/x belongs to source `a`"]);
    assert_eq!(read(&bench, "t/x"), "1");
    // A new version of one leaves the other's files, also the one that both have.
    bench.hub.put("b.zip", zip(&[("b", b"3")]));
    bench.cache(&[at("a"), at("b")]);
    assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0);
    assert_eq!(files(&bench), ["t/a", "t/b", "t/same", "t/x"]);
    assert_eq!(bench.run(&["verify"]).code, 0);
}

#[test]
fn a_hostile_archive_fails_its_source_and_no_other() {
    let bench = Bench::new();
    bench.hub.put("a.zip", zip(&[("good", b"1"), ("../../x", b"1")]));
    bench.hub.put("b.zip", zip(&[("b", b"2")]));
    bench.cache(&[archive(&bench, "a", &json!({})), archive(&bench, "b", &json!({}))]);
    bench.run(&["prefetch"]).failed(31, "ListingMismatch", &["source `a`", "a.zip holds \"../../x\"", "`..`"]);
    assert_eq!(files(&bench), ["files/b/b"]);
}

#[test]
fn what_comes_out_of_an_archive_counts_against_the_size() {
    let bench = Bench::new();
    bench.hub.put("a.zip", zip_deflated(&vec![0; 8 << 20]));
    bench.write(&json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "studio"},
        "spec": {
            "volumes": [{"name": "models", "perNode": {"pool": "p", "size": "4Mi"}}],
            "sources": [archive(&bench, "a", &json!({}))]
        }
    }));
    bench.run(&["prefetch"]).failed(40, "InsufficientSpace", &["source `a`", "`size`"]);
    assert!(files(&bench).is_empty());
}

fn zip_deflated(bytes: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    writer.start_file("zeros", options).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn killed_at_any_moment_a_reader_sees_one_version_and_the_next_run_ends_well() {
    let bench = Bench::new();
    let version = |fill: u8| {
        let names: Vec<String> = (0..200).map(|it| format!("d{}/f{it}", it % 7)).collect();
        zip(&names
            .iter()
            .map(|it| (it.as_str(), vec![fill; 5000]))
            .collect::<Vec<_>>()
            .iter()
            .map(|(a, b)| (*a, b.as_slice()))
            .collect::<Vec<_>>())
    };
    bench.cache(&[archive(&bench, "a", &json!({"path": "t"}))]);
    bench.hub.put("a.zip", version(0));
    bench.prefetch();
    let (mut moments, mut round) = (Moments::new(30), 0_u8);
    let refresh = |round: u8| {
        bench.hub.put("a.zip", version(round));
        let started = Instant::now();
        let child = bench.start(&["prefetch", "--refresh"]);
        (child, started)
    };
    let (mut child, started) = refresh(1);
    assert!(child.wait().unwrap().success());
    let undisturbed = started.elapsed();
    while moments.to_come() {
        round = round % 200 + 1;
        let (mut child, _) = refresh(round);
        moments.strike(&mut child, undisturbed);
        let when = format!("seed {}, after {} kills", moments.seed, moments.killed);
        let seen: std::collections::BTreeSet<u8> =
            files(&bench).iter().map(|it| std::fs::read(bench.volume().join(it)).unwrap()[0]).collect();
        assert_eq!((seen.len(), files(&bench).len()), (1, 200), "{when}: {seen:?}");
        // Also when what was wanted before is wanted: nothing of the new version passes for it.
        assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0, "{when}");
        assert_eq!(bench.run(&["verify"]).code, 0, "{when}");
        assert_eq!(std::fs::read(bench.volume().join("t/d0/f0")).unwrap()[0], round, "{when}");
    }
    until("nothing is left aside", || !bench.volume().join(".modelcache/studio/unpack").exists());
}

#[test]
fn modes_are_for_every_reader_and_a_program_stays_one() {
    let bench = Bench::new();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode) in [("run", 0o700), ("data", 0o600)] {
        writer.start_file(name, zip::write::SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        writer.write_all(b"x").unwrap();
    }
    bench.hub.put("a.zip", writer.finish().unwrap().into_inner());
    bench.cache(&[archive(&bench, "a", &json!({}))]);
    bench.prefetch();
    let mode = |path: &str| std::fs::metadata(bench.volume().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("files/a/run"), mode("files/a/data"), mode("files/a")), (0o755, 0o644, 0o755));
}
