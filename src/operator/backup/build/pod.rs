//! The pod of a backup: reads the volumes, writes to the destination, holds no API token.

use super::config_map::mounted;
use super::place::Place;
use crate::api::ModelCache;
use crate::api::backup::{Backup, Destination};
use crate::api::source::SecretFile;
use crate::contract::mount;
use crate::operator::modelcache::build::labels;
use crate::operator::pod::{AgentJob, claim, mounted_claim};
use crate::operator::replica::build::inputs::secret_volume;
use k8s_openapi::api::core::v1::{Volume, VolumeMount};
use kube::ResourceExt;

/// Seconds that a backup may run: half a day. A first one over slow lines takes hours; a killed one is taken up by the next.
const DEADLINE_SECONDS: i64 = 43_200;

/// What all Jobs of backups of a cache have in common: all but name, owner, and whose attempt it is.
///
/// `pinned` are the snapshots that its retention must leave alone.
pub fn agent_job(
    cache: &ModelCache,
    backup: &Backup,
    config_map: String,
    place: &Place,
    pinned: &[String],
) -> AgentJob {
    let covered = cache.spec.volumes.iter().filter(|it| backup.covers(&it.name));
    let claims = covered.map(|it| {
        let (mut volume, mount) = claim(&it.name, &it.claim_name(&cache.name_any()), true);
        // Their directories have their owner: the kubelet is not to give them to the group for the other volumes' sake.
        if let Some(source) = volume.persistent_volume_claim.as_mut().filter(|_| it.per_node.is_some()) {
            source.read_only = Some(true);
        }
        (volume, mount)
    });
    let all =
        claims.chain([mounted(config_map)]).chain(destination(&backup.destination)).chain(keys(&backup.secrets()));
    let (volumes, mounts) = all.unzip();
    AgentJob {
        namespace: cache.namespace().unwrap_or_default(),
        labels: labels(cache, None),
        args: arguments(backup, pinned),
        volumes,
        mounts,
        affinity: place.affinity.clone(),
        tolerations: place.tolerations.clone(),
        deadline_seconds: DEADLINE_SECONDS,
        give_volume_to_group: place.give_volume_to_group,
        ..AgentJob::default()
    }
}

/// The arguments. With a retention the run ends with a prune by it.
fn arguments(backup: &Backup, pinned: &[String]) -> Vec<String> {
    let own = ["backup", "-f", mount::CACHE, "--volumes-dir", mount::VOLUMES, "--backup-secrets-dir", mount::SECRETS];
    let claim = backup.destination.volume.as_ref().map(|_| ["--claim-dir", mount::BACKUP]);
    let prune = backup.retention.as_ref().map(|_| "--prune");
    let pins = pinned.iter().filter(|_| prune.is_some()).map(|it| format!("--pin={it}"));
    own.into_iter().chain(claim.into_iter().flatten()).chain(prune).map(str::to_owned).chain(pins).collect()
}

/// The claim that a destination is on.
pub fn destination(destination: &Destination) -> Option<(Volume, VolumeMount)> {
    let claim = destination.volume.as_ref()?;
    Some(mounted_claim("destination", &claim.claim_name, mount::BACKUP.into(), false))
}

/// The Secrets of destination and encryption: none of them holds up the pod.
pub fn keys(secrets: &[SecretFile<'_>]) -> Option<(Volume, VolumeMount)> {
    secret_volume(mount::BACKUP_SECRETS, secrets)
}
