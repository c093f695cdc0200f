//! Whisper models, from a mirror of the package's own server and from the hub.

use crate::bench::Bench;
use serde_json::{Value, json};

fn whisper(bench: &Bench, more: &Value) -> Value {
    let mut whisper = json!({"endpoint": format!("{}/files", bench.hub.url)});
    whisper.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"name": "speech", "whisper": whisper})
}

/// A stand-in for the real file, where a mirror serves it: its hash is given in the spec.
fn mirrored(bench: &Bench, file: &str) -> String {
    let bytes = vec![7; 3 << 20];
    let sha256 = bench.hub.put("x", bytes.clone());
    bench.hub.put(&format!("main/whisper/models/{sha256}/{file}"), bytes);
    sha256
}

#[test]
fn a_model_lies_under_the_name_that_the_package_looks_for() {
    let bench = Bench::new();
    let sha256 = mirrored(&bench, "large-v3.pt");
    bench.cache(&[whisper(&bench, &json!({"model": "large", "sha256": sha256}))]);
    let ran = bench.prefetch();
    assert_eq!(ran.one()["evidence"]["files"].as_u64(), Some(1));
    ran.fetched_once(3 << 20);
    assert_eq!(bench.published(), ["whisper", "whisper/large-v3.pt"]);
    let requests = bench.requests();
    assert_eq!(bench.prefetch().fetched(), 0);
    assert_eq!(bench.requests(), requests, "a pinned file is nobody's question");
}

#[test]
fn a_file_that_has_not_the_published_hash_is_never_published() {
    let bench = Bench::new();
    let published = "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9";
    bench.hub.put(&format!("main/whisper/models/{published}/tiny.pt"), vec![1; 1 << 20]);
    bench.cache(&[whisper(&bench, &json!({"model": "tiny"}))]);
    bench.run(&["prefetch"]).failed(30, "ChecksumMismatch", &["source `speech`", "tiny.pt"]);
    assert!(!bench.published().iter().any(|path| path.ends_with("tiny.pt")));
}

#[test]
fn an_unknown_model_is_answered_with_the_names_before_anybody_is_asked() {
    let bench = Bench::new();
    bench.cache(&[whisper(&bench, &json!({"model": "huge"}))]);
    bench.run(&["prefetch"]).failed(2, "InvalidSpec", &["\"huge\"", "tiny.en", "large-v3-turbo"]);
    assert_eq!(bench.requests(), 0);
}

#[test]
fn a_faster_model_lies_in_the_hubs_cache_with_the_files_that_it_needs() {
    let bench = Bench::new();
    bench.hub.repo(
        "Systran/faster-whisper-tiny=config.json:90,model.bin:2Mi,tokenizer.json:50,vocabulary.txt:40,README.md:9",
    );
    let source = json!({"name": "speech", "whisper": {"model": "tiny", "engine": "Faster", "endpoint": bench.hub.url}});
    bench.cache(&[source]);
    assert_eq!(bench.prefetch().one()["evidence"]["files"], 4);
    let commit = bench.main("Systran/faster-whisper-tiny");
    assert!(bench.snapshot("Systran/faster-whisper-tiny", &commit, "model.bin").exists());
    assert!(!bench.snapshot("Systran/faster-whisper-tiny", &commit, "README.md").exists());
    assert!(!bench.published().iter().any(|path| path.contains("/trees")), "a filtered snapshot has no tree");
}
