//! A pin holds until somebody asks for another, and readers never see half of one.

use crate::bench::Bench;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_branch_that_moves_changes_nothing_until_a_refresh() {
    let bench = Bench::new();
    bench.cache(&[bench.repo("x", "demo/tiny-llm", &json!({}))]);
    bench.prefetch();
    let before = bench.main("demo/tiny-llm");
    let moved = bench.hub.control("move?repo=demo/tiny-llm&files=config.json")["commit"].clone();
    assert_eq!(bench.prefetch().fetched(), 0);
    assert_eq!(bench.main("demo/tiny-llm"), before);

    let refreshed = bench.run(&["prefetch", "--refresh"]);
    assert_eq!(refreshed.code, 0);
    assert_eq!(refreshed.fetched(), bench.hub.content("demo/tiny-llm", "config.json").size());
    assert_eq!(bench.main("demo/tiny-llm"), moved.as_str().unwrap());
    assert!(bench.snapshot("demo/tiny-llm", &before, "config.json").exists(), "the old revision stays");
}

#[test]
fn a_reader_sees_the_old_revision_or_the_new_one_and_never_a_mixture() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.json:4000,b.json:4000,c/d.bin:2Mi");
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench.prefetch();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !stop.load(Ordering::Relaxed) {
                let commit = bench.main("org/x");
                for (file, size) in [("a.json", 4000), ("b.json", 4000), ("c/d.bin", 2 << 20)] {
                    let path = bench.snapshot("org/x", &commit, file);
                    assert_eq!(std::fs::metadata(&path).unwrap().len(), size, "{}", path.display());
                }
                looks += 1;
            }
            looks
        });
        for _ in 0..3 {
            bench.hub.control("move?repo=org/x");
            assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
}

#[test]
fn while_the_new_revision_is_not_complete_the_old_one_is_what_is_there() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,b.json:10");
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench.prefetch();
    let (before, current) = (bench.main("org/x"), bench.current());
    bench.hub.control("move?repo=org/x");
    bench.hub.control("fault?what=wrongBytes&count=1000&on=cdn");
    assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 30);
    assert_eq!((bench.main("org/x"), bench.current()), (before.clone(), current));
    assert!(bench.snapshot("org/x", &before, "a.bin").exists());
}

#[test]
fn a_source_that_left_the_cache_loses_its_manifest_and_keeps_its_files() {
    let bench = Bench::new();
    bench.hub.control("file?name=a.bin&size=1Ki");
    bench.cache(&[bench.repo("x", "demo/tiny-llm", &json!({})), bench.file("a", "a.bin", &json!({}))]);
    bench.prefetch();
    let hash = bench.current();
    bench.cache(&[bench.repo("x", "demo/tiny-llm", &json!({}))]);
    assert_eq!(bench.prefetch().fetched(), 0);
    assert_ne!(bench.current(), hash);
    assert!(bench.volume().join("files/a.bin").exists());
    assert!(!bench.volume().join(".modelcache/studio/manifests/a.json").exists());
}
