//! How are the volumes of one snapshot restored? All of them are proven aside before the first is touched.

use super::Restore;
use crate::agent::backup::check::{self, Check};
use crate::agent::backup::repository::Repository;
use crate::agent::backup::repository::snapshot::Snapshot;
use crate::agent::command::output::{Done, Output};
use crate::agent::failure::Failure;
use crate::agent::local;
use crate::agent::prefetch::report::Report;
use crate::agent::restore::choice::Choice;
use crate::agent::restore::origin::{self, Reach};
use crate::agent::restore::room;
use crate::agent::restore::volume::{Prepared, Staged, VolumeRestore, damage};
use crate::agent::source::Origins;
use crate::agent::source::access::Access;
use crate::api::model_cache::ModelCacheSpec;
use crate::api::name::is_label;
use crate::api::quantity::human;
use crate::api::source::Source;
use crate::api::{ModelCache, Reason};
use crate::contract::outcome::{Outcome, Restored};
use crate::contract::plan::Pin;
use std::collections::BTreeMap;
use std::time::Instant;

impl Restore {
    pub(super) async fn results(&self, output: &Output) -> Result<Vec<Done>, Failure> {
        let origins = self.network.origins()?;
        let cache = self.cache()?;
        let repository = self.repositories.open(cache.as_ref(), &origins, self.secrets()).await?;
        let snapshot = self.chosen(&repository, cache.as_ref()).await?;
        if self.verify {
            return Ok(vec![self.verified(&repository, &snapshot).await?]);
        }
        let cache = cache.filter(|_| !self.volumes_of_snapshot);
        let then = spec_of(&snapshot)?;
        let began = Instant::now();
        output.line(&format!(
            "snapshot {} of {}/{}, {}: {} files, {}",
            snapshot.id,
            snapshot.namespace,
            snapshot.cache,
            snapshot.time,
            snapshot.files,
            human(snapshot.bytes)
        ));
        let ways = self.ways(&snapshot, &then, cache.as_ref())?;
        let choice = Choice::of(&self.include, &self.exclude);
        let keep_until = self.keep_until()?;
        let works: Vec<VolumeRestore<'_>> = ways
            .iter()
            .map(|way| VolumeRestore {
                repository: &repository,
                snapshot: &snapshot,
                then: &then,
                from: &way.from,
                to: &way.to,
                target: &way.target,
                choice: &choice,
                keep_going: self.keep_going,
                writer: self.writer(),
                min_free: self.min_free,
                keep_until,
            })
            .collect();
        let pinned = self.pinned(&repository, &snapshot, &then, cache.as_ref(), began).await?;
        self.check_pins(&works, pinned.as_ref())?;
        let mut prepared: Vec<Prepared> = Vec::new();
        for work in &works {
            prepared.push(work.prepare().await.map_err(|it| of_volume(&it, &work.from.name))?);
        }
        room::check(works.iter().zip(&prepared)).await?;
        // Everything of all volumes is aside and proven before the first of them is touched.
        let mut staged: Vec<Staged> = Vec::new();
        for (work, prepared) in works.iter().zip(prepared) {
            staged.push(work.stage(prepared).await.map_err(|it| of_volume(&it, &work.from.name))?);
        }
        let mut done = Vec::new();
        for (work, staged) in works.iter().zip(staged) {
            let outcome = self.finish_volume(output, &origins, work, staged, began).await;
            let outcome = outcome.unwrap_or_else(|it| Outcome::failure(it.reason, it.message));
            let (cache, volume) = (Some(work.target.cache.clone()), Some(work.from.name.clone()));
            done.push(Done { cache, volume, ..Done::of(outcome) });
        }
        done.extend(pinned);
        if done.is_empty() {
            let message = format!("nothing of snapshot {} is wanted; nothing was restored", snapshot.id);
            return Err(Failure::new(Reason::NoFiles, message));
        }
        Ok(done)
    }

    /// Switches a volume, and lets its sources bring what has no bytes in the backup.
    pub(super) async fn finish_volume(
        &self,
        output: &Output,
        origins: &Origins,
        work: &VolumeRestore<'_>,
        staged: Staged,
        began: Instant,
    ) -> Result<Outcome, Failure> {
        let (files, bytes, written) = (staged.files, staged.bytes, staged.written);
        let (wanted, damaged) = (staged.origins.clone(), staged.damaged.clone());
        staged.switch(&work.target.cache)?;
        if !wanted.is_empty() {
            let report = Report::default();
            let access = |source: &Source| match &self.file {
                _ if self.mounted_inputs => self.network.mounted(source),
                Some(file) => self.network.local(source, file),
                None => Access::local(source, &|name| std::env::var(name).ok(), &|_| None),
            };
            let reach = Reach { origins, access: &access, report: &report, say: &|line| output.line(&line) };
            let fetched = output.follow(&report, origin::fetch(work, &wanted, &reach)).await?;
            if !fetched.succeeded {
                let message = format!(
                    "what the backup has bytes of is restored; the rest comes from its origin, and did not: {}",
                    fetched.message
                );
                return Err(Failure::new(fetched.reason, message));
            }
        }
        if !damaged.is_empty() {
            return Err(damage(&damaged, "; all other files are restored"));
        }
        let snapshot = work.snapshot;
        let message = format!(
            "{files} files, {} as of {}, {} written; what was there is kept for {}: --rollback puts it back",
            human(bytes),
            snapshot.time,
            human(written),
            self.grace
        );
        let restored = Restored {
            snapshot: snapshot.id.clone(),
            files,
            bytes,
            seconds: began.elapsed().as_secs(),
            manifest: snapshot.digest.clone(),
        };
        // A few files of another time are no revision.
        let pins = if work.choice.is_all() { pins_of(work) } else { BTreeMap::new() };
        Ok(Outcome { restore: Some(restored), pins, ..Outcome::success(Reason::Restored, message) })
    }

    /// A pod can say so much at its end and no more: seen before anything is touched, since half of the pins are none.
    fn check_pins(&self, works: &[VolumeRestore<'_>], pinned: Option<&Done>) -> Result<(), Failure> {
        let mut pins: BTreeMap<String, Pin> = pinned.map(|it| it.outcome.pins.clone()).unwrap_or_default();
        pins.extend(works.iter().filter(|it| it.choice.is_all()).flat_map(pins_of));
        if self.owner.is_none() || Outcome::has_room_for(&pins) {
            return Ok(());
        }
        let message = format!(
            "the pins of {} sources do not fit into what a pod can say at its end: use fewer sources in one ModelCache; nothing \
             was restored",
            pins.len()
        );
        Err(Failure::new(Reason::InvalidSpec, message))
    }

    /// Whether a snapshot could be restored.
    pub(super) async fn verified(&self, repository: &Repository, snapshot: &Snapshot) -> Result<Done, Failure> {
        let mut check = Check::new(repository, &check::all(repository).await?);
        let mut damaged = check.quick(snapshot).await?;
        if self.deep {
            damaged.extend(check.deep(snapshot).await?);
            damaged.sort_by(|a, b| a.path.cmp(&b.path));
            damaged.dedup_by(|a, b| a.path == b.path);
        }
        if !damaged.is_empty() {
            return Err(damage(&damaged, &format!("; snapshot {} cannot be restored whole", snapshot.id)));
        }
        let how = if self.deep { "every byte was read" } else { "everything is there, by its size" };
        let message = format!("snapshot {} of {}: {} files, {how}", snapshot.id, snapshot.time, snapshot.files);
        Ok(Done { cache: Some(snapshot.cache.clone()), ..Done::of(Outcome::success(Reason::BackedUp, message)) })
    }
}

fn pins_of(work: &VolumeRestore<'_>) -> BTreeMap<String, Pin> {
    origin::pins(work.target, work.then, work.from)
}

/// The spec that a snapshot carries. Whoever can write at the place of the backups may have written it, so it is held to what the
/// API server and the schema would have refused: names become paths, of volumes and of Secrets.
fn spec_of(snapshot: &Snapshot) -> Result<ModelCacheSpec, Failure> {
    let refused = |why: String| {
        let message = format!("the spec in snapshot {} is not understood: {why}; nothing was restored", snapshot.id);
        Failure::new(Reason::ChecksumMismatch, message)
    };
    let spec = serde_json::from_value(snapshot.spec.clone()).map_err(|error| refused(error.to_string()))?;
    let cache = ModelCache::new(&snapshot.cache, spec);
    local::check(&cache).map_err(refused)?;
    if let Some(volume) = snapshot.volumes.iter().find(|it| !is_label(&it.name)) {
        return Err(refused(format!("the name of a volume must be a DNS label, not {:?}", volume.name)));
    }
    Ok(cache.spec)
}

fn of_volume(failure: &Failure, volume: &str) -> Failure {
    Failure::new(failure.reason, format!("volume `{volume}`: {}", failure.message))
}
