//! Wrong Whisper, Civitai and NLTK sources, and wrong presets.

use super::{Answer, CACHES, Change, FINE, cache, check_creates};
use serde_json::{Value, json};

/// The cache with another second source.
fn with_source(source: Value) -> Vec<Change> {
    let mut source = source;
    source["name"] = json!("other");
    source["volume"] = json!("models");
    vec![Change("/spec/sources/1", source)]
}

fn case(what: &'static str, source: Value, answer: Answer) -> (&'static str, Vec<Change>, Answer) {
    (what, with_source(source), answer)
}

#[tokio::test]
async fn a_wrong_whisper_source_is_refused() {
    check_creates(
        CACHES,
        &cache(),
        vec![
            case("a model", json!({"whisper": {"model": "large"}}), FINE),
            case("a model of the other engine", json!({"whisper": {"model": "distil-large-v3", "engine": "Faster"}}), FINE),
            case("a root", json!({"whisper": {"model": "tiny", "path": "."}}), FINE),
            case("an unknown model", json!({"whisper": {"model": "huge"}}),
             &["spec.sources[1].whisper: Invalid value: `model` must be one of tiny, tiny.en, base, base.en, small, small.en, medium, medium.en, large-v1, large-v2, large-v3, large, large-v3-turbo and turbo"]),
            case("a model that the engine does not have", json!({"whisper": {"model": "distil-large-v3"}}),
             &["spec.sources[1].whisper: Invalid value: `model` must be one of tiny, tiny.en, base, base.en, small, small.en, medium, medium.en, large-v1, large-v2, large-v3, large, large-v3-turbo and turbo"]),
            case("an unknown model of the other engine", json!({"whisper": {"model": "huge", "engine": "Faster"}}),
             &["spec.sources[1].whisper: Invalid value: `model` with `engine: Faster` must be one of tiny, tiny.en, base, base.en, small, small.en, medium, medium.en, large-v1, large-v2, large-v3, large, large-v3-turbo, turbo, distil-small.en, distil-medium.en, distil-large-v2, distil-large-v3 and distil-large-v3.5"]),
            case("an unknown engine", json!({"whisper": {"model": "tiny", "engine": "openai"}}),
             &["spec.sources[1].whisper.engine: Unsupported value: \"openai\": supported values: \"OpenAI\", \"Faster\""]),
            case("a hash for the hub", json!({"whisper": {"model": "tiny", "engine": "Faster", "sha256": "ab".repeat(32)}}),
             &["spec.sources[1].whisper: Invalid value: `sha256` must be left out with `engine: Faster`, whose files have the hashes that the hub lists"]),
            case("a hash that is none", json!({"whisper": {"model": "tiny", "sha256": "abc"}}),
             &["spec.sources[1].whisper.sha256: Invalid value: \"abc\": `sha256` must be 64 hex digits"]),
            case("a path with a way out", json!({"whisper": {"model": "tiny", "path": "../x"}}),
             &["spec.sources[1].whisper.path: Invalid value: \"../x\": `path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_civitai_source_is_refused() {
    check_creates(
        CACHES,
        &cache(),
        vec![
            case("a version", json!({"civitai": {"modelVersionId": 7, "file": {"type": "VAE"}}}), FINE),
            case("a version that is none", json!({"civitai": {"modelVersionId": 0}}),
             &["spec.sources[1].civitai.modelVersionId: Invalid value: 0: spec.sources[1].civitai.modelVersionId in body should be greater than or equal to 1"]),
            case("a file that is any", json!({"civitai": {"modelVersionId": 7, "file": {}}}),
             &["spec.sources[1].civitai.file: Invalid value: `file` must have `name`, `type` or `format`; leave it out for the primary file"]),
            case("a week of a file", json!({"civitai": {"modelVersionId": 7, "expireAfter": "7d"}}), FINE),
            case("a file for ever", json!({"http": {"url": "https://x.org/y", "expireAfter": "Forever"}}), FINE),
            case("a life of nothing", json!({"civitai": {"modelVersionId": 7, "expireAfter": "0d"}}),
             &["spec.sources[1].civitai.expireAfter: Invalid value: \"0d\": must be `Forever`, or a duration greater than zero: a number and one of s, m, h, d, w, such as 90s, 12h or 7d"]),
            case("a life that is none", json!({"http": {"url": "https://x.org/y", "expireAfter": "never"}}),
             &["spec.sources[1].http.expireAfter: Invalid value: \"never\": must be `Forever`, or a duration greater than zero: a number and one of s, m, h, d, w, such as 90s, 12h or 7d"]),
            case("an endpoint with a password", json!({"civitai": {"modelVersionId": 7, "endpoint": "https://a:b@c"}}),
             &["spec.sources[1].civitai.endpoint: Invalid value: \"https://a:b@c\": `endpoint` must be an http or https URL without user name, password, query and fragment"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_nltk_source_or_preset_is_refused() {
    let hub = |more: Value| {
        let mut hub = json!({"repo": "org/name"});
        hub.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"huggingFace": hub})
    };
    check_creates(
        CACHES,
        &cache(),
        vec![
            case("packages", json!({"nltk": {"packages": ["punkt_tab"]}}), FINE),
            case("nothing", json!({"nltk": {}}),
             &["spec.sources[1].nltk: Invalid value: `nltk` must name at least one of `packages` or `collections`"]),
            case("a package with a way out", json!({"nltk": {"packages": ["../x"]}}),
             &["spec.sources[1].nltk.packages: Invalid value: `packages` must be identifiers: letters, digits, dots, dashes and underscores"]),
            case("a collection with a slash", json!({"nltk": {"collections": ["a/b"]}}),
             &["spec.sources[1].nltk.collections: Invalid value: `collections` must be identifiers: letters, digits, dots, dashes and underscores"]),
            case("a preset", hub(json!({"preset": "VLLM"})), FINE),
            case("an unknown preset", hub(json!({"preset": "vLLM"})),
             &["spec.sources[1].huggingFace.preset: Unsupported value: \"vLLM\": supported values: \"Transformers\", \"Diffusers\", \"VLLM\", \"FasterWhisper\""]),
            case("a preset of a data set", hub(json!({"preset": "Transformers", "repoType": "Dataset"})),
             &["spec.sources[1].huggingFace: Invalid value: `preset` must be left out with another `repoType` than Model"]),
        ],
    )
    .await;
}
