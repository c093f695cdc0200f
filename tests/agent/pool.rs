//! Sources share one pool of connections, and each is there for its readers as soon as it is whole.

use crate::bench::{Bench, until};
use serde_json::json;

#[test]
fn a_small_source_is_there_while_a_large_one_before_it_is_still_fetched() {
    let bench = Bench::new();
    bench.hub.repo("org/large=large.bin:400Mi");
    bench.hub.repo("org/small=a.bin:3Mi,b.json:500");
    bench.cache(&[bench.repo("x", "org/large", &json!({})), bench.repo("y", "org/small", &json!({}))]);
    bench.hub.control("throttle?bytesPerSecond=2500000");
    let mut child = bench.start(&["prefetch"]);
    let has_branch = |repo: &str| bench.published().iter().any(|path| path.contains(repo) && path.contains("refs/"));
    until("the small one is there", || has_branch("small"));
    assert!(!has_branch("large") && child.try_wait().unwrap().is_none(), "the large one is on its way");
    assert_eq!(bench.current(), None, "not everything is there");
    child.kill().unwrap();
    child.wait().unwrap();
    bench.hub.control("throttle?bytesPerSecond=0");
    bench.prefetch();
    assert!(has_branch("large") && bench.current().is_some());
}

#[test]
fn the_same_bytes_of_two_sources_are_fetched_once() {
    let bench = Bench::new();
    bench.hub.control("file?name=a.bin&size=3Mi");
    bench.cache(&[
        bench.file("x", "a.bin", &json!({"path": "one/a.bin"})),
        bench.file("y", "a.bin", &json!({"path": "two/b.bin"})),
    ]);
    bench.prefetch().fetched_once(3 << 20);
    let read = |end: &str| {
        let path = bench.published().into_iter().find(|path| path.ends_with(end)).unwrap();
        std::fs::read(bench.volume().join(path)).unwrap()
    };
    let (one, two) = (read("one/a.bin"), read("two/b.bin"));
    assert!(one.len() == 3 << 20 && one == two);
    assert_eq!(bench.prefetch().fetched(), 0);
}
