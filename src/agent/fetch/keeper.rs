//! The thread that brings written bytes to the disk and then, not before, says so in the journals.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use super::{active::Active, error::FetchError, journal::Record, lock::lock, run::Run};

/// How often the journals are brought up to date, however little was written, and the fence is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// The syncs of one file. After one that failed the system has forgotten what it could not write, and says of the next that all is
/// well (<https://www.kernel.org/doc/html/latest/filesystems/vfs.html#handling-errors-during-writeback>). Here it has failed for
/// good: a content whose last bytes are synced at that moment must not become complete.
#[derive(Debug, Default)]
pub(super) struct Syncs(AtomicBool);

impl Syncs {
    fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.0.load(SeqCst) {
            return Err(io::Error::other("an earlier sync of it failed, so that some of it may be lost"));
        }
        sync().inspect_err(|_| self.0.store(true, SeqCst))
    }
}

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
    let synced = active.syncs.sync(|| rustix::fs::fdatasync(&active.file).map_err(Into::into));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_synced_once_is_never_taken_for_synced() {
        let syncs = Syncs::default();
        assert!(syncs.sync(|| Ok(())).is_ok());
        assert!(syncs.sync(|| Err(io::ErrorKind::StorageFull.into())).is_err());
        assert!(syncs.sync(|| Ok(())).is_err(), "the system says so, and knows no better");
    }
}
