//! Which Secret does a source name, and where does the agent find what is in it?

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

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

/// A key of a Secret as the agent finds it: a file in the source's directory below `/secrets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretFile<'a> {
    /// Name of the file, unique in the source.
    pub file: &'static str,
    /// The key in the Secret.
    pub reference: &'a SecretKeyRef,
    /// The environment variable that stands in for it without a cluster.
    pub stand_in: &'static str,
}

impl<'a> SecretFile<'a> {
    /// Name of the file of a source's access token.
    pub const TOKEN: &'static str = "token";

    /// An access token.
    pub fn token(reference: &'a SecretKeyRef, stand_in: &'static str) -> Self {
        Self { file: Self::TOKEN, reference, stand_in }
    }
}
