//! One content while it is fetched: which bytes are here, which are on their way, how far the hash has come.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{
        Mutex, TryLockError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use super::{
    content::Content,
    error::host_of,
    flights::{Flights, Ticket},
    hash::{BLOCK, Hashed, Hasher},
    journal::Journal,
    keeper::Syncs,
    lock::lock,
    options::{MIB, SMALL},
    partial::Partial,
    ranges::RangeSet,
    redirect::Target,
};

/// A lag of the hash that whoever brings the next bytes makes up itself; a longer one is for a follower.
const SHORT_LAG: u64 = MIB;

/// A content that is being fetched. Lives as long as its file: a restart is a new one.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) index: usize,
    pub(super) content: Content,
    pub(super) name: String,
    pub(super) file: File,
    pub(super) history: History,
    /// Where its bytes were found last. Held while the first answer is awaited, so that one request finds the way
    /// for all.
    pub(super) target: tokio::sync::Mutex<Option<Target>>,
    pub(super) journal: Mutex<Option<Journal>>,
    state: Mutex<State>,
    /// Held while bytes are written: the kernel lets one writer at a time into a file, and those who wait there spin.
    writing: Mutex<()>,
    follower: Mutex<Follower>,
    hashed: AtomicU64,
    /// Up to where pages were given back to the system.
    released: AtomicU64,
    queued: AtomicBool,
    finished: AtomicBool,
    pub(super) syncs: Syncs,
}

/// What went wrong with a content before, over its restarts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct History {
    pub(super) restarts: u32,
    pub(super) mismatches: u32,
    /// Room that was promised to it.
    pub(super) promised: u64,
}

/// Whether the origin serves ranges of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Unknown,
    Ranges,
    Stream,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) size: Option<u64>,
    pub(super) validator: Option<String>,
    pub(super) mode: Mode,
    pub(super) held: RangeSet,
    claimed: RangeSet,
    flights: Flights,
    /// Who is asked next.
    pub(super) host: String,
    not_before: Option<Instant>,
    pub(super) faults: u32,
    pub(super) expiries: u32,
    pub(super) last_progress: Instant,
    pub(super) unsynced: u64,
    /// Bytes of room promised beyond a known size.
    pub(super) promised: u64,
    dropped: bool,
}

#[derive(Debug)]
struct Follower {
    hasher: Option<Hasher>,
    at: u64,
}

/// What a content has for a connection that asks for work.
#[derive(Debug)]
pub(super) enum Claim {
    Range(Ticket),
    Later(Instant),
    Nothing,
}

/// What was done with bytes that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// Bytes that were not there before.
    pub(super) new: u64,
    /// Where the connection's range ends by now: another may have taken over the rest.
    pub(super) end: u64,
}

/// What is to be written to the journal, taken before the data is synced.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) size: Option<u64>,
    pub(super) validator: Option<String>,
    pub(super) held: RangeSet,
    /// Up to where nobody needs the pages again.
    pub(super) hashed: u64,
    pub(super) unsynced: u64,
}

impl Active {
    pub(super) fn new(index: usize, content: Content, name: String, partial: Partial, history: History) -> Self {
        let Partial { file, journal, size, validator, held } = partial;
        let hasher = Hasher::start(content.digest.as_ref(), size);
        let state = State {
            size,
            validator,
            mode: Mode::Unknown,
            claimed: held.clone(),
            held,
            flights: Flights::default(),
            host: host_of(&content.origin.url),
            not_before: None,
            faults: 0,
            expiries: 0,
            last_progress: Instant::now(),
            unsynced: 0,
            promised: size.unwrap_or_default().max(history.promised),
            dropped: false,
        };
        Self {
            index,
            content,
            name,
            file,
            history,
            target: tokio::sync::Mutex::new(None),
            journal: Mutex::new(journal),
            state: Mutex::new(state),
            writing: Mutex::new(()),
            follower: Mutex::new(Follower { hasher, at: 0 }),
            hashed: AtomicU64::new(0),
            released: AtomicU64::new(0),
            queued: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            syncs: Syncs::default(),
        }
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Fetched in one request by any connection.
    pub(super) fn is_small(&self) -> bool {
        self.content.size.is_some_and(|size| size <= SMALL)
    }

    /// Takes the first bytes that nobody has and nobody fetches, at most to the next multiple of `part`.
    pub(super) fn claim(&self, now: Instant, part: u64) -> Claim {
        let mut state = self.state();
        if state.dropped || self.finished.load(SeqCst) {
            return Claim::Nothing;
        }
        let alone = state.mode == Mode::Stream || state.size.is_none();
        if alone && state.flights.len() > 0 {
            return Claim::Nothing;
        }
        let whole = if alone { state.size.unwrap_or(u64::MAX - 1) } else { state.size.unwrap_or_default() };
        let Some(gap) = state.claimed.gaps(0..whole).next() else { return Claim::Nothing };
        if let Some(later) = state.not_before.filter(|later| *later > now) {
            return Claim::Later(later);
        }
        if state.flights.len() == 0 && state.faults == 0 {
            // Patience is with origins: the time in which nobody asked does not count.
            state.last_progress = now;
        }
        let part = if self.is_small() { SMALL } else { part };
        let range = gap.start..gap.end.min((gap.start / part + 1) * part);
        state.claimed.insert(range.clone());
        Claim::Range(state.flights.begin(range, now))
    }

    /// Takes over from a connection that is slow, or silent for long, what it has not brought yet.
    pub(super) fn take_over(&self, now: Instant, silence: Duration) -> Option<Ticket> {
        let mut state = self.state();
        let idle = state.dropped || self.finished.load(SeqCst) || state.mode != Mode::Ranges;
        if idle { None } else { state.flights.take_over(now, silence) }
    }

    /// Gives a claim back; what of it did not arrive can be claimed again, not before `wait` is over.
    pub(super) fn release(&self, ticket: &Ticket, wait: Option<Duration>) {
        let mut state = self.state();
        let range = state.flights.end(ticket);
        let State { claimed, held, .. } = &mut *state;
        for gap in held.gaps(range) {
            claimed.remove(&gap);
        }
        if let Some(wait) = wait {
            state.not_before = Some(Instant::now() + wait);
        }
    }

    /// How many connections work on it, and whether more could.
    pub(super) fn load(&self) -> (usize, bool) {
        let state = self.state();
        let open = state.size.is_some_and(|size| state.claimed.gaps(0..size).next().is_some());
        (state.flights.len(), open && state.mode != Mode::Stream && !state.dropped)
    }

    /// Ends the work on this file. Gives the bytes that were held and not synced, to the first who says so.
    pub(super) fn drop_work(&self) -> Option<(u64, u64)> {
        let mut state = self.state();
        if std::mem::replace(&mut state.dropped, true) {
            return None;
        }
        Some((state.held.total(), std::mem::take(&mut state.unsynced)))
    }

    /// The same for a content that nobody wants any more, unless it is complete already.
    pub(super) fn drop_unfinished(&self) -> Option<(u64, u64)> {
        if self.finished.swap(true, SeqCst) { None } else { self.drop_work() }
    }

    /// Whether the work on this file was ended.
    pub(super) fn is_dropped(&self) -> bool {
        self.state().dropped
    }

    /// Whether what connections still do for it matters to nobody.
    pub(super) fn is_over(&self) -> bool {
        self.finished.load(SeqCst) || self.is_dropped()
    }

    /// Whether a claimed range is still to be asked for. Not when the work was ended, nor when it turned out
    /// meanwhile that the origin has no ranges and another connection reads the one stream.
    pub(super) fn wants_request(&self) -> bool {
        let state = self.state();
        !state.dropped && (state.mode != Mode::Stream || state.flights.len() == 1)
    }

    /// Writes bytes that have arrived, what is held already excepted, and hashes them if it is their turn.
    /// `None` when nobody wants them any more.
    pub(super) fn write(&self, ticket: &Ticket, at: u64, bytes: &[u8]) -> io::Result<Option<Written>> {
        let range = at..at + bytes.len() as u64;
        let gaps: Vec<_> = {
            let state = self.state();
            if state.dropped {
                return Ok(None);
            }
            state.held.gaps(range.clone()).collect()
        };
        for gap in &gaps {
            let _turn = lock(&self.writing);
            self.file.write_all_at(&bytes[within(gap.start - at)..within(gap.end - at)], gap.start)?;
        }
        let new: u64 = gaps.iter().map(|gap| gap.end - gap.start).sum();
        let end = {
            let mut state = self.state();
            if state.dropped {
                return Ok(None);
            }
            let (now, reached) = (Instant::now(), range.end);
            state.held.insert(range.clone());
            state.claimed.insert(range);
            state.unsynced += new;
            state.last_progress = now;
            (state.faults, state.expiries) = (0, 0);
            state.flights.arrived(ticket, reached, now)
        };
        // The hash is of what is on the disk: bytes that were held already are read back by a follower instead.
        if new == bytes.len() as u64 {
            match self.hash_arrived(at, bytes) {
                // A restart has emptied the file under the reader.
                Err(_) if self.is_dropped() => return Ok(None),
                other => other?,
            }
        }
        Ok(Some(Written { new, end }))
    }

    /// Hashes bytes straight from memory when everything before them is hashed, or nearly.
    fn hash_arrived(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut follower = match self.follower.try_lock() {
            Ok(follower) => follower,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        if follower.at > at || at - follower.at > SHORT_LAG || self.state().held.contiguous() < at {
            return Ok(());
        }
        self.hash_from_file(&mut follower, at)?;
        let Some(hasher) = &mut follower.hasher else { return Ok(()) };
        hasher.update(bytes);
        follower.at += bytes.len() as u64;
        self.hashed.store(follower.at, SeqCst);
        Ok(())
    }

    /// Whether a follower should be sent after the bytes that are here and not hashed; true for one caller only.
    pub(super) fn wants_follower(&self) -> bool {
        let (contiguous, size) = {
            let state = self.state();
            (state.held.contiguous(), state.size)
        };
        let lag = contiguous.saturating_sub(self.hashed.load(SeqCst));
        let due = lag > SHORT_LAG || (lag > 0 && Some(contiguous) == size);
        due && !self.queued.swap(true, SeqCst)
    }

    /// Hashes everything that is here without a gap, reading it back from the page cache.
    pub(super) fn follow(&self) -> io::Result<()> {
        let mut follower = lock(&self.follower);
        loop {
            let (contiguous, size, dropped) = {
                let state = self.state();
                (state.held.contiguous(), state.size, state.dropped)
            };
            if follower.hasher.is_none() {
                follower.hasher = Hasher::start(self.content.digest.as_ref(), size);
            }
            if dropped || follower.hasher.is_none() || contiguous <= follower.at {
                break;
            }
            // In steps, so that the mark moves while a long stretch is read.
            let step = contiguous.min(follower.at + 8 * MIB);
            self.hash_from_file(&mut follower, step)?;
        }
        self.queued.store(false, SeqCst);
        Ok(())
    }

    fn hash_from_file(&self, follower: &mut Follower, end: u64) -> io::Result<()> {
        let Some(hasher) = &mut follower.hasher else { return Ok(()) };
        if follower.at >= end {
            return Ok(());
        }
        let mut block = vec![0; BLOCK.min(within(end - follower.at))];
        while follower.at < end {
            let want = within(end - follower.at).min(block.len());
            self.file.read_exact_at(&mut block[..want], follower.at)?;
            hasher.update(&block[..want]);
            follower.at += want as u64;
        }
        self.hashed.store(follower.at, SeqCst);
        Ok(())
    }

    /// The hash, once all bytes are in it; for one caller only.
    pub(super) fn finished(&self) -> Option<(Hashed, u64)> {
        let size = self.state().size?;
        if self.hashed.load(SeqCst) != size || self.finished.swap(true, SeqCst) {
            return None;
        }
        let follower = lock(&self.follower);
        let empty = || Hasher::start(self.content.digest.as_ref(), Some(size));
        Some((follower.hasher.clone().or_else(empty)?.finish(), size))
    }

    /// What the journal may say once the data is synced.
    pub(super) fn mark(&self) -> Mark {
        let hashed = self.hashed.load(SeqCst);
        let mut state = self.state();
        Mark {
            size: state.size,
            validator: state.validator.clone(),
            held: state.held.clone(),
            hashed,
            unsynced: std::mem::take(&mut state.unsynced),
        }
    }

    /// Gives back the pages of bytes that are synced and hashed: nobody here needs them again.
    pub(super) fn release_pages(&self, up_to: u64) {
        let start = self.released.swap(up_to, SeqCst);
        if let Some(length) = std::num::NonZeroU64::new(up_to.saturating_sub(start)) {
            // Advice only: a file system without it keeps them a while.
            let _ = rustix::fs::fadvise(&self.file, start, Some(length), rustix::fs::Advice::DontNeed);
        }
    }
}

fn within(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
