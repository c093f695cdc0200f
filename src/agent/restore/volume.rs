//! How does one volume get back what a snapshot has of it? All of it is made and proven aside; then it takes its place.
//!
//! ```text
//! list ─► is every name usable ─► what is wanted ─► does it fit ─► what is there already ─► fill (read, hash, write)
//!      ─► our own state (manifests, pins) ─► on the disk ─► journal ─► switch ─► what the origin has to bring
//! ```

use super::bytes::Objects;
use super::choice::{Choice, Survey};
use super::fill::{Damage, Wanted, fill};
use super::journal::{Journal, Step};
use super::own_state::{self, Own, Target};
use super::stage::Stage;
use super::{journal, rollback, switch};
use crate::agent::backup::repository::Repository;
use crate::agent::backup::repository::list::{At, Entry, What};
use crate::agent::backup::repository::snapshot::{Snapshot, VolumeSnapshot};
use crate::agent::failure::Failure;
use crate::agent::fetch::{Staging, Writer, hex, over_cores, sha256_of_file};
use crate::agent::layout::manifest::Manifest;
use crate::agent::layout::safe_path::Root;
use crate::agent::layout::{LayoutError, current, staging};
use crate::api::Reason;
use crate::api::model_cache::ModelCacheSpec;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// Largest manifest that is taken from a backup, in bytes.
pub const MANIFEST_LIMIT: u64 = 512 << 20;

/// One volume of a snapshot, and where it goes.
pub struct VolumeRestore<'a> {
    /// Where the bytes are.
    pub repository: &'a Repository,
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// Its spec.
    pub then: &'a ModelCacheSpec,
    /// The volume in it.
    pub from: &'a VolumeSnapshot,
    /// The directory that is the volume.
    pub to: &'a Path,
    /// Whose volume it becomes.
    pub target: &'a Target,
    /// What is wanted.
    pub choice: &'a Choice,
    /// Restore what is whole although something is damaged.
    pub keep_going: bool,
    /// In whose name.
    pub writer: Writer,
    /// Bytes that must stay free on the file system.
    pub min_free: u64,
    /// Until when what was there is kept.
    pub keep_until: Timestamp,
}

/// A volume that is looked at and locked, with nothing made yet.
pub struct Prepared {
    pub(super) root: Root,
    lock: Staging,
    pub(super) survey: Survey,
}

/// A volume whose content is aside, proven and on the disk. The volume is locked.
pub struct Staged {
    root: Root,
    lock: Staging,
    journal: Journal,
    /// Files that are restored, those that were there already included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that were written.
    pub written: u64,
    /// Sources that have to fetch what has no bytes in the repository.
    pub origins: BTreeSet<String>,
    /// Files that cannot be had.
    pub damaged: Vec<Damage>,
    /// Files that are not in place as the snapshot has them: no manifest may say that they are.
    unproven: HashSet<String>,
}

impl VolumeRestore<'_> {
    /// Takes the volume, and sees what is wanted of the snapshot. Whether there is room for it is for [`super::room`] to say.
    ///
    /// # Errors
    /// `NoFiles` when nothing matches, `ListingMismatch` for names that are never used.
    pub async fn prepare(&self) -> Result<Prepared, Failure> {
        let cache = &self.target.cache;
        let failed = |error: std::io::Error| Failure::from(LayoutError::new(self.to, error));
        std::fs::create_dir_all(self.to).map_err(failed)?;
        let root = Root::open(self.to)?;
        let lock = Staging::open(self.to, Path::new(&staging(cache)), self.writer.clone())?;
        rollback::resume(&root, cache)?;
        let survey = self.survey().await?;
        // What a killed run had made takes no room from this one.
        stage_removed(&root, cache)?;
        Ok(Prepared { root, lock, survey })
    }

    /// Makes and proves everything aside. What is on the volume is not touched.
    ///
    /// # Errors
    /// `ChecksumMismatch` when something is damaged and `keep_going` was not asked for.
    pub async fn stage(&self, prepared: Prepared) -> Result<Staged, Failure> {
        let cache = &self.target.cache;
        let Prepared { root, lock, survey } = prepared;
        let stage = Stage::new(&root, cache)?;
        let mut staged = Staged {
            journal: Journal::new(&self.snapshot.id, self.keep_until, vec![]),
            root: root.clone(),
            lock,
            files: survey.files,
            bytes: survey.bytes,
            written: 0,
            origins: survey.origins.clone(),
            damaged: vec![],
            unproven: HashSet::new(),
        };
        if let Err(failure) = self.make(&root, &stage, &survey, &mut staged).await {
            // Whoever has the volume now may be staging there.
            if staged.lock.check().is_ok()
                && let Err(left) = stage_removed(&root, cache)
            {
                tracing::warn!(%left, "what was staged is left behind");
            }
            return Err(failure);
        }
        Ok(staged)
    }

    /// Fills the stage.
    async fn make(&self, root: &Root, stage: &Stage, survey: &Survey, staged: &mut Staged) -> Result<(), Failure> {
        let cache = &self.target.cache;
        let mut theirs = own_state::Theirs::read(root, cache)?;
        for chunk in &self.from.list {
            staged.lock.check()?;
            let entries = self.repository.entries(chunk).await?;
            self.fill(root, stage, survey, &entries, &mut theirs, staged)?;
        }
        if !staged.damaged.is_empty() && !self.keep_going {
            return Err(damage(&staged.damaged, "; nothing was restored: --keep-going restores all other files"));
        }
        let fetched = staged.origins.is_empty();
        let complete = staged.damaged.is_empty();
        let mut manifests = if self.choice.is_all() { self.manifests().await? } else { vec![] };
        staged.unproven.extend(staged.damaged.iter().map(|it| it.path.clone()));
        for entry in manifests.iter_mut().flat_map(|it| &mut it.entries) {
            // What the source brings is then hashed, not taken for right by its size.
            entry.damaged |= staged.unproven.contains(&entry.path);
        }
        theirs.doubt(&staged.unproven);
        let own = Own { target: self.target, from: self.from, then: self.then, choice: self.choice, manifests };
        let hash = own.stage(root, stage, theirs)?;
        // What is said of a volume of which only a part is restored holds as long as nothing that is listed there changes.
        staged.journal.current = hash.filter(|_| complete && (fetched || !self.choice.is_all()));
        // What a source fetches is not taken back by a rollback: what was said of the volume then holds no more.
        staged.journal.before = current::read(root, cache)?.filter(|_| fetched);
        switch::sync(root)
    }

    /// The manifests of the snapshot's sources.
    async fn manifests(&self) -> Result<Vec<Manifest>, Failure> {
        let mut manifests = Vec::new();
        for (source, kept) in &self.from.manifests {
            let bytes = self.repository.blob(&kept.sha256, kept.form, MANIFEST_LIMIT).await?;
            let manifest = Manifest::parse(&bytes, source).ok_or_else(|| {
                let message =
                    format!("the manifest of source `{source}` in snapshot {} is not understood", self.snapshot.id);
                Failure::new(Reason::ChecksumMismatch, message)
            })?;
            manifests.push(manifest);
        }
        Ok(manifests)
    }

    async fn survey(&self) -> Result<Survey, Failure> {
        let (mut survey, all) = (Survey::default(), self.choice.is_all());
        for chunk in &self.from.list {
            let entries = self.repository.entries(chunk).await?;
            survey.look(self.choice, &entries);
            if all {
                survey.count(self.choice, &entries);
            }
        }
        survey.follow()?;
        if survey.listed != self.from.files {
            let message = format!(
                "snapshot {} says that volume `{}` has {} files, and its list has {}: one of the two was changed",
                self.snapshot.id, self.from.name, self.from.files, survey.listed
            );
            return Err(Failure::new(Reason::ChecksumMismatch, message));
        }
        // What a chosen link leads to is known only now.
        for chunk in self.from.list.iter().filter(|_| !all) {
            survey.count(self.choice, &self.repository.entries(chunk).await?);
        }
        if survey.files == 0 {
            let message = format!(
                "snapshot {} of {} has no file of volume `{}` that is wanted; nothing was restored",
                self.snapshot.id, self.snapshot.time, self.from.name
            );
            return Err(Failure::new(Reason::NoFiles, message));
        }
        Ok(survey)
    }

    /// Makes what is wanted of a piece of the list.
    fn fill(
        &self,
        root: &Root,
        stage: &Stage,
        survey: &Survey,
        entries: &[Entry],
        theirs: &mut own_state::Theirs,
        staged: &mut Staged,
    ) -> Result<(), Failure> {
        let (mut wanted, mut fetched) = (Vec::new(), Vec::new());
        for entry in entries.iter().filter(|it| survey.wants(self.choice, it)) {
            let path = entry.path.clone();
            match &entry.what {
                What::Directory => stage.directory(&path, entry.mode)?,
                What::Link { target } if root.link(&path)?.as_ref() == Some(target) => {}
                What::Link { target } => stage.link(&path, target)?,
                What::File(file) => {
                    theirs.restored(&path, &file.sha256);
                    let of_it = if matches!(file.at, At::Origin { .. }) { &mut fetched } else { &mut wanted };
                    of_it.push(Wanted { path, mode: entry.mode, file: file.clone() });
                }
            }
        }
        let proven = over_cores(&fetched, |it| has_bytes(root, it));
        for (fetched, proven) in fetched.into_iter().zip(proven) {
            if !proven? {
                staged.unproven.insert(fetched.path);
            }
        }
        let there = over_cores(&wanted, |it| is_there(root, it));
        let mut missing = Vec::with_capacity(wanted.len());
        for (wanted, there) in wanted.into_iter().zip(there) {
            if !there? {
                staged.written += wanted.file.size;
                missing.push(wanted);
            }
        }
        let objects = Objects::new(self.repository);
        let damaged = tokio::task::block_in_place(|| fill(&objects, Some(stage), &missing))?;
        staged.damaged.extend(damaged);
        Ok(())
    }
}

/// Whether the very file is in its place: it is read and hashed, which takes neither room nor a network.
pub(super) fn is_there(root: &Root, wanted: &Wanted) -> Result<bool, Failure> {
    let Some(stat) = root.stat(&wanted.path)? else { return Ok(false) };
    Ok(stat.st_mode & 0o777 == wanted.mode & 0o777 && has_bytes(root, wanted)?)
}

/// Whether the bytes are in their place, whatever the mode.
pub(super) fn has_bytes(root: &Root, wanted: &Wanted) -> Result<bool, Failure> {
    if root.size(&wanted.path)? != Some(wanted.file.size) {
        return Ok(false);
    }
    let Some(file) = root.file(&wanted.path)? else { return Ok(false) };
    Ok(sha256_of_file(&file).is_ok_and(|(_, sha256)| hex(&sha256) == wanted.file.sha256))
}

fn stage_removed(root: &Root, cache: &str) -> Result<(), Failure> {
    Ok(crate::agent::unpack::remove::tree(root, &journal::staged(cache))?)
}

impl Staged {
    /// Moves everything into place. Gives what was moved.
    pub fn switch(mut self, cache: &str) -> Result<Vec<Step>, Failure> {
        self.lock.check()?;
        // One restore can be taken back: the last one.
        self.root.remove(&journal::path(cache))?;
        crate::agent::unpack::remove::tree(&self.root, &journal::kept(cache))?;
        self.journal.steps = switch::plan(&self.root, cache)?;
        self.journal.write(&self.root, cache)?;
        switch::forward(&self.root, cache, &mut self.journal)?;
        Ok(self.journal.steps)
    }
}

/// A failure that names what is damaged.
pub fn damage(damaged: &[Damage], end: &str) -> Failure {
    let named: Vec<String> = damaged.iter().take(20).map(|it| format!("{} ({})", it.path, it.why)).collect();
    let more = damaged.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!("{} files of the backup are damaged: {}{more}{end}", damaged.len(), named.join(", "));
    Failure::new(Reason::ChecksumMismatch, message)
}
