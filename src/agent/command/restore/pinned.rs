//! What were the sources of a volume pinned to, where others put its bytes in their places? On per-node volumes each node
//! warms up to the pins, out of the backup.

use super::Restore;
use crate::agent::backup::check::{self, Check};
use crate::agent::backup::repository::Repository;
use crate::agent::backup::repository::snapshot::{Snapshot, VolumeSnapshot};
use crate::agent::command::output::Done;
use crate::agent::failure::Failure;
use crate::agent::restore::origin;
use crate::agent::restore::own_state::Target;
use crate::agent::restore::volume::damage;
use crate::api::model_cache::ModelCacheSpec;
use crate::api::quantity::human;
use crate::api::source::Source;
use crate::api::{ModelCache, Reason};
use crate::contract::outcome::{Outcome, Restored};
use crate::contract::plan::Pin;
use std::collections::BTreeMap;
use std::time::Instant;

impl Restore {
    /// The pins of the volumes that are only asked for them; nothing where there are none.
    ///
    /// # Errors
    /// `ChecksumMismatch` when the snapshot lacks something of them; `InvalidSpec` when a source is no longer what it was, so
    /// that its pin means nothing.
    pub(super) async fn pinned(
        &self,
        repository: &Repository,
        snapshot: &Snapshot,
        then: &ModelCacheSpec,
        cache: Option<&ModelCache>,
        began: Instant,
    ) -> Result<Option<Done>, Failure> {
        // A few files of another time are no revision.
        if !self.include.is_empty() || !self.exclude.is_empty() {
            return Ok(None);
        }
        let asked = snapshot.volumes.iter().filter(|it| self.pins_of.contains(&it.name) && it.files > 0);
        let volumes: Vec<VolumeSnapshot> = asked.cloned().collect();
        if volumes.is_empty() {
            return Ok(None);
        }
        let spec = cache.map_or(then, |it| &it.spec);
        let name = cache.and_then(|it| it.metadata.name.clone()).unwrap_or_else(|| snapshot.cache.clone());
        let mut pins: BTreeMap<String, Pin> = BTreeMap::new();
        for volume in &volumes {
            let target = Target { cache: name.clone(), volume: volume.name.clone(), spec: spec.clone() };
            let found = origin::pins(&target, then, volume);
            check_all(&target, &found, &snapshot.id)?;
            pins.extend(found);
        }
        let (files, bytes) = volumes.iter().fold((0, 0), |sum, it| (sum.0 + it.files, sum.1 + it.bytes));
        let part = Snapshot { volumes, ..snapshot.clone() };
        let lacks = Check::new(repository, &check::all(repository).await?).quick(&part).await?;
        if !lacks.is_empty() {
            return Err(damage(&lacks, "; nothing was restored"));
        }
        let message = format!("{files} files, {} as of {}: each node puts them there", human(bytes), snapshot.time);
        let restored = Restored {
            snapshot: snapshot.id.clone(),
            files,
            bytes,
            seconds: began.elapsed().as_secs(),
            manifest: snapshot.digest.clone(),
        };
        let outcome = Outcome { restore: Some(restored), pins, ..Outcome::success(Reason::Restored, message) };
        Ok(Some(Done { cache: Some(name), ..Done::of(outcome) }))
    }
}

/// Every source of the volume must have its pin: a copy with some of another time is none of this one.
fn check_all(target: &Target, pins: &BTreeMap<String, Pin>, snapshot: &str) -> Result<(), Failure> {
    let here = |it: &&Source| target.spec.volume_of(it).is_some_and(|it| it.name == target.volume);
    match target.spec.sources.iter().filter(here).find(|it| !pins.contains_key(&it.name)) {
        None => Ok(()),
        Some(other) => Err(Failure::new(
            Reason::InvalidSpec,
            format!(
                "volume `{}` is per node, and source `{}` is not as it was in snapshot {snapshot}: take the spec that \
                 --print-spec shows, or restore to a claim",
                target.volume, other.name
            ),
        )),
    }
}
