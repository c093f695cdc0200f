//! What do our own documents say after a restore? The manifests and pins of the snapshot: so that `verify` knows the files,
//! the next `prefetch` fetches nothing, and no run takes the restored revision for an old one.

use super::choice::Choice;
use super::stage::{Stage, check_name};
use crate::agent::backup::repository::snapshot::VolumeSnapshot;
use crate::agent::failure::Failure;
use crate::agent::layout::manifest::{self, Manifest, What};
use crate::agent::layout::safe_path::Root;
use crate::agent::layout::{self, LayoutError};
use crate::agent::local::Pins;
use crate::agent::prefetch::publish::is_of;
use crate::api::model_cache::ModelCacheSpec;
use crate::api::source::Source;
use crate::contract::plan::{Plan, PlannedSource};
use std::collections::{HashMap, HashSet};

/// Whose volume is restored.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name of the cache: manifests live under it.
    pub cache: String,
    /// Name of the volume.
    pub volume: String,
    /// The spec that is wanted there.
    pub spec: ModelCacheSpec,
}

/// The manifests that are on the volume, and which of their files are restored to something else.
pub struct Theirs {
    manifests: Vec<Manifest>,
    by_path: HashMap<String, Vec<(usize, usize)>>,
    changed: Vec<bool>,
}

impl Theirs {
    /// The manifests of a cache.
    pub fn read(root: &Root, cache: &str) -> Result<Self, LayoutError> {
        let manifests = Manifest::read_all(root, cache)?;
        let mut by_path: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (at, manifest) in manifests.iter().enumerate() {
            for (entry, it) in manifest.entries.iter().enumerate() {
                by_path.entry(it.path.clone()).or_default().push((at, entry));
            }
        }
        let changed = vec![false; manifests.len()];
        Ok(Self { manifests, by_path, changed })
    }

    /// A file is restored: whoever lists another content there must not be believed any more.
    pub fn restored(&mut self, path: &str, sha256: &str) {
        for (at, entry) in self.by_path.get(path).into_iter().flatten() {
            let Some(it) = self.manifests.get_mut(*at).and_then(|it| it.entries.get_mut(*entry)) else { continue };
            if matches!(&it.what, What::File { sha256: theirs, .. } if theirs != sha256) && !it.damaged {
                it.damaged = true;
                if let Some(changed) = self.changed.get_mut(*at) {
                    *changed = true;
                }
            }
        }
    }
}

impl Theirs {
    /// These files are not known to be what anybody lists.
    pub fn doubt(&mut self, paths: &HashSet<String>) {
        for (manifest, changed) in self.manifests.iter_mut().zip(&mut self.changed) {
            for entry in manifest.entries.iter_mut().filter(|it| !it.damaged && paths.contains(&it.path)) {
                entry.damaged = true;
                *changed = true;
            }
        }
    }

    /// Stages the manifests that are not to be believed in everything any more. Gives what `current` says, if that still holds.
    pub fn stage(self, root: &Root, stage: &Stage, cache: &str, mine: &[Manifest]) -> Result<Option<String>, Failure> {
        for (manifest, changed) in self.manifests.iter().zip(&self.changed) {
            if *changed && !mine.iter().any(|it| it.source == manifest.source) {
                put(
                    stage,
                    &manifest::path(cache, &manifest.source),
                    &serde_json::to_vec(manifest).unwrap_or_default(),
                )?;
            }
        }
        Ok(layout::current::read(root, cache)?.filter(|_| !self.changed.contains(&true)))
    }
}

/// What our documents are to say.
pub struct Own<'a> {
    /// Whose volume it becomes.
    pub target: &'a Target,
    /// The volume of the snapshot.
    pub from: &'a VolumeSnapshot,
    /// The spec of the snapshot.
    pub then: &'a ModelCacheSpec,
    /// What is wanted.
    pub choice: &'a Choice,
    /// The manifests of the snapshot's sources.
    pub manifests: Vec<Manifest>,
}

impl Own<'_> {
    /// Stages them. Gives the hash of the plan that is complete with them, if one is.
    pub fn stage(&self, root: &Root, stage: &Stage, theirs: Theirs) -> Result<Option<String>, Failure> {
        let cache = &self.target.cache;
        for manifest in &self.manifests {
            put(stage, &manifest::path(cache, &manifest.source), &serde_json::to_vec(manifest).unwrap_or_default())?;
        }
        let still = theirs.stage(root, stage, cache, &self.manifests)?;
        if !self.choice.is_all() {
            // A few files of another time are no revision.
            return Ok(still);
        }
        let spec = &self.target.spec;
        let mut pins = Pins::read(root, cache)?;
        let mut plan = Plan::new(cache, &self.target.volume);
        let volume = spec.volumes.iter().find(|it| it.name == self.target.volume);
        plan.directories = volume.map(|it| it.directories.clone()).unwrap_or_default();
        for directory in plan.directories.iter().filter(|it| check_name(it).is_ok()) {
            if root.stat(directory)?.is_none() {
                stage.root().make_directory(directory)?;
            }
        }
        let of_volume = |it: &&Source| spec.volume_of(it).is_some_and(|it| it.name == self.target.volume);
        let sources: Vec<&Source> = spec.sources.iter().filter(of_volume).collect();
        for source in &sources {
            // A pin holds for the spec that it was made for.
            let same = |it: &Source| it.name == source.name && it.spec_hash() == source.spec_hash();
            if let Some(pin) = self.from.pins.get(&source.name).filter(|_| self.then.sources.iter().any(same)) {
                pins.keep(source, pin.clone());
                plan.sources.push(PlannedSource { source: (*source).clone(), pin: pin.clone() });
            }
        }
        if !self.from.pins.is_empty() {
            let path = format!("{}/pins.json", layout::state(cache));
            put(stage, &path, &serde_json::to_vec_pretty(&pins).unwrap_or_default())?;
        }
        let complete = plan.sources.len() == sources.len() && !plan.sources.is_empty();
        let known = |it: &PlannedSource| {
            let key = layout::key_in(&plan, &it.source).ok();
            let of_it = |found: &&Manifest| found.source == it.source.name;
            let found = self.manifests.iter().find(of_it);
            found.zip(key).is_some_and(|(found, key)| is_of(found, &it.pin, &key))
        };
        Ok((complete && plan.sources.iter().all(known)).then(|| plan.content_hash()))
    }
}

fn put(stage: &Stage, path: &str, bytes: &[u8]) -> Result<(), Failure> {
    stage.drop(path)?;
    let mut writing = stage.content([(path, 0o644)])?;
    Ok(writing.take(bytes).map_err(|error| LayoutError::new(stage.root().shown(path), error))?)
}
