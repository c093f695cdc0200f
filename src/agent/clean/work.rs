//! What do all rules of a volume share: what is known of it, what may be done, and how something is deleted?

use super::super::failure::Failure;
use super::super::fetch::Staging;
use super::super::inspect::known::Cache;
use super::super::inspect::owners::Owners;
use super::super::layout;
use super::super::layout::manifest::Manifest;
use super::super::layout::safe_path::Root;
use super::super::local::Pins;
use super::found::{Found, Seen};
use super::hand::Hand;
use super::in_use::InUse;
use super::readers::Readers;
use super::report::{Deed, RuleReport, What};
use super::trash::Trash;
use crate::api::Reason;
use crate::api::cleanup::{Cleanup, CleanupRule};
use crate::api::source::{HuggingFace, Source};
use crate::api::{duration, quantity};
use crate::contract::plan::Plan;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::time::Duration;

/// Files that a rule may delete in one run whatever share of all they are.
const NEVER_REFUSED: u64 = 20;
/// Files of a refused plan that are named.
const NAMED: usize = 1000;

/// What all rules of a volume share.
pub struct Work<'a> {
    /// The volume.
    pub root: &'a Root,
    /// Name of the cache whose rules these are.
    pub cache: &'a str,
    /// What all caches on the volume say that they have.
    pub caches: &'a [Cache],
    /// Who needs what.
    pub owners: &'a Owners,
    /// The clean-up.
    pub cleanup: &'a Cleanup,
    /// The sources of the spec.
    pub sources: &'a [Source],
    /// Directories that the spec wants.
    pub directories: &'a [String],
    /// What the sources resolved to, without a cluster.
    pub pins: &'a Pins,
    /// What they resolved to, in one.
    pub plan: Option<&'a Plan>,
    /// What processes have open.
    pub in_use: &'a InUse,
    /// The time.
    pub now: Timestamp,
    /// Who may still read what was replaced.
    pub readers: Readers,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Delete however much it is.
    pub acknowledged: bool,
    /// The right to write; none in a dry run.
    pub staging: Option<&'a Staging>,
}

impl Work<'_> {
    /// Fails once another writer has taken over.
    pub fn check(&self) -> Result<(), Failure> {
        Ok(self.staging.map_or(Ok(()), Staging::check)?)
    }

    /// Whether the spec asks for what a manifest lists, also if that is not what is there now.
    pub fn wants(&self, manifest: &Manifest) -> bool {
        let named = self.sources.iter().find(|it| it.name == manifest.source);
        let Some(source) = named else { return false };
        // Laid out otherwise it is another record: once the one that is asked for is there, nothing takes this one up again.
        let is_asked = |it: &Manifest| {
            let of = |key: &serde_json::Value| it.layout == *key || it.layout.get(0) == Some(key);
            layout::key(source).map_or(true, |key| of(&key))
        };
        let mine = self.caches.iter().filter(|it| it.name == self.cache).flat_map(|it| &it.revisions);
        let mut live = mine.filter(|it| it.current && it.manifest.source == manifest.source);
        if !is_asked(manifest) && live.any(|it| is_asked(&it.manifest)) {
            return false;
        }
        let planned = self.plan.into_iter().flat_map(|it| &it.sources);
        let mut planned = planned.filter(|it| it.source.name == manifest.source).map(|it| &it.pin);
        let is = |pin: &crate::contract::plan::Pin| pin.revision == manifest.revision && pin.digest == manifest.digest;
        let asked = source.hugging_face.as_ref().map(HuggingFace::effective_revision);
        planned.any(is) || self.pins.get(source).is_some_and(is) || asked == Some(manifest.revision.as_str())
    }

    /// Stops a rule that would delete too large a share of its files at once.
    pub fn refuse_mass_deletion(
        &self,
        rule: &CleanupRule,
        gone: u64,
        all: u64,
        plan: impl FnOnce() -> Vec<(String, String, u64)>,
        report: &mut RuleReport,
    ) -> Result<(), Failure> {
        let percent = u64::from(self.cleanup.effective_max_delete_percent(rule));
        if self.acknowledged || gone <= NEVER_REFUSED || gone.saturating_mul(100) <= all.saturating_mul(percent) {
            return Ok(());
        }
        let what = if rule.effective_trash() { What::Trashed } else { What::Deleted };
        let deeds = plan().into_iter().take(NAMED).map(|(path, why, bytes)| Deed { what, path, why, bytes });
        report.refused = deeds.collect();
        let message = format!(
            "would delete {gone} of {all} files, more than {percent} %, and deleted none: look at the plan (`--dry-run -o \
             json`), then run `modelcache clean --acknowledge` once, or raise the rule's `maxDeletePercent`"
        );
        Err(Failure::new(Reason::DeletionRefused, message))
    }

    /// Where a rule's files go.
    pub fn bin(&self, rule: &CleanupRule) -> Bin<'_> {
        let why = format!("rule `{}` of cache `{}`", rule.name, self.cache);
        let trash = || Trash::new(self.root, self.cache, &rule.name, why, self.now.as_second());
        Bin { trash: rule.effective_trash().then(trash) }
    }
}

/// Says of what was looked at what is left alone.
pub fn tell(seen: &Seen, report: &mut RuleReport) {
    if seen.links > 0 {
        report.note(format!("{} symbolic links match; no link is followed or deleted", seen.links));
    }
    if seen.owned > 0 {
        report.note(format!("{} matching files belong to a cache and are left to `cache` rules", seen.owned));
    }
    for mount in &seen.mounts {
        report.note(format!("{mount} is another file system: it is not entered"));
    }
    for unreadable in &seen.unreadable {
        report.fail(Reason::VolumeError, format!("cannot be looked at: {unreadable}"));
    }
}

/// Where deleted files go: to the trash, or nowhere.
pub struct Bin<'a> {
    trash: Option<Trash<'a>>,
}

impl Bin<'_> {
    /// Deletes a file, and says so. Whether it is gone, or would be.
    pub fn delete(
        &mut self,
        work: &Work<'_>,
        hand: &mut Hand,
        found: &Found,
        why: &str,
        report: &mut RuleReport,
    ) -> bool {
        let done = match &mut self.trash {
            _ if work.dry_run => Ok(()),
            Some(trash) => trash.throw(hand, found),
            None => hand.remove(found),
        };
        // A file with another name takes its space until that goes too.
        let bytes = if found.names > 1 { 0 } else { found.disk };
        let what = if self.trash.is_some() { What::Trashed } else { What::Deleted };
        match &done {
            Ok(()) => report.did(what, found.shown(), why, bytes),
            Err(refusal) => report.refused(refusal),
        }
        done.is_ok()
    }
}

/// A rule that cannot be carried out as it is written.
pub fn invalid(rule: &CleanupRule, what: &str) -> Failure {
    Failure::new(Reason::InvalidSpec, format!("rule `{}`: {what}", rule.name))
}

/// A duration of a rule.
pub fn duration_of(rule: &CleanupRule, text: Option<&str>) -> Result<Option<Duration>, Failure> {
    text.map(duration::parse).transpose().map_err(|error| invalid(rule, &error.to_string()))
}

/// A quantity of a rule, in bytes.
pub fn quantity_of(rule: &CleanupRule, quantity: Option<&Quantity>) -> Result<Option<u64>, Failure> {
    quantity.map(quantity::bytes).transpose().map_err(|error| invalid(rule, &error.to_string()))
}
