//! What takes the space, and what is there: told truly, without asking anybody and without touching anything.

use crate::bench::{Bench, bare, quickly, ran};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What `du -s` of coreutils says, in bytes.
fn du(path: &Path) -> u64 {
    let output = Command::new("du").args(["-s", "--block-size=1"]).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn disk(amount: &Value) -> u64 {
    amount["diskBytes"].as_u64().unwrap()
}

/// The sum that the page says makes the total.
fn sum(usage: &Value) -> u64 {
    let all = |list: &str| usage[list].as_array().unwrap().clone();
    let caches =
        all("caches").into_iter().flat_map(|it| ["own", "staging", "trash", "state"].map(|part| disk(&it[part])));
    let foreign = all("foreign").into_iter().map(|it| disk(&it["amount"]));
    let rest = ["sharedByCaches", "other", "directories", "trash", "state"].map(|part| disk(&usage[part]));
    caches.chain(foreign).chain(rest).sum()
}

/// Two caches, two revisions, a content that sources share, staging, trash, and what other tools leave.
fn lived_in() -> Bench {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,b.bin:3Mi,c.json:70");
    bench.cache(&[bench.repo("x", "org/x", &json!({})), bench.repo("tiny", "demo/tiny-llm", &json!({}))]);
    bench.prefetch();
    bench.hub.control("move?repo=org/x&files=a.bin");
    assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0);
    let hub = bench.volume().join("huggingface/hub");
    let theirs = |path: &str, size: usize| {
        std::fs::create_dir_all(hub.join(path).parent().unwrap()).unwrap();
        std::fs::write(hub.join(path), vec![1; size]).unwrap();
    };
    theirs("models--org--x/blobs/0123.incomplete", 50_000);
    theirs("models--org--x/blobs/4567", 20_000);
    theirs("models--org--x/blobs/89ab", 30_000);
    std::fs::create_dir_all(hub.join("models--org--x/snapshots/theirs")).unwrap();
    symlink("../../blobs/89ab", hub.join("models--org--x/snapshots/theirs/x")).unwrap();
    theirs("models--o--y/blobs/5", 70_000);
    theirs(".locks/models--o--y/5.lock", 0);
    theirs("../xet/chunk-cache/z", 9_000);
    let own = bench.volume().join(".modelcache/studio");
    std::fs::create_dir_all(own.join("trash/1")).unwrap();
    std::fs::write(own.join("trash/1/old"), vec![1; 40_000]).unwrap();
    std::fs::write(own.join("staging").join(format!("{}.9", "a".repeat(64))), vec![1; 8_000]).unwrap();
    std::fs::write(bench.volume().join("notes.txt"), "mine").unwrap();
    std::fs::hard_link(bench.volume().join("notes.txt"), bench.volume().join("again.txt")).unwrap();
    let big = std::fs::File::create(bench.volume().join("sparse")).unwrap();
    big.set_len(1 << 30).unwrap();
    bench
}

#[test]
fn the_sums_are_what_du_says() {
    let bench = lived_in();
    let ran = bench.run(&["du"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let usage = ran.one();
    assert_eq!(disk(&usage["total"]), du(&bench.volume()));
    assert_eq!(sum(usage), disk(&usage["total"]), "{usage:#}");
    assert_eq!(usage["total"]["apparentBytes"].as_u64().unwrap() >> 30, 1, "the hole is seen, and takes nothing");
}

#[test]
fn revisions_staging_trash_and_what_others_left_are_told_apart() {
    let bench = lived_in();
    let ran = bench.run(&["du"]);
    let usage = ran.one();
    let studio = &usage["caches"][0];
    assert_eq!((studio["cache"].as_str(), studio["sources"].as_array().unwrap().len()), (Some("studio"), 2));
    let x = studio["sources"].as_array().unwrap().iter().find(|it| it["source"] == "x").unwrap();
    let revisions = x["revisions"].as_array().unwrap();
    assert_eq!(revisions.len(), 2);
    let (now, before) = (&revisions[0], &revisions[1]);
    assert_eq!((now["current"].as_bool(), before["current"].as_bool()), (Some(true), Some(false)));
    for revision in [now, before] {
        assert_eq!(revision["own"]["apparentBytes"].as_u64().unwrap() >> 20, 2, "{revision}");
        assert_eq!(revision["shared"]["apparentBytes"].as_u64().unwrap() >> 20, 3, "{revision}");
    }
    assert_eq!(studio["trash"]["apparentBytes"], 40_000);
    let kinds: Vec<_> = usage["foreign"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["repository", "snapshot", "blob", "looseBlob", "incomplete", "locks", "xet"]);
    let could: Vec<_> =
        usage["reclaimable"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert_eq!(could, ["earlierRevisions", "staging", "trash", "incomplete", "looseBlobs", "xet"]);
    let earlier = usage["reclaimable"][0]["amount"]["apparentBytes"].as_u64().unwrap();
    assert_eq!(earlier >> 20, 2, "what only the earlier revision needs");
}

#[test]
fn a_content_that_two_caches_need_counts_once_and_for_both() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:4Mi,b.bin:1Mi");
    let cache = |name: &str, include: &str| {
        bench.write(&json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": name},
            "spec": {"volumes": [{"name": "models", "shared": {"size": "10Gi"}}],
                     "sources": [bench.repo("x", "org/x", &json!({"include": [include]}))]}
        }));
        bench.prefetch();
    };
    cache("one", "*");
    cache("two", "a.bin");
    let output = bare(&["du", "-o", "json", "--volumes-dir"]).arg(bench.path("volumes")).output().unwrap();
    let ran = ran(output);
    let usage = ran.one();
    assert_eq!(disk(&usage["sharedByCaches"]) >> 20, 4);
    let (one, two) = (&usage["caches"][0], &usage["caches"][1]);
    assert_eq!((disk(&one["own"]) >> 20, disk(&one["shared"]) >> 20), (1, 4));
    assert_eq!((disk(&two["own"]) >> 20, disk(&two["shared"]) >> 20), (0, 4));
    assert_eq!((sum(usage), disk(&usage["total"])), (du(&bench.volume()), du(&bench.volume())));
}

#[test]
fn a_hundred_thousand_files_take_seconds() {
    let volume = tempfile::tempdir().unwrap();
    for directory in 0..100 {
        let path = volume.path().join(format!("d{directory}"));
        std::fs::create_dir(&path).unwrap();
        for file in 0..1000 {
            std::fs::File::create(path.join(format!("f{file}"))).unwrap();
        }
    }
    let ran = quickly(Duration::from_secs(20), || {
        ran(bare(&["du", "-o", "json", "--volume"]).arg(volume.path()).output().unwrap())
    });
    assert_eq!(ran.one()["total"]["files"], 100_000);
}

#[test]
fn links_are_not_followed_and_nothing_outside_is_counted() {
    let bench = lived_in();
    let outside = bench.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("big"), vec![1; 5 << 20]).unwrap();
    let before = disk(&bench.run(&["du"]).one()["total"]);
    symlink(&outside, bench.volume().join("huggingface/out")).unwrap();
    symlink(outside.join("big"), bench.volume().join("huggingface/hub/models--org--x/blobs/out")).unwrap();
    let after = disk(&bench.run(&["du"]).one()["total"]);
    assert!(after - before < 1 << 20, "{before} {after}");
    assert_eq!(after, du(&bench.volume()));
}

#[test]
fn ls_says_how_each_source_is_and_where_it_is_loaded_from() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,d/b.bin:3Mi");
    bench.hub.control("file?name=f.bin&size=1Mi");
    let x = bench.repo("x", "org/x", &json!({}));
    bench.cache(&[x.clone(), bench.file("f", "f.bin", &json!({}))]);
    let states = |bench: &Bench| -> Vec<(String, String)> {
        let listed = bench.run(&["ls"]).results;
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        listed.iter().map(|it| (text(&it["source"]), text(&it["state"]))).collect()
    };
    let pair = |source: &str, state: &str| (source.to_owned(), state.to_owned());
    std::fs::create_dir_all(bench.volume()).unwrap();
    assert_eq!(states(&bench), [pair("f", "absent"), pair("x", "absent")]);
    bench.prefetch();
    let listed = bench.run(&["ls"]).results;
    let snapshot = bench.snapshot("org/x", &bench.main("org/x"), "");
    assert_eq!(Path::new(listed[1]["path"].as_str().unwrap()), snapshot.components().as_path());
    assert_eq!(listed[0]["path"].as_str().unwrap(), bench.volume().join("files/f.bin").to_str().unwrap());
    assert_eq!((&listed[1]["fileCount"], &listed[1]["bytes"]), (&json!(2), &json!(5 << 20)));
    assert!(listed[1]["since"].as_str().unwrap().ends_with('Z'));
    assert_eq!(states(&bench), [pair("f", "complete"), pair("x", "complete")]);
    std::fs::remove_file(bench.volume().join("files/f.bin")).unwrap();
    std::fs::write(bench.volume().join(".modelcache/studio/manifests/x.json"), "{").unwrap();
    assert_eq!(states(&bench), [pair("f", "damaged"), pair("x", "damaged")]);
}

#[test]
fn ls_of_a_source_lists_its_files_with_sizes_and_hashes() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,d/b.json:30");
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench.prefetch();
    let ran = bench.run(&["ls", "x"]);
    let files = ran.one()["files"].as_array().unwrap();
    let found: Vec<_> = files.iter().map(|it| (it["path"].as_str().unwrap(), it["size"].as_u64().unwrap())).collect();
    assert_eq!(found, [("a.bin", 2 << 20), ("d/b.json", 30)]);
    for (file, path) in files.iter().zip(["a.bin", "d/b.json"]) {
        assert_eq!(file["sha256"], bench.hub.content("org/x", path).hashes().sha256);
    }
    bench.run(&["ls", "nobody"]).failed(2, "InvalidSpec", &["`nobody`"]);
}

#[test]
fn a_directory_without_caches_is_refused_with_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let ran = ran(bare(&["du", "-o", "json", "--volumes-dir"]).arg(empty.path()).output().unwrap());
    ran.failed(2, "InvalidSpec", &[".modelcache", "-f"]);
}
