//! Who fetches what next: large contents first, several at a time so that every core has one to hash, parts in order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Instant,
};

use tokio::sync::Notify;

use super::{
    active::{Active, Claim},
    content::Content,
    lock::lock,
    options::{MIB, SMALL},
};

/// What a connection takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Everything; the higher its number, the sooner it is not needed.
    Any {
        /// From zero.
        number: usize,
    },
    /// Small content only: its cost is latency, not bandwidth, so more of it may be under way at a time.
    Small,
}

/// What a connection should do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Fetch this range.
    Fetch(Arc<Active>, std::ops::Range<u64>),
    /// Take up this content.
    Open(usize),
    /// Wait for a change, or until a moment.
    Wait(Option<Instant>),
    /// Nothing is left for this kind of connection.
    Done,
}

/// The work of a run. Its memory grows with the number of contents only by an index each.
#[derive(Debug)]
pub(super) struct Board {
    inner: Mutex<Inner>,
    /// Wakes connections that found nothing to do.
    pub(super) changed: Notify,
    /// Large contents that are open at a time: one per core keeps all cores hashing.
    side_by_side: usize,
    part_size: u64,
    connections: u64,
}

#[derive(Debug)]
struct Inner {
    waiting: VecDeque<(usize, Option<u64>)>,
    opening: usize,
    active: Vec<Arc<Active>>,
}

impl Board {
    /// Orders the contents: unknown sizes first, as they may be large, then by size.
    pub(super) fn new(contents: &[Content], which: &[usize], part_size: u64, connections: usize) -> Self {
        let mut waiting: Vec<_> = which.iter().map(|&index| (index, contents[index].size)).collect();
        waiting.sort_by_key(|(_, size)| std::cmp::Reverse(size.unwrap_or(u64::MAX)));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            inner: Mutex::new(Inner { waiting: waiting.into(), opening: 0, active: Vec::new() }),
            changed: Notify::new(),
            side_by_side: cores.clamp(2, 8),
            part_size: part_size.max(MIB),
            connections: connections.max(1) as u64,
        }
    }

    /// What a connection should do now. `remaining` is the run's bytes still to come: near the end parts get
    /// smaller, so that all connections end together.
    pub(super) fn next(&self, lane: Lane, remaining: u64) -> Next {
        let now = Instant::now();
        let part =
            (remaining / (self.connections * 2) / MIB * MIB).clamp((2 * MIB).min(self.part_size), self.part_size);
        let mut inner = lock(&self.inner);
        if lane == Lane::Small {
            return match inner.waiting.back() {
                Some((_, Some(size))) if *size <= SMALL => inner.open(false),
                _ => Next::Done,
            };
        }
        let busy = inner.active.iter().filter(|active| !active.is_small() && active.load().1).count();
        if busy + inner.opening < self.side_by_side && !inner.waiting.is_empty() {
            return inner.open(true);
        }
        let mut by_load: Vec<_> = inner.active.iter().map(|active| (active.load().0, active)).collect();
        by_load.sort_by_key(|(load, _)| *load);
        let mut until: Option<Instant> = None;
        for (_, active) in by_load {
            match active.claim(now, part) {
                Claim::Range(range) => return Next::Fetch(Arc::clone(active), range),
                Claim::Later(later) => until = Some(until.map_or(later, |until| until.min(later))),
                Claim::Nothing => {}
            }
        }
        // One that is being opened may have work for everybody; small content never has.
        if let Some((_, size)) = inner.waiting.front()
            && (inner.opening == 0 || size.is_some_and(|size| size <= SMALL))
        {
            return inner.open(true);
        }
        if inner.is_done() { Next::Done } else { Next::Wait(until) }
    }

    /// Whether all contents are done.
    pub(super) fn is_done(&self) -> bool {
        lock(&self.inner).is_done()
    }

    /// A content was taken up.
    pub(super) fn opened(&self, active: &Arc<Active>) {
        let mut inner = lock(&self.inner);
        inner.opening -= 1;
        inner.active.push(Arc::clone(active));
        drop(inner);
        if !active.is_small() {
            self.changed.notify_waiters();
        }
    }

    /// A content starts over with another file.
    pub(super) fn replaced(&self, old: &Arc<Active>, new: Arc<Active>) {
        let mut inner = lock(&self.inner);
        inner.active.retain(|active| !Arc::ptr_eq(active, old));
        inner.active.push(new);
        drop(inner);
        self.changed.notify_waiters();
    }

    /// A content is done.
    pub(super) fn finished(&self, done: &Arc<Active>) {
        let mut inner = lock(&self.inner);
        inner.active.retain(|active| !Arc::ptr_eq(active, done));
        let last = inner.active.is_empty() && inner.waiting.is_empty();
        drop(inner);
        if last || !done.is_small() {
            self.changed.notify_waiters();
        }
    }

    /// What is being fetched now.
    pub(super) fn active(&self) -> Vec<Arc<Active>> {
        lock(&self.inner).active.clone()
    }
}

impl Inner {
    fn is_done(&self) -> bool {
        self.active.is_empty() && self.opening == 0 && self.waiting.is_empty()
    }

    fn open(&mut self, largest: bool) -> Next {
        let next = if largest { self.waiting.pop_front() } else { self.waiting.pop_back() };
        match next {
            Some((index, _)) => {
                self.opening += 1;
                Next::Open(index)
            }
            None => Next::Done,
        }
    }
}
