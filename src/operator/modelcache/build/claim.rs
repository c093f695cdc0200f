//! The PersistentVolumeClaim that pods mount.

use super::metadata;
use crate::api::ModelCache;
use crate::api::volume::{AccessMode, Volume};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// The claim of a per-node volume, bound beforehand to its one PersistentVolume. Class `""`: no provisioner acts on it.
pub fn per_node(cache: &ModelCache, volume: &Volume, persistent_volume: &str) -> PersistentVolumeClaim {
    claim(
        cache,
        volume,
        PersistentVolumeClaimSpec {
            access_modes: Some(vec![AccessMode::ReadWriteMany.as_str()]),
            storage_class_name: Some(String::new()),
            volume_name: Some(persistent_volume.to_owned()),
            ..PersistentVolumeClaimSpec::default()
        },
    )
}

/// The claim of a shared volume.
pub fn shared(cache: &ModelCache, volume: &Volume) -> Option<PersistentVolumeClaim> {
    let shared = volume.shared.as_ref()?;
    let modes =
        if shared.access_modes.is_empty() { vec![AccessMode::ReadWriteMany] } else { shared.access_modes.clone() };
    Some(claim(
        cache,
        volume,
        PersistentVolumeClaimSpec {
            access_modes: Some(modes.into_iter().map(AccessMode::as_str).collect()),
            storage_class_name: shared.storage_class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        },
    ))
}

fn claim(cache: &ModelCache, volume: &Volume, spec: PersistentVolumeClaimSpec) -> PersistentVolumeClaim {
    let storage = volume.size().cloned().unwrap_or_else(|| Quantity("1Gi".into()));
    PersistentVolumeClaim {
        metadata: metadata(cache, volume.claim_name(&cache.name_any()), Some(&volume.name), false),
        spec: Some(PersistentVolumeClaimSpec {
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".into(), storage)])),
                limits: None,
            }),
            ..spec
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cache, shared_cache};
    use super::*;

    #[test]
    fn the_claim_of_a_per_node_volume_is_bound_to_its_own_persistent_volume() {
        let cache = cache();
        insta::assert_yaml_snapshot!(per_node(&cache, &cache.spec.volumes[0], "team-studio-models-0"));
    }

    #[test]
    fn the_claim_of_a_shared_volume_asks_its_class() {
        let cache = shared_cache();
        insta::assert_yaml_snapshot!(shared(&cache, &cache.spec.volumes[0]));
    }
}
