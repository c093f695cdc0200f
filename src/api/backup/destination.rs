//! Where do backups go? A bucket, or a directory of a claim.

use crate::api::object_store::{Azure, Gcs, S3};
use crate::api::source::{ObjectStore, SecretFile};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A place for backups. Several caches may share one: each has a directory of its own there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.s3), has(self.gcs), has(self.azure), has(self.volume)].filter(set, set).size() == 1")
        .message("exactly one of `s3`, `gcs`, `azure` and `volume` must be set"),
    validation = Rule::new("!has(self.prefix) || !has(self.volume)")
        .message("`prefix` must not be set beside `volume`, which has `path`"),
    validation = Rule::new("!((has(self.s3) && has(self.s3.anonymous) && self.s3.anonymous) || (has(self.gcs) && has(self.gcs.anonymous) && self.gcs.anonymous) || (has(self.azure) && has(self.azure.anonymous) && self.azure.anonymous))")
        .message("`anonymous` must not be true: nobody may write to a place of backups without showing who it is")
)]
pub struct Destination {
    /// A bucket of Amazon S3, or of a store that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,

    /// A bucket of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<Gcs>,

    /// A container of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<Azure>,

    /// A directory on a claim of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<ClaimDirectory>,

    /// The directory in the bucket; the bucket's root when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._/-]+$') && !self.split('/').exists(p, p == '..' || p == '.' || p == '')")
        .message("`prefix` must be a directory in the bucket: a relative path of letters, digits, dots, dashes and underscores, without `.`, `..` and empty parts"))]
    pub prefix: Option<String>,
}

/// A directory on a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimDirectory {
    /// Name of the PersistentVolumeClaim, in the cache's namespace. It should be on another disk than what is backed up.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub claim_name: String,

    /// The directory on the claim; its root when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._/-]+$') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache')")
        .message("`path` must be a relative path of letters, digits, dots, dashes and underscores, without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

/// The one place that a destination is.
#[derive(Clone, Debug, PartialEq)]
pub enum Place<'a> {
    /// A bucket, as sources name one.
    Bucket(Box<ObjectStore>),
    /// A directory on a claim.
    Claim(&'a ClaimDirectory),
}

impl Destination {
    /// The one place that is set; `None` when none is, or more than one.
    pub fn place(&self) -> Option<Place<'_>> {
        let bucket = ObjectStore {
            s3: self.s3.clone(),
            gcs: self.gcs.clone(),
            azure: self.azure.clone(),
            prefix: self.prefix.clone(),
            include: vec![],
            exclude: vec![],
            path: None,
        };
        match (&self.volume, bucket.store().is_some()) {
            (Some(claim), false) => Some(Place::Claim(claim)),
            (None, true) => Some(Place::Bucket(Box::new(bucket))),
            _ => None,
        }
    }

    /// The Secrets that it names.
    pub fn secrets(&self) -> Vec<SecretFile<'_>> {
        let s3 = self.s3.iter().flat_map(S3::secrets);
        let gcs = self.gcs.iter().flat_map(Gcs::secrets);
        let azure = self.azure.iter().flat_map(Azure::secrets);
        s3.chain(gcs).chain(azure).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_destination_is_one_place() {
        let read = |document| serde_json::from_value::<Destination>(document).unwrap();
        assert!(
            matches!(read(json!({"s3": {"bucket": "abc"}, "prefix": "x"})).place(), Some(Place::Bucket(it)) if it.effective_prefix() == "x")
        );
        assert!(matches!(read(json!({"volume": {"claimName": "nas"}})).place(), Some(Place::Claim(_))));
        assert_eq!(read(json!({"volume": {"claimName": "nas"}, "s3": {"bucket": "abc"}})).place(), None);
        assert_eq!(read(json!({})).place(), None);
    }
}
