//! Which objects of an object store are wanted, and where do they go?

use super::SecretFile;
use crate::api::object_store::{Azure, Gcs, S3};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The objects below a prefix of one object store, as files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.s3), has(self.gcs), has(self.azure)].filter(set, set).size() == 1")
        .message("exactly one of `s3`, `gcs` and `azure` must be set")
)]
pub struct ObjectStore {
    /// A bucket of Amazon S3, or of a store that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,

    /// A bucket of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<Gcs>,

    /// A container of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<Azure>,

    /// Only objects below this directory; their names on the volume begin after it. The whole bucket when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.contains('//') && !self.split('/').exists(p, p == '..' || p == '.')")
        .message("`prefix` must be a directory in the bucket: a relative path without `.`, `..` and empty parts"))]
    pub prefix: Option<String>,

    /// Only objects that match one of these patterns, as Python's fnmatch reads them: `*` also crosses `/`, a pattern that
    /// ends in `/` takes the whole directory. They are held against the name after `prefix`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub include: Vec<String>,

    /// No object that matches one of these patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub exclude: Vec<String>,

    /// The directory on the volume, relative to its root; `objects/<bucket>/<prefix>` when left out, `.` for the root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self == '.' || (!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache'))")
        .message("`path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

/// The one store that a source is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Store<'a> {
    /// S3.
    S3(&'a S3),
    /// Google Cloud Storage.
    Gcs(&'a Gcs),
    /// Azure Blob Storage.
    Azure(&'a Azure),
}

impl ObjectStore {
    /// The one store that is set; `None` when none is, or more than one.
    pub fn store(&self) -> Option<Store<'_>> {
        let stores =
            [self.s3.as_ref().map(Store::S3), self.gcs.as_ref().map(Store::Gcs), self.azure.as_ref().map(Store::Azure)];
        let mut set = stores.into_iter().flatten();
        set.next().filter(|_| set.next().is_none())
    }

    /// The prefix in effect, without a slash at its end; empty for the whole bucket.
    pub fn effective_prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default().trim_end_matches('/')
    }

    /// The directory in effect, relative to the volume's root.
    pub fn effective_path(&self) -> String {
        let own = || {
            let bucket = self.store().map(Store::bucket).unwrap_or_default();
            let prefix = self.effective_prefix();
            if prefix.is_empty() { format!("objects/{bucket}") } else { format!("objects/{bucket}/{prefix}") }
        };
        self.path.clone().unwrap_or_else(own)
    }

    /// What ends up where, wherever it comes from.
    pub fn identity(&self) -> Value {
        json!(["objectStore", self.effective_path()])
    }

    /// The Secrets that it names.
    pub fn secrets(&self) -> Vec<SecretFile<'_>> {
        match self.store() {
            Some(Store::S3(it)) => it.secrets(),
            Some(Store::Gcs(it)) => it.secrets(),
            Some(Store::Azure(it)) => it.secrets(),
            None => vec![],
        }
    }
}

impl<'a> Store<'a> {
    /// Name of the bucket or container.
    pub fn bucket(self) -> &'a str {
        match self {
            Self::S3(it) => &it.bucket,
            Self::Gcs(it) => &it.bucket,
            Self::Azure(it) => &it.container,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(document: Value) -> ObjectStore {
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn objects_lie_on_the_volume_as_they_lie_in_the_bucket_unless_a_path_is_given() {
        for (document, expected) in [
            (json!({"s3": {"bucket": "models"}}), "objects/models"),
            (json!({"gcs": {"bucket": "models"}, "prefix": "llama/v3/"}), "objects/models/llama/v3"),
            (json!({"azure": {"account": "x", "container": "models"}, "prefix": "a", "path": "."}), "."),
        ] {
            assert_eq!(source(document).effective_path(), expected);
        }
    }

    #[test]
    fn where_objects_come_from_is_no_part_of_what_they_are() {
        let one = json!({"s3": {"bucket": "models", "endpoint": "http://minio"}, "path": "llama"});
        let other = json!({"gcs": {"bucket": "elsewhere"}, "path": "llama"});
        assert_eq!(source(one).identity(), source(other).identity());
    }

    #[test]
    fn the_bucket_stands_in_the_path_where_a_host_could_not_name_it() {
        for (document, expected) in [
            (json!({"bucket": "models"}), false),
            (json!({"bucket": "models.example"}), true),
            (json!({"bucket": "models", "endpoint": "http://minio:9000/"}), true),
            (json!({"bucket": "models", "endpoint": "http://minio:9000", "forcePathStyle": false}), false),
        ] {
            let s3: S3 = serde_json::from_value(document.clone()).unwrap();
            assert_eq!(s3.effective_path_style(), expected, "{document}");
        }
    }

    #[test]
    fn two_stores_are_none() {
        let both = source(json!({"s3": {"bucket": "models"}, "gcs": {"bucket": "models"}}));
        assert_eq!((both.store(), both.secrets()), (None, vec![]));
    }
}
