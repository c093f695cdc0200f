//! What cannot succeed ends quickly, with its reason, its exit code and what to do, and publishes nothing.

use crate::bench::{Bench, quickly};
use crate::hub::{GRANTED, READER};
use serde_json::json;
use std::time::Duration;

fn with_secret() -> serde_json::Value {
    json!({"tokenSecretRef": {"name": "hf", "key": "token"}})
}

/// Runs `prefetch` with this token, and sees that nothing was published and that it did not take long.
fn refused(bench: &Bench, token: Option<&str>) -> crate::bench::Ran {
    let ran = quickly(Duration::from_secs(20), || {
        let mut command = bench.command(&["prefetch"]);
        if let Some(token) = token {
            command.env("HF_TOKEN", token);
        }
        crate::bench::ran(command.output().unwrap())
    });
    assert_eq!(bench.published(), Vec::<String>::new());
    assert_eq!(bench.current(), None);
    ran
}

#[test]
fn a_private_repository_says_what_is_wrong_with_the_token() {
    let bench = Bench::new();
    bench.hub.repo("org/private=a.bin:1Mi;private");
    bench.cache(&[bench.repo("x", "org/private", &with_secret())]);
    refused(&bench, None).failed(13, "SecretNotFound", &["Secret `hf`", "`token`", "HF_TOKEN"]);
    refused(&bench, Some("hf_wrong")).failed(10, "Unauthorized", &["HF_TOKEN", "org/private"]);
    bench.cache(&[bench.repo("x", "org/private", &json!({}))]);
    refused(&bench, None).failed(12, "NotFound", &["private", "HF_TOKEN"]);

    bench.cache(&[bench.repo("x", "org/private", &with_secret())]);
    let mut command = bench.command(&["prefetch"]);
    let ran = crate::bench::ran(command.env("HF_TOKEN", READER).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.message());
    let counters = bench.hub.counters();
    assert!(counters.requests["cdn"] > 0);
    assert_eq!((counters.authorized_cdn_requests, counters.authorized_cdn_bytes), (0, 0));
}

#[test]
fn a_gated_repository_fails_when_it_is_resolved_and_says_where_to_accept_its_terms() {
    let bench = Bench::new();
    bench.hub.repo("org/gated=a.bin:1Mi,b.json:9;gated");
    bench.cache(&[bench.repo("x", "org/gated", &json!({}))]);
    refused(&bench, None).failed(11, "Gated", &["HF_TOKEN"]);
    bench.cache(&[bench.repo("x", "org/gated", &with_secret())]);
    let page = format!("{}/org/gated", bench.hub.url);
    refused(&bench, Some(READER)).failed(11, "Gated", &[&page, "accept its terms"]);
    let resolved = crate::bench::ran(bench.command(&["resolve"]).env("HF_TOKEN", READER).output().unwrap());
    resolved.failed(11, "Gated", &[&page]);
    let granted = crate::bench::ran(bench.command(&["prefetch"]).env("HF_TOKEN", GRANTED).output().unwrap());
    assert_eq!(granted.code, 0, "{}", granted.message());
}

#[test]
fn what_is_not_there_is_named() {
    let bench = Bench::new();
    bench.cache(&[bench.repo("x", "org/none", &json!({}))]);
    refused(&bench, None).failed(12, "NotFound", &["source `x`", "org/none"]);
    refused(&bench, Some(READER)).failed(12, "NotFound", &["org/none"]);
    bench.cache(&[bench.repo("x", "demo/tiny-llm", &json!({"revision": "v9"}))]);
    refused(&bench, None).failed(12, "NotFound", &["no such revision"]);
    bench.cache(&[bench.file("x", "none.bin", &json!({}))]);
    refused(&bench, None).failed(12, "NotFound", &["none.bin"]);
    bench.cache(&[bench.repo("x", "demo/tiny-llm", &json!({"include": ["*.gguf"]}))]);
    refused(&bench, None).failed(32, "NoFiles", &["`include` and `exclude`"]);
}

#[test]
fn a_wrong_sha256_is_found_before_anything_is_published() {
    let bench = Bench::new();
    bench.hub.control("file?name=a.bin&size=1Mi");
    bench.cache(&[bench.file("x", "a.bin", &json!({"sha256": "ab".repeat(32)}))]);
    refused(&bench, None).failed(30, "ChecksumMismatch", &["source `x`", "abab"]);
}

#[test]
fn a_file_without_a_usable_tag_asks_for_its_sha256() {
    let bench = Bench::new();
    for kind in ["none", "weak"] {
        bench.hub.control(&format!("file?name=a.bin&size=1Ki&etag={kind}"));
        bench.cache(&[bench.file("x", "a.bin", &json!({}))]);
        refused(&bench, None).failed(2, "InvalidSpec", &["set `sha256`"]);
    }
}

#[test]
fn bytes_that_are_wrong_every_time_are_never_published() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,b.json:100");
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench.hub.control("fault?what=wrongBytes&count=1000&on=cdn");
    let ran = bench.run(&["prefetch"]);
    ran.failed(30, "ChecksumMismatch", &["a.bin"]);
    assert!(!bench.published().iter().any(|path| path.contains("snapshots") || path.contains("refs")));
    bench.hub.control("reset");
    bench.prefetch();
}

#[test]
fn transient_faults_are_ridden_out() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:3Mi,b.json:100");
    for fault in [
        // One of each kind on each way: the pauses between tries double.
        "what=429&retryAfter=1&on=api",
        "what=500&on=api",
        "what=429&on=resolve",
        "what=reset&on=resolve",
        "what=503&on=cdn",
        "what=truncated&on=cdn",
        "what=wrongBytes&on=cdn",
    ] {
        bench.hub.control(&format!("fault?{fault}"));
    }
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench.prefetch();
}

#[test]
fn a_hub_that_is_down_for_a_while_is_waited_for() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:3Mi");
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench.hub.control("down?seconds=3");
    bench.prefetch();
}

#[test]
fn what_does_not_fit_is_refused_before_the_first_byte() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:3Mi,b.bin:3Mi");
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench.run(&["prefetch", "--budget", "5000000"]).failed(40, "InsufficientSpace", &["6.0 MiB", "4.8 MiB"]);
    let min_free = (1_u64 << 60).to_string();
    bench.run(&["prefetch", "--min-free", &min_free]).failed(40, "InsufficientSpace", &["must stay free"]);
    assert_eq!(bench.hub.counters().bytes_sent, 0);
    assert_eq!(bench.published(), Vec::<String>::new());
    assert_eq!(bench.run(&["prefetch", "--budget", "6291456"]).code, 0);
}

#[test]
fn one_source_that_fails_does_not_hold_back_the_others() {
    let bench = Bench::new();
    bench.cache(&[
        bench.repo("missing", "org/none", &json!({})),
        bench.repo("secret", "org/none", &with_secret()),
        bench.repo("good", "demo/tiny-llm", &json!({})),
    ]);
    let ran = bench.run(&["prefetch"]);
    ran.failed(12, "NotFound", &["source `missing`", "and 1 more: SecretNotFound"]);
    assert_eq!(ran.one()["evidence"]["files"], 11);
    assert_eq!(bench.main("demo/tiny-llm").len(), 40);
    assert_eq!(bench.current(), None);
    let before = bench.hub.counters().bytes_sent;
    assert_eq!(bench.run(&["prefetch"]).code, 12);
    assert_eq!(bench.hub.counters().bytes_sent, before);
}

#[test]
fn yaml_that_means_nothing_is_refused_with_its_place() {
    let bench = Bench::new();
    bench.cache(&[json!({"name": "x", "huggingFace": {"repo": "org/x", "tokenSecret": "hf"}})]);
    refused(&bench, None).failed(2, "InvalidSpec", &["cache.yaml", "spec.sources[0].huggingFace.tokenSecret"]);
    std::fs::write(bench.path("cache.yaml"), "kind: [").unwrap();
    refused(&bench, None).failed(2, "InvalidSpec", &["cache.yaml"]);
}
