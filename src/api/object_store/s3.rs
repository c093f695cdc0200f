//! Which S3 bucket, at whose endpoint, with which keys?

use crate::api::source::{SecretFile, SecretKeyRef};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A bucket of Amazon S3, or of a store that speaks its protocol (MinIO, Ceph, R2 …).
///
/// With neither keys nor `anonymous` the pod's own identity is used: the role of `podTemplate.serviceAccountName` (IRSA or EKS
/// Pod Identity), or that of the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.accessKeyIdSecretRef) == has(self.secretAccessKeySecretRef)")
        .message("`accessKeyIdSecretRef` and `secretAccessKeySecretRef` must be given together"),
    validation = Rule::new("!has(self.sessionTokenSecretRef) || has(self.accessKeyIdSecretRef)")
        .message("`sessionTokenSecretRef` must come with `accessKeyIdSecretRef`"),
    validation = Rule::new("!has(self.anonymous) || !self.anonymous || !has(self.accessKeyIdSecretRef)")
        .message("`anonymous` must not be true beside keys")
)]
pub struct S3 {
    /// Name of the bucket.
    #[schemars(length(min = 3, max = 255))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*$') && !self.contains('..')").message("`bucket` must be the bucket's name: letters, digits, dots, dashes and underscores, without `..`"))]
    pub bucket: String,

    /// Region of the bucket. When left out: `AWS_REGION` of the pod, or `us-east-1`, which most other stores answer to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9-]*$')").message("`region` must be a region's name, such as `eu-central-1`"))]
    pub region: Option<String>,

    /// Base URL of a store that is not Amazon's, without the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]?#@]+$') && isURL(self)").message("`endpoint` must be an http or https URL without user name, password, query and fragment"))]
    pub endpoint: Option<String>,

    /// Whether the bucket is the first part of the path (`endpoint/bucket`) rather than of the host (`bucket.endpoint`). When left
    /// out: true beside `endpoint`, and for a bucket with a dot in its name, which no certificate matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_path_style: Option<bool>,

    /// The access key's id, in a Secret of this namespace. Without a cluster `AWS_ACCESS_KEY_ID` stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id_secret_ref: Option<SecretKeyRef>,

    /// The secret access key, in a Secret of this namespace. Without a cluster `AWS_SECRET_ACCESS_KEY` stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_access_key_secret_ref: Option<SecretKeyRef>,

    /// The session token that belongs to temporary keys, in a Secret of this namespace. Without a cluster `AWS_SESSION_TOKEN`
    /// stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token_secret_ref: Option<SecretKeyRef>,

    /// The bucket is public: requests are not signed. False when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<bool>,
}

impl S3 {
    /// Name of the file of the access key's id.
    pub const ACCESS_KEY_ID: &'static str = "access-key-id";
    /// Name of the file of the secret access key.
    pub const SECRET_ACCESS_KEY: &'static str = "secret-access-key";
    /// Name of the file of the session token.
    pub const SESSION_TOKEN: &'static str = "session-token";

    /// Whether requests are signed by nobody.
    pub fn is_anonymous(&self) -> bool {
        self.anonymous.unwrap_or_default()
    }

    /// The endpoint, without a slash at its end.
    pub fn effective_endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref().map(|it| it.trim_end_matches('/'))
    }

    /// Whether the bucket is named in the path.
    pub fn effective_path_style(&self) -> bool {
        self.force_path_style.unwrap_or_else(|| self.endpoint.is_some() || self.bucket.contains('.'))
    }

    /// The Secrets that it names.
    pub fn secrets(&self) -> Vec<SecretFile<'_>> {
        [
            (Self::ACCESS_KEY_ID, &self.access_key_id_secret_ref, "AWS_ACCESS_KEY_ID"),
            (Self::SECRET_ACCESS_KEY, &self.secret_access_key_secret_ref, "AWS_SECRET_ACCESS_KEY"),
            (Self::SESSION_TOKEN, &self.session_token_secret_ref, "AWS_SESSION_TOKEN"),
        ]
        .into_iter()
        .filter_map(|(file, reference, stand_in)| Some(SecretFile { file, reference: reference.as_ref()?, stand_in }))
        .collect()
    }
}
