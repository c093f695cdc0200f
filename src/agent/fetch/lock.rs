//! Taking a mutex without a panic of one thread becoming a panic of all.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A thread that panicked with the lock held has already ended the run (see `run::Alive`), so what it left is
/// only ever read to wind down.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
