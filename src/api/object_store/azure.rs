//! Which container of Azure Blob Storage, with which key?

use crate::api::source::{SecretFile, SecretKeyRef};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A container of Azure Blob Storage.
///
/// With neither a Secret nor `anonymous` the pod's own identity is used: Microsoft Entra Workload ID of
/// `podTemplate.serviceAccountName`, or the node's managed identity. It needs the role Storage Blob Data Reader on the account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.accountKeySecretRef), has(self.sasTokenSecretRef), has(self.anonymous) && self.anonymous].filter(set, set).size() <= 1")
        .message("at most one of `accountKeySecretRef`, `sasTokenSecretRef` and `anonymous` must be set"),
    validation = Rule::new("!has(self.endpoint) || has(self.accountKeySecretRef) || has(self.sasTokenSecretRef) || (has(self.anonymous) && self.anonymous)")
        .message("`endpoint` must come with `accountKeySecretRef`, `sasTokenSecretRef` or `anonymous`: the pod's own token is for Azure alone")
)]
pub struct Azure {
    /// Name of the storage account.
    #[schemars(length(min = 3, max = 24))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]+$')").message("`account` must be the storage account's name: lower-case letters and digits"))]
    pub account: String,

    /// Name of the container.
    #[schemars(length(min = 3, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^([$][a-z]+|[a-z0-9][a-z0-9-]*)$')").message("`container` must be the container's name: lower-case letters, digits and dashes"))]
    pub container: String,

    /// Base URL of the account's blobs; `https://<account>.blob.core.windows.net` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]?#@]+$') && isURL(self)").message("`endpoint` must be an http or https URL without user name, password, query and fragment"))]
    pub endpoint: Option<String>,

    /// A key of the storage account, in a Secret of this namespace. Without a cluster `AZURE_STORAGE_KEY` stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_key_secret_ref: Option<SecretKeyRef>,

    /// A shared access signature with the rights to read and to list, in a Secret of this namespace. Without a cluster
    /// `AZURE_STORAGE_SAS_TOKEN` stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sas_token_secret_ref: Option<SecretKeyRef>,

    /// The container is public: requests are not signed. False when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<bool>,
}

impl Azure {
    /// Name of the file of the account's key.
    pub const ACCOUNT_KEY: &'static str = "account-key";
    /// Name of the file of the shared access signature.
    pub const SAS_TOKEN: &'static str = "sas-token";

    /// Whether requests are signed by nobody.
    pub fn is_anonymous(&self) -> bool {
        self.anonymous.unwrap_or_default()
    }

    /// The endpoint in effect, without a slash at its end.
    pub fn effective_endpoint(&self) -> String {
        let own = || format!("https://{}.blob.core.windows.net", self.account);
        self.endpoint.as_deref().map_or_else(own, |it| it.trim_end_matches('/').to_owned())
    }

    /// The Secrets that it names.
    pub fn secrets(&self) -> Vec<SecretFile<'_>> {
        [
            (Self::ACCOUNT_KEY, &self.account_key_secret_ref, "AZURE_STORAGE_KEY"),
            (Self::SAS_TOKEN, &self.sas_token_secret_ref, "AZURE_STORAGE_SAS_TOKEN"),
        ]
        .into_iter()
        .filter_map(|(file, reference, stand_in)| Some(SecretFile { file, reference: reference.as_ref()?, stand_in }))
        .collect()
    }
}
