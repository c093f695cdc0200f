//! Where does each volume of a snapshot go?

use super::Restore;
use crate::agent::backup::repository::snapshot::{Snapshot, VolumeSnapshot};
use crate::agent::failure::Failure;
use crate::agent::restore::own_state::Target;
use crate::api::model_cache::ModelCacheSpec;
use crate::api::{ModelCache, Reason};
use crate::contract::mount;
use std::path::PathBuf;

/// A volume of the snapshot, and where it goes.
pub(super) struct Way {
    pub(super) from: VolumeSnapshot,
    pub(super) to: PathBuf,
    pub(super) target: Target,
}

impl Restore {
    /// Where each wanted volume of the snapshot goes.
    pub(super) fn ways(
        &self,
        snapshot: &Snapshot,
        then: &ModelCacheSpec,
        cache: Option<&ModelCache>,
    ) -> Result<Vec<Way>, Failure> {
        let invalid = |what: String| Failure::new(Reason::InvalidSpec, what);
        let known: Vec<&str> = snapshot.volumes.iter().map(|it| it.name.as_str()).collect();
        if let Some(unknown) = self.volumes.iter().find(|it| !known.contains(&it.as_str())) {
            let message = format!("the snapshot has no volume `{unknown}`, but {}", known.join(", "));
            return Err(Failure::new(Reason::NotFound, message));
        }
        let wanted = |it: &&VolumeSnapshot| {
            (self.volumes.is_empty() || self.volumes.contains(&it.name)) && !self.pins_of.contains(&it.name)
        };
        // A volume of which there is nothing is nothing to restore, unless somebody asks for it.
        let some = |it: &&VolumeSnapshot| it.files > 0 || !self.volumes.is_empty() || snapshot.files == 0;
        let chosen: Vec<&VolumeSnapshot> = snapshot.volumes.iter().filter(wanted).filter(some).collect();
        let spec = cache.map_or(then, |it| &it.spec);
        let name = cache.and_then(|it| it.metadata.name.clone()).unwrap_or_else(|| snapshot.cache.clone());
        let target = |volume: &str| Target { cache: name.clone(), volume: volume.to_owned(), spec: spec.clone() };
        if let Some(to) = &self.to {
            let [one] = chosen.as_slice() else {
                let message = format!(
                    "--to is for one volume, and the snapshot has {}: name one with --volume",
                    known.join(", ")
                );
                return Err(invalid(message));
            };
            return Ok(vec![Way { from: (*one).clone(), to: to.into(), target: target(&one.name) }]);
        }
        let base = self.volumes_dir.clone().unwrap_or_else(|| mount::VOLUMES.into());
        if let Some(missing) = chosen.iter().find(|it| !spec.volumes.iter().any(|volume| volume.name == it.name)) {
            let message = format!(
                "the ModelCache has no volume `{}`, which the snapshot has: choose others with --volume, or a directory with --to",
                missing.name
            );
            return Err(invalid(message));
        }
        Ok(chosen
            .into_iter()
            .map(|it| Way { from: it.clone(), to: base.join(&it.name), target: target(&it.name) })
            .collect())
    }
}
