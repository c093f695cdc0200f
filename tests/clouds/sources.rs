//! What is below a prefix arrives as it is.

use crate::bench::Bench;
use crate::{Bucket, Cloud, bytes, files, for_both, keyed, objects, prefetch, source};
use serde_json::json;
use std::process::Stdio;

for_both!(
    a_prefix_is_fetched_with_its_patterns_and_nothing_beside_it,
    names_of_every_kind_are_kept_as_they_are,
    a_listing_of_several_pages_is_read_to_its_end,
    a_public_bucket_needs_no_credentials,
    a_killed_run_is_resumed_where_it_was,
);

fn a_prefix_is_fetched_with_its_patterns_and_nothing_beside_it(cloud: Cloud) {
    let (bench, bucket) = (Bench::new(), Bucket::new(cloud));
    for key in ["llama/v3/a.bin", "llama/v3/sub/b.bin", "llama/v3/c.onnx", "llama/v30/d.bin", "other/e.bin"] {
        bucket.put(key, key.as_bytes());
    }
    bucket.put("llama/v3/empty.bin", b"");
    bench.cache(&[source(cloud, &bucket.with_credentials(), &json!({"prefix": "llama/v3/", "exclude": ["*.onnx"]}))]);
    prefetch(&bench, cloud);
    let directory = objects(&bench, &bucket).join("llama/v3");
    assert_eq!(files(&directory), ["a.bin", "empty.bin", "sub/b.bin"]);
    assert_eq!(std::fs::read(directory.join("sub/b.bin")).unwrap(), b"llama/v3/sub/b.bin");
    assert_eq!(std::fs::read(directory.join("empty.bin")).unwrap(), b"");
    assert_eq!(prefetch(&bench, cloud).fetched(), 0);
    assert_eq!(bench.run(&["verify"]).code, 0);

    let some = json!({"prefix": "llama", "include": ["v3/sub/"], "path": "flat"});
    bench.cache(&[source(cloud, &bucket.with_credentials(), &some)]);
    prefetch(&bench, cloud);
    assert_eq!(files(&bench.volume().join("flat")), ["v3/sub/b.bin"]);
}

fn names_of_every_kind_are_kept_as_they_are(cloud: Cloud) {
    let (bench, bucket) = (Bench::new(), Bucket::new(cloud));
    let mut keys = vec![
        "a b.bin",
        "a+b.bin",
        "a%20b.bin",
        "a%2Fb.bin",
        "a&b<c>\"d'.bin",
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
    bench.cache(&[source(cloud, &bucket.with_credentials(), &json!({}))]);
    prefetch(&bench, cloud);
    let directory = objects(&bench, &bucket);
    for key in &keys {
        assert_eq!(std::fs::read(directory.join(key)).unwrap(), key.as_bytes(), "{key}");
    }
    keys.sort_unstable();
    assert_eq!(files(&directory), keys);
}

fn a_listing_of_several_pages_is_read_to_its_end(cloud: Cloud) {
    let (bench, bucket) = (Bench::new(), Bucket::new(cloud));
    let count = cloud.page() + 3;
    bucket.put_all((0..count).map(|it| format!("many/{it:04}.txt")));
    // All of them are listed, and the last ones are wanted: they are on the second page.
    let last =
        json!({"prefix": "many", "include": [format!("{:04}.txt", cloud.page()), format!("{:04}.txt", count - 1)]});
    bench.cache(&[source(cloud, &bucket.with_credentials(), &last)]);
    let ran = prefetch(&bench, cloud);
    assert_eq!(ran.one()["evidence"]["files"], 2);
    let last = objects(&bench, &bucket).join(format!("many/{:04}.txt", count - 1));
    assert_eq!(std::fs::read(last).unwrap(), format!("many/{:04}.txt", count - 1).as_bytes());
}

fn a_public_bucket_needs_no_credentials(cloud: Cloud) {
    let (bench, bucket) = (Bench::new(), Bucket::public(cloud));
    bucket.put("a+b c.bin", b"public");
    let mut place = bucket.place.clone();
    place["anonymous"] = json!(true);
    bench.cache(&[source(cloud, &place, &json!({}))]);
    bench.prefetch();
    assert_eq!(std::fs::read(objects(&bench, &bucket).join("a+b c.bin")).unwrap(), b"public");
}

fn a_killed_run_is_resumed_where_it_was(cloud: Cloud) {
    let (bench, bucket) = (Bench::new(), Bucket::new(cloud));
    let size = 96 << 20;
    let content = bytes(3, size);
    bucket.put("large.bin", &content);
    bench.cache(&[source(cloud, &bucket.with_credentials(), &json!({}))]);
    let staging = bench.volume().join(".modelcache/studio/staging");
    let mut child = keyed(&bench, cloud, &["prefetch", "--max-bandwidth", "12000000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // What the journal says is on the disk is what a kill cannot take.
    crate::bench::until("a part of it is journalled", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        let names = crate::bench::paths(&staging);
        names.iter().any(|it| it.ends_with(".journal") && staging.join(it).metadata().is_ok_and(|it| it.len() > 0))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!objects(&bench, &bucket).join("large.bin").exists());
    let fetched = prefetch(&bench, cloud).fetched();
    assert!(fetched < size as u64, "all of it was fetched again");
    assert!(std::fs::read(objects(&bench, &bucket).join("large.bin")).unwrap() == content);
}
