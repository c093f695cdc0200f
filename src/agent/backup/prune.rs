//! What goes from a repository, and how? Snapshots that retention removes; then every object that no snapshot needs.
//!
//! ```text
//! pruning/ marker ─► is a backup running? ─► every snapshot and list is read ─► rule ─► breaker ─► snapshots go
//!      ─► mark: what the others need ─► sweep: what nobody needs and is old enough
//! ```
//!
//! # Guarantees
//!
//! - Never at once with a backup: whoever sees the other's marker gives way, and our own is renewed before objects go.
//! - What cannot be read is a reason to stop, never a reason to remove.
//! - A snapshot goes before what only it needs: killed at any moment, each one that is left has all its objects.

use super::check::{self, Check};
use super::repository::at_work::{AtWork, RENEWED, Work};
use super::repository::list::At;
use super::repository::renewing::Renewing;
use super::repository::seal::Form;
use super::repository::snapshot::Snapshot;
use super::repository::store::Found;
use super::repository::{Repository, names};
use super::retention::{Candidate, Policy, Rulings, rule};
use crate::agent::failure::Failure;
use crate::agent::fetch::unhex_array;
use crate::api::Reason;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Objects that are removed at once.
const BATCH: usize = 500;
/// After so long without a renewal (a machine that slept, a store that does not answer) nothing more is removed: well before
/// anybody takes our marker for a dead one's.
const TOO_LONG: Duration = Duration::from_secs(300);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Prune<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// Which snapshots stay.
    pub policy: Policy,
    /// Snapshots that stay whatever the policy says, by their ids or the names of their objects.
    pub pinned: BTreeSet<String>,
    /// Whether a pin may name what is there no more: then it pins nothing. A person who mistypes one wants to know.
    pub pins_may_be_gone: bool,
    /// The calendar.
    pub zone: TimeZone,
    /// Objects that nobody needs stay for this long after they were written.
    pub grace: SignedDuration,
    /// Remove more than the breaker lets pass.
    pub acknowledged: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// What becomes of each snapshot, and why.
    pub rulings: Rulings,
    /// What becomes of each archive, by the same rules among themselves.
    pub archives: Rulings,
    /// Objects that went.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that nobody needs and that are too young to go.
    pub young: u64,
    /// Objects that are no names of ours: left alone.
    pub foreign: u64,
}

/// A backup in one file.
#[derive(Clone, Debug)]
struct Archived {
    time: Timestamp,
    id: String,
    object: Found,
}

impl Pruned {
    fn of(rulings: Rulings, archives: Rulings) -> Self {
        Self { rulings, archives, objects: 0, bytes: 0, young: 0, foreign: 0 }
    }

    /// Counts the archives that go. Gives their names, the oldest first.
    fn count(&mut self, archives: &[Archived]) -> Vec<String> {
        let gone: Vec<&str> = self.archives.removed().map(|it| it.id.as_str()).collect();
        let find = |id: &&str| archives.iter().find(|it| it.id == **id).map(|it| &it.object);
        let objects: Vec<&Found> = gone.iter().rev().filter_map(find).collect();
        self.objects += objects.len() as u64;
        self.bytes += objects.iter().map(|it| it.size).sum::<u64>();
        objects.into_iter().map(|it| it.name.clone()).collect()
    }
}

/// The objects that snapshots need.
#[derive(Debug, Default)]
struct Needed {
    blobs: HashSet<([u8; 32], Form)>,
    packs: HashSet<String>,
}

/// When our word was given last. By two clocks: the one that nobody sets stands still while a machine sleeps.
#[derive(Clone, Copy)]
struct Renewed(Instant, SystemTime);

impl Renewed {
    fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    fn elapsed(self) -> Duration {
        self.0.elapsed().max(self.1.elapsed().unwrap_or_default())
    }
}

/// Our word that we are at work, as long as it is fresh.
struct Turn {
    at_work: AtWork,
    renewed: Arc<Mutex<Renewed>>,
    renewing: Renewing,
}

impl Turn {
    async fn begin(repository: &Repository) -> Result<Self, Failure> {
        let at_work = AtWork::begin(repository, Work::Prune, &names::unique()?).await?;
        let renewed = Arc::new(Mutex::new(Renewed::now()));
        let (marker, fresh) = (at_work.clone(), Arc::clone(&renewed));
        let renewing = Renewing::every(RENEWED, move || {
            let (marker, fresh) = (marker.clone(), Arc::clone(&fresh));
            async move {
                let begun = Renewed::now();
                match marker.renew().await {
                    Ok(()) => *fresh.lock().unwrap_or_else(PoisonError::into_inner) = begun,
                    Err(failure) => tracing::warn!(%failure, "the marker of this prune was not renewed"),
                }
            }
        });
        Ok(Self { at_work, renewed, renewing })
    }

    /// Stops when a backup may soon take us for dead: before anything is removed.
    fn check(&self) -> Result<(), Failure> {
        if self.renewed.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < TOO_LONG {
            return Ok(());
        }
        let message =
            "the prune could not say for minutes that it is at work, and a backup may have begun: run it again";
        Err(Failure::new(Reason::Evicted, message))
    }

    async fn end(self) -> Result<(), Failure> {
        self.renewing.end().await;
        self.at_work.end().await
    }
}

impl Prune<'_> {
    /// Does it.
    ///
    /// # Errors
    /// `RepositoryInUse` when a backup or another prune is at work; `ChecksumMismatch` when a snapshot or a list cannot be
    /// read: then nothing is removed at all; `NotFound` when nothing is called as a pin is; `DeletionRefused` when more would go than may.
    pub async fn run(&self) -> Result<Pruned, Failure> {
        if self.dry_run {
            // Nothing is written: not even a marker. The plan is that of this moment.
            let snapshots = self.repository.snapshots().await?;
            let objects = check::all(self.repository).await?;
            let archives = self.archives().await?;
            let (rulings, of_archives) = self.rule(&snapshots, &objects, &archives, Timestamp::now()).await?;
            let needed = self.mark(&snapshots, &rulings).await?;
            let mut pruned = Pruned::of(rulings, of_archives);
            pruned.count(&archives);
            self.unneeded(&needed, objects, Timestamp::now(), &mut pruned);
            return Ok(pruned);
        }
        let turn = Turn::begin(self.repository).await?;
        let done = self.alone(&turn).await;
        let ended = turn.end().await;
        let pruned = done?;
        ended.map(|()| pruned)
    }

    async fn alone(&self, turn: &Turn) -> Result<Pruned, Failure> {
        for work in [Work::Backup, Work::Prune] {
            let others = turn.at_work.others(work).await?;
            if let Some(name) = others.alive.first() {
                let message = format!(
                    "{}: {name} says that somebody is at work there; nothing was removed, the next prune tries again",
                    self.repository.store.shown()
                );
                return Err(Failure::new(Reason::RepositoryInUse, message));
            }
            turn.at_work.tidy(others.stale).await?;
        }
        let now = turn.at_work.now().await?;
        let snapshots = self.repository.snapshots().await?;
        let objects = check::all(self.repository).await?;
        let archives = self.archives().await?;
        let (rulings, of_archives) = self.rule(&snapshots, &objects, &archives, now).await?;
        let breaker = rulings.breaker.or(of_archives.breaker);
        if let Some(breaker) = breaker.filter(|_| !self.acknowledged) {
            return Err(Failure::new(Reason::DeletionRefused, format!("{breaker}; nothing was removed")));
        }
        // Read before anything goes: what cannot be read stops all of it.
        let needed = self.mark(&snapshots, &rulings).await?;
        // Oldest first: however far it comes, the newest are there.
        let documents = self.repository.store.list("snapshots/").await?;
        let gone: Vec<&Candidate> = rulings.removed().collect();
        for candidate in gone.into_iter().rev() {
            turn.check()?;
            let ours = documents.iter().map(|it| &it.name).filter(|it| is_of(it, candidate)).cloned();
            self.repository.store.remove(ours.collect()).await?;
        }
        self.repository.store.sync().await?;
        let mut pruned = Pruned::of(rulings, of_archives);
        for name in pruned.count(&archives) {
            turn.check()?;
            self.repository.store.remove(vec![name]).await?;
        }
        let unneeded = self.unneeded(&needed, objects, now, &mut pruned);
        let half: Vec<String> = self.repository.store.half_written().await?;
        self.repository.store.remove_half_written(half).await?;
        for batch in unneeded.chunks(BATCH) {
            turn.check()?;
            self.repository.store.remove(batch.iter().map(|it| it.name.clone()).collect()).await?;
        }
        self.repository.store.sync().await?;
        Ok(pruned)
    }

    /// A snapshot that lacks an object is as good as a failed one: it must not be what the last good one is given up for.
    async fn rule(
        &self,
        snapshots: &[Snapshot],
        objects: &[Found],
        archives: &[Archived],
        now: Timestamp,
    ) -> Result<(Rulings, Rulings), Failure> {
        let pins: Vec<&str> = self.pinned.iter().map(|it| digits(it)).collect();
        for (pin, digits) in self.pinned.iter().zip(&pins) {
            let mut ids = snapshots.iter().map(|it| &it.id).chain(archives.iter().map(|it| &it.id));
            let found = !digits.is_empty() && ids.any(|it| it.starts_with(digits));
            if !found && !self.pins_may_be_gone {
                let message = format!(
                    "{}: no snapshot is called {pin:?}, which --pin names; nothing was removed",
                    self.repository.store.shown()
                );
                return Err(Failure::new(Reason::NotFound, message));
            }
        }
        let mut check = Check::new(self.repository, objects);
        let mut candidates = Vec::with_capacity(snapshots.len());
        for it in snapshots {
            candidates.push(Candidate {
                id: it.id.clone(),
                time: it.time,
                good: it.files > 0 && check.quick(it).await?.is_empty(),
                pinned: pins.iter().any(|digits| !digits.is_empty() && it.id.starts_with(digits)),
            });
        }
        // An archive has its name only when it is whole, and needs nothing else.
        let of_archives = archives.iter().map(|it| Candidate {
            id: it.id.clone(),
            time: it.time,
            good: it.object.size > 0,
            pinned: pins.iter().any(|digits| !digits.is_empty() && it.id.starts_with(digits)),
        });
        let of_archives: Vec<Candidate> = of_archives.collect();
        let ruled = |candidates: &[Candidate]| rule(&self.policy, candidates, &self.zone, now);
        Ok((ruled(&candidates), ruled(&of_archives)))
    }

    async fn archives(&self) -> Result<Vec<Archived>, Failure> {
        let found = self.repository.store.list("archives/").await?;
        let archive = |object: Found| {
            let (time, id) = names::parse_archive(&object.name)?;
            Some(Archived { time, id, object })
        };
        Ok(found.into_iter().filter_map(archive).collect())
    }

    /// What the snapshots that stay need.
    async fn mark(&self, snapshots: &[Snapshot], rulings: &Rulings) -> Result<Needed, Failure> {
        let stays: HashSet<&str> = rulings.kept().map(|it| it.id.as_str()).collect();
        let mut needed = Needed::default();
        let mut read: HashSet<String> = HashSet::new();
        let volumes = || snapshots.iter().filter(|it| stays.contains(it.id.as_str())).flat_map(|it| &it.volumes);
        for manifest in volumes().flat_map(|it| it.manifests.values()) {
            needed.blob(&manifest.sha256, manifest.form)?;
        }
        for chunk in volumes().flat_map(|it| &it.list) {
            needed.blob(&chunk.sha256, chunk.form)?;
            // Lists that did not change are one and the same.
            if !read.insert(chunk.sha256.clone()) {
                continue;
            }
            for entry in self.repository.entries(chunk).await? {
                match entry.file().map(|file| (&file.at, &file.sha256)) {
                    Some((At::Blob { form, .. }, sha256)) => needed.blob(sha256, *form)?,
                    Some((At::Pack { pack, .. }, _)) => _ = needed.packs.insert(names::pack(pack)),
                    Some((At::Origin { .. } | At::Empty, _)) | None => {}
                }
            }
        }
        Ok(needed)
    }

    /// Objects that nobody needs and that are old enough.
    fn unneeded(&self, needed: &Needed, objects: Vec<Found>, now: Timestamp, pruned: &mut Pruned) -> Vec<Found> {
        let mut unneeded = Vec::new();
        for found in objects {
            match needed.wants(&found.name) {
                None => pruned.foreign += 1,
                Some(true) => {}
                Some(false) if now.duration_since(found.modified) < self.grace => pruned.young += 1,
                Some(false) => {
                    pruned.objects += 1;
                    pruned.bytes += found.size;
                    unneeded.push(found);
                }
            }
        }
        unneeded
    }
}

impl Needed {
    fn blob(&mut self, sha256: &str, form: Form) -> Result<(), Failure> {
        let hash = unhex_array(sha256).ok_or_else(|| {
            let message = format!("a list names {sha256:?}, which is no SHA-256; nothing was removed");
            Failure::new(Reason::ChecksumMismatch, message)
        })?;
        self.blobs.insert((hash, form));
        Ok(())
    }

    /// Whether an object is needed; `None` when it is nothing that we put there.
    fn wants(&self, name: &str) -> Option<bool> {
        if let Some((sha256, form)) = names::parse_blob(name) {
            let hash: [u8; 32] = unhex_array(&sha256)?;
            return Some(self.blobs.contains(&(hash, form)));
        }
        let id = name.strip_prefix("packs/")?.split_once('/')?.1;
        (names::pack(id) == name && id.bytes().all(|it| it.is_ascii_hexdigit())).then(|| self.packs.contains(name))
    }
}

/// The digits of an id, as `snapshots` shows it or as the object is called.
pub fn digits(id: &str) -> &str {
    let digits = id.rsplit('-').next().unwrap_or_default();
    digits.split('.').next().unwrap_or_default()
}

fn is_of(name: &str, candidate: &Candidate) -> bool {
    let stem = name.strip_suffix(Form::AGE).unwrap_or(name);
    names::is_snapshot(name) && stem.ends_with(&format!("-{}.json", candidate.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_slept_knows_how_long_its_word_is_old() {
        let slept = Renewed(Instant::now(), SystemTime::now() - 2 * TOO_LONG);
        assert!(slept.elapsed() >= TOO_LONG && Renewed::now().elapsed() < TOO_LONG);
        let set_back = Renewed(Instant::now(), SystemTime::now() + TOO_LONG);
        assert!(set_back.elapsed() < TOO_LONG);
    }
}
