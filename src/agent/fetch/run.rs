//! One run: its threads, what they share, and what becomes of a content that is complete or in trouble.

use std::{
    convert::Infallible,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use super::{
    active::{Active, History},
    answer::Trouble,
    api::give_up,
    bandwidth::Bandwidth,
    board::{Board, Lane},
    client::HttpClient,
    content::Content,
    crew::Crew,
    dirty::Dirty,
    error::FetchError,
    follower::{Queue, follow},
    keeper::{checkpoint, keep},
    lane::work,
    options::FetchOptions,
    partial::Partial,
    pause::backoff,
    progress::Progress,
    space::Space,
    staging::Staging,
};

/// How often a content may start over because the origin contradicts itself.
const MAX_RESTARTS: u32 = 3;
/// How many fresh addresses in a row may be refused.
const MAX_EXPIRIES: u32 = 3;

/// What the threads of a run share.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) options: FetchOptions,
    pub(super) client: HttpClient,
    pub(super) staging: Staging,
    pub(super) contents: Vec<Content>,
    pub(super) progress: Arc<Progress>,
    pub(super) board: Board,
    pub(super) crew: Crew,
    pub(super) space: Space,
    pub(super) dirty: Dirty,
    pub(super) bandwidth: Bandwidth,
    pub(super) followers: Queue,
    pub(super) stop: watch::Sender<bool>,
    stopping: AtomicBool,
    events: mpsc::UnboundedSender<Event>,
}

/// What a run tells the task that started it.
#[derive(Debug)]
pub(super) enum Event {
    /// A content is complete, verified and on the disk.
    Complete { index: usize, name: String, size: u64, sha256: [u8; 32] },
    /// The run cannot go on.
    Failed(FetchError),
}

/// What a thread of a run does.
type Life = Box<dyn FnOnce(&Arc<Run>) + Send>;

/// What the task that started a run holds of it. Dropping it stops the run: its threads end within moments.
pub(super) struct Handle {
    pub(super) run: Arc<Run>,
    pub(super) events: mpsc::UnboundedReceiver<Event>,
    alive: mpsc::Receiver<Infallible>,
}

/// Held by each thread: its end is seen, and its panic ends the run instead of leaving it waiting.
struct Alive {
    run: Arc<Run>,
    _alive: mpsc::Sender<Infallible>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.run.fail(FetchError::io("a worker of the download panicked", std::io::Error::other("bug")));
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.run.stop();
    }
}

impl Handle {
    /// Starts the threads that `which` of the contents need.
    pub(super) fn start(
        client: &HttpClient,
        staging: &Staging,
        options: &FetchOptions,
        progress: &Arc<Progress>,
        contents: Vec<Content>,
        which: &[usize],
        space: Space,
    ) -> Result<Self, FetchError> {
        let (events, received) = mpsc::unbounded_channel();
        let connections = options.connections.max(1);
        let run = Arc::new(Run {
            board: Board::new(&contents, which, options.part_size, connections),
            crew: Crew::new(connections),
            dirty: Dirty::new(options.dirty_window),
            bandwidth: Bandwidth::new(options.max_bandwidth),
            followers: Queue::default(),
            stop: watch::Sender::new(false),
            stopping: AtomicBool::new(false),
            options: options.clone(),
            client: client.clone(),
            staging: staging.clone(),
            progress: Arc::clone(progress),
            contents,
            space,
            events,
        });
        let (sender, alive) = mpsc::channel(1);
        let handle = Self { run, events: received, alive };
        let spawn = |name: &str, life: Life| {
            let alive = Alive { run: Arc::clone(&handle.run), _alive: sender.clone() };
            let thread = std::thread::Builder::new().name(name.to_owned());
            let spawned = thread.spawn(move || life(&alive.run));
            spawned.map(drop).map_err(|error| FetchError::io("starting a thread", error))
        };
        let (any, small) = handle.run.lanes(which);
        for number in 0..any {
            spawn("fetch", Box::new(move |run| work(run, Lane::Any { number })))?;
        }
        for _ in 0..small {
            spawn("fetch-small", Box::new(|run| work(run, Lane::Small)))?;
        }
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(which.len()) {
            spawn("hash", Box::new(follow))?;
        }
        spawn("journal", Box::new(keep))?;
        Ok(handle)
    }

    /// Stops the run and waits until no thread of it can write any more.
    pub(super) async fn end(mut self) {
        self.run.stop();
        while self.alive.recv().await.is_some() {}
    }
}

impl Run {
    /// How many connections are worth starting: of all kinds, and for small content only.
    fn lanes(&self, which: &[usize]) -> (usize, usize) {
        let limit = self.options.connections.max(1);
        let small =
            which.iter().filter(|&&i| self.contents[i].size.is_some_and(|s| s <= super::options::SMALL)).count();
        let large = which.len() - small;
        if large > 0 { (limit, small.min(limit)) } else { (small.min(limit), small.saturating_sub(limit).min(limit)) }
    }

    /// Asks all threads to end.
    pub(super) fn stop(&self) {
        self.stopping.store(true, SeqCst);
        self.stop.send_replace(true);
        self.followers.close();
        self.dirty.wake();
        self.board.changed.notify_waiters();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }

    /// Ends the run with an error; the first one counts. Nobody asks an origin again after it.
    pub(super) fn fail(&self, error: FetchError) {
        // Nobody listens any more when the caller has gone.
        let _ = self.events.send(Event::Failed(error));
        self.stop();
    }

    /// Sends a follower after a content when there is enough to hash.
    pub(super) fn follow(&self, active: &Arc<Active>) {
        if active.wants_follower() {
            self.followers.push(active);
        }
    }

    /// Takes up a content on the disk.
    pub(super) fn open(&self, index: usize) -> Result<Arc<Active>, FetchError> {
        let content = &self.contents[index];
        let name = content.name();
        let partial = Partial::open(&self.staging, content, &name)?;
        self.progress.have(partial.held.total());
        let history = match (content.size, partial.size) {
            (None, Some(size)) => {
                self.space.promise(size, partial.held.total())?;
                self.progress.expect(0, size);
                History { promised: size, ..History::default() }
            }
            _ => History::default(),
        };
        let active = Arc::new(Active::new(index, content.clone(), name, partial, history));
        self.board.opened(&active);
        self.follow(&active);
        if let Err(trouble) = self.complete(&active) {
            self.settle(&active, None, trouble);
        }
        Ok(active)
    }

    /// Once all bytes are hashed: verifies, syncs, and reports the content. Nothing happens before, or twice.
    pub(super) fn complete(&self, active: &Arc<Active>) -> Result<(), Trouble> {
        let Some((hashed, size)) = active.finished() else { return Ok(()) };
        let digest = active.content.digest.as_ref();
        if !hashed.matches(digest) {
            let (expected, actual) = (digest.map(ToString::to_string), hashed.like(digest).to_string());
            let label = active.content.label.clone();
            if active.history.mismatches > 0 {
                let expected = expected.unwrap_or_default();
                return Err(Trouble::Terminal(FetchError::ChecksumMismatch { label, expected, actual }));
            }
            let history = History { mismatches: 1, ..active.history };
            return self.start_over(active, history).map_err(Trouble::Terminal);
        }
        checkpoint(self, active).map_err(Trouble::Terminal)?;
        self.board.finished(active);
        let name = active.name.clone();
        let _ = self.events.send(Event::Complete { index: active.index, name, size, sha256: hashed.sha256 });
        Ok(())
    }

    /// What follows from trouble with a content; `claim` is the range that the trouble met, if it was one.
    pub(super) fn settle(&self, active: &Arc<Active>, claim: Option<&Range<u64>>, trouble: Trouble) {
        let wait = match trouble {
            Trouble::Stale => Ok(None),
            Trouble::Terminal(error) => Err(error),
            Trouble::Restart(cause) => self.restart(active, &cause).map(|()| None),
            Trouble::Transient(fault) => {
                let (since, faults) = {
                    let mut state = active.state();
                    state.faults = state.faults.saturating_add(1);
                    (state.last_progress, state.faults - 1)
                };
                tracing::debug!(file = %active.content.label, host = %fault.host, cause = %fault.cause, "transient");
                give_up(&active.content.label, &fault, since, &self.options).map(|()| {
                    // A host's pause holds everybody back already.
                    let own = || backoff(self.options.backoff_start, self.options.backoff_cap, faults);
                    (!fault.limited).then(own)
                })
            }
            Trouble::Expired(fault, last_word) => {
                let mut state = active.state();
                state.expiries += 1;
                tracing::debug!(file = %active.content.label, cause = %fault.cause, "asking for a fresh address");
                // The first is likely to be age; a fresh address that is refused may need a moment to be known.
                let wait = if state.expiries == 1 { Duration::ZERO } else { self.options.backoff_start };
                if state.expiries > MAX_EXPIRIES * self.options.connections.max(1).try_into().unwrap_or(1) {
                    Err(*last_word)
                } else {
                    Ok(Some(wait))
                }
            }
        };
        if let Some(range) = claim {
            active.release(range, wait.as_ref().ok().copied().flatten());
        }
        self.board.changed.notify_waiters();
        if let Err(error) = wait {
            self.fail(error);
        }
    }

    fn restart(&self, active: &Arc<Active>, cause: &str) -> Result<(), FetchError> {
        if active.history.restarts >= MAX_RESTARTS {
            let (label, cause) = (active.content.label.clone(), cause.to_owned());
            return Err(FetchError::Changed { label, cause });
        }
        tracing::debug!(file = %active.content.label, cause, "starting over");
        self.start_over(active, History { restarts: active.history.restarts + 1, ..active.history })
    }

    /// Drops all that is held of a content and begins again with a new file.
    fn start_over(&self, active: &Arc<Active>, history: History) -> Result<(), FetchError> {
        let Some((held, unsynced)) = active.drop_work() else { return Ok(()) };
        self.progress.lost(held);
        self.dirty.sub(unsynced);
        self.staging.check()?;
        // Frees the blocks now: connections may have the old file open for a while.
        active.file.set_len(0).map_err(|error| FetchError::io(&active.content.label, error))?;
        let partial = Partial::create(&self.staging, &active.content, &active.name)?;
        let history = History { promised: active.state().promised, ..history };
        let new = Active::new(active.index, active.content.clone(), active.name.clone(), partial, history);
        self.board.replaced(active, Arc::new(new));
        Ok(())
    }
}
