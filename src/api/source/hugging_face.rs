//! Which repository of the Hugging Face hub is wanted, and which files of it?

use super::{SecretFile, SecretKeyRef};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A repository on the Hugging Face hub, laid out as its own clients need it to work offline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.preset) || !has(self.repoType) || self.repoType == 'Model'")
        .message("`preset` must be left out with another `repoType` than Model")
)]
pub struct HuggingFace {
    /// The repository: `organisation/name`, or a bare name such as `gpt2`.
    #[schemars(length(min = 1, max = 193))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$') && !self.contains('..') && !self.contains('--')").message("`repo` must be `organisation/name` as the hub shows it, without `..` and `--`"))]
    pub repo: String,

    /// What the repository holds; `Model` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RepoType")]
    pub repo_type: Option<RepoType>,

    /// Branch, tag or commit; `main` when left out. It is resolved once to a commit, and every node gets that commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9._/-]*$') && !self.contains('..')").message("`revision` must be a branch, tag or commit: letters, digits, dots, dashes, underscores and slashes, without `..`"))]
    pub revision: Option<String>,

    /// Only files that match one of these patterns, as Python's fnmatch reads them: `*` also crosses `/`, a pattern that
    /// ends in `/` takes the whole directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub include: Vec<String>,

    /// No file that matches one of these patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub exclude: Vec<String>,

    /// Which program loads the model: what it never reads is left out, such as the same weights in older formats. Works
    /// beside `include` and `exclude`: each of the three only leaves out. Everything is fetched when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Preset")]
    pub preset: Option<Preset>,

    /// Base URL of the hub or a mirror; `https://huggingface.co` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]?#@]+$') && isURL(self)").message("`endpoint` must be an http or https URL without user name, password, query and fragment"))]
    pub endpoint: Option<String>,

    /// The access token, in a Secret of this namespace. Without a cluster `HF_TOKEN` stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,

    /// The HF home on the volume, relative to its root; `huggingface` when left out, `.` for the root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self == '.' || (!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache'))")
        .message("`path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

/// What a hub repository holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RepoType {
    /// A model.
    #[default]
    Model,
    /// A data set, as files.
    Dataset,
    /// A space, as files.
    Space,
}

/// A family of programs that wants certain files of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Preset {
    /// `transformers`, `sentence-transformers`, `peft`: no weights of other frameworks, none beside their own safetensors.
    Transformers,
    /// `diffusers`: as Transformers, and of a pipeline no single-file checkpoints beside its components.
    Diffusers,
    /// `vllm`: as Transformers, and of weights beside safetensors nothing at all.
    VLLM,
    /// `faster-whisper`: the files of a CTranslate2 model.
    FasterWhisper,
}

impl HuggingFace {
    /// The repository type in effect.
    pub fn effective_repo_type(&self) -> RepoType {
        self.repo_type.unwrap_or_default()
    }

    /// The revision in effect.
    pub fn effective_revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The endpoint in effect, without a slash at its end.
    pub fn effective_endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("https://huggingface.co").trim_end_matches('/')
    }

    /// The HF home in effect, relative to the volume's root.
    pub fn effective_path(&self) -> &str {
        self.path.as_deref().unwrap_or("huggingface")
    }

    /// What ends up where, wherever it comes from.
    pub fn identity(&self) -> Value {
        let kind = format!("{:?}", self.effective_repo_type());
        json!(["huggingFace", kind, self.repo, self.effective_revision(), self.effective_path()])
    }

    /// The Secret that it names.
    pub fn secrets(&self) -> Vec<SecretFile<'_>> {
        self.token_secret_ref.iter().map(|it| SecretFile::token(it, "HF_TOKEN")).collect()
    }
}
