//! How far is the work? One account, read by `/progress`, `/metrics`, the progress bar and the lines for people.

use super::super::fetch;
use crate::contract::progress::Progress;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The account of one run. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The listings were read: totals are known.
    listed: AtomicBool,
    files_total: AtomicU64,
    files_done: AtomicU64,
    bytes_total: AtomicU64,
    /// Bytes that were on the volume before.
    bytes_there: AtomicU64,
    /// The engine's own account.
    engine: Arc<fetch::Progress>,
}

impl Report {
    /// The engine's account, to give to it.
    pub fn engine(&self) -> &Arc<fetch::Progress> {
        &self.inner.engine
    }

    /// Whether threads of the engine are at work: each run holds its account.
    pub fn is_fetching(&self) -> bool {
        Arc::strong_count(&self.inner.engine) > 1
    }

    /// Files and bytes that are wanted.
    pub fn wanted(&self, files: u64, bytes: u64) {
        self.inner.files_total.fetch_add(files, Relaxed);
        self.inner.bytes_total.fetch_add(bytes, Relaxed);
    }

    /// Files and bytes that are there already.
    pub fn there(&self, files: u64, bytes: u64) {
        self.inner.files_done.fetch_add(files, Relaxed);
        self.inner.bytes_there.fetch_add(bytes, Relaxed);
    }

    /// Totals will not change any more.
    pub fn listed(&self) {
        self.inner.listed.store(true, Relaxed);
    }

    /// Files whose content was put into place just now.
    pub fn published(&self, files: u64) {
        self.inner.files_done.fetch_add(files, Relaxed);
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let (inner, engine) = (&self.inner, self.inner.engine.snapshot());
        let known = |total: &AtomicU64| inner.listed.load(Relaxed).then(|| total.load(Relaxed));
        Progress {
            files_done: inner.files_done.load(Relaxed),
            files_total: known(&inner.files_total),
            bytes_done: inner.bytes_there.load(Relaxed) + engine.bytes_done,
            bytes_total: known(&inner.bytes_total),
            bytes_fetched: engine.bytes_fetched,
            bytes_per_second: engine.bytes_per_second,
            ..Progress::default()
        }
    }
}
