//! How is a restore taken back, finished after a kill, or made final?

use super::journal::{self, Journal, Phase};
use super::switch;
use crate::agent::failure::Failure;
use crate::agent::fetch::{Staging, Writer};
use crate::agent::layout::safe_path::Root;
use crate::agent::layout::staging;
use crate::agent::unpack::remove;
use crate::api::Reason;
use jiff::Timestamp;
use std::path::Path;

/// The cache whose state is used where an archive is restored and no ModelCache is named.
pub const ARCHIVES: &str = "archive";

/// Puts back what was there before the last restore. The caller holds the volume's lock.
///
/// # Errors
/// `NotFound` when nothing is kept that could be put back.
pub fn roll_back(root: &Root, cache: &str) -> Result<Journal, Failure> {
    let nothing = |why: &str| {
        let message = format!("{}: {why}; there is nothing to roll back", root.shown("").display());
        Failure::new(Reason::NotFound, message)
    };
    match Journal::read(root, cache)? {
        None => Err(nothing("no restore is on record, or what it replaced is no longer kept")),
        Some(journal) if journal.phase == Phase::RolledBack => Err(nothing("the last restore was rolled back already")),
        Some(mut journal) => {
            switch::back(root, cache, &mut journal)?;
            Ok(journal)
        }
    }
}

/// Finishes what a killed run has begun to move, in the direction in which it was going. Gives what it finished.
pub fn resume(root: &Root, cache: &str) -> Result<Option<Journal>, Failure> {
    let Some(mut journal) = Journal::read(root, cache)? else { return Ok(None) };
    match journal.phase {
        Phase::Switching => switch::forward(root, cache, &mut journal)?,
        Phase::RollingBack => switch::back(root, cache, &mut journal)?,
        Phase::Done | Phase::RolledBack => return Ok(None),
    }
    Ok(Some(journal))
}

/// Removes what a finished restore keeps. The journal goes first: without it there is nothing to roll back to.
pub fn forget(root: &Root, cache: &str) -> Result<(), Failure> {
    root.remove(&journal::path(cache))?;
    Ok(remove::tree(root, &journal::directory(cache))?)
}

/// Removes what a restore keeps for longer than it was to be kept, and what a killed one had staged.
pub fn sweep(root: &Root, cache: &str, now: Timestamp) -> Result<(), Failure> {
    match Journal::read(root, cache)? {
        None => Ok(remove::tree(root, &journal::directory(cache))?),
        Some(journal) if matches!(journal.phase, Phase::Done | Phase::RolledBack) && journal.keep_until <= now => {
            forget(root, cache)
        }
        Some(_) => Ok(()),
    }
}

/// The same for archives that were restored with no ModelCache named: no run of their own cache ever comes by. What somebody
/// is unpacking just now stays, and what belongs to a cache that happens to have this name.
pub fn sweep_archives(root: &Root, volume: &Path, now: Timestamp) -> Result<(), Failure> {
    let own = staging(ARCHIVES);
    if root.stat(&journal::directory(ARCHIVES))?.is_none() || !root.names(&format!("{own}/fence"))?.is_empty() {
        return Ok(());
    }
    let Ok(_lock) = Staging::open(volume, Path::new(&own), Writer::Local) else { return Ok(()) };
    resume(root, ARCHIVES)?;
    sweep(root, ARCHIVES, now)
}
