//! Files that are kept for a time: removed when it is over, and not fetched again until something about them is another.

use crate::bench::Bench;
use jiff::{SignedDuration, Timestamp};
use modelcache::agent::layout::expired::{emptied, expired};
use modelcache::agent::layout::manifest::{Manifest, path};
use serde_json::json;

fn manifest(bench: &Bench) -> Manifest {
    serde_json::from_slice(&std::fs::read(bench.volume().join(path("studio", "seed"))).unwrap()).unwrap()
}

/// What clean-up does at a time.
fn clean(bench: &Bench, now: Timestamp) -> usize {
    let manifest = manifest(bench);
    let gone = expired(&manifest, now);
    for entry in gone {
        std::fs::remove_file(bench.volume().join(&entry.path)).unwrap();
    }
    if !gone.is_empty() {
        let document = serde_json::to_vec(&emptied(&manifest, now)).unwrap();
        std::fs::write(bench.volume().join(path("studio", "seed")), document).unwrap();
    }
    gone.len()
}

#[test]
fn an_expired_file_is_complete_without_its_bytes_and_comes_back_when_it_is_to_live_longer() {
    let bench = Bench::new();
    bench.hub.put("seed.png", vec![7; 5000]);
    let source = |after: &str| bench.file("seed", "seed.png", &json!({"expireAfter": after}));
    bench.cache(&[source("2d")]);
    bench.prefetch();
    let fetched = manifest(&bench).fetched_at.unwrap();
    assert_eq!(clean(&bench, fetched + SignedDuration::from_hours(47)), 0);
    assert_eq!(clean(&bench, fetched + SignedDuration::from_hours(48)), 1);

    let before = bench.requests();
    let again = bench.prefetch();
    assert_eq!((again.fetched(), bench.requests()), (0, before), "nothing is asked for");
    assert_eq!(bench.published(), ["files"]);
    assert_eq!(again.one()["evidence"]["files"], 0);
    assert_eq!(again.one()["evidence"]["expiredFiles"], 1);
    assert_eq!(bench.run(&["verify"]).code, 0);
    let listed = bench.run(&["ls"]);
    assert_eq!(listed.results[0]["state"], "expired", "{:?}", listed.results);

    bench.cache(&[source("Forever")]);
    assert_eq!(bench.prefetch().fetched(), 5000);
    assert_eq!(manifest(&bench).expired_at, None);
    assert_eq!(clean(&bench, fetched + SignedDuration::from_hours(1_000_000)), 0);
}

#[test]
fn a_file_that_is_there_counts_from_when_it_was_fetched_however_long_it_is_to_live_now() {
    let bench = Bench::new();
    bench.hub.put("seed.png", vec![7; 5000]);
    bench.cache(&[bench.file("seed", "seed.png", &json!({}))]);
    bench.prefetch();
    let fetched = manifest(&bench).fetched_at.unwrap();
    bench.cache(&[bench.file("seed", "seed.png", &json!({"expireAfter": "90s"}))]);
    assert_eq!(bench.prefetch().fetched(), 0);
    assert_eq!(manifest(&bench).fetched_at, Some(fetched));
    assert_eq!(clean(&bench, fetched + SignedDuration::from_secs(90)), 1);
}

#[test]
fn a_life_that_is_no_duration_is_refused_with_what_would_be_one() {
    let bench = Bench::new();
    bench.cache(&[bench.file("seed", "seed.png", &json!({"expireAfter": "soon"}))]);
    bench.run(&["prefetch"]).failed(2, "InvalidSpec", &["`soon` must be a duration", "Forever"]);
}
