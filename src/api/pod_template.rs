//! What may a user say about the pods that we make? Not a full pod spec, on purpose.

use super::embedded;
use k8s_openapi::api::core::v1::{EnvVar, LocalObjectReference, ResourceRequirements, SELinuxOptions, Toleration};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings for all pods that the operator makes for this cache. Nothing here is needed: the defaults pass Pod Security
/// "restricted".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Requests and limits. When left out: 100m CPU and 128Mi memory requested, 1Gi memory at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::resources")]
    pub resources: Option<ResourceRequirements>,

    /// Tolerations beside those of the pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::tolerations")]
    pub tolerations: Vec<Toleration>,

    /// User, group and SELinux label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurity>,

    /// PriorityClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub priority_class_name: Option<String>,

    /// RuntimeClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub runtime_class_name: Option<String>,

    /// Secrets of this namespace for pulling the agent's image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::pull_secrets")]
    pub image_pull_secrets: Vec<LocalObjectReference>,

    /// ServiceAccount of this namespace. Its token is not mounted: the agent has no use for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub service_account_name: Option<String>,

    /// Environment, for proxies (`HTTPS_PROXY`, `NO_PROXY`) and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::environment")]
    pub env: Vec<EnvVar>,

    /// Labels for the pods. Ours win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "embedded::labels")]
    #[x_kube(validation = Rule::new("self.all(k, !k.contains('modelcache.dev/') && !k.contains('kubernetes.io/'))").message("`labels` must not use the prefixes modelcache.dev/ and kubernetes.io/"))]
    pub labels: BTreeMap<String, String>,

    /// Annotations for the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "embedded::annotations")]
    pub annotations: BTreeMap<String, String>,

    /// A ConfigMap of this namespace with a private certificate authority, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_config_map: Option<ConfigMapKeyRef>,
}

/// User, group and SELinux label of the pods. Files on the volume belong to this user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSecurity {
    /// User id; 65532 when left out. Never 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_294_i64))]
    pub run_as_user: Option<i64>,
    /// Group id; 65532 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_294_i64))]
    pub run_as_group: Option<i64>,
    /// Group that shared volumes and claims are given to by the kubelet. Per-node volumes do not need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_294_i64))]
    pub fs_group: Option<i64>,
    /// SELinux label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::selinux")]
    pub se_linux_options: Option<SELinuxOptions>,
}

/// A key in a ConfigMap of the cache's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeyRef {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key in the ConfigMap.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._A-Za-z0-9]+$"))]
    pub key: String,
}

impl PodTemplate {
    /// The user id in effect.
    pub fn user(&self) -> i64 {
        self.security_context.as_ref().and_then(|it| it.run_as_user).unwrap_or(DEFAULT_ID)
    }

    /// The group id in effect.
    pub fn group(&self) -> i64 {
        self.security_context.as_ref().and_then(|it| it.run_as_group).unwrap_or(DEFAULT_ID)
    }
}

/// The "nonroot" user and group of the field's minimal images.
pub const DEFAULT_ID: i64 = 65532;
