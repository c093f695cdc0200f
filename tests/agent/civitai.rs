//! Files of Civitai: metadata, a download that redirects to another host, and a login page that looks like success.

use crate::bench::{Bench, Ran, ran};
use crate::hub::READER;
use serde_json::{Value, json};

const DOWNLOAD: &str = "civitai/api/download/models/7";

/// A site with one version of two files. The bytes lie on another host.
fn site(bench: &Bench, size: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0..=250).cycle().take(size).collect();
    let sha256 = bench.hub.put("stored.safetensors", bytes.clone());
    let stored = format!("{}/files/stored.safetensors", bench.hub.state.lock().files_origin);
    bench.hub.put(DOWNLOAD, "");
    bench.hub.change(DOWNLOAD, |it| it.leads_to = Some(stored));
    let metadata = json!({"id": 7, "modelId": 3, "name": "v1", "files": [
        {"id": 1, "name": "style v1.safetensors", "type": "Model", "sizeKB": size / 1024, "primary": true,
         "metadata": {"format": "SafeTensor", "size": "pruned", "fp": "fp16"}, "hashes": {"AutoV2": "AB", "SHA256": sha256.to_uppercase()},
         "downloadUrl": "https://elsewhere.example/api/download/models/7"},
        {"id": 2, "name": "style.vae.pt", "type": "VAE", "sizeKB": 1.0, "metadata": {"format": "PickleTensor"},
         "hashes": {"SHA256": "CD".repeat(32)}, "downloadUrl": "https://elsewhere.example/api/download/models/7?type=VAE"},
    ]});
    bench.hub.put("civitai/api/v1/model-versions/7", metadata.to_string());
    bytes
}

fn source(bench: &Bench, more: &Value) -> Value {
    let mut civitai = json!({"modelVersionId": 7, "endpoint": format!("{}/files/civitai", bench.hub.url)});
    civitai.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"name": "style", "civitai": civitai})
}

fn with_token() -> Value {
    json!({"tokenSecretRef": {"name": "civitai", "key": "token"}})
}

fn prefetch(bench: &Bench, token: Option<&str>) -> Ran {
    let mut command = bench.command(&["prefetch"]);
    command.envs(token.map(|token| ("CIVITAI_TOKEN", token)));
    ran(command.output().unwrap())
}

#[test]
fn the_primary_file_comes_with_its_own_name_and_the_token_is_not_shown_to_the_store() {
    let bench = Bench::new();
    let bytes = site(&bench, 3 << 20);
    bench.hub.change(DOWNLOAD, |it| it.private = true);
    bench.cache(&[source(&bench, &with_token())]);
    let ran = prefetch(&bench, Some(READER));
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    assert_eq!(std::fs::read(bench.volume().join("civitai/style v1.safetensors")).unwrap(), bytes);
    assert_eq!(bench.hub.counters().authorized_cdn_requests, 0);
    assert!(!ran.stderr.contains(READER) && !format!("{:?}", ran.results).contains(READER));
}

#[test]
fn a_login_page_is_never_published_and_says_that_a_key_is_missing() {
    let bench = Bench::new();
    site(&bench, 1 << 20);
    bench.hub.change(DOWNLOAD, |it| (it.private, it.login_page) = (true, true));
    bench.cache(&[source(&bench, &json!({}))]);
    prefetch(&bench, None).failed(10, "Unauthorized", &["login page", "`tokenSecretRef`"]);
    assert_eq!(bench.published(), Vec::<String>::new());
}

#[test]
fn a_login_page_that_comes_later_is_a_wrong_hash_and_never_published() {
    let bench = Bench::new();
    site(&bench, 1 << 20);
    bench.cache(&[source(&bench, &json!({}))]);
    assert_eq!(prefetch(&bench, None).code, 0);
    std::fs::remove_file(bench.volume().join("civitai/style v1.safetensors")).unwrap();
    bench.hub.change(DOWNLOAD, |it| (it.private, it.login_page) = (true, true));
    let ran = prefetch(&bench, None);
    assert_ne!(ran.code, 0, "{:?}", ran.results);
    assert!(!bench.published().iter().any(|path| path.ends_with(".safetensors")), "{:?}", bench.published());
}

#[test]
fn a_refused_download_says_what_to_do() {
    let bench = Bench::new();
    site(&bench, 1 << 20);
    bench.hub.change(DOWNLOAD, |it| it.private = true);
    bench.cache(&[source(&bench, &json!({}))]);
    prefetch(&bench, None).failed(10, "Unauthorized", &["no API key was sent", "`tokenSecretRef`"]);
    bench.cache(&[source(&bench, &with_token())]);
    prefetch(&bench, None).failed(13, "SecretNotFound", &["CIVITAI_TOKEN"]);
    prefetch(&bench, Some("stale")).failed(10, "Unauthorized", &["CIVITAI_TOKEN"]);
}

#[test]
fn a_file_that_is_not_there_is_answered_with_those_that_are() {
    let bench = Bench::new();
    site(&bench, 1 << 20);
    bench.cache(&[source(&bench, &json!({"file": {"type": "LoRA"}}))]);
    prefetch(&bench, None).failed(2, "InvalidSpec", &["no such `file`", "\"style.vae.pt\" (VAE, PickleTensor)"]);
}
