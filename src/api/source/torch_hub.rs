//! Which checkpoint or repository of torch.hub is wanted?

use super::Http;
use crate::api::name;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What `torch.hub` looks for in its cache: a checkpoint, or a repository with a `hubconf.py`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.checkpoint) != has(self.repo)").message("exactly one of `checkpoint` and `repo` must be set"),
    validation = Rule::new("!has(self.sha256) || has(self.checkpoint)").message("`sha256` must be left out with `repo`: a repository is pinned to its commit"),
    validation = Rule::new("!has(self.endpoint) || has(self.repo)").message("`endpoint` must be left out with `checkpoint`, which has its URL")
)]
pub struct TorchHub {
    /// The address of a checkpoint, as code gives it to `load_state_dict_from_url`. Eight or more hex digits between a dash
    /// and a dot in the file's name are the beginning of its SHA-256, and what arrives is held against them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]/?#@]+/([^[:space:]?#]*/)?[A-Za-z0-9_][^[:space:]/?#]*([?][^[:space:]#]*)?$') && isURL(self)").message("`checkpoint` must be an http or https URL that ends in a file name, without user name, password and fragment"))]
    pub checkpoint: Option<String>,

    /// SHA-256 of the checkpoint, 64 hex digits. Without it the server's ETag is the pin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-fA-F]{64}$')").message("`sha256` must be 64 hex digits"))]
    pub sha256: Option<String>,

    /// The repository, as code gives it to `torch.hub.load`: `owner/name:ref`. The ref, a branch, a tag or a commit, must be
    /// there: without one `torch.hub` asks GitHub which it is before it looks into its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_][A-Za-z0-9._-]*:[A-Za-z0-9][A-Za-z0-9._/-]*$') && !self.contains('..') && !self.contains('//') && !self.endsWith('/')").message("`repo` must be `owner/name:ref` with a branch, tag or commit as ref: without one torch.hub is not offline"))]
    pub repo: Option<String>,

    /// Base URL of a GitHub Enterprise Server, or of a mirror that has `<owner>/<name>/zipball/<ref>`; `https://github.com`
    /// when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1536))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]?#@]+$') && isURL(self)").message("`endpoint` must be an http or https URL without user name, password, query and fragment"))]
    pub endpoint: Option<String>,

    /// The torch home on the volume, relative to its root; `torch` when left out, `.` for the root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self == '.' || (!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache'))")
        .message("`path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

/// A repository at a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubRepo<'a> {
    /// Who it belongs to.
    pub owner: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Branch, tag or commit.
    pub reference: &'a str,
}

impl TorchHub {
    /// The endpoint in effect, without a slash at its end.
    pub fn effective_endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("https://github.com").trim_end_matches('/')
    }

    /// The torch home in effect, relative to the volume's root.
    pub fn effective_path(&self) -> &str {
        self.path.as_deref().unwrap_or("torch")
    }

    /// The directory that `torch.hub.get_dir()` gives when `TORCH_HOME` is the home.
    pub fn hub(&self) -> String {
        name::below(self.effective_path(), "hub")
    }

    /// The repository, if it is one.
    pub fn repository(&self) -> Option<HubRepo<'_>> {
        let (repo, reference) = self.repo.as_deref()?.split_once(':')?;
        let (owner, name) = repo.split_once('/')?;
        Some(HubRepo { owner, name, reference })
    }

    /// The checkpoint, if it is one, where `load_state_dict_from_url` looks for it.
    pub fn checkpoint_file(&self) -> Option<Http> {
        let url = self.checkpoint.clone()?;
        let path = url.split(['?', '#']).next().and_then(|it| it.rsplit('/').next()).unwrap_or_default();
        let path = Some(format!("{}/checkpoints/{path}", self.hub()));
        Some(Http { url, sha256: self.sha256.clone(), path, unpack: None, expire_after: None })
    }

    /// The hex digits in a checkpoint's name that its SHA-256 begins with: `HASH_REGEX` of `torch/hub.py`, the first match,
    /// of eight digits at least as its documentation has it.
    pub fn hash_prefix(&self) -> Option<String> {
        let path = self.checkpoint_file()?.path?;
        let name = path.rsplit('/').next().unwrap_or_default();
        name.match_indices('-').find_map(|(at, _)| {
            let (digits, _) = name.get(at + 1..)?.split_once('.')?;
            let hex = digits.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
            (hex && (8..=64).contains(&digits.len())).then(|| digits.to_owned())
        })
    }

    /// Where it ends up: a file or a directory, relative to the volume's root.
    pub fn target(&self) -> String {
        match self.repository() {
            // `_get_cache_or_reload` of torch/hub.py.
            Some(HubRepo { owner, name, reference }) => {
                format!("{}/{owner}_{name}_{}", self.hub(), reference.replace('/', "_"))
            }
            None => self.checkpoint_file().and_then(|it| it.path).unwrap_or_default(),
        }
    }

    /// What ends up where, wherever it comes from.
    pub fn identity(&self) -> Value {
        json!(["torchHub", self.repo, self.target()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(value: Value) -> TorchHub {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_checkpoint_lies_where_torch_hub_looks_for_it_and_its_name_tells_its_hash() {
        let at = "https://download.pytorch.org/models/";
        for (name, file, prefix) in [
            ("resnet18-f37072fd.pth", "resnet18-f37072fd.pth", Some("f37072fd")),
            ("resnet18-f37072fd.pth?x=y/z", "resnet18-f37072fd.pth", Some("f37072fd")),
            ("vit_b_16-c867db91.v2.pth", "vit_b_16-c867db91.v2.pth", Some("c867db91")),
            ("wide-resnet50-0123456789abcdef.pth", "wide-resnet50-0123456789abcdef.pth", Some("0123456789abcdef")),
            ("model-abc.pth", "model-abc.pth", None),
            ("model-F37072FD.pth", "model-F37072FD.pth", None),
            ("model.pth", "model.pth", None),
        ] {
            let hub = hub(json!({"checkpoint": format!("{at}{name}")}));
            assert_eq!(hub.target(), format!("torch/hub/checkpoints/{file}"));
            assert_eq!(hub.hash_prefix().as_deref(), prefix, "{name}");
        }
    }

    #[test]
    fn a_repository_lies_where_torch_hub_looks_for_it() {
        for (repo, path, directory) in [
            ("pytorch/vision:v0.10.0", None, "torch/hub/pytorch_vision_v0.10.0"),
            ("o/n.x:feature/a/b", Some("."), "hub/o_n.x_feature_a_b"),
            ("o/n:main", Some("a/b"), "a/b/hub/o_n_main"),
        ] {
            assert_eq!(hub(json!({"repo": repo, "path": path})).target(), directory);
        }
    }
}
