//! The thread that brings written bytes to the disk and then, not before, says so in the journals.

use std::{sync::Arc, time::Duration};

use super::{active::Active, error::FetchError, journal::Record, lock::lock, run::Run};

/// How often the journals are brought up to date, however little was written, and the fence is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// The life of the keeper: until the run stops, and then once more, so that what has arrived is kept.
pub(super) fn keep(run: &Arc<Run>) {
    loop {
        let full = run.dirty.wait_for_work(INTERVAL, || run.is_stopping());
        let stopping = run.is_stopping();
        if let Err(error) = checkpoint_all(run, full || stopping) {
            run.fail(error);
            return;
        }
        if stopping {
            return;
        }
    }
}

fn checkpoint_all(run: &Run, all: bool) -> Result<(), FetchError> {
    run.staging.check()?;
    for active in run.board.active() {
        let unsynced = active.state().unsynced;
        // Small content has no journal and is soon complete: it is synced early only when the window is full.
        if unsynced > 0 && (all || !active.is_small()) {
            checkpoint(run, &active)?;
        }
    }
    Ok(())
}

/// Syncs a content and records what is on the disk now. The record was taken before the sync, so it can only say
/// less than is there.
pub(super) fn checkpoint(run: &Run, active: &Active) -> Result<(), FetchError> {
    // One at a time per content: records must not overtake each other.
    let mut journal = lock(&active.journal);
    let mark = active.mark();
    let synced = rustix::fs::fdatasync(&active.file);
    run.dirty.sub(mark.unsynced);
    synced.map_err(|error| FetchError::io(&active.content.label, error))?;
    if let Some(journal) = &mut *journal {
        journal.append(&Record {
            size: mark.size,
            validator: mark.validator,
            held: mark.held.iter().map(|range| (range.start, range.end)).collect(),
        })?;
    }
    active.release_pages(mark.hashed);
    Ok(())
}
