//! What does a rule for logs do on a volume? Looks, finishes what a killed run began, decides for all logs, and then acts.

use super::super::failure::Failure;
use super::compress::compress;
use super::found::{Seen, look, split};
use super::globs::Globs;
use super::hand::Hand;
use super::logs::{Log, Steps, Wanted, group, log_of, steps};
use super::report::{RuleReport, What};
use super::rotate::{born, finish, rotate};
use super::rotated::{Name, read};
use super::work::{Work, duration_of, invalid, quantity_of, tell};
use crate::api::cleanup::{CleanupRule, Compression, RotateMethod, RotateRule};
use std::collections::BTreeMap;

/// Carries out a rule for logs.
pub fn run(work: &Work<'_>, rule: &CleanupRule, logs: &RotateRule, report: &mut RuleReport) -> Result<(), Failure> {
    let wanted = wanted(rule, logs)?;
    let globs = Globs::of(rule)?;
    let mut hand = Hand::on(work.root)?;
    let mut all = seen(work, &globs, report, true)?;
    let mut again = false;
    for (path, log) in &all {
        match finish(&mut hand, path, log, report, work.dry_run) {
            Ok(done) => again |= done,
            Err(refusal) => report.refused(&refusal),
        }
    }
    if again {
        all = seen(work, &globs, report, false)?;
    }
    let files = all.values().flat_map(|it| it.log.iter().chain(it.rotated.iter().map(|it| &it.found)));
    let (count, bytes) = files.fold((0, 0), |(count, bytes), it| (count + 1, bytes + it.disk));
    (report.matched, report.matched_bytes) = (count, bytes);

    let mut plan: Vec<(Vec<u8>, Log, Steps)> = Vec::new();
    for (path, mut log) in all {
        if let Some(found) = log.log.as_ref().filter(|it| it.names > 1) {
            report.note(format!("{} has another name (a hard link): it is not touched", found.shown()));
            continue;
        }
        log.born = log.log.as_ref().and_then(|it| born(&mut hand, &it.path));
        let steps = steps(&log, &wanted, work.now.as_nanosecond());
        plan.push((path, log, steps));
    }
    let gone = plan.iter().map(|(.., steps)| steps.delete.len() as u64).sum();
    work.refuse_mass_deletion(
        rule,
        gone,
        count,
        || {
            let all = plan.iter().flat_map(|(.., steps)| &steps.delete);
            all.map(|(found, why)| (found.shown(), why.clone(), found.disk)).collect()
        },
        report,
    )?;

    let mut bin = work.bin(rule);
    for (path, log, steps) in plan {
        work.check()?;
        if let Err(refusal) = one(work, &mut hand, logs.effective_method(), &path, &log, &steps, report) {
            report.refused(&refusal);
        }
        for (found, why) in &steps.delete {
            let is_log = log.log.as_ref() == Some(found);
            if let Some(process) = work.in_use.by(found.device, found.inode).filter(|_| is_log) {
                report.note(format!("{} is open in process {process}: it is not deleted", found.shown()));
                continue;
            }
            bin.delete(work, &mut hand, found, why, report);
        }
        for (found, time) in &steps.compress {
            squeeze(work, &mut hand, &path, found, *time, report);
        }
    }
    Ok(())
}

fn wanted(rule: &CleanupRule, logs: &RotateRule) -> Result<Wanted, Failure> {
    if logs.max_size.is_none() && logs.max_age.is_none() {
        return Err(invalid(rule, "at least one of `maxSize` and `maxAge` must say when a log is rotated"));
    }
    if logs.keep.is_none() && rule.delete_after.is_none() {
        return Err(invalid(rule, "`rotate` must have `keep`, or `deleteAfter` beside it"));
    }
    Ok(Wanted {
        max_size: quantity_of(rule, logs.max_size.as_ref())?,
        max_age: duration_of(rule, logs.max_age.as_deref())?,
        keep: logs.keep.map(u64::from),
        delete_after: duration_of(rule, rule.delete_after.as_deref())?,
        compress: logs.effective_compress() == Compression::Zstd,
        delay: logs.effective_delay_compress(),
    })
}

fn seen(work: &Work<'_>, globs: &Globs, report: &mut RuleReport, say: bool) -> Result<BTreeMap<Vec<u8>, Log>, Failure> {
    let mine = |path: &[u8]| match read(split(path).1) {
        Name::Other => globs.matches(path),
        _ => globs.matches(&log_of(path)),
    };
    let found: Seen = look(work.root, globs, work.owners, mine)?;
    if say {
        tell(&found, report);
    }
    Ok(group(found.files))
}

/// Rotates one log, if it is time.
fn one(
    work: &Work<'_>,
    hand: &mut Hand,
    method: RotateMethod,
    path: &[u8],
    log: &Log,
    steps: &Steps,
    report: &mut RuleReport,
) -> Result<(), super::hand::Refusal> {
    let (Some(why), Some(found)) = (&steps.rotate, &log.log) else { return Ok(()) };
    let what = if method == RotateMethod::Rename { What::Rotated } else { What::Cut };
    if work.dry_run {
        report.did(what, found.shown(), why, found.disk);
        return Ok(());
    }
    let (to, time) = rotate(hand, found, method, work.now.as_second(), report)?;
    report.did(what, found.shown(), why, found.disk);
    if let Some(process) = work.in_use.by(found.device, found.inode).filter(|_| method == RotateMethod::Rename) {
        report.note(format!(
            "{} is still open in process {process}, which writes to the rotated file until it opens the log again; if it \
             never does, use `method: CopyTruncate`",
            found.shown()
        ));
    }
    if steps.compress_new
        && let Some(stat) = hand.stat(&to)?
    {
        squeeze(work, hand, path, &super::found::Found::of(&to, &stat), time, report);
    }
    Ok(())
}

fn squeeze(
    work: &Work<'_>,
    hand: &mut Hand,
    log: &[u8],
    found: &super::found::Found,
    time: i64,
    report: &mut RuleReport,
) {
    if found.names > 1 {
        return report.note(format!("{} has another name (a hard link): it is not compressed", found.shown()));
    }
    if let Some(process) = work.in_use.by(found.device, found.inode) {
        return report.note(format!("{} is open in process {process}: it is compressed later", found.shown()));
    }
    if work.dry_run {
        return report.did(What::Compressed, found.shown(), "is rotated and quiet", 0);
    }
    match compress(hand, found, log, time) {
        Ok(Some(freed)) => report.did(What::Compressed, found.shown(), "is rotated and quiet", freed),
        Ok(None) => report.note(format!("{} does not become smaller, or was written to: it stays", found.shown())),
        Err(refusal) => report.refused(&refusal),
    }
}
