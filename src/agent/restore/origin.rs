//! Who brings what a backup has no bytes of? Its source, from its origin, at the snapshot's pin; what comes must be what was.

use super::own_state::Target;
use super::volume::VolumeRestore;
use crate::agent::backup::repository::list::At;
use crate::agent::backup::repository::snapshot::VolumeSnapshot;
use crate::agent::failure::Failure;
use crate::agent::fetch::FetchOptions;
use crate::agent::layout::manifest::{Manifest, What};
use crate::agent::layout::safe_path::Root;
use crate::agent::prefetch::Prefetch;
use crate::agent::prefetch::report::Report;
use crate::agent::source::Origins;
use crate::agent::source::access::Access;
use crate::api::Reason;
use crate::api::model_cache::ModelCacheSpec;
use crate::api::source::Source;
use crate::contract::outcome::Outcome;
use crate::contract::plan::{Pin, Plan, PlannedSource};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How origins are reached.
pub struct Reach<'a> {
    /// The origins.
    pub origins: &'a Origins,
    /// The token of a source.
    pub access: &'a (dyn Fn(&Source) -> Result<Access, Failure> + Sync),
    /// How far it is.
    pub report: &'a Report,
    /// Lines for people.
    pub say: &'a (dyn Fn(String) + Sync),
}

/// Fetches what `sources` have to bring of a volume that was restored otherwise. Where all of the volume was, all its sources
/// are looked at, so that `current` is right in the end. Where only some files were, the sources of others stay as they are.
///
/// # Errors
/// `InvalidSpec` when a source is no longer in the spec, as it was; else as `prefetch`; `ChecksumMismatch` when the origin
/// has something else at the pin.
pub async fn fetch(
    work: &VolumeRestore<'_>,
    sources: &BTreeSet<String>,
    reach: &Reach<'_>,
) -> Result<Outcome, Failure> {
    let (plan, all) = plan(work, sources)?;
    let prefetch = Prefetch {
        plan: &plan,
        volume: work.to,
        writer: work.writer.clone(),
        partial: !all,
        unresolved: vec![],
        listed: BTreeMap::new(),
        origins: reach.origins,
        access: reach.access,
        options: FetchOptions { min_free_bytes: work.min_free, ..FetchOptions::default() },
        report: reach.report,
        say: reach.say,
    };
    let outcome = prefetch.run().await;
    if outcome.succeeded {
        proven(work, sources).await?;
    }
    Ok(outcome)
}

/// The pins that a snapshot of a volume has for its sources as they are now: those whose spec is still what it was then.
pub fn pins(target: &Target, then: &ModelCacheSpec, from: &VolumeSnapshot) -> BTreeMap<String, Pin> {
    let here = |it: &&Source| target.spec.volume_of(it).is_some_and(|it| it.name == target.volume);
    let pinned = |it: &Source| Some((it.name.clone(), pin_of(it, then, from)?.clone()));
    target.spec.sources.iter().filter(here).filter_map(pinned).collect()
}

fn pin_of<'a>(source: &Source, then: &ModelCacheSpec, from: &'a VolumeSnapshot) -> Option<&'a Pin> {
    let same = then.sources.iter().any(|it| it.name == source.name && it.spec_hash() == source.spec_hash());
    from.pins.get(&source.name).filter(|_| same)
}

/// What is fetched at which pins, and whether that is all that the cache wants on the volume.
fn plan(work: &VolumeRestore<'_>, wanted: &BTreeSet<String>) -> Result<(Plan, bool), Failure> {
    let Target { cache, volume, spec } = work.target;
    let mut plan = Plan::new(cache, volume);
    let mut all = work.choice.is_all();
    let wanted_volume = spec.volumes.iter().find(|it| it.name == *volume).filter(|_| all);
    plan.directories = wanted_volume.map(|it| it.directories.clone()).unwrap_or_default();
    let here = |it: &&Source| spec.volume_of(it).is_some_and(|it| it.name == *volume);
    for source in spec.sources.iter().filter(here) {
        let moves = work.choice.is_all() || wanted.contains(&source.name);
        match pin_of(source, work.then, work.from).filter(|_| moves) {
            Some(pin) => plan.sources.push(PlannedSource { source: source.clone(), pin: pin.clone() }),
            None => all = false,
        }
    }
    match wanted.iter().find(|name| !plan.sources.iter().any(|it| it.source.name == **name)) {
        None => Ok((plan, all)),
        Some(missing) => Err(Failure::new(
            Reason::InvalidSpec,
            format!(
                "files of source `{missing}` are fetched from its origin, and the ModelCache has no such source as it was in the \
                 snapshot: take the spec that --print-spec shows, or leave -f out"
            ),
        )),
    }
}

/// Whether every file that came from an origin is the file of the snapshot.
async fn proven(work: &VolumeRestore<'_>, sources: &BTreeSet<String>) -> Result<(), Failure> {
    let root = Root::open(work.to)?;
    let mut there: HashMap<String, String> = HashMap::new();
    for manifest in Manifest::read_all(&root, &work.target.cache)? {
        for entry in manifest.entries {
            if let What::File { sha256, .. } = entry.what {
                there.insert(entry.path, sha256);
            }
        }
    }
    for chunk in &work.from.list {
        for entry in work.repository.entries(chunk).await? {
            let fetched = |at: &At| matches!(at, At::Origin { source } if sources.contains(source));
            let Some(file) = entry.file().filter(|it| fetched(&it.at)) else { continue };
            match there.get(&entry.path) {
                Some(found) if *found == file.sha256 => {}
                Some(found) => {
                    let message = format!(
                        "{} came from its origin with the SHA-256 {found}, and the snapshot has {}",
                        entry.path, file.sha256
                    );
                    return Err(Failure::new(Reason::ChecksumMismatch, message));
                }
                None if work.choice.is_all() => {
                    let message = format!("{} is in the snapshot, and its source did not bring it", entry.path);
                    return Err(Failure::new(Reason::ListingMismatch, message));
                }
                None => {}
            }
        }
    }
    Ok(())
}
