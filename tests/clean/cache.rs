//! What the cache has outgrown goes whole, and nothing that anybody wants.

use crate::bench::{Bench, Ran};
use crate::desk::aged;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A cache with one volume, these sources and these rules.
pub fn spec(sources: &[Value], rules: &Value) -> Value {
    json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "studio"},
        "spec": {"volumes": [{"name": "models", "shared": {"size": "10Gi"}}], "sources": sources, "cleanup": {"rules": rules}}
    })
}

/// A cache with an earlier revision for each of `moves`, the first replaced longest ago.
pub fn lived_in(moves: u64, rule: &Value) -> Bench {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:1Mi,b.bin:2Mi,dir/c.json:70");
    let rules = json!([{"name": "cache", "cache": rule}]);
    bench.write(&spec(&[bench.repo("x", "org/x", &json!({}))], &rules));
    bench.prefetch();
    for _ in 0..moves {
        bench.hub.control("move?repo=org/x&files=a.bin");
        assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0);
        for path in retired(&bench) {
            let days = path.metadata().unwrap().modified().unwrap().elapsed().unwrap().as_secs() / 86_400;
            aged(&path, days + 10);
        }
    }
    bench
}

/// Manifests of earlier revisions.
pub fn retired(bench: &Bench) -> Vec<PathBuf> {
    let directory = bench.volume().join(".modelcache/studio/retired");
    std::fs::read_dir(directory).into_iter().flatten().map(|it| it.unwrap().path()).collect()
}

pub fn snapshots(bench: &Bench) -> usize {
    std::fs::read_dir(bench.volume().join("huggingface/hub/models--org--x/snapshots")).unwrap().count()
}

pub fn blobs(bench: &Bench) -> usize {
    std::fs::read_dir(bench.volume().join("huggingface/hub/models--org--x/blobs")).unwrap().count()
}

#[track_caller]
pub fn cleaned(bench: &Bench, arguments: &[&str]) -> Ran {
    let ran = bench.run(&[&["clean"], arguments].concat());
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    assert_eq!(bench.run(&["verify"]).code, 0, "what is wanted is whole");
    ran
}

#[test]
fn an_earlier_revision_goes_whole_after_its_time_and_not_before() {
    let bench = lived_in(1, &json!({"keepDuration": "3d"}));
    assert_eq!((snapshots(&bench), blobs(&bench)), (2, 4));
    aged(&retired(&bench)[0], 1);
    let ran = cleaned(&bench, &[]);
    assert!(ran.one().to_string().contains("it was replaced less than 3d ago"), "{:#}", ran.one());
    assert_eq!(snapshots(&bench), 2);

    aged(&retired(&bench)[0], 4);
    let ran = cleaned(&bench, &[]);
    assert_eq!((snapshots(&bench), blobs(&bench)), (1, 3));
    assert!(retired(&bench).is_empty());
    let freed = ran.one()["clean"]["freedBytes"].as_u64().unwrap();
    assert!((1 << 20..3 << 20).contains(&freed), "what the revisions share stays: {freed}");
    let again = cleaned(&bench, &[]);
    assert!(again.message().contains("nothing to do"), "{}", again.message());
}

#[test]
fn what_a_pod_older_than_the_switch_may_read_stays() {
    let bench = lived_in(1, &json!({"keepDuration": "1d"}));
    let before = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(20 * 24)).to_string();
    let ran = cleaned(&bench, &["--oldest-pod", &before]);
    assert!(ran.one().to_string().contains("older than the switch"), "{:#}", ran.one());
    assert_eq!(snapshots(&bench), 2);
    let after = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24)).to_string();
    cleaned(&bench, &["--oldest-pod", &after]);
    assert_eq!(snapshots(&bench), 1);
}

#[test]
fn in_a_cluster_nothing_that_the_cache_holds_goes_before_somebody_says_which_pods_there_are() {
    let bench = lived_in(1, &json!({}));
    let words = ["rule `cache`: nobody has said which pods mount the volume", "--oldest-pod"];
    bench.run(&["clean", "--owner", "replica", "--attempt", "7"]).failed(2, "InvalidSpec", &words);
    // A pod that somebody wrote by hand says nothing of itself.
    let mut by_hand = bench.command(&["clean"]);
    by_hand.env("KUBERNETES_SERVICE_HOST", "10.96.0.1");
    crate::bench::ran(by_hand.output().unwrap()).failed(2, "InvalidSpec", &words);
    assert_eq!(snapshots(&bench), 2);
    let nobody = jiff::Timestamp::now().to_string();
    cleaned(&bench, &["--owner", "replica", "--attempt", "8", "--oldest-pod", &nobody]);
    assert_eq!(snapshots(&bench), 1);
}

#[test]
fn what_a_process_reads_stays() {
    let bench = lived_in(1, &json!({}));
    let commit = bench.main("org/x");
    let hub = bench.volume().join("huggingface/hub/models--org--x");
    let earlier = std::fs::read_dir(hub.join("snapshots"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .find(|it| !it.ends_with(&commit))
        .unwrap();
    let open = std::fs::File::open(earlier.join("a.bin")).unwrap();
    let ran = cleaned(&bench, &[]);
    assert!(ran.one().to_string().contains("has a file of it open"), "{:#}", ran.one());
    drop(open);
    cleaned(&bench, &[]);
    assert_eq!(snapshots(&bench), 1);
}

#[test]
fn the_source_that_left_the_spec_goes_and_the_one_that_is_pinned_again_stays() {
    let bench = lived_in(1, &json!({}));
    let hub = bench.volume().join("huggingface/hub/models--org--x/snapshots");
    let commit = bench.main("org/x");
    let earlier = std::fs::read_dir(hub)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .find(|it| *it != commit)
        .unwrap();
    let rules = json!([{"name": "cache", "cache": {}}]);
    // Back to the earlier commit: it is wanted from now on, although the prefetch has not run yet.
    bench.write(&spec(&[bench.repo("x", "org/x", &json!({"revision": earlier}))], &rules));
    let ran = bench.run(&["clean"]);
    assert!(ran.one().to_string().contains("the spec asks for it again"), "{:#}", ran.one());
    assert_eq!(snapshots(&bench), 2);

    bench.hub.repo("org/y=y.bin:1Ki");
    bench.write(&spec(&[bench.repo("y", "org/y", &json!({}))], &rules));
    bench.prefetch();
    for path in retired(&bench) {
        aged(&path, 2);
    }
    cleaned(&bench, &[]);
    let left = bench.published();
    assert!(!left.iter().any(|it| it.contains("models--org--x")), "{left:?}");
}

#[test]
fn what_another_cache_on_the_volume_lists_stays() {
    let bench = lived_in(1, &json!({}));
    let studio = bench.volume().join(".modelcache/studio");
    let other = bench.volume().join(".modelcache/other/manifests");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::copy(&retired(&bench)[0], other.join("x.json")).unwrap();
    cleaned(&bench, &[]);
    assert_eq!((snapshots(&bench), blobs(&bench)), (2, 4), "the bytes stay; only our claim to them is gone");
    assert!(!studio.join("removing").exists());
}

#[test]
fn a_snapshot_that_another_tool_has_put_something_into_loses_only_what_is_ours() {
    let bench = lived_in(1, &json!({}));
    let hub = bench.volume().join("huggingface/hub/models--org--x");
    let commit = bench.main("org/x");
    let earlier = std::fs::read_dir(hub.join("snapshots"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .find(|it| !it.ends_with(&commit))
        .unwrap();
    std::fs::write(hub.join("blobs/theirs"), "x").unwrap();
    symlink("../../blobs/theirs", earlier.join("theirs.bin")).unwrap();
    cleaned(&bench, &[]);
    assert_eq!(std::fs::read_dir(&earlier).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(earlier.join("theirs.bin")).unwrap(), "x");
}

#[test]
fn orphans_and_interrupted_downloads_of_others_go_when_they_are_old_and_nobody_holds_their_lock() {
    let bench = lived_in(0, &json!({"match": ["Incomplete", "Orphaned"]}));
    let hub = bench.volume().join("huggingface/hub");
    let theirs = |path: &str| {
        std::fs::create_dir_all(hub.join(path).parent().unwrap()).unwrap();
        std::fs::write(hub.join(path), vec![1; 9000]).unwrap();
        hub.join(path)
    };
    let paths = [
        "models--org--x/blobs/aaaa",
        "models--org--x/blobs/bbbb.incomplete",
        "models--o--y/blobs/cccc.0123.incomplete",
        "models--o--y/blobs/dddd",
        "models--org--x/blobs/linked",
    ];
    let made: Vec<PathBuf> = paths.iter().map(|it| theirs(it)).collect();
    std::fs::create_dir_all(hub.join("models--org--x/snapshots/theirs")).unwrap();
    symlink("../../blobs/linked", hub.join("models--org--x/snapshots/theirs/x")).unwrap();
    let ran = cleaned(&bench, &[]);
    assert!(made.iter().all(|it| it.exists()), "young ones stay: {:#}", ran.one());

    // The time of an inode cannot be set, so the run looks at it from the day after tomorrow.
    let then = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48)).to_string();
    let later = || bench.run(&["clean", "--now", &then]);
    let lock = theirs(".locks/models--o--y/cccc.lock");
    let held = std::fs::File::open(&lock).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let ran = later();
    assert_eq!(ran.code, 0, "{:?}", ran.results);
    assert!(ran.one().to_string().contains("a client of the hub holds its lock"), "{:#}", ran.one());
    assert_eq!(made.iter().map(|it| it.exists()).collect::<Vec<_>>(), [false, false, true, true, true]);
    drop(held);
    later();
    assert_eq!(made.iter().map(|it| it.exists()).collect::<Vec<_>>(), [false, false, false, true, true]);
    assert!(lock.exists());
}

#[test]
fn a_file_that_has_expired_goes_and_its_source_stays_complete() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:1Ki");
    bench.hub.put("clip.bin", vec![7; 5000]);
    bench.hub.put("other.bin", vec![8; 5000]);
    let rules = json!([{"name": "cache", "cache": {"match": ["Expired"]}}]);
    let sources = [
        bench.file("short", "clip.bin", &json!({"expireAfter": "12h"})),
        bench.file("long", "other.bin", &json!({"expireAfter": "30d"})),
        bench.repo("x", "org/x", &json!({})),
    ];
    bench.write(&spec(&sources, &rules));
    bench.prefetch();
    let file = bench.volume().join("files/clip.bin");
    assert!(file.exists());
    cleaned(&bench, &[]);
    assert!(file.exists());
    let then = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(13)).to_string();
    assert_eq!(cleaned(&bench, &["--dry-run", "--now", &then]).one()["clean"]["deleted"], 1);
    assert!(file.exists());
    let ran = cleaned(&bench, &["--now", &then]);
    assert!(ran.one().to_string().contains("fetched more than 12h ago"), "{:#}", ran.one());
    assert!(!file.exists() && bench.volume().join("files/other.bin").exists());
    assert_eq!(bench.prefetch().fetched(), 0, "what has expired is not fetched again");
    assert!(!file.exists());
}

#[test]
fn a_clean_up_and_a_prefetch_are_never_at_work_together() {
    let bench = lived_in(1, &json!({}));
    bench.hub.repo("org/large=large.bin:64Mi");
    let rules = json!([{"name": "cache", "cache": {}}]);
    bench.write(&spec(&[bench.repo("x", "org/x", &json!({})), bench.repo("l", "org/large", &json!({}))], &rules));
    let sent = bench.hub.counters().bytes_sent;
    bench.hub.control("throttle?bytesPerSecond=50000");
    let mut child = bench.start(&["prefetch"]);
    crate::bench::until("bytes come in", || bench.hub.counters().bytes_sent > sent + 100_000);
    bench.run(&["clean"]).failed(41, "VolumeError", &["another modelcache writes to this volume"]);
    let attempt = bench.run(&["clean", "--owner", "pod", "--attempt", "1"]);
    attempt.failed(50, "Superseded", &["a prefetch is at work"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(snapshots(&bench), 2);
}
