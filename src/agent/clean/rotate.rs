//! How is a log started anew so that no line is lost, whenever the run is killed?
//!
//! `Rename`: the empty log is made aside, the log gets its new name, which nothing has, and the empty one the old name. Killed
//! in between, the next run gives it that name.
//!
//! `CopyTruncate`: the copy is made aside and is on the disk before its name says `cut`; then what was added meanwhile is
//! copied, the log is cut, and the copy gets its name. Killed in between, the next run sees by the bytes whether the log was
//! cut: if so the copy gets its name, if not the copy goes.

use super::compress::{begins_with, is_equal, like};
use super::found::{Found, split};
use super::hand::{Hand, Refusal, failed, refused};
use super::logs::{Log, beside};
use super::report::{RuleReport, What};
use super::rotated::{Aside, aside, rotated};
use crate::api::cleanup::RotateMethod;
use rustix::fs::{AtFlags, OFlags, StatxFlags, statx};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;

/// Names that are tried before a rotation gives up: one for each second from now on.
const TRIES: i64 = 120;

/// Times that what came meanwhile is copied and put on the disk before a log is cut; then it is cut however busy it is.
const ROUNDS: usize = 8;

/// Starts a log anew. The path of the rotated file and its time.
pub fn rotate(
    hand: &mut Hand,
    found: &Found,
    method: RotateMethod,
    now: i64,
    report: &mut RuleReport,
) -> Result<(Vec<u8>, i64), Refusal> {
    match method {
        RotateMethod::Rename => rename(hand, found, now, report),
        RotateMethod::CopyTruncate => copy_and_cut(hand, found, now),
    }
}

fn rename(hand: &mut Hand, found: &Found, now: i64, report: &mut RuleReport) -> Result<(Vec<u8>, i64), Refusal> {
    let (directory, name) = split(&found.path);
    let new = beside(directory, &aside(name, now, Aside::New));
    let file = hand.create(&new)?;
    // Its time is now, and its owner and mode are the log's.
    let fresh = Found { written: i128::from(now) * 1_000_000_000, ..found.clone() };
    let made = like(&fresh, &file).and_then(|()| file.sync_all()).and_then(|()| file.metadata());
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            hand.unlink(&new)?;
            return Err(failed(&new, &error));
        }
    };
    // A log that its program cannot write to is worse than none: most make one that is missing.
    let writable = (made.uid(), made.gid()) == (found.user, found.group);
    if !writable {
        hand.unlink(&new)?;
    }
    let moved = hand.check_log(found).and_then(|()| to_free_name(hand, &found.path, &found.path, now));
    let moved = match moved {
        Ok(moved) => moved,
        Err(refusal) => {
            hand.unlink(&new)?;
            return Err(refusal);
        }
    };
    if !writable {
        let (user, group) = (found.user, found.group);
        report.note(format!(
            "{} got no new log: only root may give a file to {user}:{group}; its program must make one, or be asked to",
            found.shown()
        ));
    // A program that opens the log for each line may have made one already.
    } else if !hand.rename(&new, &found.path)? {
        hand.unlink(&new)?;
    }
    hand.sync(&found.path)?;
    Ok(moved)
}

fn copy_and_cut(hand: &mut Hand, found: &Found, now: i64) -> Result<(Vec<u8>, i64), Refusal> {
    let (directory, name) = split(&found.path);
    let copy = beside(directory, &aside(name, now, Aside::Copy));
    let cut = beside(directory, &aside(name, now, Aside::Cut));
    let mut log = hand.open_log(found, OFlags::RDWR)?;
    let mut new = hand.create(&copy)?;
    let copied = std::io::copy(&mut log, &mut new).and_then(|_| like(found, &new)).and_then(|()| new.sync_all());
    if let Err(error) = copied {
        hand.unlink(&copy)?;
        return Err(failed(&found.path, &error));
    }
    if !hand.rename(&copy, &cut)? {
        hand.unlink(&copy)?;
        return Err(Refusal::Changed(found.shown()));
    }
    hand.sync(&cut)?;
    cut_after(&mut log, &mut new).map_err(|error| failed(&found.path, &error))?;
    let moved = to_free_name(hand, &cut, &found.path, now)?;
    hand.sync(&found.path)?;
    Ok(moved)
}

/// Copies what was added meanwhile, as close to the cut as can be, and cuts. What is cut is on the disk before, but for the
/// lines of the last moment of a log that is never quiet.
fn cut_after(log: &mut File, new: &mut File) -> std::io::Result<()> {
    new.seek(SeekFrom::End(0))?;
    for _ in 0..ROUNDS {
        if std::io::copy(log, new)? == 0 {
            return log.set_len(0);
        }
        new.sync_all()?;
    }
    std::io::copy(log, new)?;
    log.set_len(0)?;
    new.sync_all()
}

/// Gives a file the first name of a rotated log that nothing has.
fn to_free_name(hand: &mut Hand, from: &[u8], log: &[u8], now: i64) -> Result<(Vec<u8>, i64), Refusal> {
    let (directory, name) = split(log);
    for time in now..now.saturating_add(TRIES) {
        let to = beside(directory, &rotated(name, time));
        let compressed = [&to[..], b".zst"].concat();
        if hand.stat(&compressed)?.is_none() && hand.rename(from, &to)? {
            return Ok((to, time));
        }
    }
    Err(refused(from, rustix::io::Errno::EXIST))
}

/// Finishes, or undoes, what a killed run had begun. Whether there was anything: then the files are to be looked at again.
pub fn finish(
    hand: &mut Hand,
    path: &[u8],
    log: &Log,
    report: &mut RuleReport,
    dry_run: bool,
) -> Result<bool, Refusal> {
    let twice = log.log.as_ref().filter(|it| it.names == 2);
    let twice = twice.filter(|it| log.rotated.iter().any(|other| other.found.inode == it.inode));
    let both = log.rotated.iter().filter(|it| it.compressed);
    let both: Vec<_> = both
        .filter_map(|it| Some((log.rotated.iter().find(|other| !other.compressed && other.time == it.time)?, it)))
        .collect();
    if log.aside.is_empty() && twice.is_none() && both.is_empty() {
        return Ok(false);
    }
    let mut say = |path: &[u8], why: &str| report.did(What::Finished, super::found::shown(path), why, 0);
    if let Some(found) = twice {
        say(path, "the rotated log had two names");
        if !dry_run {
            hand.remove(found)?;
        }
    }
    for (what, time, found) in &log.aside {
        let why = match what {
            Aside::New => "a rotation was cut short: the new log takes its place",
            Aside::Copy => "a copy was cut short: the log is whole",
            Aside::Part => "a compression was cut short: the original is whole",
            Aside::Cut => "a rotation was cut short after the copy",
        };
        say(&found.path, why);
        if dry_run {
            continue;
        }
        match what {
            Aside::New => {
                if !hand.rename(&found.path, path)? {
                    hand.unlink(&found.path)?;
                }
            }
            Aside::Copy | Aside::Part => hand.unlink(&found.path)?,
            Aside::Cut => {
                let uncut = match &log.log {
                    Some(log) => begins_with(hand, log, found)?,
                    None => false,
                };
                if uncut {
                    hand.unlink(&found.path)?;
                } else {
                    to_free_name(hand, &found.path, path, *time)?;
                }
            }
        }
    }
    for (plain, compressed) in both {
        say(&plain.found.path, "a compression was cut short: of the two files the one that is not needed goes");
        if dry_run {
            continue;
        }
        if is_equal(hand, &plain.found, &compressed.found)? {
            hand.remove(&plain.found)?;
        } else {
            // The original was written to again, or the other is damaged: it can be made again, the original cannot.
            hand.remove(&compressed.found)?;
        }
    }
    hand.sync(path)?;
    Ok(!dry_run)
}

/// When a file was begun, in seconds since 1970, where the file system knows.
pub fn born(hand: &mut Hand, path: &[u8]) -> Option<i64> {
    let (directory, name) = hand.parent(path).ok()?;
    let told = statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME).ok()?;
    let known = told.stx_mask & StatxFlags::BTIME.bits() != 0 && told.stx_btime.tv_sec > 0;
    known.then_some(told.stx_btime.tv_sec)
}
