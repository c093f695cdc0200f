//! What does a rule for files do on a volume? Decides for all of them at once, and deletes what is too much.

use super::super::failure::Failure;
use super::found::{Found, look, split};
use super::globs::Globs;
use super::hand::Hand;
use super::logs::words;
use super::report::{RuleReport, What};
use super::select::{Candidate, Limits, Why, select};
use super::work::{Work, duration_of, invalid, quantity_of, tell};
use crate::api::cleanup::{CleanupRule, DeleteRule};
use crate::api::quantity::human;
use std::collections::BTreeSet;

/// Deeds between two looks at whether another writer has taken over.
const OFTEN: usize = 256;

/// Carries out a rule for files.
pub fn run(work: &Work<'_>, rule: &CleanupRule, files: &DeleteRule, report: &mut RuleReport) -> Result<(), Failure> {
    let limits = limits(rule, files)?;
    let globs = Globs::of(rule)?;
    let found = look(work.root, &globs, work.owners, |path| globs.matches(path))?;
    tell(&found, report);
    // What NFS keeps for a reader that has a deleted file open (`.nfs` and hex digits) goes when that reader ends.
    let mut all: Vec<Found> = found.files;
    all.retain(|it| !split(&it.path).1.starts_with(b".nfs"));
    report.matched = all.len() as u64;
    report.matched_bytes = all.iter().map(|it| it.disk).sum();

    let candidates: Vec<Candidate> = all.iter().map(|it| Candidate { written: it.written, size: it.size }).collect();
    let chosen = select(&candidates, &limits, work.now.as_nanosecond());
    let gone: Vec<(&Found, Why)> = all.iter().zip(chosen).filter_map(|(found, why)| Some((found, why?))).collect();
    let why = |why: Why| match why {
        Why::Old => format!("not written to for more than {}", limits.older_than.map_or_else(String::new, words)),
        Why::Many => format!("more than {} files", limits.max_files.unwrap_or_default()),
        Why::Large => format!("more than {} together", human(limits.max_total_size.unwrap_or_default())),
    };
    work.refuse_mass_deletion(
        rule,
        gone.len() as u64,
        report.matched,
        || gone.iter().map(|(found, reason)| (found.shown(), why(*reason), found.disk)).collect(),
        report,
    )?;

    let mut hand = Hand::on(work.root)?;
    let mut bin = work.bin(rule);
    let mut directories: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut named_twice = 0_u64;
    for (index, (found, reason)) in gone.iter().enumerate() {
        if index % OFTEN == 0 {
            work.check()?;
        }
        named_twice += u64::from(found.names > 1);
        if bin.delete(work, &mut hand, found, &why(*reason), report) {
            directories.insert(split(&found.path).0.to_vec());
        }
    }
    if named_twice > 0 {
        report.note(format!(
            "{named_twice} of them have another name (a hard link): their space is free when that goes too"
        ));
    }
    if files.empty_directories.unwrap_or(false) {
        prune(work, &globs, &mut hand, directories, report);
    }
    Ok(())
}

fn limits(rule: &CleanupRule, files: &DeleteRule) -> Result<Limits, Failure> {
    let limits = Limits {
        older_than: duration_of(rule, files.older_than.as_deref())?,
        max_total_size: quantity_of(rule, files.max_total_size.as_ref())?,
        max_files: files.max_files.map(u64::from),
        keep_newest: files.keep_newest.map_or(0, u64::from),
    };
    if limits.older_than.is_none() && limits.max_total_size.is_none() && limits.max_files.is_none() {
        return Err(invalid(
            rule,
            "at least one of `olderThan`, `maxTotalSize` and `maxFiles` must say what is too much",
        ));
    }
    Ok(limits)
}

/// Removes the directories that are empty now, from below upwards.
fn prune(work: &Work<'_>, globs: &Globs, hand: &mut Hand, directories: BTreeSet<Vec<u8>>, report: &mut RuleReport) {
    let keep = |path: &[u8]| {
        let named = work.directories.iter().chain(globs.starts());
        path.is_empty() || named.into_iter().any(|it| it.as_bytes() == path || below(it.as_bytes(), path))
    };
    let mut pending: Vec<Vec<u8>> = directories.into_iter().collect();
    // The deepest last, and taken first.
    pending.sort_by_key(|path| depth(path));
    while let Some(path) = pending.pop() {
        if keep(&path) || work.dry_run {
            continue;
        }
        match hand.remove_empty(&path) {
            Ok(true) => {
                report.did(What::DirectoryRemoved, super::found::shown(&path), "is empty now", 0);
                let parent = split(&path).0.to_vec();
                if !pending.contains(&parent) {
                    let at = pending.partition_point(|it| depth(it) <= depth(&parent));
                    pending.insert(at, parent);
                }
            }
            Ok(false) => {}
            Err(refusal) => report.refused(&refusal),
        }
    }
}

/// Parts of a path.
fn depth(path: &[u8]) -> usize {
    path.split(|byte| *byte == b'/').count()
}

/// Whether a path is below a directory.
fn below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}
