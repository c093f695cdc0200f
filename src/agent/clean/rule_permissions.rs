//! What does a rule for modes and owners do on a volume?

use super::super::failure::Failure;
use super::found::{Found, look};
use super::globs::Globs;
use super::hand::{Hand, Refusal, refused};
use super::report::{RuleReport, What};
use super::work::{Work, invalid, tell};
use crate::api::cleanup::{CleanupRule, PermissionsRule};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chmodat, chownat, fstat, openat};
use std::os::fd::AsRawFd;

/// Deeds between two looks at whether another writer has taken over.
const OFTEN: usize = 256;

/// What is wrong with one of them, and what it should be.
struct Change {
    mode: Option<u32>,
    user: Option<u32>,
    group: Option<u32>,
}

/// Carries out a rule for modes and owners.
pub fn run(
    work: &Work<'_>,
    rule: &CleanupRule,
    wanted: &PermissionsRule,
    report: &mut RuleReport,
) -> Result<(), Failure> {
    let number = |it: Option<i64>| it.map(u32::try_from).transpose();
    let (user, group) = (number(wanted.user), number(wanted.group));
    let (Ok(user), Ok(group)) = (user, group) else {
        return Err(invalid(rule, "`user` and `group` must be numbers from 0 to 4294967294"));
    };
    let modes = [(&wanted.file_mode, wanted.file_bits()), (&wanted.directory_mode, wanted.directory_bits())];
    if modes.iter().any(|(written, read)| written.is_some() && read.is_none()) {
        return Err(invalid(rule, "a mode must be four octal digits that begin with 0, such as \"0644\""));
    }
    let globs = Globs::of(rule)?;
    let found = look(work.root, &globs, work.owners, |path| globs.matches(path))?;
    tell(&found, report);
    report.matched = (found.files.len() + found.directories.len()) as u64;
    report.matched_bytes = found.files.iter().map(|it| it.disk).sum();

    let mut hand = Hand::on(work.root)?;
    let mut linked = 0_u64;
    // Directories first: one that could not be entered may be enterable then, in the next run.
    let directories = found.directories.iter().map(|it| (it, wanted.directory_bits(), false));
    let files = found.files.iter().map(|it| (it, wanted.file_bits(), true));
    for (index, (found, mode, is_file)) in directories.chain(files).enumerate() {
        if index % OFTEN == 0 {
            work.check()?;
        }
        let change = Change {
            mode: mode.filter(|mode| found.mode & 0o7777 != *mode),
            user: user.filter(|it| found.user != *it),
            group: group.filter(|it| found.group != *it),
        };
        if change.mode.is_none() && change.user.is_none() && change.group.is_none() {
            continue;
        }
        // Its other name may be anywhere, and it would be changed there too.
        if is_file && found.names > 1 {
            linked += 1;
            continue;
        }
        let why = why(found, &change);
        let done = if work.dry_run { Ok(()) } else { mend(&mut hand, found, &change) };
        match done {
            Ok(()) => report.did(What::Mended, found.shown(), why, 0),
            Err(refusal) => report.refused(&refusal),
        }
    }
    if linked > 0 {
        report.note(format!("{linked} files have another name (a hard link): they are not touched"));
    }
    Ok(())
}

fn why(found: &Found, change: &Change) -> String {
    let mode = change.mode.map(|mode| format!("mode {:04o} becomes {mode:04o}", found.mode & 0o7777));
    let user = change.user.map(|user| format!("user {} becomes {user}", found.user));
    let group = change.group.map(|group| format!("group {} becomes {group}", found.group));
    [mode, user, group].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Through a handle on exactly what was looked at: a name may be given to something else meanwhile.
fn mend(hand: &mut Hand, found: &Found, change: &Change) -> Result<(), Refusal> {
    let (directory, name) = hand.parent(&found.path)?;
    let failed = |error| refused(&found.path, error);
    let handle =
        openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    if !found.is(&fstat(&handle).map_err(failed)?) {
        return Err(Refusal::Changed(found.shown()));
    }
    if change.user.is_some() || change.group.is_some() {
        let (user, group) = (change.user.map(Uid::from_raw), change.group.map(Gid::from_raw));
        chownat(&handle, "", user, group, AtFlags::EMPTY_PATH).map_err(failed)?;
    }
    if let Some(mode) = change.mode {
        // There is no call for a handle that may not be read, before Linux 6.6.
        let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
        chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty()).map_err(failed)?;
    }
    Ok(())
}
