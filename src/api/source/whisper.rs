//! Which Whisper model is wanted, and for which of its engines?

use super::{HuggingFace, Preset};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A Whisper speech model, by the name that its engine knows it by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.engine) && self.engine == 'Faster') || self.model in ['tiny', 'tiny.en', 'base', 'base.en', 'small', 'small.en', 'medium', 'medium.en', 'large-v1', 'large-v2', 'large-v3', 'large', 'large-v3-turbo', 'turbo']")
        .message("`model` must be one of tiny, tiny.en, base, base.en, small, small.en, medium, medium.en, large-v1, large-v2, large-v3, large, large-v3-turbo and turbo"),
    validation = Rule::new("!has(self.engine) || self.engine != 'Faster' || self.model in ['tiny', 'tiny.en', 'base', 'base.en', 'small', 'small.en', 'medium', 'medium.en', 'large-v1', 'large-v2', 'large-v3', 'large', 'large-v3-turbo', 'turbo', 'distil-small.en', 'distil-medium.en', 'distil-large-v2', 'distil-large-v3', 'distil-large-v3.5']")
        .message("`model` with `engine: Faster` must be one of tiny, tiny.en, base, base.en, small, small.en, medium, medium.en, large-v1, large-v2, large-v3, large, large-v3-turbo, turbo, distil-small.en, distil-medium.en, distil-large-v2, distil-large-v3 and distil-large-v3.5"),
    validation = Rule::new("!has(self.sha256) || !has(self.engine) || self.engine != 'Faster'")
        .message("`sha256` must be left out with `engine: Faster`, whose files have the hashes that the hub lists")
)]
pub struct Whisper {
    /// Name of the model, such as `base.en`, `large-v3` or `turbo`. `large` is large-v3, and `turbo` is large-v3-turbo.
    #[schemars(length(min = 1, max = 64))]
    pub model: String,

    /// Which program loads it: `OpenAI` (when left out) for the package `openai-whisper`, `Faster` for `faster-whisper`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "WhisperEngine")]
    pub engine: Option<WhisperEngine>,

    /// SHA-256 of the model's file, 64 hex digits, in place of the published one. Only for a mirror that serves another
    /// file: `openai-whisper` itself fetches a file again that has not the published hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-fA-F]{64}$')").message("`sha256` must be 64 hex digits"))]
    pub sha256: Option<String>,

    /// Base URL of a mirror. For `OpenAI` it serves `<endpoint>/main/whisper/models/<sha256>/<file>`, and is
    /// `https://openaipublic.azureedge.net` when left out; for `Faster` it is a hub, `https://huggingface.co` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]?#@]+$') && isURL(self)").message("`endpoint` must be an http or https URL without user name, password, query and fragment"))]
    pub endpoint: Option<String>,

    /// Where it goes on the volume, relative to its root: for `OpenAI` the directory of the file, `whisper` when left out;
    /// for `Faster` the HF home, `huggingface` when left out. `.` is the root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self == '.' || (!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache'))")
        .message("`path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

/// The program that loads a Whisper model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhisperEngine {
    /// The package `openai-whisper`: one `.pt` file.
    #[default]
    OpenAI,
    /// The package `faster-whisper`: a CTranslate2 model in a hub repository.
    Faster,
}

/// Models of `openai-whisper` with the SHA-256 of their file, which is called `<name>.pt`.
///
/// From `_MODELS` in `whisper/__init__.py` of openai-whisper 20250625: the hash is the last directory of each URL.
const OPENAI: [(&str, &str); 12] = [
    ("tiny.en", "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"),
    ("tiny", "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9"),
    ("base.en", "25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead"),
    ("base", "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e"),
    ("small.en", "f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872"),
    ("small", "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794"),
    ("medium.en", "d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f"),
    ("medium", "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1"),
    ("large-v1", "e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a"),
    ("large-v2", "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524"),
    ("large-v3", "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb"),
    ("large-v3-turbo", "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a"),
];

/// Models of `faster-whisper` with their repository on the hub, from `_MODELS` in `faster_whisper/utils.py` of
/// faster-whisper 1.2.1.
const FASTER: [(&str, &str); 17] = [
    ("tiny.en", "Systran/faster-whisper-tiny.en"),
    ("tiny", "Systran/faster-whisper-tiny"),
    ("base.en", "Systran/faster-whisper-base.en"),
    ("base", "Systran/faster-whisper-base"),
    ("small.en", "Systran/faster-whisper-small.en"),
    ("small", "Systran/faster-whisper-small"),
    ("medium.en", "Systran/faster-whisper-medium.en"),
    ("medium", "Systran/faster-whisper-medium"),
    ("large-v1", "Systran/faster-whisper-large-v1"),
    ("large-v2", "Systran/faster-whisper-large-v2"),
    ("large-v3", "Systran/faster-whisper-large-v3"),
    ("distil-large-v2", "Systran/faster-distil-whisper-large-v2"),
    ("distil-medium.en", "Systran/faster-distil-whisper-medium.en"),
    ("distil-small.en", "Systran/faster-distil-whisper-small.en"),
    ("distil-large-v3", "Systran/faster-distil-whisper-large-v3"),
    ("distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2"),
    ("large-v3-turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
];

/// The other names of both packages.
const ALIASES: [(&str, &str); 2] = [("large", "large-v3"), ("turbo", "large-v3-turbo")];

impl Whisper {
    /// The engine in effect.
    pub fn effective_engine(&self) -> WhisperEngine {
        self.engine.unwrap_or_default()
    }

    /// The directory in effect, relative to the volume's root: of the file, or the HF home.
    pub fn effective_path(&self) -> &str {
        self.path.as_deref().unwrap_or(match self.effective_engine() {
            WhisperEngine::OpenAI => "whisper",
            WhisperEngine::Faster => "huggingface",
        })
    }

    /// The mirror in effect for `OpenAI`, without a slash at its end.
    pub fn effective_endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("https://openaipublic.azureedge.net").trim_end_matches('/')
    }

    /// Name and SHA-256 of the `.pt` file. `None` when `openai-whisper` has no such model.
    pub fn openai_file(&self) -> Option<(String, String)> {
        let (name, published) = self.find(&OPENAI)?;
        let sha256 = self.sha256.as_deref().unwrap_or(published).to_ascii_lowercase();
        Some((format!("{name}.pt"), sha256))
    }

    /// The repository that `faster-whisper` loads. `None` when it has no such model.
    pub fn faster_repository(&self) -> Option<HuggingFace> {
        let (_, repo) = self.find(&FASTER)?;
        Some(HuggingFace {
            repo: repo.to_owned(),
            repo_type: None,
            revision: None,
            include: vec![],
            exclude: vec![],
            preset: Some(Preset::FasterWhisper),
            endpoint: self.endpoint.clone(),
            token_secret_ref: None,
            path: Some(self.effective_path().to_owned()),
        })
    }

    /// Every name that the engine takes, for a message.
    pub fn names(&self) -> String {
        let table: &[(&str, &str)] = match self.effective_engine() {
            WhisperEngine::OpenAI => &OPENAI,
            WhisperEngine::Faster => &FASTER,
        };
        let names: Vec<&str> = table.iter().chain(&ALIASES).map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// What ends up where, wherever it comes from.
    pub fn identity(&self) -> Value {
        let model = ALIASES.iter().find(|(alias, _)| *alias == self.model).map_or(self.model.as_str(), |(_, it)| it);
        json!(["whisper", format!("{:?}", self.effective_engine()), model, self.effective_path()])
    }

    fn find<'a>(&self, table: &[(&'a str, &'a str)]) -> Option<(&'a str, &'a str)> {
        let wanted = ALIASES.iter().find(|(alias, _)| *alias == self.model).map_or(self.model.as_str(), |(_, it)| it);
        table.iter().find(|(name, _)| *name == wanted).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whisper(model: &str, engine: &str) -> Whisper {
        serde_json::from_value(json!({"model": model, "engine": engine})).unwrap()
    }

    #[test]
    fn an_alias_is_the_file_that_the_package_itself_would_take() {
        for (model, file, start) in [
            ("large", "large-v3.pt", "e5b1a55b"),
            ("large-v3", "large-v3.pt", "e5b1a55b"),
            ("turbo", "large-v3-turbo.pt", "aff26ae4"),
            ("base.en", "base.en.pt", "25a8566e"),
        ] {
            let (name, sha256) = whisper(model, "OpenAI").openai_file().unwrap();
            assert_eq!(name, file);
            assert!(sha256.starts_with(start) && sha256.len() == 64, "{model}: {sha256}");
        }
        assert_eq!(whisper("large", "OpenAI").identity(), whisper("large-v3", "OpenAI").identity());
        assert_eq!(whisper("distil-large-v3", "OpenAI").openai_file(), None);
    }

    #[test]
    fn a_given_hash_goes_before_the_published_one() {
        let whisper = Whisper { sha256: Some("AB".repeat(32)), ..whisper("tiny", "OpenAI") };
        assert_eq!(whisper.openai_file().unwrap().1, "ab".repeat(32));
    }

    #[test]
    fn a_faster_model_is_the_hub_repository_that_the_package_asks_for() {
        for (model, repo) in [
            ("large", "Systran/faster-whisper-large-v3"),
            ("turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
            ("distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2"),
        ] {
            let hub = whisper(model, "Faster").faster_repository().unwrap();
            assert_eq!((hub.repo.as_str(), hub.effective_path()), (repo, "huggingface"));
        }
        assert!(whisper("huge", "Faster").faster_repository().is_none());
    }

    #[test]
    fn the_schemas_rules_know_the_same_names_as_the_tables() {
        let refused = |model: &str, engine: &str| {
            let source = json!({"name": "x", "whisper": {"model": model, "engine": engine}});
            let spec = json!({"volumes": [{"name": "v", "existingClaim": {"claimName": "c"}}], "sources": [source]});
            let cache = crate::api::ModelCache::new("x", serde_json::from_value(spec).unwrap());
            kube::core::cel::validate_cel(&cache)
                .is_err_and(|errors| errors.into_vec().iter().any(|error| error.message.contains("`model`")))
        };
        for engine in ["OpenAI", "Faster"] {
            for model in OPENAI.iter().chain(&FASTER).chain(&ALIASES).map(|(name, _)| *name).chain(["huge", "Tiny"]) {
                let known = match engine {
                    "OpenAI" => whisper(model, engine).openai_file().is_some(),
                    _ => whisper(model, engine).faster_repository().is_some(),
                };
                assert_eq!(refused(model, engine), !known, "{engine} {model}");
            }
        }
    }
}
