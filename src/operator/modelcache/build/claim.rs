//! The PersistentVolumeClaim that pods mount.

use super::metadata;
use crate::api::ModelCache;
use crate::api::volume::{AccessMode, Volume};
use k8s_openapi::api::core::v1::{
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// The claim of a per-node volume, bound beforehand to its one PersistentVolume. Class `""`: no provisioner acts on it. It
/// asks for what the PersistentVolume has: a claim that asks for more, because `size` has grown since, would never bind.
pub fn per_node(cache: &ModelCache, volume: &Volume, found: &PersistentVolume) -> PersistentVolumeClaim {
    let capacity = found.spec.as_ref().and_then(|it| it.capacity.as_ref()).and_then(|it| it.get("storage"));
    claim(
        cache,
        volume,
        capacity.or(volume.size()),
        PersistentVolumeClaimSpec {
            access_modes: Some(vec![AccessMode::ReadWriteMany.as_str()]),
            storage_class_name: Some(String::new()),
            volume_name: found.metadata.name.clone(),
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
        volume.size(),
        PersistentVolumeClaimSpec {
            access_modes: Some(modes.into_iter().map(AccessMode::as_str).collect()),
            storage_class_name: shared.storage_class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        },
    ))
}

fn claim(
    cache: &ModelCache,
    volume: &Volume,
    size: Option<&Quantity>,
    spec: PersistentVolumeClaimSpec,
) -> PersistentVolumeClaim {
    let storage = size.cloned().unwrap_or_else(|| Quantity("1Gi".into()));
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
    use k8s_openapi::api::core::v1::PersistentVolumeSpec;

    #[test]
    fn the_claim_of_a_per_node_volume_is_bound_to_its_own_persistent_volume() {
        let cache = cache();
        insta::assert_yaml_snapshot!(per_node(&cache, &cache.spec.volumes[0], &named("team-studio-models-0")));
    }

    #[test]
    fn a_claim_that_is_made_again_after_size_has_grown_asks_for_what_its_persistent_volume_has() {
        let cache = cache();
        let mut small = named("team-studio-models-0");
        let capacity = BTreeMap::from([("storage".into(), Quantity("40Gi".into()))]);
        small.spec = Some(PersistentVolumeSpec { capacity: Some(capacity), ..PersistentVolumeSpec::default() });
        let claim = per_node(&cache, &cache.spec.volumes[0], &small);
        let requests = claim.spec.and_then(|it| it.resources).and_then(|it| it.requests);
        assert_eq!(requests.and_then(|it| it.get("storage").cloned()), Some(Quantity("40Gi".into())));
    }

    fn named(name: &str) -> PersistentVolume {
        let mut volume = PersistentVolume::default();
        volume.metadata.name = Some(name.into());
        volume
    }

    #[test]
    fn the_claim_of_a_shared_volume_asks_its_class() {
        let cache = shared_cache();
        insta::assert_yaml_snapshot!(shared(&cache, &cache.spec.volumes[0]));
    }
}
