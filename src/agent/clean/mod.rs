//! Cleans volumes: logs, files that nobody needs any more, what the cache itself has outgrown, modes and owners.
//!
//! # Flow
//!
//! ```text
//! the right to write (as a prefetch takes it) ─► what all caches list (never touched by a rule for files or logs)
//!   ─► the trash that is old enough ─► rule by rule: look (globs, found) ─► decide for all (logs, select: pure)
//!   ─► too much at once? refuse ─► act (hand: only on what still is what was looked at) ─► report
//! ```
//!
//! # Guarantees
//!
//! - No link is followed, no other file system entered, nothing below `.modelcache/` and nothing that a manifest lists is touched
//!   by a rule for files, logs or modes.
//! - Killed at any moment, no line of a log that stays is lost, no link of the cache leads to nothing, and the next run finishes.
//! - A rule that fails does not hold back the others.

pub mod check;
mod compress;
pub mod everything;
mod found;
mod globs;
mod hand;
mod hub_lock;
mod in_use;
mod logs;
pub mod readers;
pub mod report;
pub mod restore;
mod revision;
mod rotate;
mod rotated;
mod rule_cache;
mod rule_files;
mod rule_logs;
mod rule_permissions;
mod select;
pub mod trash;
mod work;

use super::failure::Failure;
use super::fetch::{Staging, Writer};
use super::inspect::known;
use super::inspect::owners::Owners;
use super::layout;
use super::layout::safe_path::Root;
use super::local::Pins;
use super::restore::rollback;
use crate::api::cleanup::{CleanupRule, Deed};
use crate::api::quantity::human;
use crate::api::volume::Volume;
use crate::api::{ModelCache, Reason};
use crate::contract::outcome::{Cleaned, Outcome};
use crate::contract::plan::Plan;
use in_use::InUse;
use jiff::Timestamp;
use readers::Readers;
use report::RuleReport;
use serde::Serialize;
use std::path::Path;
use work::{Work, invalid};

/// What is to be cleaned, and how.
pub struct Clean<'a> {
    /// The cache whose rules these are.
    pub cache: &'a ModelCache,
    /// The volume.
    pub volume: &'a Volume,
    /// Where it is.
    pub path: &'a Path,
    /// The rules, in their order.
    pub rules: Vec<&'a CleanupRule>,
    /// In whose name.
    pub writer: Writer,
    /// The time.
    pub now: Timestamp,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Delete however much it is.
    pub acknowledged: bool,
    /// Who may still read what was replaced.
    pub readers: Readers,
    /// The plan of the volume, if there is one: what it pins stays.
    pub plan: Option<&'a Plan>,
}

/// What was done on a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing was done, only said.
    pub dry_run: bool,
    /// What each rule did.
    pub rules: Vec<RuleReport>,
    /// Bytes on the disk that left the trash.
    pub trash_emptied_bytes: u64,
    /// Bytes that the file system had free before.
    pub free_bytes_before: u64,
    /// Bytes that it has free now.
    pub free_bytes_after: u64,
    /// What else is worth a word.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Clean<'_> {
    /// Does it, and says what was done. Blocking.
    pub fn run(&self) -> (Outcome, Report) {
        match self.attempt() {
            Ok(report) => (self.outcome(&report), report),
            Err(failure) => (Outcome::failure(failure.reason, failure.message), Report::default()),
        }
    }

    fn attempt(&self) -> Result<Report, Failure> {
        let cache = self.cache.metadata.name.as_deref().unwrap_or_default();
        let cleanup = self.cache.spec.cleanup.clone().unwrap_or_default();
        let names: Vec<&str> = self.rules.iter().map(|it| it.name.as_str()).collect();
        let root = Root::open(self.path).map_err(|error| {
            let message = format!("{error}: rule `{}` can never match anything there", names.join("`, `"));
            Failure::new(Reason::VolumeError, message)
        })?;
        // A dry run takes nothing from anybody, and may look at a volume that is mounted read-only.
        let staging = if self.dry_run { None } else { Some(self.right_to_write(&root, cache)?) };
        if staging.is_some() {
            // What manifests say holds only once a restore that was killed is finished.
            rollback::resume(&root, cache)?;
            rollback::sweep_archives(&root, self.path, self.now)?;
        }
        let caches = known::caches(&root)?;
        let owners = Owners::of(&root, &caches)?;
        let pins = Pins::read(&root, cache)?;
        let device = rustix::fs::fstat(root.directory("")?).map_err(|error| root.failure("", error))?.st_dev;
        let in_use = InUse::on(device);
        let mut report = Report { dry_run: self.dry_run, free_bytes_before: root.free_bytes()?, ..Report::default() };
        let grace =
            cleanup.effective_trash_grace().map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?;
        let work = Work {
            root: &root,
            cache,
            caches: &caches,
            owners: &owners,
            cleanup: &cleanup,
            sources: &self.cache.spec.sources,
            directories: &self.volume.directories,
            pins: &pins,
            plan: self.plan,
            in_use: &in_use,
            now: self.now,
            readers: self.readers,
            dry_run: self.dry_run,
            acknowledged: self.acknowledged,
            staging: staging.as_ref(),
        };
        let emptied = trash::empty(&root, cache, grace, self.now.as_second(), self.dry_run)?;
        report.trash_emptied_bytes = emptied.disk_bytes;
        report.notes.extend(caches.iter().flat_map(|it| &it.broken_retired).map(|path| {
            format!(
                "{path} says what an earlier revision had, and cannot be believed: its files are nobody's from now on; remove the \
                 document once they were looked at"
            )
        }));
        for rule in &self.rules {
            let mut told = RuleReport::of(&rule.name);
            let done = work.check().and_then(|()| carry_out(&work, rule, &mut told));
            if let Err(failure) = done {
                told.failed(failure);
            }
            report.rules.push(told);
        }
        report.free_bytes_after = root.free_bytes()?;
        self.compare(&mut report);
        Ok(report)
    }

    /// Takes the right to write, as a prefetch does: there is one writer at a time.
    fn right_to_write(&self, root: &Root, cache: &str) -> Result<Staging, Failure> {
        if matches!(self.writer, Writer::Attempt { .. }) && rule_cache::is_fetching(root, cache, self.now.as_second())?
        {
            let message = "a prefetch is at work on this volume: nothing was done; the next run sees to it";
            return Err(Failure::new(Reason::Superseded, message));
        }
        Ok(Staging::open(self.path, Path::new(&layout::staging(cache)), self.writer.clone())?)
    }

    /// What was removed, against what the file system says.
    fn compare(&self, report: &mut Report) {
        let freed = report.rules.iter().map(|it| it.freed_bytes).sum::<u64>() + report.trash_emptied_bytes;
        let gained = report.free_bytes_after.saturating_sub(report.free_bytes_before);
        // File systems need a little for themselves, and free in blocks of their own.
        let slack = (freed / 20).max(1 << 20);
        if !self.dry_run && freed > gained + slack {
            report.notes.push(format!(
                "{} were removed, and {} more are free: somebody writes here, or a process (of another pod, maybe) still \
                 has deleted files open",
                human(freed),
                human(gained)
            ));
        }
    }

    fn outcome(&self, report: &Report) -> Outcome {
        let sum = |of: fn(&RuleReport) -> u64| report.rules.iter().map(of).sum::<u64>();
        let failed: Vec<&RuleReport> = report.rules.iter().filter(|it| it.failure.is_some()).collect();
        let cleaned = Cleaned {
            version: crate::contract::VERSION,
            dry_run: self.dry_run,
            rules: report.rules.len() as u64,
            failed_rules: failed.len() as u64,
            deleted: sum(|it| it.deleted),
            rotated: sum(|it| it.rotated),
            compressed: sum(|it| it.compressed),
            mended: sum(|it| it.mended),
            freed_bytes: sum(|it| it.freed_bytes) + report.trash_emptied_bytes,
            trashed_bytes: sum(|it| it.trashed_bytes),
            gained_bytes: report.free_bytes_after.saturating_sub(report.free_bytes_before),
        };
        let lines: Vec<String> =
            report.rules.iter().map(|it| format!("{}: {}", it.rule, it.summary(self.dry_run))).collect();
        let outcome = match failed.first().and_then(|it| it.failure.as_ref().map(|failure| (&it.rule, failure))) {
            Some((rule, failure)) => {
                let others =
                    if failed.len() > 1 { format!(" (and {} more rules)", failed.len() - 1) } else { String::new() };
                Outcome::failure(failure.reason, format!("rule `{rule}`: {}{others}", failure.message))
            }
            None => Outcome::success(Reason::Cleaned, lines.join("; ")),
        };
        Outcome { clean: Some(cleaned), ..outcome }
    }
}

fn carry_out(work: &Work<'_>, rule: &CleanupRule, report: &mut RuleReport) -> Result<(), Failure> {
    if let Some((cache, source)) = work.caches.iter().find_map(|it| Some((&it.name, it.broken.first()?))) {
        let message = format!(
            "the manifest of source `{source}` of cache `{cache}` cannot be believed, so nobody knows what it lists: run \
             `modelcache prefetch` first, which writes it anew"
        );
        return Err(Failure::new(Reason::Damaged, message));
    }
    match rule.deed() {
        Some(Deed::Rotate(logs)) => rule_logs::run(work, rule, logs, report),
        Some(Deed::Delete(files)) => rule_files::run(work, rule, files, report),
        Some(Deed::Cache(wanted)) => rule_cache::run(work, rule, wanted, report),
        Some(Deed::Permissions(wanted)) => rule_permissions::run(work, rule, wanted, report),
        None => Err(invalid(rule, "exactly one of `rotate`, `delete`, `cache` and `permissions` must be set")),
    }
}
