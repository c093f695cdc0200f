//! Which Python packages are wanted as a wheelhouse?

use super::{SecretFile, SecretKeyRef};
use crate::api::pod_template::ConfigMapKeyRef;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A wheelhouse: a directory of Python packages that `pip` and `uv` install from with no index. The requirements are locked:
/// each names its version and its hashes, as `pip-compile --generate-hashes`, `uv pip compile --generate-hashes` and
/// `uv export` write them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.requirements) != has(self.requirementsFrom)")
        .message("exactly one of `requirements` and `requirementsFrom` must be set"),
    validation = Rule::new("has(self.usernameSecretRef) == has(self.passwordSecretRef) && (!has(self.passwordSecretRef) || has(self.endpoint))")
        .message("`usernameSecretRef` and `passwordSecretRef` must be set together, with the `endpoint` that they are for")
)]
pub struct Pip {
    /// A requirements file with hashes. Up to 64 KiB; a longer one goes into a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub requirements: Option<String>,

    /// A requirements file with hashes, in a ConfigMap of this namespace. It is read when the source is resolved: give the
    /// ConfigMap another name when its content changes, as kustomize does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements_from: Option<ConfigMapKeyRef>,

    /// The Python that the packages are for, such as `3.12`: wheels for other versions are left out. When left out, wheels
    /// for every version that the hashes allow are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^3[.][0-9]{1,3}$')").message("`pythonVersion` must be like `3.12`"))]
    pub python_version: Option<String>,

    /// The processors that the packages are for; wheels for others are left out. Both when left out. Wheels are always those
    /// for Linux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Architecture")]
    pub architecture: Option<Architecture>,

    /// Base URL of the index: a mirror of PyPI that speaks its simple API; `https://pypi.org/simple` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]?#@]+$') && isURL(self)").message("`endpoint` must be an http or https URL without user name, password, query and fragment"))]
    pub endpoint: Option<String>,

    /// The user name for an index that asks for one, in a Secret of this namespace. An index that gives out tokens says which
    /// name goes with them, such as `__token__`. Without a cluster `PIP_INDEX_USERNAME` stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_secret_ref: Option<SecretKeyRef>,

    /// The password or token, in a Secret of this namespace. It is shown to the host of `endpoint` only, not to others that
    /// the index lists files on or leads to. Without a cluster `PIP_INDEX_PASSWORD` stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeyRef>,

    /// The wheelhouse on the volume, relative to its root; `wheels` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache')")
        .message("`path` must be a relative path without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

/// A processor, as Kubernetes names it in `kubernetes.io/arch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// `x86_64`.
    Amd64,
    /// `aarch64`.
    Arm64,
}

impl Pip {
    /// Name of the file of the user name.
    pub const USERNAME: &'static str = "username";
    /// Name of the file of the password.
    pub const PASSWORD: &'static str = "password";

    /// The index in effect, without a slash at its end.
    pub fn effective_endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("https://pypi.org/simple").trim_end_matches('/')
    }

    /// The wheelhouse in effect, relative to the volume's root.
    pub fn effective_path(&self) -> &str {
        self.path.as_deref().unwrap_or("wheels")
    }

    /// The Secrets that it names.
    pub fn secrets(&self) -> Vec<SecretFile<'_>> {
        let file = |file, reference, stand_in| SecretFile { file, reference, stand_in };
        let username = self.username_secret_ref.as_ref().map(|it| file(Self::USERNAME, it, "PIP_INDEX_USERNAME"));
        let password = self.password_secret_ref.as_ref().map(|it| file(Self::PASSWORD, it, "PIP_INDEX_PASSWORD"));
        username.into_iter().chain(password).collect()
    }

    /// What ends up where, wherever it comes from.
    pub fn identity(&self) -> Value {
        json!(["pip", self.effective_path()])
    }
}
