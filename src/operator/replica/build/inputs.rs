//! What a source names in its namespace, as files in the pod: optional, so that a missing one is the agent's to report.

use crate::api::name::short_hash;
use crate::api::pod_template::ConfigMapKeyRef;
use crate::api::source::{SecretFile, Source};
use crate::contract::mount;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource, ProjectedVolumeSource, SecretProjection,
    SecretVolumeSource, Volume, VolumeMount, VolumeProjection,
};

/// Volumes and mounts of the Secrets and the ConfigMap that a source names. Without the optional mark the pod would hang in
/// ContainerCreating.
pub fn input_volumes(source: &Source) -> Vec<(Volume, VolumeMount)> {
    let secrets = secret_volume(&source.name, &source.secrets());
    let config = source.config_map().map(|it| config_volume(&source.name, it));
    let claim = source.claim.as_ref().map(|it| claim_volume(&source.name, &it.claim_name));
    secrets.into_iter().chain(config).chain(claim).collect()
}

/// The inputs of several sources in one pod, where a claim is one volume however many sources read it: the kubelet waits for
/// ever for a claim that a pod names twice. One that is among the pod's other volumes, `there`, is read through that.
pub fn all_inputs<'a>(sources: impl Iterator<Item = &'a Source>, there: &[Volume]) -> (Vec<Volume>, Vec<VolumeMount>) {
    let claim_name = |it: &Volume| it.persistent_volume_claim.as_ref().map(|it| it.claim_name.clone());
    let (mut volumes, mut mounts) = (Vec::<Volume>::new(), Vec::new());
    for (volume, mut mount) in sources.flat_map(input_volumes) {
        let claim = claim_name(&volume);
        if let Some(same) = there.iter().find(|it| claim.is_some() && claim_name(it) == claim) {
            same.name.clone_into(&mut mount.name);
        } else if !volumes.iter().any(|it| it.name == volume.name) {
            volumes.push(volume);
        }
        mounts.push(mount);
    }
    (volumes, mounts)
}

/// A claim that is only read. The kubelet changes neither owner nor mode of what it mounts so.
fn claim_volume(source: &str, claim_name: &str) -> (Volume, VolumeMount) {
    let name = format!("claim-{}", short_hash(&[claim_name]));
    let volume = Volume {
        name: name.clone(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim_name.to_owned(),
            read_only: Some(true),
        }),
        ..Volume::default()
    };
    let mount_path = format!("{}/{source}", mount::CLAIMS);
    (volume, VolumeMount { name, mount_path, read_only: Some(true), ..VolumeMount::default() })
}

fn config_volume(source: &str, reference: &ConfigMapKeyRef) -> (Volume, VolumeMount) {
    let name = format!("config-{}", short_hash(&[source]));
    let item = KeyToPath { key: reference.key.clone(), path: mount::CONFIG_FILE.into(), mode: None };
    let volume = Volume {
        name: name.clone(),
        config_map: Some(ConfigMapVolumeSource {
            name: reference.name.clone(),
            items: Some(vec![item]),
            optional: Some(true),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mount_path = format!("{}/{source}", mount::CONFIG);
    (volume, VolumeMount { name, mount_path, read_only: Some(true), ..VolumeMount::default() })
}

/// The Secrets of a source as files of one directory, `/secrets/<source>`.
pub fn secret_volume(source: &str, secrets: &[SecretFile<'_>]) -> Option<(Volume, VolumeMount)> {
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
        insta::assert_yaml_snapshot!(secret_volume("store", &files));
    }

    #[test]
    fn a_config_map_that_a_source_names_does_not_hold_up_the_pod_either() {
        let pip =
            serde_json::json!({"name": "p", "pip": {"requirementsFrom": {"name": "lock", "key": "requirements.txt"}}});
        let source: Source = serde_json::from_value(pip).unwrap();
        insta::assert_yaml_snapshot!(input_volumes(&source));
    }

    #[test]
    fn a_claim_is_mounted_once_and_read_only_however_many_sources_read_it() {
        let sources: Vec<Source> = serde_json::from_value(serde_json::json!([
            {"name": "a", "claim": {"claimName": "old", "directory": "a"}},
            {"name": "b", "claim": {"claimName": "old", "directory": "b"}},
            {"name": "own", "claim": {"claimName": "home"}},
        ]))
        .unwrap();
        let (there, _) = crate::operator::pod::mounted_claim("volume", "home", "/volumes/models".into(), false);
        insta::assert_yaml_snapshot!(all_inputs(sources.iter(), &[there]));
    }
}
