//! What the disk does to content is found, named, and mended with nothing else fetched.

use crate::bench::Bench;
use serde_json::json;
use std::os::unix::fs::FileExt;

fn warmed() -> Bench {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,b.bin:3Mi,c.json:70");
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench.prefetch();
    bench
}

#[test]
fn a_flipped_bit_is_found_by_a_deep_look_and_only_its_file_is_fetched_again() {
    let bench = warmed();
    let path = bench.snapshot("org/x", &bench.main("org/x"), "a.bin").canonicalize().unwrap();
    let right = std::fs::read(&path).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().write_at(&[right[5000] ^ 1], 5000).unwrap();

    assert_eq!(bench.run(&["verify", "--quick"]).code, 0, "a quick look sees sizes only");
    let name = path.file_name().unwrap().to_str().unwrap();
    bench.run(&["verify", "--deep"]).failed(33, "Damaged", &[name, "1 damaged"]);
    assert_eq!(bench.current(), None);
    assert_eq!(bench.run(&["verify", "--quick"]).code, 33, "what was found is not forgotten");

    bench.prefetch().fetched_once(2 << 20);
    assert!(std::fs::read(&path).unwrap() == right);
    assert_eq!(bench.run(&["verify"]).code, 0);
    assert!(bench.current().is_some());
}

#[test]
fn what_is_missing_or_too_short_is_found_by_a_quick_look() {
    let bench = warmed();
    let commit = bench.main("org/x");
    std::fs::remove_file(bench.snapshot("org/x", &commit, "c.json")).unwrap();
    let blob = bench.snapshot("org/x", &commit, "b.bin").canonicalize().unwrap();
    std::fs::File::options().write(true).open(&blob).unwrap().set_len(100).unwrap();
    let ran = bench.run(&["verify", "--quick"]);
    ran.failed(33, "Damaged", &["2 damaged", "c.json is missing", "has 100 bytes"]);
    bench.prefetch().fetched_once(3 << 20);
    assert_eq!(bench.run(&["verify"]).code, 0);
}

#[test]
fn a_prefetch_alone_mends_what_it_can_see() {
    let bench = warmed();
    let blob = bench.snapshot("org/x", &bench.main("org/x"), "b.bin").canonicalize().unwrap();
    std::fs::remove_file(&blob).unwrap();
    let refs = bench.volume().join("huggingface/hub/models--org--x/refs/main");
    std::fs::write(&refs, format!("{}\n", "0".repeat(39))).unwrap();
    bench.prefetch().fetched_once(3 << 20);
    assert_eq!(std::fs::read(&refs).unwrap().len(), 40);
}

#[test]
fn nothing_at_all_is_not_a_verified_cache() {
    let bench = Bench::new();
    bench.cache(&[bench.repo("x", "demo/tiny-llm", &json!({}))]);
    std::fs::create_dir_all(bench.volume()).unwrap();
    bench.run(&["verify"]).failed(33, "Damaged", &["run prefetch"]);
}

#[test]
fn directories_are_made_and_a_cache_without_sources_is_complete() {
    let bench = Bench::new();
    bench.write(&json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "studio"},
        "spec": {"volumes": [{"name": "models", "shared": {"size": "1Gi"}, "directories": ["assets/images", "logs"]}]}
    }));
    bench.prefetch();
    assert_eq!(bench.published(), ["assets", "assets/images", "logs"]);
    assert!(bench.current().is_some());
    assert_eq!(bench.run(&["verify"]).code, 0);
}
