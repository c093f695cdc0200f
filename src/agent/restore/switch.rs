//! How does what is staged come into place, and back? Step by step, each of which is one rename, in an order that is written
//! down first: killed at any moment, the next run goes on.
//!
//! While it lasts there is no `current`, so nobody takes the volume for whole.

use super::journal::{self, Journal, Phase, Step};
use crate::agent::failure::Failure;
use crate::agent::layout::publish::Publisher;
use crate::agent::layout::safe_path::{Root, split};
use crate::agent::layout::{LayoutError, current, state};
use crate::agent::unpack::remove;
use crate::api::Reason;
use rustix::fs::{AtFlags, FileType, RenameFlags, Stat, linkat, renameat, renameat_with, syncfs};
use rustix::io::Errno;

/// How often a restore plans steps anew because something has appeared in the way of one.
const PLANS: u32 = 1_000;

/// The steps that bring everything staged into place. Directories that are there are kept, with all else in them.
///
/// # Errors
/// When a link stands where a directory must be: it is not followed, and not replaced either.
pub fn plan(root: &Root, cache: &str) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    for name in root.names(&journal::staged(cache))? {
        below(root, &journal::staged(cache), &name, &mut steps)?;
    }
    Ok(steps)
}

fn below(root: &Root, staged: &str, path: &str, steps: &mut Vec<Step>) -> Result<(), Failure> {
    let kind = |stat: Stat| FileType::from_raw_mode(stat.st_mode);
    let new = root.stat(&format!("{staged}/{path}"))?.map(kind);
    match (new, root.stat(path)?.map(kind)) {
        (_, None) => steps.push(Step { path: path.to_owned(), replaces: false }),
        (Some(FileType::Directory), Some(FileType::Directory)) => {
            for name in root.names(&format!("{staged}/{path}"))? {
                below(root, staged, &format!("{path}/{name}"), steps)?;
            }
        }
        (Some(FileType::Directory), Some(FileType::Symlink)) => {
            return Err(LayoutError::Link { path: root.shown(path) }.into());
        }
        (_, Some(_)) => steps.push(Step { path: path.to_owned(), replaces: true }),
    }
    Ok(())
}

/// Moves everything into place, from wherever an earlier run was stopped.
pub fn forward(root: &Root, cache: &str, journal: &mut Journal) -> Result<(), Failure> {
    current::remove(root, cache)?;
    sync(root)?;
    let (new, old) = (journal::staged(cache), journal::kept(cache));
    let (mut next, mut anew) = (0, 0);
    while let Some(step) = journal.steps.get(next) {
        let (from, kept) = (format!("{new}/{}", step.path), format!("{old}/{}", step.path));
        if root.stat(&from)?.is_none() {
            next += 1;
            continue; // it was moved before the kill
        }
        if step.replaces {
            if root.stat(&kept)?.is_none() {
                set_aside(root, &step.path, &kept, !is_directory(root, &from)?)?;
            }
            rename(root, &from, &step.path)?;
        } else if !rename_new(root, &from, &step.path)? {
            // Somebody has put something there since it was planned: it is kept as everything that was there is.
            anew += 1;
            if anew > PLANS {
                let message = format!(
                    "{} appears again and again while it is restored: stop what writes there, and run the restore again",
                    root.shown(&step.path).display()
                );
                return Err(Failure::new(Reason::VolumeError, message));
            }
            let mut steps = Vec::new();
            below(root, &new, &step.path, &mut steps)?;
            drop(journal.steps.splice(next..=next, steps));
            journal.write(root, cache)?;
            continue;
        }
        next += 1;
    }
    sync(root)?;
    say_current(root, cache, journal.current.as_deref())?;
    journal.phase = Phase::Done;
    journal.write(root, cache)?;
    Ok(remove::tree(root, &new)?)
}

/// Moves back what was there before, from wherever an earlier run was stopped. What was restored goes where it was staged.
pub fn back(root: &Root, cache: &str, journal: &mut Journal) -> Result<(), Failure> {
    current::remove(root, cache)?;
    if journal.phase == Phase::Done {
        // Whatever is staged is of a later restore that failed. Beside it nothing would look as if it had been moved.
        remove::tree(root, &journal::staged(cache))?;
    }
    if journal.phase != Phase::RollingBack {
        journal.phase = Phase::RollingBack;
        journal.write(root, cache)?;
    }
    sync(root)?;
    let (new, old) = (journal::staged(cache), journal::kept(cache));
    for step in journal.steps.iter().rev() {
        let (aside, kept) = (format!("{new}/{}", step.path), format!("{old}/{}", step.path));
        if step.replaces && root.stat(&kept)?.is_none() {
            continue; // it never went, or is back already
        }
        let there = root.stat(&step.path)?.is_some() && root.stat(&aside)?.is_none();
        if step.replaces && root.same_file(&step.path, &kept)? {
            // It was set aside, and nothing took its place.
            root.remove(&kept)?;
            continue;
        }
        if there && step.replaces {
            set_aside(root, &step.path, &aside, !is_directory(root, &kept)?)?;
        } else if there {
            rename(root, &step.path, &aside)?;
        }
        if step.replaces {
            rename(root, &kept, &step.path)?;
        }
    }
    sync(root)?;
    say_current(root, cache, journal.before.as_deref())?;
    journal.phase = Phase::RolledBack;
    journal.write(root, cache)?;
    Ok(remove::tree(root, &old)?)
}

fn say_current(root: &Root, cache: &str, hash: Option<&str>) -> Result<(), Failure> {
    let Some(hash) = hash else { return Ok(()) };
    let mut publisher = Publisher::new(root, format!("{}/new", state(cache)))?;
    current::write(&mut publisher, cache, hash)?;
    Ok(publisher.finish()?)
}

fn is_plain(root: &Root, path: &str) -> Result<bool, LayoutError> {
    Ok(root.stat(path)?.is_some_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::RegularFile))
}

fn is_directory(root: &Root, path: &str) -> Result<bool, LayoutError> {
    Ok(root.stat(path)?.is_some_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Directory))
}

/// Keeps what is at a path under another name. A file keeps its own name too, where something may take its place in one step:
/// so there is no moment without it.
fn set_aside(root: &Root, path: &str, aside: &str, in_one_step: bool) -> Result<(), LayoutError> {
    let Some((from, name)) = root.parent(path)? else { return Ok(()) };
    let (directory, aside_name) = split(aside);
    let to = root.make_directory(directory)?;
    if in_one_step && is_plain(root, path)? {
        match linkat(&from, name, &to, aside_name, AtFlags::empty()) {
            Ok(()) | Err(Errno::EXIST) => return Ok(()),
            // A file system without hard links: there is a moment without the file.
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK) => {}
            Err(error) => return Err(root.failure(path, error)),
        }
    }
    renameat(&from, name, &to, aside_name).map_err(|error| root.failure(path, error))
}

/// Moves something to a path, whatever is there.
pub(super) fn rename(root: &Root, from: &str, to: &str) -> Result<(), LayoutError> {
    let (directory, name) = split(to);
    let target = root.make_directory(directory)?;
    let (source, from_name) = root.parent(from)?.ok_or_else(|| root.failure(from, Errno::NOENT))?;
    renameat(&source, from_name, &target, name).map_err(|error| root.failure(to, error))
}

/// As [`rename`], to where nothing is. Whether nothing was there: nothing is ever overwritten.
fn rename_new(root: &Root, from: &str, to: &str) -> Result<bool, LayoutError> {
    let (directory, name) = split(to);
    let target = root.make_directory(directory)?;
    let (source, from_name) = root.parent(from)?.ok_or_else(|| root.failure(from, Errno::NOENT))?;
    match renameat_with(&source, from_name, &target, name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        // A kill between the two names that it has for a moment below.
        Err(Errno::EXIST) if root.same_file(from, to)? => root.remove(from).map(|()| true),
        Err(Errno::EXIST) => Ok(false),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => name_new(root, from, to),
        Err(error) => Err(root.failure(to, error)),
    }
}

/// The same where the file system cannot do it in one step, as NFS cannot: by a second name, which nothing may have.
fn name_new(root: &Root, from: &str, to: &str) -> Result<bool, LayoutError> {
    let (directory, name) = split(to);
    let target = root.make_directory(directory)?;
    let (source, from_name) = root.parent(from)?.ok_or_else(|| root.failure(from, Errno::NOENT))?;
    if !is_directory(root, from)? {
        match linkat(&source, from_name, &target, name, AtFlags::empty()) {
            Ok(()) => return root.remove(from).map(|()| true),
            Err(Errno::EXIST) if root.same_file(from, to)? => return root.remove(from).map(|()| true),
            Err(Errno::EXIST) => return Ok(false),
            // Nor has it hard links: there is a moment in which something may appear unseen.
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK) => {}
            Err(error) => return Err(root.failure(to, error)),
        }
    }
    if root.stat(to)?.is_some() {
        return Ok(false);
    }
    match renameat(&source, from_name, &target, name) {
        Ok(()) => Ok(true),
        // A directory takes the place of an empty one at most.
        Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => Ok(false),
        Err(error) => Err(root.failure(to, error)),
    }
}

/// Everything written to the volume so far is on its disk. One call for a hundred thousand files.
pub fn sync(root: &Root) -> Result<(), Failure> {
    match syncfs(&root.directory("")?) {
        Ok(()) => Ok(()),
        Err(error) => Err(root.failure("", error).into()),
    }
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
