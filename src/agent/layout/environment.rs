//! Which environment does a client need to find the content, offline?
//!
//! One table, a row for each kind of source. It becomes the ConfigMap `<cache>-env`, and what `modelcache env` prints.

use super::hugging_face::hub_directory;
use crate::api::ModelCacheSpec;
use crate::api::source::{Kind, Layout, WhisperEngine};
use crate::api::volume::Volume;
use std::collections::BTreeMap;

/// Where clients may write: caches are mounted read-only.
const WRITABLE: &str = "/tmp";

/// Variables for pods that mount the cache's volumes at their mount paths. Pure; the same spec gives the same map.
///
/// A client has one home: it is that of the first source of its kind, in the order of the spec. The directory of each other
/// volume is in `MODELCACHE_<KIND>_<VOLUME>`, to be given to the client as an argument.
pub fn environment(spec: &ModelCacheSpec) -> BTreeMap<String, String> {
    environment_at(spec, &Volume::effective_mount_path)
}

/// The same for volumes that are elsewhere.
pub fn environment_at(spec: &ModelCacheSpec, place: &dyn Fn(&Volume) -> String) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for source in &spec.sources {
        let (Some(kind), Some(volume)) = (source.kind(), spec.volume_of(source)) else { continue };
        let Some(row) = row(&source.name, kind) else { continue };
        let mount = place(volume);
        let name = format!("MODELCACHE_{}_{}", row.name, volume.name.to_ascii_uppercase().replace('-', "_"));
        variables.entry(name).or_insert_with(|| below(&mount, &row.directory));
        for (name, value) in row.variables {
            let value = match value {
                Value::Text(text) => text.to_owned(),
                Value::On(path) => below(&mount, &path),
                Value::Writable(path) => format!("{WRITABLE}/{path}"),
            };
            variables.entry(name.to_owned()).or_insert(value);
        }
    }
    if variables.contains_key("XDG_CACHE_HOME") {
        for (name, path) in BESIDE_XDG {
            variables.entry(name.to_owned()).or_insert_with(|| format!("{WRITABLE}/{path}"));
        }
    }
    variables
}

/// What a kind of source needs.
struct Row {
    /// `<KIND>` in `MODELCACHE_<KIND>_<VOLUME>`.
    name: &'static str,
    /// The directory that this variable names, on the volume.
    directory: String,
    /// The variables that the clients themselves read.
    variables: Vec<(&'static str, Value)>,
}

/// What a variable is set to.
enum Value {
    /// The same for everybody.
    Text(&'static str),
    /// A path on the volume.
    On(String),
    /// A path in the directory that a client may write to.
    Writable(&'static str),
}

fn row(source: &str, kind: Kind<'_>) -> Option<Row> {
    match kind {
        Kind::HuggingFace(hub) => Some(hugging_face(hub.effective_path())),
        // faster-whisper asks the hub's own client.
        Kind::Whisper(model) if model.effective_engine() == WhisperEngine::Faster => {
            Some(hugging_face(model.effective_path()))
        }
        Kind::Whisper(model) => Some(whisper(model.effective_path())),
        Kind::Nltk(data) => {
            let path = data.effective_path().to_owned();
            Some(Row { name: "NLTK", directory: path.clone(), variables: vec![("NLTK_DATA", Value::On(path))] })
        }
        Kind::Pip(pip) => Some(wheels(pip.effective_path())),
        Kind::TorchHub(hub) => {
            let path = hub.effective_path().to_owned();
            Some(Row { name: "TORCH", directory: path.clone(), variables: vec![("TORCH_HOME", Value::On(path))] })
        }
        // No client looks for these by itself: a program is given the path.
        Kind::Spacy(spacy) => Some(Row { name: "SPACY", directory: spacy.directory(), variables: vec![] }),
        Kind::Civitai(file) => {
            Some(Row { name: "CIVITAI", directory: file.effective_path().to_owned(), variables: vec![] })
        }
        Kind::Oci(oci) => {
            let path = oci.effective_path(source, oci.effective_layout());
            Some(match oci.effective_layout() {
                Layout::Files => Row { name: "OCI", directory: path, variables: vec![] },
                Layout::Ollama => ollama(path),
            })
        }
        Kind::Claim(claim) => {
            Some(Row { name: "CLAIM", directory: claim.effective_path().to_owned(), variables: vec![] })
        }
        Kind::ObjectStore(store) => Some(Row { name: "OBJECTS", directory: store.effective_path(), variables: vec![] }),
        Kind::Http(_) => None,
    }
}

/// What the hub's clients, `transformers`, `diffusers` and `datasets` read.
fn hugging_face(home: &str) -> Row {
    let variables = vec![
        ("HF_HOME", Value::On(home.to_owned())),
        // Without it a client first asks the hub, and waits for its time-out where there is none.
        ("HF_HUB_OFFLINE", Value::Text("1")),
        ("HF_HUB_DISABLE_TELEMETRY", Value::Text("1")),
        // From 1.32 on clients move blobs to a store of their own, which other versions do not know.
        ("HF_HUB_DISABLE_SHARED_BLOBS", Value::Text("1")),
        // What clients make of a model: remote code, data sets in their own form.
        ("HF_MODULES_CACHE", Value::Writable("huggingface/modules")),
        ("HF_ASSETS_CACHE", Value::Writable("huggingface/assets")),
        ("HF_DATASETS_CACHE", Value::Writable("huggingface/datasets")),
    ];
    Row { name: "HUB", directory: hub_directory(home), variables }
}

/// `openai-whisper` reads `$XDG_CACHE_HOME/whisper`, and no variable of its own (`load_model` in `whisper/__init__.py`
/// 20250625). A directory of another name must be given to it as `download_root`.
fn whisper(path: &str) -> Row {
    let parent = match path.rsplit_once('/') {
        Some((parent, "whisper")) => Some(parent.to_owned()),
        None if path == "whisper" => Some(".".to_owned()),
        _ => None,
    };
    let variables = parent.into_iter().map(|parent| ("XDG_CACHE_HOME", Value::On(parent))).collect();
    Row { name: "WHISPER", directory: path.to_owned(), variables }
}

/// What `ollama serve` reads. Without the second it removes what it does not know, or fails to on a read-only mount
/// (`envconfig/config.go` of Ollama).
fn ollama(path: String) -> Row {
    let variables = vec![("OLLAMA_MODELS", Value::On(path.clone())), ("OLLAMA_NOPRUNE", Value::Text("1"))];
    Row { name: "OLLAMA", directory: path, variables }
}

/// What `pip` and `uv` read: packages come from the wheelhouse and from nowhere else.
fn wheels(path: &str) -> Row {
    let here = || Value::On(path.to_owned());
    let variables = vec![
        ("PIP_NO_INDEX", Value::Text("1")),
        ("PIP_FIND_LINKS", here()),
        ("UV_NO_INDEX", Value::Text("1")),
        ("UV_FIND_LINKS", here()),
        ("UV_OFFLINE", Value::Text("1")),
    ];
    Row { name: "WHEELS", directory: path.to_owned(), variables }
}

/// Who else keeps things below `$XDG_CACHE_HOME`, which is a volume mounted read-only once it is set for Whisper: these are
/// sent elsewhere, unless a source of the cache gives them their place.
const BESIDE_XDG: [(&str, &str); 5] = [
    ("HF_HOME", "huggingface"),
    ("TORCH_HOME", "torch"),
    ("PIP_CACHE_DIR", "pip"),
    ("UV_CACHE_DIR", "uv"),
    ("VLLM_CACHE_ROOT", "vllm"),
];

fn below(mount: &str, path: &str) -> String {
    if path == "." { mount.to_owned() } else { format!("{mount}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(sources: &str) -> ModelCacheSpec {
        let text = format!(
            r#"{{"volumes": [{{"name": "models", "mountPath": "/models", "existingClaim": {{"claimName": "x"}}}},
                             {{"name": "two-b", "existingClaim": {{"claimName": "y"}}}}], "sources": {sources}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_first_hub_source_says_where_the_home_is() {
        let variables = environment(&spec(
            r#"[{"name": "f", "volume": "models", "http": {"url": "http://x/y"}},
                {"name": "a", "volume": "models", "huggingFace": {"repo": "o/a", "path": "."}},
                {"name": "b", "volume": "two-b", "huggingFace": {"repo": "o/b"}}]"#,
        ));
        assert_eq!(variables["HF_HOME"], "/models");
        assert_eq!(variables["HF_HUB_OFFLINE"], "1");
        assert_eq!(variables["MODELCACHE_HUB_MODELS"], "/models/hub");
        assert_eq!(variables["MODELCACHE_HUB_TWO_B"], "/modelcache/two-b/huggingface/hub");
    }

    #[test]
    fn a_cache_without_hub_sources_leaves_the_hubs_clients_alone() {
        assert!(environment(&spec("[]")).is_empty());
        assert!(environment(&spec(r#"[{"name": "f", "volume": "models", "http": {"url": "http://x/y"}}]"#)).is_empty());
    }

    #[test]
    fn every_kind_of_source_has_its_row() {
        insta::assert_yaml_snapshot!(environment(&spec(
            r#"[{"name": "a", "volume": "models", "huggingFace": {"repo": "o/a"}},
                {"name": "b", "volume": "models", "whisper": {"model": "tiny"}},
                {"name": "c", "volume": "models", "civitai": {"modelVersionId": 7}},
                {"name": "d", "volume": "models", "nltk": {"packages": ["punkt_tab"]}},
                {"name": "e", "volume": "two-b", "nltk": {"packages": ["stopwords"], "path": "."}},
                {"name": "f", "volume": "two-b", "whisper": {"model": "tiny", "path": "speech"}},
                {"name": "g", "volume": "two-b", "pip": {"requirements": "x"}},
                {"name": "h", "volume": "models", "torchHub": {"checkpoint": "https://x.org/a-0123abcd.pth"}},
                {"name": "i", "volume": "models", "spacy": {"model": "en_core_web_sm", "version": "3.8.0"}},
                {"name": "j", "volume": "models", "objectStore": {"s3": {"bucket": "b"}, "prefix": "p"}},
                {"name": "k", "volume": "models", "oci": {"reference": "registry.ollama.ai/library/llama3:8b"}},
                {"name": "l", "volume": "two-b", "oci": {"reference": "r.example/a/b:1"}}]"#,
        )));
    }

    #[test]
    fn whispers_variable_does_not_send_others_to_a_mount_that_they_cannot_write() {
        let variables = environment(&spec(r#"[{"name": "b", "volume": "models", "whisper": {"model": "tiny"}}]"#));
        assert_eq!(variables["XDG_CACHE_HOME"], "/models");
        for (name, path) in BESIDE_XDG {
            assert_eq!(variables[name], format!("/tmp/{path}"));
        }
        assert!(!variables.contains_key("HF_HUB_OFFLINE"), "there is nothing of the hub's here to be offline with");
    }

    #[test]
    fn a_directory_that_whisper_would_not_find_sets_nothing_of_others() {
        let of = |path: &str| {
            let source =
                format!(r#"[{{"name": "b", "volume": "models", "whisper": {{"model": "tiny", "path": "{path}"}}}}]"#);
            environment(&spec(&source))
        };
        assert_eq!(of("cache/whisper")["XDG_CACHE_HOME"], "/models/cache");
        let elsewhere = of("speech");
        assert_eq!(elsewhere["MODELCACHE_WHISPER_MODELS"], "/models/speech");
        assert_eq!(elsewhere.len(), 1);
    }

    #[test]
    fn faster_whisper_finds_its_models_in_the_hubs_home() {
        let source = r#"[{"name": "b", "volume": "models", "whisper": {"model": "tiny", "engine": "Faster"}}]"#;
        let variables = environment(&spec(source));
        assert_eq!(variables["HF_HOME"], "/models/huggingface");
        assert_eq!(variables["HF_HUB_OFFLINE"], "1");
        assert!(!variables.contains_key("XDG_CACHE_HOME"));
    }
}
