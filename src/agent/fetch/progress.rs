//! How far a run is, readable from any task at any time.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use super::lock::lock;

/// Counters of one run. Cheap to write from every connection and to read from another task; never blocks either.
#[derive(Debug, Default)]
pub struct Progress {
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
    bytes_fetched: AtomicU64,
    files_done: AtomicU64,
    files_total: AtomicU64,
    rate: AtomicU64,
    last_tick: Mutex<Option<(Instant, u64)>>,
}

/// What `Progress` says at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Bytes on the volume, those of an earlier run included.
    pub bytes_done: u64,
    /// Bytes in all, as far as sizes are known by now.
    pub bytes_total: u64,
    /// Bytes that this run took from the network.
    pub bytes_fetched: u64,
    /// Contents verified and handed over.
    pub files_done: u64,
    /// Contents in all, identical ones counted once.
    pub files_total: u64,
    /// Bytes per second from the network, smoothed over a few seconds.
    pub bytes_per_second: u64,
}

impl Progress {
    /// All counters at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            bytes_done: self.bytes_done.load(Relaxed),
            bytes_total: self.bytes_total.load(Relaxed),
            bytes_fetched: self.bytes_fetched.load(Relaxed),
            files_done: self.files_done.load(Relaxed),
            files_total: self.files_total.load(Relaxed),
            bytes_per_second: self.rate.load(Relaxed),
        }
    }

    pub(super) fn expect(&self, files: u64, bytes: u64) {
        self.files_total.fetch_add(files, Relaxed);
        self.bytes_total.fetch_add(bytes, Relaxed);
    }

    pub(super) fn expect_less(&self, bytes: u64) {
        self.bytes_total.fetch_sub(bytes, Relaxed);
    }

    pub(super) fn fetched(&self, bytes: u64) {
        self.bytes_fetched.fetch_add(bytes, Relaxed);
    }

    pub(super) fn have(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Relaxed);
    }

    pub(super) fn lost(&self, bytes: u64) {
        self.bytes_done.fetch_sub(bytes, Relaxed);
    }

    pub(super) fn file_done(&self) {
        self.files_done.fetch_add(1, Relaxed);
    }

    /// Bytes still to come, as far as known.
    pub(super) fn remaining(&self) -> u64 {
        self.bytes_total.load(Relaxed).saturating_sub(self.bytes_done.load(Relaxed))
    }

    /// Brings the rate up to date; called a few times a second.
    pub(super) fn tick(&self, now: Instant) {
        let fetched = self.bytes_fetched.load(Relaxed);
        let mut last = lock(&self.last_tick);
        if let Some((then, before)) = *last {
            let millis = u64::try_from(now.duration_since(then).as_millis()).unwrap_or(u64::MAX).max(1);
            let current = fetched.saturating_sub(before).saturating_mul(1000) / millis;
            let smooth = self.rate.load(Relaxed);
            self.rate.store(if smooth == 0 { current } else { (smooth * 3 + current) / 4 }, Relaxed);
        }
        *last = Some((now, fetched));
    }
}
