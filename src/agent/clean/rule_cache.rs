//! What does a rule for the cache do on a volume? Finishes what a killed run began, then removes revisions that nobody asks
//! for, then files that have expired, then what interrupted work left.

use super::super::failure::Failure;
use super::super::inspect::known::{Cache, Revision};
use super::super::inspect::leftovers::{self, Leftovers};
use super::super::layout::expired;
use super::super::layout::safe_path::Root;
use super::super::layout::{staging, state};
use super::found::Found;
use super::hand::Hand;
use super::hub_lock::HubLock;
use super::logs::words;
use super::report::{RuleReport, What};
use super::revision::Removal;
use super::work::{Work, invalid, quantity_of};
use crate::api::Reason;
use crate::api::cleanup::{CacheRule, CleanupRule, Leftover};
use crate::api::quantity::human;
use std::time::Duration;

/// How long what other tools left stays at least, in seconds: a day, since they tell nobody what they are at.
const FOREIGN: u64 = 24 * 3600;

/// Carries out a rule for the cache.
pub fn run(work: &Work<'_>, rule: &CleanupRule, wanted: &CacheRule, report: &mut RuleReport) -> Result<(), Failure> {
    let keep = wanted.effective_keep_duration().map_err(|error| invalid(rule, &error.to_string()))?;
    work.readers.check()?;
    // What another cache is about to list is listed by nobody yet.
    for other in work.caches.iter().filter(|it| it.name != work.cache) {
        if is_fetching(work.root, &other.name, work.now.as_second())? {
            let message =
                format!("cache `{}` is being fetched on this volume: the next run sees to this rule", other.name);
            return Err(Failure::new(Reason::Superseded, message));
        }
    }
    let mut hand = Hand::on(work.root)?;
    let leftovers = leftovers::of(work.root, work.caches, work.owners)?;
    let unseen = leftovers.unseen(work.caches);
    let takes = |what| unseen.is_none() && wanted.takes(what);
    // One for both: what the first removes no longer holds the files of the second.
    let mut removal = Removal::new(work, &mut hand, &leftovers.led_to);
    if takes(Leftover::Superseded) || takes(Leftover::Expired) {
        removal.finish_all(report)?;
    }
    if takes(Leftover::Superseded) {
        superseded(work, rule, wanted, keep, &mut removal, report)?;
    }
    if takes(Leftover::Expired) {
        expired(work, &mut removal, report)?;
    }
    loose(work, (wanted.takes(Leftover::Incomplete), takes(Leftover::Orphaned)), keep, &leftovers, report)?;
    if let Some(unseen) = unseen {
        let message =
            format!("{unseen}; what links in there lead to is not known, so no content of the cache was removed");
        report.fail(Reason::VolumeError, message);
    }
    Ok(())
}

fn superseded(
    work: &Work<'_>,
    rule: &CleanupRule,
    wanted: &CacheRule,
    keep: Duration,
    removal: &mut Removal<'_, '_>,
    report: &mut RuleReport,
) -> Result<(), Failure> {
    let (max_used, min_free) =
        (quantity_of(rule, wanted.max_used.as_ref())?, quantity_of(rule, wanted.min_free.as_ref())?);
    let reserved = quantity_of(rule, wanted.reserved.as_ref())?.unwrap_or_default();
    if reserved > 0 && max_used.is_none() && min_free.is_none() {
        return Err(invalid(rule, "`reserved` is a floor: `maxUsed` or `minFree` must say when anything is removed"));
    }
    let Some(at) = work.caches.iter().position(|it| it.name == work.cache) else { return Ok(()) };
    let cache: &Cache = &work.caches[at];
    let mut earlier: Vec<(usize, &Revision)> =
        cache.revisions.iter().enumerate().filter(|(_, it)| !it.current).collect();
    // The one that was replaced first goes first.
    earlier.sort_by_key(|(index, it)| (it.since, *index));
    let mut used = removal.used(at)?;
    report.matched = earlier.len() as u64;
    let mut would_free = 0;
    for (index, revision) in earlier {
        work.check()?;
        let label = format!("{} of source `{}`", revision.manifest.revision, revision.manifest.source);
        if let Some(why) = stays(work, revision, keep) {
            report.note(format!("{label} stays: {why}"));
            continue;
        }
        let expected = removal.frees((at, index))?;
        report.matched_bytes += expected;
        let free = work.root.free_bytes()? + would_free;
        let over = max_used.is_some_and(|cap| used > cap);
        let short = min_free.is_some_and(|least| free < least);
        let capped = max_used.is_some() || min_free.is_some();
        if capped && !over && !short {
            report.note(format!("{label} stays: {} used, {} free, which is within the caps", human(used), human(free)));
            break;
        }
        if used.saturating_sub(expected) < reserved {
            report.note(format!("{label} stays: without it less than `reserved` would be left"));
            continue;
        }
        if let Some(process) = removal.in_use((at, index))? {
            report.note(format!("{label} stays: process {process} has a file of it open"));
            continue;
        }
        let why = match (over, short) {
            (true, _) => format!("{} are used, more than `maxUsed`", human(used)),
            (false, true) => format!("{} are free, less than `minFree`", human(free)),
            (false, false) => format!("nobody has asked for it for more than {}", words(keep)),
        };
        let freed = if work.dry_run { expected } else { removal.remove((at, index), report)? };
        removal.gone((at, index));
        used = used.saturating_sub(freed);
        would_free += if work.dry_run { freed } else { 0 };
        report.did(What::RevisionRemoved, label, format!("{why}{}", only_record(revision)), freed);
    }
    Ok(())
}

/// Why a revision must stay, whatever the caps say.
fn stays(work: &Work<'_>, revision: &Revision, keep: Duration) -> Option<String> {
    if work.wants(&revision.manifest) {
        return Some("the spec asks for it again".into());
    }
    let since = revision.since?;
    let keep_seconds = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
    if work.now.as_second().saturating_sub(since) < keep_seconds {
        return Some(format!("it was replaced less than {} ago", words(keep)));
    }
    let oldest = work.readers.before(since)?;
    Some(format!("a pod of {oldest} is older than the switch, and may still read it"))
}

/// What is said of a revision whose files were there before it.
fn only_record(revision: &Revision) -> &'static str {
    if revision.manifest.adopted {
        "; only the record of it goes: its files were adopted where they are, and stay"
    } else {
        ""
    }
}

/// Files that are older than their sources say.
fn expired(work: &Work<'_>, removal: &mut Removal<'_, '_>, report: &mut RuleReport) -> Result<(), Failure> {
    let Some(at) = work.caches.iter().position(|it| it.name == work.cache) else { return Ok(()) };
    for (index, revision) in work.caches[at].revisions.iter().enumerate().filter(|(_, it)| it.current) {
        work.check()?;
        if expired::expired(&revision.manifest, work.now).is_empty() {
            continue;
        }
        let label = format!("the files of source `{}`", revision.manifest.source);
        let expected = removal.frees((at, index))?;
        report.matched += 1;
        report.matched_bytes += expected;
        if let Some(process) = removal.in_use((at, index))? {
            report.note(format!("{label} stay: process {process} has one of them open"));
            continue;
        }
        let after = Duration::from_secs(revision.manifest.expire_after_seconds.unwrap_or_default());
        let freed = if work.dry_run { expected } else { removal.expire((at, index), report)? };
        removal.gone((at, index));
        let why = format!("were fetched more than {} ago{}", words(after), only_record(revision));
        report.did(What::RevisionRemoved, label, why, freed);
    }
    Ok(())
}

/// What interrupted work left in hub directories.
fn loose(
    work: &Work<'_>,
    kinds: (bool, bool),
    keep: Duration,
    leftovers: &Leftovers,
    report: &mut RuleReport,
) -> Result<(), Failure> {
    let mine: Vec<Cache> = work.caches.iter().filter(|it| it.name == work.cache).cloned().collect();
    let mut hand = Hand::on(work.root)?;
    let oldest = work.now.as_second().saturating_sub(i64::try_from(keep.as_secs().max(FOREIGN)).unwrap_or(i64::MAX));
    for left in &leftovers.files {
        let wanted = if left.incomplete { kinds.0 } else { kinds.1 && leftovers::is_of(&left.path, &mine) };
        if !wanted {
            continue;
        }
        let found = Found::of(left.path.as_bytes(), &left.stat);
        report.matched += 1;
        report.matched_bytes += found.disk;
        // A rename changes the time of the inode, not of its bytes: what was just put there is young, however old its bytes.
        if left.stat.st_mtime.max(left.stat.st_ctime) > oldest {
            continue;
        }
        if let Some(process) = work.in_use.by(found.device, found.inode) {
            report.note(format!("{} stays: process {process} has it open", found.shown()));
            continue;
        }
        let Some(_lock) = HubLock::take(work.root, &left.path)? else {
            report.note(format!("{} stays: a client of the hub holds its lock", found.shown()));
            continue;
        };
        let why =
            if left.incomplete { "an interrupted download that nobody takes up again" } else { "nothing leads to it" };
        let freed = if found.names > 1 { 0 } else { found.disk };
        let done = if work.dry_run { Ok(()) } else { hand.remove(&found) };
        match done {
            Ok(()) => report.did(What::Deleted, found.shown(), why, freed),
            Err(refusal) => report.refused(&refusal),
        }
    }
    Ok(())
}

/// Directory of the manifests of revisions that are being removed.
pub fn removing(cache: &str) -> String {
    format!("{}/removing", state(cache))
}

/// Whether an attempt of another writer is at work: bytes are coming in.
pub fn is_fetching(root: &Root, cache: &str, now: i64) -> Result<bool, Failure> {
    /// Seconds without a byte after which nobody is at work: longer than the engine waits for a stalled connection.
    const STALLED: i64 = 120;
    let directory = staging(cache);
    for name in root.names(&directory)?.iter().filter(|it| !matches!(it.as_str(), "fence" | "lock")) {
        let stat = root.stat(&format!("{directory}/{name}"))?;
        if stat.is_some_and(|it| now.saturating_sub(it.st_mtime) < STALLED) {
            return Ok(true);
        }
    }
    Ok(false)
}
