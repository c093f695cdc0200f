//! A volume that others write to, and a hub that lies: nothing is read or written outside the volume.

use crate::bench::Bench;
use serde_json::json;
use std::os::unix::fs::symlink;

/// A directory beside the volume that nothing may touch.
fn outside(bench: &Bench) -> std::path::PathBuf {
    let outside = bench.path("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("keep"), "keep").unwrap();
    std::fs::create_dir_all(bench.volume()).unwrap();
    outside
}

#[track_caller]
fn untouched(outside: &std::path::Path) {
    let names: Vec<_> = std::fs::read_dir(outside).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["keep"]);
    assert_eq!(std::fs::read(outside.join("keep")).unwrap(), b"keep");
}

#[test]
fn a_link_in_the_place_of_a_directory_stops_the_run_and_is_named() {
    for place in ["huggingface", "huggingface/hub", "huggingface/hub/models--org--x/snapshots", ".modelcache"] {
        let bench = Bench::new();
        let outside = outside(&bench);
        bench.hub.repo("org/x=a.bin:1Mi");
        let link = bench.volume().join(place);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&outside, &link).unwrap();
        bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
        let ran = bench.run(&["prefetch"]);
        assert_eq!((ran.code, ran.reason()), (41, "VolumeError"), "{place}: {}", ran.message());
        untouched(&outside);
    }
}

#[test]
fn a_link_in_the_place_of_a_file_is_replaced_and_not_written_through() {
    let bench = Bench::new();
    let outside = outside(&bench);
    bench.hub.repo("org/x=a.bin:1Mi");
    let base = bench.volume().join("huggingface/hub/models--org--x");
    let commit = bench.hub.control("repo?spec=org/x%3Da.bin:1Mi")["commit"].as_str().unwrap().to_owned();
    let content = bench.hub.content("org/x", "a.bin");
    for path in [
        format!("blobs/{}", content.hashes().sha256),
        format!("snapshots/{commit}/a.bin"),
        "refs/main".into(),
        format!("trees/{commit}.json"),
    ] {
        std::fs::create_dir_all(base.join(&path).parent().unwrap()).unwrap();
        symlink(outside.join("keep"), base.join(&path)).unwrap();
    }
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench.prefetch();
    untouched(&outside);
    assert!(std::fs::read(bench.snapshot("org/x", &commit, "a.bin")).unwrap() == content.bytes());
}

#[test]
fn a_listing_with_a_name_that_leaves_its_directory_is_refused_whole() {
    for name in ["../../../../evil.txt", "/etc/evil", "a/../../evil", "a\\..\\evil"] {
        let bench = Bench::new();
        let outside = outside(&bench);
        bench.hub.repo(&format!("org/x=good.json:10,{name}:10"));
        bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
        let ran = bench.run(&["prefetch"]);
        ran.failed(31, "ListingMismatch", &["file name", "nothing was taken"]);
        assert_eq!(bench.published(), Vec::<String>::new());
        untouched(&outside);
    }
}

#[test]
fn foreign_files_among_ours_are_left_alone() {
    let bench = Bench::new();
    let hub = bench.volume().join("huggingface/hub");
    for directory in ["lost+found", "models--a--b/blobs", ".locks"] {
        std::fs::create_dir_all(hub.join(directory)).unwrap();
    }
    std::fs::write(hub.join("models--a--b/blobs/half.incomplete"), "x").unwrap();
    bench.cache(&[bench.repo("x", "demo/tiny-llm", &json!({}))]);
    bench.prefetch();
    assert!(hub.join("models--a--b/blobs/half.incomplete").exists());
    assert!(hub.join("lost+found").exists());
}
