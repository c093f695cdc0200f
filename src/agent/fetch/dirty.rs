//! How much is written and not yet on the disk: bounded, because the page cache counts against the container and a
//! kill loses what no journal speaks of.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use super::lock::lock;

/// The bytes of all contents that are written and not synced.
#[derive(Debug)]
pub(super) struct Dirty {
    window: i64,
    // Signed: a sync may be counted before the write that it covers.
    bytes: Mutex<i64>,
    changed: Condvar,
}

impl Dirty {
    pub(super) fn new(window: u64) -> Self {
        let window = i64::try_from(window).unwrap_or(i64::MAX).max(1);
        Self { window, bytes: Mutex::new(0), changed: Condvar::new() }
    }

    /// Counts bytes that were written.
    pub(super) fn add(&self, bytes: u64) {
        let mut dirty = lock(&self.bytes);
        let before = *dirty;
        *dirty += i64::try_from(bytes).unwrap_or_default();
        if before < self.window / 2 && *dirty >= self.window / 2 {
            self.changed.notify_all();
        }
    }

    /// Counts bytes that are on the disk, or are no more.
    pub(super) fn sub(&self, bytes: u64) {
        *lock(&self.bytes) -= i64::try_from(bytes).unwrap_or_default();
        self.changed.notify_all();
    }

    /// Blocks while the window is full.
    pub(super) fn wait_for_room(&self, stopping: impl Fn() -> bool) {
        let mut dirty = lock(&self.bytes);
        while *dirty >= self.window && !stopping() {
            let waited = self.changed.wait_timeout(dirty, Duration::from_millis(100));
            dirty = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Blocks until there is enough to sync, at most for `longest`. True when there is.
    pub(super) fn wait_for_work(&self, longest: Duration, stopping: impl Fn() -> bool) -> bool {
        let dirty = lock(&self.bytes);
        let idle = |dirty: &mut i64| *dirty < self.window / 2 && !stopping();
        let waited = self.changed.wait_timeout_while(dirty, longest, idle);
        let dirty = waited.unwrap_or_else(PoisonError::into_inner).0;
        *dirty >= self.window / 2
    }

    /// Wakes all who wait, to see that the run stops.
    pub(super) fn wake(&self) {
        // Under the lock, so that nobody is between looking and waiting.
        let _looked = lock(&self.bytes);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn whoever_writes_waits_while_the_window_is_full_whatever_the_file_system() {
        let dirty = Arc::new(Dirty::new(100));
        dirty.add(100);
        let waiting = {
            let dirty = Arc::clone(&dirty);
            std::thread::spawn(move || dirty.wait_for_room(|| false))
        };
        assert!(dirty.wait_for_work(Duration::from_secs(5), || false), "there is enough to sync");
        assert!(!waiting.is_finished());
        dirty.sub(1);
        waiting.join().unwrap();
        dirty.wait_for_room(|| true);
    }
}
