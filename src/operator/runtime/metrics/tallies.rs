//! What happened to each cache since this process leads?

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How runs of one kind ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    /// All was done.
    pub(super) succeeded: u64,
    /// It was not.
    pub(super) failed: u64,
}

impl Runs {
    pub(super) const fn count(&mut self, succeeded: bool) {
        if succeeded {
            self.succeeded += 1;
        } else {
            self.failed += 1;
        }
    }
}

/// What happened to one cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) warm_ups: Runs,
    pub(super) backups: Runs,
    pub(super) restores: Runs,
    pub(super) cleans: Runs,
    pub(super) fetched_bytes: u64,
    pub(super) freed_bytes: u64,
}

/// By namespace and name: about 200 bytes for a cache to which anything happened.
#[derive(Debug, Default)]
pub(super) struct Tallies(Mutex<BTreeMap<(String, String), Tally>>);

impl Tallies {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<(String, String), Tally>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the tally of a cache.
    pub(super) fn of(&self, namespace: &str, cache: &str, count: impl FnOnce(&mut Tally)) {
        self.with(|it| count(it.entry((namespace.to_owned(), cache.to_owned())).or_default()));
    }

    /// Forgets the caches that are not there any more; the others' tallies.
    pub(super) fn kept(&self, is_there: impl Fn(&str, &str) -> bool) -> BTreeMap<(String, String), Tally> {
        self.with(|it| {
            it.retain(|(namespace, cache), _| is_there(namespace, cache));
            it.clone()
        })
    }
}
