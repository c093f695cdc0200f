//! One run: its threads, and what they share.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use tokio::sync::{mpsc, watch};

use super::{
    active::Active,
    bandwidth::Bandwidth,
    board::{Ask, Board, Lane},
    client::HttpClient,
    crew::Crew,
    dirty::Dirty,
    error::FetchError,
    follower::{Queue, follow},
    keeper::keep,
    lane::work,
    options::{FetchOptions, SMALL},
    progress::Progress,
    space::Space,
    staging::Staging,
    wanted::Wanted,
};

/// Contents that may be complete and wait for the caller: memory and staging are bounded, however slow it is.
const UNTAKEN: usize = 256;

/// What the threads of a run share.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) options: FetchOptions,
    pub(super) client: HttpClient,
    pub(super) staging: Staging,
    pub(super) wanted: Wanted,
    pub(super) progress: Arc<Progress>,
    pub(super) board: Board,
    pub(super) crew: Crew,
    pub(super) space: Space,
    pub(super) dirty: Dirty,
    pub(super) bandwidth: Bandwidth,
    pub(super) followers: Queue,
    pub(super) stop: watch::Sender<bool>,
    stopping: AtomicBool,
    /// Contents that are complete and not taken by the caller yet.
    pub(super) untaken: AtomicUsize,
    pub(super) events: mpsc::UnboundedSender<Event>,
}

/// What a run tells the task that started it.
#[derive(Debug)]
pub(super) enum Event {
    /// A content is complete, verified and on the disk.
    Complete { index: usize, name: String, size: u64, sha256: [u8; 32] },
    /// A group cannot be had.
    Failed { group: usize, error: FetchError },
    /// So many contents will not come, as nobody wants them any more.
    Dropped(u64),
    /// The run cannot go on.
    Ended(FetchError),
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
    /// Starts the threads that the wanted contents need.
    pub(super) fn start(
        client: &HttpClient,
        staging: &Staging,
        options: &FetchOptions,
        progress: &Arc<Progress>,
        wanted: Wanted,
        space: Space,
    ) -> Result<Self, FetchError> {
        let (events, received) = mpsc::unbounded_channel();
        let connections = options.connections.max(1);
        let run = Arc::new(Run {
            board: Board::new(wanted.units().to_vec(), options.part_size, connections),
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
            untaken: AtomicUsize::new(0),
            wanted,
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
        let (any, small) = handle.run.lanes();
        for number in 0..any {
            spawn("fetch", Box::new(move |run| work(run, Lane::Any { number })))?;
        }
        for _ in 0..small {
            spawn("fetch-small", Box::new(|run| work(run, Lane::Small)))?;
        }
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(handle.run.wanted.units().len()) {
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
    fn lanes(&self) -> (usize, usize) {
        let limit = self.options.connections.max(1);
        let units = self.wanted.units();
        let small = units.iter().filter(|(_, size)| size.is_some_and(|size| size <= SMALL)).count();
        let large = units.len() - small;
        if large > 0 { (limit, small.min(limit)) } else { (small.min(limit), small.saturating_sub(limit).min(limit)) }
    }

    /// What a connection tells the board when it asks for work.
    pub(super) fn ask(&self, lane: Lane, now: Instant) -> Ask<'_> {
        Ask {
            lane,
            now,
            remaining: self.progress.remaining(),
            hosts: self.client.hosts(),
            most: self.most(),
            silence: self.options.stall_after / 4,
            behind: self.untaken.load(SeqCst) >= UNTAKEN,
        }
    }

    /// How many requests a host gets at a time: large contents have `connections` lanes, small ones as many again.
    pub(super) fn most(&self) -> usize {
        self.options.connections.max(1) * 2
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
        let _ = self.events.send(Event::Ended(error));
        self.stop();
    }

    /// Sends a follower after a content when there is enough to hash.
    pub(super) fn follow(&self, active: &Arc<Active>) {
        if active.wants_follower() {
            self.followers.push(active);
        }
    }
}
