//! A source's Secret key as a file in the pod: optional, so that a missing one is the agent's to report.

use crate::api::source::Source;
use crate::contract::mount;
use k8s_openapi::api::core::v1::{KeyToPath, SecretVolumeSource, Volume, VolumeMount};

/// Volume and mount of the Secret that a source names. Without the optional mark the pod would hang in ContainerCreating.
pub fn secret_volume(source: &Source) -> Option<(Volume, VolumeMount)> {
    let reference = source.secret()?;
    let name = format!("secret-{}", crate::api::name::short_hash(&[&source.name]));
    let volume = Volume {
        name: name.clone(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(reference.name.clone()),
            items: Some(vec![KeyToPath { key: reference.key.clone(), path: "token".into(), mode: None }]),
            optional: Some(true),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mount = VolumeMount {
        name,
        mount_path: format!("{}/{}", mount::SECRETS, source.name),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    Some((volume, mount))
}
