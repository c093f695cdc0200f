//! Do the two Whisper packages load their models offline?

use crate::hub::Hub;
use crate::{prefetched, python, spec};
use modelcache::agent::layout::environment::environment;
use serde_json::json;

#[test]
fn openai_whisper_takes_the_file_as_its_own_and_downloads_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let bytes: Vec<u8> = (0..=252).cycle().take(3 << 20).collect();
    let sha256 = hub.put("x", bytes.clone());
    hub.put(&format!("main/whisper/models/{sha256}/large-v3.pt"), bytes);
    let whisper = json!({"model": "large", "sha256": sha256, "endpoint": format!("{}/files", hub.url)});
    let spec = prefetched(directory.path(), &spec(directory.path(), &[json!({"name": "a", "whisper": whisper})]));
    // Its dependencies are gigabytes, and none of them has a part in where the file is.
    let packages = ["--no-deps", "openai-whisper==20250625"].map(str::to_owned);
    let script = include_str!("whisper.py");
    let said = python(directory.path()).run(&packages, script, &environment(&spec), &json!({"sha256": sha256}));
    assert!(said.ends_with("whisper: all of it\n"), "{said}");
}

#[test]
fn faster_whisper_finds_its_model_in_the_hubs_cache() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.repo(
        "Systran/faster-whisper-tiny=config.json:90,model.bin:2Mi,tokenizer.json:50,vocabulary.txt:40,README.md:9,.gitattributes:5",
    );
    let whisper = json!({"model": "tiny", "engine": "Faster", "endpoint": hub.url});
    let spec = prefetched(directory.path(), &spec(directory.path(), &[json!({"name": "a", "whisper": whisper})]));
    let expected = hub.content("Systran/faster-whisper-tiny", "model.bin").hashes().sha256.clone();
    let packages = ["huggingface_hub==1.31.0", "faster-whisper==1.2.1"].map(str::to_owned);
    let script = include_str!("faster_whisper.py");
    let said = python(directory.path()).run(&packages, script, &environment(&spec), &json!({"sha256": expected}));
    assert!(said.ends_with("faster-whisper: all of it\n"), "{said}");
}
