//! Who fetches what next: large contents first, several at a time so that every core has one to hash, parts in order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    active::{Active, Claim},
    flights::Ticket,
    hosts::{Hosts, Turn},
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
    Fetch(Arc<Active>, Ticket),
    /// Take up this content.
    Open(Unit),
    /// Wait for a change, or until a moment.
    Wait(Option<Instant>),
    /// Nothing is left for this kind of connection.
    Done,
}

/// A content to take up, and its size as far as any that want it know.
pub(super) type Unit = (usize, Option<u64>);

/// Who asks for work, and what is known at that moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) lane: Lane,
    pub(super) now: Instant,
    /// The run's bytes still to come: near the end parts get smaller, so that all connections end together.
    pub(super) remaining: u64,
    pub(super) hosts: &'a Hosts,
    /// Requests that a host gets at a time.
    pub(super) most: usize,
    /// A connection that brings nothing for this long is taken over from.
    pub(super) silence: Duration,
    /// More is complete than the caller has taken yet.
    pub(super) behind: bool,
}

/// How often a connection without work looks for one that needs help.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The work of a run. Its memory grows with the number of contents only by an index each.
#[derive(Debug)]
pub(super) struct Board {
    inner: Mutex<Inner>,
    /// Wakes connections that found nothing to do.
    pub(super) changed: Notify,
    /// Large contents that are open at a time: one per core keeps all cores hashing.
    side_by_side: usize,
    part_size: u64,
    connections: usize,
}

#[derive(Debug)]
struct Inner {
    waiting: VecDeque<Unit>,
    opening: usize,
    active: Vec<Arc<Active>>,
}

impl Board {
    /// Orders the contents: unknown sizes first, as they may be large, then by size.
    pub(super) fn new(mut waiting: Vec<Unit>, part_size: u64, connections: usize) -> Self {
        waiting.sort_by_key(|(_, size)| std::cmp::Reverse(size.unwrap_or(u64::MAX)));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            inner: Mutex::new(Inner { waiting: waiting.into(), opening: 0, active: Vec::new() }),
            changed: Notify::new(),
            side_by_side: cores.clamp(2, 8),
            part_size: part_size.max(MIB),
            connections: connections.max(1),
        }
    }

    /// What a connection should do now.
    pub(super) fn next(&self, ask: Ask<'_>) -> Next {
        let (now, least) = (ask.now, (2 * MIB).min(self.part_size));
        let part = (ask.remaining / (self.connections as u64 * 2) / MIB * MIB).clamp(least, self.part_size);
        let mut inner = lock(&self.inner);
        if ask.lane == Lane::Small {
            return match inner.waiting.back() {
                Some((_, Some(size))) if *size <= SMALL && ask.behind => Next::Wait(Some(now + LOOK_AGAIN)),
                Some((_, Some(size))) if *size <= SMALL => inner.open(false),
                _ => Next::Done,
            };
        }
        let busy = inner.active.iter().filter(|active| !active.is_small() && active.load().1).count();
        if busy + inner.opening < self.side_by_side && !inner.waiting.is_empty() && !ask.behind {
            return inner.open(true);
        }
        let mut by_load: Vec<_> = inner.active.iter().map(|active| (active.load().0, active)).collect();
        by_load.sort_by_key(|(load, _)| *load);
        let mut until: Option<Instant> = None;
        let mut not_before = |later: Instant| until = Some(until.map_or(later, |until| until.min(later)));
        for (_, active) in &by_load {
            // A host that wants to be left alone holds up its own contents only.
            let turn = ask.hosts.turn(&active.state().host, now, ask.most);
            if let Turn::At(later) = turn {
                not_before(later);
                continue;
            }
            match active.claim(now, part) {
                Claim::Range(ticket) => return Next::Fetch(Arc::clone(active), ticket),
                Claim::Later(later) => not_before(later),
                Claim::Nothing => {}
            }
        }
        // One that is being opened may have work for everybody; small content never has.
        if let Some((_, size)) = inner.waiting.front()
            && (inner.opening == 0 || size.is_some_and(|size| size <= SMALL))
            && inner.active.len() < self.connections * 4
            && !ask.behind
        {
            return inner.open(true);
        }
        if inner.waiting.is_empty() && inner.opening == 0 {
            for (_, active) in by_load {
                if let Some(ticket) = active.take_over(now, ask.silence) {
                    return Next::Fetch(Arc::clone(active), ticket);
                }
            }
        }
        if inner.is_done() {
            return Next::Done;
        }
        not_before(now + LOOK_AGAIN);
        Next::Wait(until)
    }

    /// Forgets contents that nobody wants any more. Gives how many, and their bytes as far as known.
    pub(super) fn forget(&self, wanted: impl Fn(usize) -> bool) -> (u64, u64) {
        let mut forgotten = (0, 0);
        lock(&self.inner).waiting.retain(|(index, size)| {
            let keep = wanted(*index);
            if !keep {
                forgotten = (forgotten.0 + 1, forgotten.1 + size.unwrap_or_default());
            }
            keep
        });
        self.changed.notify_waiters();
        forgotten
    }

    /// Whether only small content is left, which costs latency and no bandwidth: all connections are worth having.
    pub(super) fn has_only_small(&self) -> bool {
        let inner = lock(&self.inner);
        let waiting = inner.waiting.front().is_none_or(|(_, size)| size.is_some_and(|size| size <= SMALL));
        waiting && inner.active.iter().all(|active| active.is_small())
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
            Some(unit) => {
                self.opening += 1;
                Next::Open(unit)
            }
            None => Next::Done,
        }
    }
}
