//! What is below a prefix arrives as it is, whatever it is called and however it was uploaded.

use crate::bench::Bench;
use crate::{bytes, files, keyed, minio, objects, prefetch, source, with_keys};
use serde_json::json;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_prefix_is_fetched_with_its_patterns_and_nothing_beside_it() {
    let (bench, bucket) = (Bench::new(), minio::bucket());
    for key in ["llama/v3/a.bin", "llama/v3/sub/b.bin", "llama/v3/c.onnx", "llama/v30/d.bin", "other/e.bin"] {
        bucket.put(key, key.as_bytes());
    }
    bucket.put_directory("llama/v3/empty/");
    bucket.put_directory("llama/v3/sub/");
    bench.cache(&[source(&with_keys(&bucket), &json!({"prefix": "llama/v3/", "exclude": ["*.onnx"]}))]);
    prefetch(&bench);
    let directory = objects(&bench, &bucket).join("llama/v3");
    assert_eq!(files(&directory), ["a.bin", "sub/b.bin"]);
    assert_eq!(std::fs::read(directory.join("sub/b.bin")).unwrap(), b"llama/v3/sub/b.bin");
    assert_eq!(prefetch(&bench).fetched(), 0);

    bench.cache(&[source(&with_keys(&bucket), &json!({"prefix": "llama", "include": ["v3/sub/"], "path": "flat"}))]);
    prefetch(&bench);
    assert_eq!(files(&bench.volume().join("flat")), ["v3/sub/b.bin"]);
}

#[test]
fn of_a_prefix_whose_listing_has_changed_only_what_is_new_there_is_fetched() {
    use std::os::unix::fs::MetadataExt as _;
    let (bench, bucket) = (Bench::new(), minio::bucket());
    let (kept, before, after) = (bytes(1, 3 << 20), bytes(2, 1 << 20), bytes(3, 1 << 20));
    bucket.put("kept.bin", &kept);
    bucket.put("changed.bin", &before);
    bench.cache(&[source(&with_keys(&bucket), &json!({}))]);
    prefetch(&bench);
    let path = |name: &str| objects(&bench, &bucket).join(name);
    let inode = std::fs::metadata(path("kept.bin")).unwrap().ino();

    bucket.put("changed.bin", &after);
    bucket.put("new.bin", b"new");
    // Another spec is resolved again.
    bench.cache(&[source(&with_keys(&bucket), &json!({"exclude": ["*.none"]}))]);
    assert_eq!(prefetch(&bench).fetched(), (1 << 20) + 3);
    assert_eq!(std::fs::metadata(path("kept.bin")).unwrap().ino(), inode);
    assert!(std::fs::read(path("changed.bin")).unwrap() == after);
    assert_eq!(bench.run(&["verify", "--deep"]).code, 0);
}

#[test]
fn objects_of_many_parts_and_of_no_bytes_arrive_whole() {
    let (bench, bucket) = (Bench::new(), minio::bucket());
    let (one, two) = (bytes(1, 6 << 20), bytes(2, 5 << 20));
    bucket.put_in_parts("large.bin", &[&one, &two]);
    bucket.put("empty.bin", b"");
    bench.cache(&[source(&with_keys(&bucket), &json!({}))]);
    prefetch(&bench);
    let directory = objects(&bench, &bucket);
    assert!(std::fs::read(directory.join("large.bin")).unwrap() == [one, two].concat());
    assert_eq!(std::fs::read(directory.join("empty.bin")).unwrap(), b"");
    assert_eq!(bench.run(&["verify"]).code, 0);
}

#[test]
fn names_of_every_kind_are_kept_as_they_are() {
    let (bench, bucket) = (Bench::new(), minio::bucket());
    let mut keys = vec![
        "a b.bin",
        "a+b.bin",
        "a%20b.bin",
        "a%2Fb.bin",
        "ünï 🎉/x.bin",
        "q?x=1&y=2#z.bin",
        "(x)'y!*.bin",
        "=.bin",
        "~.bin",
        ".hidden",
        "a:b@c,d;e$f.bin",
        "e\u{301}.bin",
    ];
    for key in &keys {
        bucket.put(key, key.as_bytes());
    }
    bench.cache(&[source(&with_keys(&bucket), &json!({}))]);
    prefetch(&bench);
    let directory = objects(&bench, &bucket);
    for key in &keys {
        assert_eq!(std::fs::read(directory.join(key)).unwrap(), key.as_bytes(), "{key}");
    }
    keys.sort_unstable();
    assert_eq!(files(&directory), keys);
}

#[test]
fn a_public_bucket_needs_no_keys() {
    let (bench, bucket) = (Bench::new(), minio::bucket());
    bucket.put("a+b c.bin", b"public");
    bucket.open_to_all();
    let mut s3 = bucket.s3();
    s3["anonymous"] = json!(true);
    bench.cache(&[source(&s3, &json!({}))]);
    bench.prefetch();
    assert_eq!(std::fs::read(objects(&bench, &bucket).join("a+b c.bin")).unwrap(), b"public");
}

#[test]
fn a_listing_of_several_pages_is_read_to_its_end() {
    let (bench, bucket) = (Bench::new(), minio::bucket());
    bucket.put_all((0..2500).map(|it| format!("many/{it:04}.txt")));
    bench.cache(&[source(&with_keys(&bucket), &json!({"prefix": "many"}))]);
    let ran = prefetch(&bench);
    assert_eq!(ran.one()["evidence"]["files"], 2500);
    let directory = objects(&bench, &bucket).join("many");
    assert_eq!(files(&directory).len(), 2500);
    assert_eq!(std::fs::read(directory.join("2499.txt")).unwrap(), b"many/2499.txt");
}

#[test]
fn a_killed_run_is_resumed_where_it_was() {
    let (bench, bucket) = (Bench::new(), minio::bucket());
    let size = 96 << 20;
    let content = bytes(3, size);
    bucket.put("large.bin", &content);
    bench.cache(&[source(&with_keys(&bucket), &json!({}))]);
    let staging = bench.volume().join(".modelcache/studio/staging");
    let mut child = keyed(&bench, &["prefetch", "--max-bandwidth", "6000000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // What the journal says is on the disk is what a kill cannot take.
    let started = Instant::now();
    let journalled = || {
        let names = crate::bench::paths(&staging);
        names.iter().any(|it| it.ends_with(".journal") && staging.join(it).metadata().is_ok_and(|it| it.len() > 0))
    };
    while !(journalled() && started.elapsed() > Duration::from_secs(3)) {
        assert!(started.elapsed() < Duration::from_secs(240), "nothing was journalled");
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!objects(&bench, &bucket).join("large.bin").exists());
    let fetched = prefetch(&bench).fetched();
    assert!(fetched < size as u64, "all of it was fetched again");
    assert!(std::fs::read(objects(&bench, &bucket).join("large.bin")).unwrap() == content);
}
