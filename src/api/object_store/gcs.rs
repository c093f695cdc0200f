//! Which bucket of Google Cloud Storage, with whose identity?

use crate::api::source::{SecretFile, SecretKeyRef};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A bucket of Google Cloud Storage.
///
/// With neither `credentialsSecretRef` nor `anonymous` the pod's own identity is used, as the metadata server tells it: Workload
/// Identity Federation for `podTemplate.serviceAccountName`, or the node's service account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.anonymous) || !self.anonymous || !has(self.credentialsSecretRef)")
        .message("`anonymous` must not be true beside `credentialsSecretRef`"),
    validation = Rule::new("!has(self.endpoint) || has(self.credentialsSecretRef) || (has(self.anonymous) && self.anonymous)")
        .message("`endpoint` must come with `credentialsSecretRef` or `anonymous`: the pod's own token is for Google alone")
)]
pub struct Gcs {
    /// Name of the bucket.
    #[schemars(length(min = 3, max = 222))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9][a-z0-9._-]*$') && !self.contains('..')").message("`bucket` must be the bucket's name: lower-case letters, digits, dots, dashes and underscores, without `..`"))]
    pub bucket: String,

    /// Base URL of a mirror or an emulator; `https://storage.googleapis.com` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]?#@]+$') && isURL(self)").message("`endpoint` must be an http or https URL without user name, password, query and fragment"))]
    pub endpoint: Option<String>,

    /// The key of a Google service account, as JSON, in a Secret of this namespace. Without a cluster `GOOGLE_SERVICE_ACCOUNT_KEY`
    /// stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretKeyRef>,

    /// The bucket is public: no token is sent. False when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<bool>,
}

impl Gcs {
    /// Name of the file of the service account's key.
    pub const CREDENTIALS: &'static str = "credentials.json";

    /// Whether no token is sent.
    pub fn is_anonymous(&self) -> bool {
        self.anonymous.unwrap_or_default()
    }

    /// The endpoint in effect, without a slash at its end.
    pub fn effective_endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("https://storage.googleapis.com").trim_end_matches('/')
    }

    /// The Secret that it names.
    pub fn secrets(&self) -> Vec<SecretFile<'_>> {
        let stand_in = "GOOGLE_SERVICE_ACCOUNT_KEY";
        let file = |reference| SecretFile { file: Self::CREDENTIALS, reference, stand_in };
        self.credentials_secret_ref.iter().map(file).collect()
    }
}
