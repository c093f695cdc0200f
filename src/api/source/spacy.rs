//! Which trained pipeline of spaCy is wanted?

use super::Http;
use crate::api::name;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A trained pipeline of spaCy, unpacked from its wheel so that `spacy.load("<mount>/<path>/<model>/<model>-<version>")`
/// loads it with nothing installed but spaCy itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Spacy {
    /// The pipeline, such as `en_core_web_sm`.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z][A-Za-z0-9_]*$')").message("`model` must be the name of a spaCy pipeline such as `en_core_web_sm`: letters, digits and underscores"))]
    pub model: String,

    /// Its version, such as `3.8.0`: the one that `python -m spacy info <model> --url` names for the spaCy of the image.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9][A-Za-z0-9.+]*$') && !self.contains('..')").message("`version` must be a version such as `3.8.0`"))]
    pub version: String,

    /// SHA-256 of the wheel, 64 hex digits. Nobody publishes one: without it the server's ETag is the pin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-fA-F]{64}$')").message("`sha256` must be 64 hex digits"))]
    pub sha256: Option<String>,

    /// Base URL of a mirror that has `<model>-<version>/<model>-<version>-py3-none-any.whl`;
    /// `https://github.com/explosion/spacy-models/releases/download` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1536))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]?#@]+$') && isURL(self)").message("`endpoint` must be an http or https URL without user name, password, query and fragment"))]
    pub endpoint: Option<String>,

    /// The directory of pipelines on the volume, relative to its root; `spacy` when left out, `.` for the root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self == '.' || (!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache'))")
        .message("`path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

impl Spacy {
    /// The endpoint in effect, without a slash at its end.
    pub fn effective_endpoint(&self) -> &str {
        let public = "https://github.com/explosion/spacy-models/releases/download";
        self.endpoint.as_deref().unwrap_or(public).trim_end_matches('/')
    }

    /// The directory that is loaded, relative to the volume's root.
    pub fn directory(&self) -> String {
        let below = format!("{}/{}", self.model, self.full_name());
        name::below(self.path.as_deref().unwrap_or("spacy"), &below)
    }

    /// The directory in the wheel that is loaded: beside it there is code that imports it, and the wheel's own papers.
    pub fn directory_in_wheel(&self) -> String {
        format!("{}/{}", self.model, self.full_name())
    }

    /// The wheel, as spaCy's own `download` names it (`spacy/cli/download.py`).
    pub fn wheel(&self) -> Http {
        let name = self.full_name();
        Http {
            url: format!("{}/{name}/{name}-py3-none-any.whl", self.effective_endpoint()),
            sha256: self.sha256.clone(),
            path: Some(self.directory()),
            unpack: None,
            expire_after: None,
        }
    }

    /// What ends up where, wherever it comes from.
    pub fn identity(&self) -> Value {
        json!(["spacy", self.directory()])
    }

    fn full_name(&self) -> String {
        format!("{}-{}", self.model, self.version)
    }
}
