//! A source's Secret keys as files in the pod: optional, so that a missing one is the agent's to report.

use crate::api::name::short_hash;
use crate::api::source::{SecretFile, Source};
use crate::contract::mount;
use k8s_openapi::api::core::v1::{
    KeyToPath, ProjectedVolumeSource, SecretProjection, SecretVolumeSource, Volume, VolumeMount, VolumeProjection,
};

/// Volume and mount of the Secrets that a source names. Without the optional mark the pod would hang in ContainerCreating.
pub fn secret_volume(source: &Source) -> Option<(Volume, VolumeMount)> {
    volume_of(&source.name, &source.secrets())
}

fn volume_of(source: &str, secrets: &[SecretFile<'_>]) -> Option<(Volume, VolumeMount)> {
    let item = |key: &str, file: &str| Some(vec![KeyToPath { key: key.into(), path: file.into(), mode: None }]);
    let name = format!("secret-{}", short_hash(&[source]));
    let mut volume = Volume { name: name.clone(), ..Volume::default() };
    match secrets {
        [] => return None,
        [one] => {
            volume.secret = Some(SecretVolumeSource {
                secret_name: Some(one.reference.name.clone()),
                items: item(&one.reference.key, one.file),
                optional: Some(true),
                ..SecretVolumeSource::default()
            });
        }
        several => {
            let project = |it: &SecretFile<'_>| VolumeProjection {
                secret: Some(SecretProjection {
                    name: it.reference.name.clone(),
                    items: item(&it.reference.key, it.file),
                    optional: Some(true),
                }),
                ..VolumeProjection::default()
            };
            let sources = Some(several.iter().map(project).collect());
            volume.projected = Some(ProjectedVolumeSource { sources, default_mode: None });
        }
    }
    let mount = VolumeMount {
        name,
        mount_path: format!("{}/{source}", mount::SECRETS),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    Some((volume, mount))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::source::SecretKeyRef;

    #[test]
    fn secrets_of_several_names_are_files_of_one_directory_and_none_holds_up_the_pod() {
        let (one, two) = (
            SecretKeyRef { name: "a".into(), key: "id".into() },
            SecretKeyRef { name: "b".into(), key: "secret".into() },
        );
        let files = [
            SecretFile { file: "access-key-id", reference: &one, stand_in: "AWS_ACCESS_KEY_ID" },
            SecretFile { file: "secret-access-key", reference: &two, stand_in: "AWS_SECRET_ACCESS_KEY" },
        ];
        insta::assert_yaml_snapshot!(volume_of("store", &files));
    }
}
