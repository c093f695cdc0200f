//! What is to be cached, and where does it come from?

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing to cache. Exactly one kind must be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.huggingFace) ? 1 : 0) + (has(self.http) ? 1 : 0) == 1")
        .message("exactly one of `huggingFace` and `http` must be set")
)]
pub struct Source {
    /// Name of the source, unique in the cache: a DNS label of at most 63 characters.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("`name` must be a DNS label: lower-case letters, digits and dashes, with no dash at either end"))]
    pub name: String,

    /// Name of the volume that takes the content. May be left out when the cache has one volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub volume: Option<String>,

    /// A repository on the Hugging Face hub, or on a mirror that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hugging_face: Option<HuggingFace>,

    /// One file behind an http or https URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
}

/// A repository on the Hugging Face hub, laid out as its own clients need it to work offline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
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

/// One file behind an http or https URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// The address of the file.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]/?#@]+([/?][^[:space:]#]*)?$') && isURL(self)").message("`url` must be an http or https URL without user name, password and fragment"))]
    pub url: String,

    /// SHA-256 of the file, 64 hex digits. Without it the server's ETag is the pin, and a server without one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-fA-F]{64}$')").message("`sha256` must be 64 hex digits"))]
    pub sha256: Option<String>,

    /// Where the file goes on the volume, relative to its root; `files/<last part of the URL>` when left out. A
    /// file of that name that is there is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache')")
        .message("`path` must be a relative path of a file without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

/// A key in a Secret of the cache's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key in the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._A-Za-z0-9]+$"))]
    pub key: String,
}

impl Source {
    /// The Secret key that the source's origin asks for, if the spec names one.
    pub fn secret(&self) -> Option<&SecretKeyRef> {
        self.hugging_face.as_ref().and_then(|it| it.token_secret_ref.as_ref())
    }

    /// Hash of the source's own spec: a change means that it is resolved again.
    pub fn spec_hash(&self) -> String {
        use sha2::{Digest, Sha256};
        let json = serde_json::to_vec(self).unwrap_or_default();
        super::name::hex(&Sha256::digest(&json)).chars().take(16).collect()
    }
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
}

impl Http {
    /// The path in effect, relative to the volume's root. `None` when the URL ends in no usable name and `path` is not
    /// set.
    pub fn effective_path(&self) -> Option<String> {
        if let Some(path) = &self.path {
            return Some(path.clone());
        }
        let without_query = self.url.split(['?', '#']).next().unwrap_or_default();
        let (_, after_scheme) = without_query.split_once("://")?;
        let (_, path) = after_scheme.split_once('/')?;
        let name = path.rsplit('/').next().filter(|name| !matches!(*name, "" | "." | ".."))?;
        Some(format!("files/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_the_last_part_of_its_url() {
        for (url, expected) in [
            ("https://x.org/a/b.bin", Some("files/b.bin")),
            ("https://x.org/a/b.bin?x=/y", Some("files/b.bin")),
            ("https://x.org/", None),
            ("https://x.org", None),
            ("https://x.org/a/..", None),
        ] {
            let http = Http { url: url.into(), sha256: None, path: None };
            assert_eq!(http.effective_path().as_deref(), expected, "{url}");
        }
    }
}
