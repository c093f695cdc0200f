//! Wrong sources from a registry.

use super::{CACHES, Change, FINE, cache, check_creates, with};
use serde_json::{Value, json};

const OCI: &str = "/spec/sources/1/oci";

fn one(pointer: &'static str, value: Value) -> Vec<Change> {
    vec![Change(pointer, value)]
}

/// The cache that is accepted, with an artifact in the place of its second source.
fn good() -> Value {
    let oci = json!({"reference": "ghcr.io/org/model:v1", "pullSecretRef": {"name": "regcred"}});
    with(&cache(), &[Change("/spec/sources/1", json!({"name": "pack", "volume": "models", "oci": oci}))])
}

#[tokio::test]
async fn a_wrong_artifact_is_refused() {
    let reference = "/spec/sources/1/oci/reference";
    let with_digest = format!("localhost:5000/a/b:v1@sha256:{}", "a".repeat(64));
    let sha512 = format!("ghcr.io/a@sha512:{}", "a".repeat(128));
    let sha512_refused: &'static str = Box::leak(
        format!("spec.sources[1].oci.reference: Invalid value: \"{sha512}\": `reference` must be `registry/repository`, with `:tag` or `@sha256:` and 64 hex digits, without a scheme such as https://").into_boxed_str(),
    );
    let sha512_refused: &'static [&'static str] = Box::leak(Box::new([sha512_refused]));
    check_creates(
        CACHES,
        &good(),
        vec![
            ("the cache as it stands", vec![], FINE),
            ("a port, a tag and a digest", one(reference, json!(with_digest)), FINE),
            ("a registry on this machine", one(reference, json!("localhost/model")), FINE),
            ("a digest of another kind", one(reference, json!(sha512)), sha512_refused),
            ("a scheme", one(reference, json!("https://ghcr.io/a")),
             &["spec.sources[1].oci.reference: Invalid value: \"https://ghcr.io/a\": `reference` must be `registry/repository`, with `:tag` or `@sha256:` and 64 hex digits, without a scheme such as https://"]),
            ("a repository with a way out", one(reference, json!("ghcr.io/a/../b")),
             &["spec.sources[1].oci.reference: Invalid value: \"ghcr.io/a/../b\": `reference` must be `registry/repository`, with `:tag` or `@sha256:` and 64 hex digits, without a scheme such as https://"]),
            ("no registry", one(reference, json!("llama3.2:3b")),
             &["spec.sources[1].oci: Invalid value: `reference` must begin with a registry, such as `ghcr.io/…`: only `layout: Ollama` has one by default"]),
            ("a name of Ollama", one(OCI, json!({"reference": "llama3.2:3b", "layout": "Ollama"})), FINE),
            ("part of a model of Ollama", one(OCI, json!({"reference": "llama3.2", "layout": "Ollama", "include": ["a"]})),
             &["spec.sources[1].oci: Invalid value: `include` and `exclude` must be left out with `layout: Ollama`: a model without one of its parts does not load"]),
            ("an unknown layout", one("/spec/sources/1/oci/layout", json!("Docker")),
             &["spec.sources[1].oci.layout: Unsupported value: \"Docker\": supported values: \"Files\", \"Ollama\""]),
            ("another key of the Secret", one("/spec/sources/1/oci/pullSecretRef/key", json!("config.json")), FINE),
            ("the root as the place of the files", one("/spec/sources/1/oci/path", json!(".")), FINE),
            ("a place in our own directory", one("/spec/sources/1/oci/path", json!("a/.modelcache")),
             &["spec.sources[1].oci.path: Invalid value: \"a/.modelcache\": `path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"]),
            ("two kinds", one("/spec/sources/1/http", json!({"url": "https://x.org/a"})),
             &["spec.sources[1]: Invalid value: exactly one kind of source must be set, such as `huggingFace` or `http`"]),
        ],
    )
    .await;
}
