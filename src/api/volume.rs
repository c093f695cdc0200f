//! Where does a cache keep its content? A directory on every node, one shared claim, or a claim that is there already.

use super::quantity::size_schema;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One volume of a cache. Pods mount the PersistentVolumeClaim `<cache>-<volume>` (or the existing claim).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.perNode) ? 1 : 0) + (has(self.shared) ? 1 : 0) + (has(self.existingClaim) ? 1 : 0) == 1")
        .message("exactly one of `perNode`, `shared` and `existingClaim` must be set"),
    validation = Rule::new("has(self.perNode) == has(oldSelf.perNode) && has(self.shared) == has(oldSelf.shared) && has(self.existingClaim) == has(oldSelf.existingClaim)")
        .message("the kind of a volume is immutable: `perNode`, `shared` or `existingClaim` must stay what it was; add a volume of another name instead")
)]
pub struct Volume {
    /// Name of the volume, unique in the cache: a DNS label of at most 63 characters.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("`name` must be a DNS label: lower-case letters, digits and dashes, with no dash at either end"))]
    pub name: String,

    /// Where pods see the volume: an absolute path. `/modelcache/<name>` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^/[^:]*[^:/]$') && !self.split('/').exists(p, p == '..' || p == '.')")
        .message("`mountPath` must be an absolute path below the root, without `.`, `..`, a colon or a slash at its end"))]
    pub mount_path: Option<String>,

    /// A directory on every matching node of a NodeCachePool; each node holds its own copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_node: Option<PerNode>,

    /// One claim made from a StorageClass, with one copy that all pods share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shared>,

    /// A claim of this namespace that is there already. It is filled, and never deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_claim: Option<ExistingClaim>,

    /// Directories to make on the volume, relative to its root, with mode 0755.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(d, !d.startsWith('/') && !d.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache'))")
        .message("`directories` must be relative paths without `.`, `..`, empty parts or `.modelcache`"))]
    pub directories: Vec<String>,
}

/// A copy on every matching node, on that node's own disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PerNode {
    /// Name of the NodeCachePool that says which nodes and where on their disks. Immutable.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("`pool` must be a DNS label: lower-case letters, digits and dashes, with no dash at either end"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("`pool` is immutable: make a new volume or a new cache"))]
    pub pool: String,

    /// Budget on every node, as a quantity of bytes such as `60Gi`. The agent keeps to it; it also reserves this much of
    /// the pool's capacity.
    #[schemars(schema_with = "size_schema")]
    pub size: Quantity,
}

/// One claim from a StorageClass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
        .message("`storageClassName` is immutable, because a PersistentVolumeClaim's is: add a volume of another name instead"),
    validation = Rule::new("has(self.accessModes) == has(oldSelf.accessModes) && (!has(self.accessModes) || self.accessModes == oldSelf.accessModes)")
        .message("`accessModes` is immutable, because a PersistentVolumeClaim's is: add a volume of another name instead"),
    validation = Rule::new("quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0")
        .message("`size` must not shrink, because a PersistentVolumeClaim cannot")
)]
pub struct Shared {
    /// Size of the claim, as a quantity of bytes such as `60Gi`. May grow where the StorageClass allows expansion.
    #[schemars(schema_with = "size_schema")]
    pub size: Quantity,

    /// StorageClass of the claim; the cluster's default class when left out. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub storage_class_name: Option<String>,

    /// Access modes of the claim; `ReadWriteMany` when left out. Immutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.size() <= 1 || !('ReadWriteOncePod' in self)").message("the access mode ReadWriteOncePod must stand alone"))]
    pub access_modes: Vec<AccessMode>,
}

/// How nodes may mount a claim, in Kubernetes' own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// One node writes.
    ReadWriteOnce,
    /// Many nodes read.
    ReadOnlyMany,
    /// Many nodes write.
    ReadWriteMany,
    /// One pod writes.
    ReadWriteOncePod,
}

impl AccessMode {
    /// As a claim spells it.
    pub fn as_str(self) -> String {
        format!("{self:?}")
    }
}

/// A claim that somebody else made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExistingClaim {
    /// Name of the PersistentVolumeClaim, in the cache's namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("`claimName` is immutable: add a volume of another name instead"))]
    pub claim_name: String,
}

impl Volume {
    /// The mount path in effect.
    pub fn effective_mount_path(&self) -> String {
        self.mount_path.clone().unwrap_or_else(|| format!("/modelcache/{}", self.name))
    }

    /// The claim that pods mount.
    pub fn claim_name(&self, cache: &str) -> String {
        match &self.existing_claim {
            Some(existing) => existing.claim_name.clone(),
            None => super::name::claim(cache, &self.name),
        }
    }

    /// The size asked for, where the kind of volume has one.
    pub fn size(&self) -> Option<&Quantity> {
        self.per_node.as_ref().map(|it| &it.size).or_else(|| self.shared.as_ref().map(|it| &it.size))
    }
}
