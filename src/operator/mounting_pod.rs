//! Which claims does a pod mount? As much of it as that takes: a whole one is ten kilobytes and more, and there are many.

use crate::api::{GROUP, label};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

/// A pod, without all that we do not ask of somebody else's. What is not named here is skipped as it is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Resource)]
#[resource(inherit = Pod)]
pub struct MountingPod {
    /// Its name, its labels, and since when it is there.
    pub metadata: ObjectMeta,
    /// Where it runs, and what it mounts.
    #[serde(default)]
    pub spec: Spec,
    /// Whether it is over.
    #[serde(default)]
    pub status: Status,
}

/// Where a pod runs, and what it mounts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Its node, once it has one.
    pub node_name: Option<String>,
    /// Its volumes.
    #[serde(default)]
    pub volumes: Vec<Volume>,
}

/// A volume of a pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// The claim, if it is one.
    pub persistent_volume_claim: Option<Claim>,
}

/// A claim that a pod mounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Its name.
    pub claim_name: String,
}

/// Whether a pod is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: Option<String>,
}

impl MountingPod {
    /// Names of the claims that it mounts.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.spec.volumes.iter().filter_map(|it| Some(it.persistent_volume_claim.as_ref()?.claim_name.as_str()))
    }

    /// Whether it mounts a claim.
    pub fn mounts(&self, claim: &str) -> bool {
        self.claims().any(|it| it == claim)
    }

    /// Whether it has ended, and will not begin again.
    pub fn is_over(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// Whether a label of it says this.
    pub fn is(&self, label: &str, value: &str) -> bool {
        self.metadata.labels.as_ref().and_then(|it| it.get(label)).is_some_and(|it| it == value)
    }

    /// Whether it is a pod of one of our Jobs.
    pub fn is_ours(&self) -> bool {
        self.is(label::MANAGED_BY, label::MANAGER)
    }

    /// The same with only what is ever asked of it, so that two looks at a pod that has not changed for us are equal.
    #[must_use]
    pub fn stripped(self) -> Self {
        let Self { metadata, mut spec, mut status } = self;
        let asked_of =
            |key: &str| key == label::MANAGED_BY || key.strip_prefix(GROUP).is_some_and(|it| it.starts_with('/'));
        let labels = metadata.labels.map(|it| it.into_iter().filter(|(key, _)| asked_of(key)).collect());
        spec.volumes.retain(|it| it.persistent_volume_claim.is_some());
        spec.volumes.shrink_to_fit();
        // Whether it waits, runs or is not heard of is all the same.
        status.phase = status.phase.filter(|it| matches!(it.as_str(), "Succeeded" | "Failed"));
        let metadata = ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            labels,
            creation_timestamp: metadata.creation_timestamp,
            deletion_timestamp: metadata.deletion_timestamp,
            ..ObjectMeta::default()
        };
        Self { metadata, spec, status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_a_pod_is_kept_what_tells_who_uses_a_claim_and_nothing_else() {
        let whole = json!({
            "metadata": {
                "name": "server", "namespace": "studio", "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-11-21T12:00:00Z", "deletionTimestamp": "2026-11-21T13:00:00Z",
                "labels": {"app": "x", label::CACHE: "studio", label::MANAGED_BY: "somebody", "modelcache.development/x": "y"},
                "annotations": {"long": "text"}, "managedFields": [{"manager": "kubectl"}]
            },
            "spec": {"nodeName": "a", "containers": [{"name": "server", "image": "server"}], "volumes": [
                {"name": "tmp", "emptyDir": {}}, {"name": "m", "persistentVolumeClaim": {"claimName": "studio-models"}}
            ]},
            "status": {"phase": "Running", "podIP": "10.0.0.1"}
        });
        let kept = json!({
            "metadata": {
                "name": "server", "namespace": "studio", "uid": "u",
                "creationTimestamp": "2026-11-21T12:00:00Z", "deletionTimestamp": "2026-11-21T13:00:00Z",
                "labels": {label::CACHE: "studio", label::MANAGED_BY: "somebody"}
            },
            "spec": {"nodeName": "a", "volumes": [{"persistentVolumeClaim": {"claimName": "studio-models"}}]}
        });
        let read = |it: serde_json::Value| serde_json::from_value::<MountingPod>(it).unwrap();
        assert_eq!(read(whole.clone()).stripped(), read(kept));
        assert_eq!(read(whole).claims().collect::<Vec<_>>(), ["studio-models"]);
        assert_eq!(read(json!({"metadata": {"name": "bare"}})).claims().count(), 0);
    }
}
