//! Whether it fits: asked before the first byte, and again for each content whose size comes later.

use std::sync::Mutex;

use super::{
    error::{FetchError, SpaceLimit},
    lock::lock,
    options::FetchOptions,
};

/// What the run may write, and what it has promised to.
#[derive(Debug)]
pub(super) struct Space {
    /// Bytes that the budget leaves to the run's contents, staged ones included.
    budget: Option<u64>,
    /// Bytes that the file system can still take.
    disk: u64,
    promised: Mutex<Promised>,
}

#[derive(Debug, Default)]
struct Promised {
    content: u64,
    to_write: u64,
}

impl Space {
    /// `free` is what the file system has left, in bytes.
    pub(super) fn new(options: &FetchOptions, free: u64) -> Self {
        Self {
            budget: options.budget_bytes.map(|budget| budget.saturating_sub(options.used_bytes)),
            disk: free.saturating_sub(options.min_free_bytes),
            promised: Mutex::default(),
        }
    }

    /// Promises room for `content` bytes, of which `staged` are on the disk already.
    pub(super) fn promise(&self, content: u64, staged: u64) -> Result<(), FetchError> {
        let mut promised = lock(&self.promised);
        let all = promised.content.saturating_add(content);
        let to_write = promised.to_write.saturating_add(content.saturating_sub(staged));
        if let Some(budget) = self.budget.filter(|budget| all > *budget) {
            return Err(FetchError::InsufficientSpace { needed: all, available: budget, limit: SpaceLimit::Budget });
        }
        if to_write > self.disk {
            let limit = SpaceLimit::FileSystem;
            return Err(FetchError::InsufficientSpace { needed: to_write, available: self.disk, limit });
        }
        *promised = Promised { content: all, to_write };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_staged_needs_no_room_on_the_disk_but_counts_against_the_budget() {
        let options =
            FetchOptions { budget_bytes: Some(100), used_bytes: 20, min_free_bytes: 5, ..FetchOptions::default() };
        let space = Space::new(&options, 35);
        space.promise(60, 40).unwrap();
        let error = space.promise(11, 0).unwrap_err();
        assert!(matches!(error, FetchError::InsufficientSpace { needed: 31, available: 30, .. }), "{error}");
        let error = space.promise(21, 21).unwrap_err();
        assert!(matches!(error, FetchError::InsufficientSpace { limit: SpaceLimit::Budget, .. }), "{error}");
    }
}
