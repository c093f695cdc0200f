//! Is what is on a volume still what was put there? Offline, from the manifests; what is damaged is marked, so that the
//! next prefetch brings it again and nothing else.
//!
//! ```text
//! manifests ─► look (kind, size, target; hub, modes) ─► deep: bytes, over all cores, large files first ─► findings, notes
//!                                                                       mark (for the next prefetch) ◄──┘
//! prefetch ─► mend (what needs nobody's bytes) ─► is_whole ─► the rest from the origin
//! ```

mod bytes;
pub mod finding;
pub mod foreign;
pub mod hub;
pub mod look;
pub mod mend;
pub mod modes;
pub mod ollama;
mod page_cache;

use super::failure::Failure;
use super::fetch::{hex, over_cores};
use super::layout::manifest::{self, Manifest, What};
use super::layout::publish::Publisher;
use super::layout::safe_path::Root;
use super::layout::{OWN, current, held, state};
use super::prefetch::report::Report;
use crate::api::Reason;
use crate::contract::outcome::{Evidence, Outcome};
use finding::{Finding, Kind, Note, Wrong};
use rustix::fs::Stat;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// How closely is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Kind and size of each file, target of each link, modes.
    Quick,
    /// The bytes of each file too.
    Deep,
}

/// What was found on a volume.
#[derive(Clone, Debug)]
pub struct Verified {
    /// For the kubelet, the exit code and people in a hurry.
    pub outcome: Outcome,
    /// Everything that is damaged.
    pub damage: Vec<Finding>,
    /// What is only worth a word.
    pub notes: Vec<Note>,
}

/// Names shown in a message at most.
const SHOWN: usize = 10;

/// A file to hash: where it is said to be, by manifest and entry. More than one where they are one file on the disk.
struct Job {
    size: u64,
    members: Vec<(usize, usize)>,
}

/// Looks at everything that the cache has on a volume. `wanted`: content hash of the plan (empty when not known)
/// and names of the sources; a source without a manifest is then damage too. Blocking.
pub fn verify(
    volume: &Path,
    cache: &str,
    wanted: Option<(&str, &[&str])>,
    depth: Depth,
    report: &Report,
    say: &(dyn Fn(String) + Sync),
) -> Result<Verified, Failure> {
    let root = Root::open(volume)?;
    let mut manifests = Manifest::read_all(&root, cache)?;
    if let Some((_, sources)) = wanted {
        manifests.retain(|it| sources.contains(&it.source.as_str()));
    }
    let mut damage = without_manifest(&root, cache, wanted.map(|it| it.1), &manifests)?;
    if manifests.is_empty() && damage.is_empty() && wanted.is_none_or(|(_, sources)| !sources.is_empty()) {
        let message = format!("nothing of cache `{cache}` was ever completed on {}: run prefetch", volume.display());
        return Ok(Verified { outcome: Outcome::failure(Reason::Damaged, message), damage, notes: vec![] });
    }
    for manifest in &manifests {
        report.wanted(manifest.entries.len() as u64, manifest.entries.iter().map(manifest::Entry::size).sum());
    }
    report.listed();

    let mut evidence = Evidence::default();
    let mut notes = foreign_notes(&root, cache, &manifests)?;
    let mut jobs: HashMap<(u64, u64), Job> = HashMap::new();
    let mut wrong: Vec<Vec<Option<Wrong>>> = Vec::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let looked = over_cores(&manifest.entries, |entry| look::look(&root, manifest, entry));
        let mut found = Vec::with_capacity(looked.len());
        for (at, (entry, looked)) in manifest.entries.iter().zip(looked).enumerate() {
            found.push(match looked {
                Err(wrong) => Some(wrong),
                Ok(None) => None,
                Ok(Some(stat)) => barred(manifest, &entry.path, &stat, &mut notes).or_else(|| {
                    let job = Job { size: entry.size(), members: vec![] };
                    jobs.entry((stat.st_dev, stat.st_ino)).or_insert(job).members.push((index, at));
                    // A quick look cannot clear a file whose bytes were found wrong.
                    (depth == Depth::Quick && entry.damaged)
                        .then(|| Wrong::new(Kind::Content, "was found to have other bytes than were published"))
                }),
            });
        }
        wrong.push(found);
        let (directories, more) = modes::of_directories(&root, manifest)?;
        notes.extend(more);
        for it in directories {
            say_or_find(it, &manifest.source, &mut damage, &mut notes);
        }
        damage.extend(hub::contradiction(&root, manifest)?.map(|(path, wrong)| wrong.at(&path, &manifest.source)));
    }
    if depth == Depth::Deep {
        evidence.hashed_files = deep(&root, &manifests, jobs, &mut wrong, report);
    }

    for (manifest, wrong) in manifests.iter_mut().zip(wrong) {
        let (mut changed, before) = (false, damage.len());
        for (entry, wrong) in manifest.entries.iter_mut().zip(wrong) {
            // What a prefetch sees by itself needs no mark; that the bytes are wrong it cannot see.
            let kinds = [Kind::Content, Kind::Unreadable];
            let unseen = wrong.as_ref().is_some_and(|it| kinds.contains(&it.kind));
            changed |= entry.damaged != unseen;
            entry.damaged = unseen;
            damage.extend(wrong.map(|it| it.at(&entry.path, &manifest.source)));
        }
        if before == damage.len() && !damage.iter().any(|it| it.source == manifest.source) {
            let gone = manifest.expired_at.is_some();
            *if gone { &mut evidence.expired_files } else { &mut evidence.files } += manifest.files;
            evidence.bytes += manifest.bytes;
        }
        if changed {
            noted(say, || mark(&root, cache, manifest));
        }
    }
    // One thing that two sources share is one thing.
    let mut seen = BTreeSet::new();
    damage.retain(|it| seen.insert((it.path.clone(), it.source.clone())));
    notes.dedup();
    if !damage.is_empty() && current::read(&root, cache)?.is_some() {
        noted(say, || Ok(current::remove(&root, cache)?));
    }
    if damage.is_empty() {
        evidence.plan = match wanted {
            Some((plan, _)) if !plan.is_empty() => plan.to_owned(),
            _ => current::read(&root, cache)?.unwrap_or_default(),
        };
    }
    Ok(Verified { outcome: told(&damage, evidence), damage, notes })
}

/// Hashes files, large ones first so that no core is left alone with the largest at the end. Returns how many were.
fn deep(
    root: &Root,
    manifests: &[Manifest],
    jobs: HashMap<(u64, u64), Job>,
    wrong: &mut [Vec<Option<Wrong>>],
    report: &Report,
) -> u64 {
    let mut jobs: Vec<Job> = jobs.into_values().collect();
    jobs.sort_unstable_by(|a, b| (b.size, &a.members).cmp(&(a.size, &b.members)));
    let entry = |(manifest, entry): (usize, usize)| &manifests[manifest].entries[entry];
    let hashes = over_cores(&jobs, |job| {
        let path = job.members.first().map_or("", |first| entry(*first).path.as_str());
        let hash = match held::file(root, path) {
            Ok(Some(file)) => bytes::sha256(&file, |read| report.there(0, read)).map_err(|error| error.to_string()),
            Ok(None) => Err("it went away meanwhile".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let others = (job.members.len() as u64).saturating_sub(1);
        report.there(job.members.len() as u64, job.size.saturating_mul(others));
        hash
    });
    let mut count = 0;
    for (job, hash) in jobs.iter().zip(hashes) {
        for member in &job.members {
            let (manifest, entry) = (&manifests[member.0], entry(*member));
            let What::File { sha256, .. } = &entry.what else { continue };
            count += 1;
            let found = match &hash {
                Ok((_, found)) if hex(found) == *sha256 => None,
                Ok(_) if hub::is_tree(manifest, entry) => hub::check_tree(root, &entry.path).err(),
                Ok(_) => Some(Wrong::new(Kind::Content, "has other bytes than were published")),
                Err(error) => Some(Wrong::new(Kind::Unreadable, format!("cannot be read: {error}"))),
            };
            if let Some(slot) = wrong.get_mut(member.0).and_then(|it| it.get_mut(member.1)) {
                *slot = found.or_else(|| slot.take());
            }
        }
    }
    count
}

/// Sources that are wanted, or have a manifest on the disk, and none that can be believed.
fn without_manifest(
    root: &Root,
    cache: &str,
    wanted: Option<&[&str]>,
    manifests: &[Manifest],
) -> Result<Vec<Finding>, Failure> {
    let there = manifest::sources(root, cache)?;
    let nothing = there.is_empty();
    let mut names: BTreeSet<&str> = wanted.unwrap_or_default().iter().copied().collect();
    if wanted.is_none() {
        names.extend(there.iter().map(String::as_str));
    }
    let lost = names.into_iter().filter(|name| !nothing && !manifests.iter().any(|it| it.source == *name));
    let finding = |name: &str| {
        let detail = if there.iter().any(|it| it == name) {
            "cannot be believed: run prefetch, which makes it anew from the files that are there"
        } else {
            "is missing: the source is not complete"
        };
        Wrong::new(Kind::Manifest, detail).at(&manifest::path(cache, name), name)
    };
    Ok(lost.map(finding).collect())
}

fn barred(manifest: &Manifest, path: &str, stat: &Stat, notes: &mut Vec<Note>) -> Option<Wrong> {
    let it = modes::of_file(manifest, path, stat)?;
    if it.ours {
        return Some(it.wrong);
    }
    notes.push(Note::new(path, it.wrong.detail));
    None
}

fn say_or_find(it: modes::Barred, source: &str, damage: &mut Vec<Finding>, notes: &mut Vec<Note>) {
    if it.ours {
        damage.push(it.wrong.at(&it.path, source));
    } else {
        notes.push(Note::new(it.path, it.wrong.detail));
    }
}

/// What others have beside us, as far as a hub's cache goes.
fn foreign_notes(root: &Root, cache: &str, manifests: &[Manifest]) -> Result<Vec<Note>, Failure> {
    if !manifests.iter().any(|it| hub::repository(it).is_some()) {
        return Ok(vec![]);
    }
    let mut all = Manifest::read_retired(root, cache)?;
    for other in root.names(OWN)?.iter().filter(|it| *it != cache) {
        // What is no directory of a cache has no manifests.
        all.extend(Manifest::read_all(root, other).unwrap_or_default());
        all.extend(Manifest::read_retired(root, other).unwrap_or_default());
    }
    let all: Vec<&Manifest> = manifests.iter().chain(&all).collect();
    Ok(foreign::notes(root, &all)?)
}

fn told(damage: &[Finding], evidence: Evidence) -> Outcome {
    if damage.is_empty() {
        let message = format!("{} files are as they were published", evidence.files);
        return Outcome { evidence: Some(evidence), ..Outcome::success(Reason::Warmed, message) };
    }
    let names: Vec<String> = damage.iter().take(SHOWN).map(Finding::to_string).collect();
    let more = if damage.len() > SHOWN { " …" } else { "" };
    let message = format!(
        "{} damaged: {}{more}; run prefetch, which brings these and nothing else",
        damage.len(),
        names.join("; ")
    );
    Outcome { evidence: Some(evidence), ..Outcome::failure(Reason::Damaged, message) }
}

/// Notes what was found. On a volume that is mounted read-only it is only said.
fn noted(say: &(dyn Fn(String) + Sync), note: impl FnOnce() -> Result<(), Failure>) {
    if let Err(error) = note() {
        say(format!("what was found could not be noted on the volume: {error}"));
    }
}

fn mark(root: &Root, cache: &str, manifest: &Manifest) -> Result<(), Failure> {
    let mut publisher = Publisher::new(root, format!("{}/new", state(cache)))?;
    manifest.write(root, &mut publisher, cache)?;
    Ok(publisher.finish()?)
}
