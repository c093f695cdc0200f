//! Which file of a model version on Civitai is wanted?

use super::{SecretFile, SecretKeyRef};
use crate::api::expiry::{self, expiry_schema};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One file of a model version on Civitai.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Civitai {
    /// The model version: the number behind `modelVersionId=` in the page's address, not the one behind `/models/`.
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub model_version_id: i64,

    /// Which of the version's files; the one that Civitai calls primary when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<CivitaiFile>,

    /// Base URL of the site or a mirror; `https://civitai.com` when left out. Metadata and file are both asked for there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]?#@]+$') && isURL(self)").message("`endpoint` must be an http or https URL without user name, password, query and fragment"))]
    pub endpoint: Option<String>,

    /// The API key, in a Secret of this namespace: many files ask for one. Without a cluster `CIVITAI_TOKEN` stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,

    /// The directory of the file on the volume, relative to its root; `civitai` when left out, `.` for the root itself. The
    /// file keeps the name that Civitai gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self == '.' || (!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache'))")
        .message("`path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,

    /// How long the file is kept once it was fetched: `Forever`, which is the default, or a duration such as `12h` or `7d`.
    /// Clean-up removes it after that; the source counts as complete without it. It is fetched again when the source
    /// changes, this field too, when a refresh finds another file behind it, and on a node that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "expiry_schema")]
    pub expire_after: Option<String>,
}

/// What tells one file of a version from the others. What is set must all be so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.name) || has(self.type) || has(self.format)")
        .message("`file` must have `name`, `type` or `format`; leave it out for the primary file")
)]
pub struct CivitaiFile {
    /// Its whole name, such as `model-fp16.safetensors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub name: Option<String>,

    /// Its type as Civitai spells it, such as `Model`, `Pruned Model` or `VAE`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub file_type: Option<String>,

    /// Its format as Civitai spells it, such as `SafeTensor`, `PickleTensor` or `GGUF`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub format: Option<String>,
}

impl Civitai {
    /// The endpoint in effect, without a slash at its end.
    pub fn effective_endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("https://civitai.com").trim_end_matches('/')
    }

    /// The directory in effect, relative to the volume's root.
    pub fn effective_path(&self) -> &str {
        self.path.as_deref().unwrap_or("civitai")
    }

    /// What ends up where, wherever it comes from.
    pub fn identity(&self) -> Value {
        let file = self.file.clone().unwrap_or_default();
        let path = self.effective_path();
        match expiry::identity(self.expire_after.as_deref()) {
            None => json!(["civitai", self.model_version_id, file.name, file.file_type, file.format, path]),
            Some(expiry) => {
                json!(["civitai", self.model_version_id, file.name, file.file_type, file.format, path, expiry])
            }
        }
    }

    /// The Secret that it names.
    pub fn secrets(&self) -> Vec<SecretFile<'_>> {
        self.token_secret_ref.iter().map(|it| SecretFile::token(it, "CIVITAI_TOKEN")).collect()
    }
}
