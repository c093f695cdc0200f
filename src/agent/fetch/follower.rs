//! Threads that hash what lies behind the mark, one file per core.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use super::{active::Active, answer::Trouble, error::FetchError, lock::lock, run::Run};

/// Contents that have bytes to hash.
#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Arc<Active>>,
    closed: bool,
}

impl Queue {
    /// Asks for a content to be hashed as far as it is there.
    pub(super) fn push(&self, active: &Arc<Active>) {
        lock(&self.inner).waiting.push_back(Arc::clone(active));
        self.more.notify_one();
    }

    /// Lets the followers end.
    pub(super) fn close(&self) {
        lock(&self.inner).closed = true;
        self.more.notify_all();
    }

    fn pop(&self) -> Option<Arc<Active>> {
        let mut inner = lock(&self.inner);
        loop {
            if inner.closed {
                return None;
            }
            if let Some(active) = inner.waiting.pop_front() {
                return Some(active);
            }
            inner = self.more.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The life of a follower: hash what is asked for, and complete the contents that it brings to their end.
pub(super) fn follow(run: &Arc<Run>) {
    while let Some(active) = run.followers.pop() {
        match active.follow() {
            Ok(()) => run.conclude(&active),
            // A restart has emptied the file under the reader.
            Err(_) if active.is_dropped() => continue,
            Err(error) => {
                run.settle(&active, None, Trouble::Terminal(FetchError::io(&active.content.label, error)));
            }
        }
        // More may have come between the last look and the end of this round.
        run.follow(&active);
    }
}
