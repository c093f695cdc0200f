//! Which files on another claim are wanted, and where do they go?

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is on a PersistentVolumeClaim of the namespace already: hashed, and copied to the volume, or kept where it is when the
/// claim is the volume's own. The claim is only read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Name of the PersistentVolumeClaim, in the cache's namespace. Copies on several nodes need one that several nodes can
    /// mount: ReadWriteMany or ReadOnlyMany.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("`claimName` must be the name of a PersistentVolumeClaim: lower-case letters, digits, dashes and dots"))]
    pub claim_name: String,

    /// Only files below this directory of the claim; `.` for its root, which is also what leaving it out means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self == '.' || (!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache'))")
        .message("`directory` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"))]
    pub directory: Option<String>,

    /// Only files that match one of these patterns, as Python's fnmatch reads them: `*` also crosses `/`, a pattern that ends
    /// in `/` takes the whole directory. They are held against the name below `directory`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub include: Vec<String>,

    /// No file that matches one of these patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub exclude: Vec<String>,

    /// The directory on the volume, relative to its root, `.` for the root itself; the same as `directory` when left out, so
    /// that files lie on the volume as they lie on the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self == '.' || (!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache'))")
        .message("`path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

impl Claim {
    /// The directory of the claim in effect.
    pub fn effective_directory(&self) -> &str {
        self.directory.as_deref().unwrap_or(".")
    }

    /// The directory on the volume in effect, relative to its root.
    pub fn effective_path(&self) -> &str {
        self.path.as_deref().unwrap_or_else(|| self.effective_directory())
    }

    /// What ends up where, wherever it comes from.
    pub fn identity(&self) -> Value {
        json!(["claim", self.effective_path()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_on_the_volume_as_they_lie_on_the_claim_unless_a_path_is_given() {
        for (document, directory, path) in [
            (json!({"claimName": "x"}), ".", "."),
            (json!({"claimName": "x", "directory": "hub/a"}), "hub/a", "hub/a"),
            (json!({"claimName": "x", "directory": "hub/a", "path": "."}), "hub/a", "."),
            (json!({"claimName": "x", "path": "old"}), ".", "old"),
        ] {
            let claim: Claim = serde_json::from_value(document).unwrap();
            assert_eq!((claim.effective_directory(), claim.effective_path()), (directory, path));
        }
    }

    #[test]
    fn the_claim_that_files_come_from_is_no_part_of_what_they_are() {
        let one: Claim = serde_json::from_value(json!({"claimName": "a", "path": "x"})).unwrap();
        let other: Claim = serde_json::from_value(json!({"claimName": "b", "directory": "x"})).unwrap();
        assert_eq!(one.identity(), other.identity());
    }
}
