//! `prefetch --anew`: what the cache has put there goes and comes back, and nothing else is touched.

use crate::bench::Bench;
use serde_json::json;
use std::path::Path;

/// Everything is there as the hub has it.
fn is_whole(bench: &Bench) {
    let commit = bench.main("org/x");
    for file in ["a.bin", "dir/b.json"] {
        let path = bench.snapshot("org/x", &commit, file);
        assert_eq!(std::fs::read(path).unwrap(), bench.hub.content("org/x", file).bytes(), "{file}");
    }
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn all_that_was_put_there_is_fetched_again_and_what_others_put_there_stays() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,dir/b.json:100");
    bench.hub.control("file?name=w.bin&size=1Mi");
    bench.cache(&[bench.repo("x", "org/x", &json!({})), bench.file("w", "w.bin", &json!({}))]);
    let first = bench.prefetch();
    let (before, current, commit) = (bench.published(), bench.current(), bench.main("org/x"));
    // What nobody would notice: the size is right.
    flip(&std::fs::canonicalize(bench.snapshot("org/x", &commit, "a.bin")).unwrap());
    flip(&bench.volume().join("files/w.bin"));
    std::fs::write(bench.volume().join("files/mine.txt"), "mine").unwrap();
    assert_eq!(bench.prefetch().fetched(), 0, "an ordinary run believes what it has put there");
    // A branch that moves is no part of it: what is pinned comes back.
    bench.hub.control("move?repo=org/x&files=dir/b.json");

    let anew = bench.run(&["prefetch", "--anew"]);
    assert_eq!(anew.code, 0, "{:?} {}", anew.results, anew.stderr);
    assert_eq!(anew.fetched(), first.fetched(), "all of it");
    assert_eq!((bench.current(), bench.main("org/x")), (current, commit));
    let mut after = bench.published();
    assert!(after.contains(&"files/mine.txt".to_owned()));
    after.retain(|it| it != "files/mine.txt");
    assert_eq!(after, before);
    let a = bench.snapshot("org/x", &bench.main("org/x"), "a.bin");
    assert_eq!(std::fs::read(a).unwrap(), bench.hub.content("org/x", "a.bin").bytes());
    assert_eq!(bench.prefetch().fetched(), 0);
}

#[test]
fn nothing_is_removed_while_an_origin_does_not_say_that_it_still_has_it() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,dir/b.json:100");
    bench.hub.control("file?name=w.bin&size=1Mi");
    bench.cache(&[bench.file("w", "w.bin", &json!({})), bench.repo("x", "org/x", &json!({}))]);
    bench.prefetch();
    is_whole(&bench);
    let (published, current) = (bench.published(), bench.current());
    bench.hub.repo("org/x=a.bin:2Mi,dir/b.json:100;private");
    let refused = bench.run(&["prefetch", "--anew"]);
    assert_eq!(refused.code, 12, "{:?}", refused.results);
    assert!(refused.message().contains("nothing was removed: "), "{}", refused.message());
    assert_eq!((bench.published(), bench.current()), (published, current));
    is_whole(&bench);
}

#[test]
fn what_another_cache_on_the_volume_lists_stays() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,dir/b.json:100");
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench.prefetch();
    // The same content, for a cache of another name on the same directory.
    let text = std::fs::read_to_string(bench.path("cache.yaml")).unwrap();
    std::fs::write(bench.path("cache.yaml"), text.replace("\"studio\"", "\"other\"")).unwrap();
    assert_eq!(bench.prefetch().fetched(), 0);
    let anew = bench.run(&["prefetch", "--anew"]);
    assert_eq!(anew.code, 0, "{:?} {}", anew.results, anew.stderr);
    assert_eq!(anew.fetched(), 0, "`studio` still needs it: it never left");
    is_whole(&bench);
}
