//! The engine: brings content onto a volume, verified, resumable and bounded in memory.
//!
//! ```text
//! groups ─► wanted ─► board ─► lanes (connections) ─► partial files ─► followers (hash) ─► complete ─► the caller
//!                       ▲            │  redirect, answer, hosts            │
//!                       └─ again ────┘                            keeper (sync, journal)
//! ```
//!
//! - `wanted` says what is the same and who wants it, `board` who fetches what next, `crew` how many do.
//! - A `lane` is one connection; `http` is what it speaks, `connector` how it gets there; `part` is one range; `flights` are those under way.
//! - `redirect`, `answer`, `hosts`, `pause` say where a request goes, what its answer means, whom to leave alone.
//! - `partial`, `journal`, `staging`, `fence` are what is on the disk, and who may write it.
//! - `active`, `ranges`, `hash`, `follower`, `keeper`, `dirty` turn arriving bytes into verified, synced content.
//! - `copied` is for content that is on this machine already.
//! - `run` holds it together, `outcome` says what follows from success and trouble; `space`, `bandwidth`, `progress` are its limits and its account.
//!
//! # Guarantees
//!
//! - Content is handed over only when its length, and its digest if it has one, are right and it is on the disk.
//! - A killed run loses at most `FetchOptions::dirty_window` and what the sockets held.
//! - Memory does not grow with sizes, and by a few words with the number of contents.
//! - A token goes to its origin's scheme, host and port only, and into no message.

mod active;
mod answer;
mod api;
mod bandwidth;
mod board;
mod client;
mod connector;
mod content;
mod copied;
mod crew;
mod dirty;
mod error;
mod fence;
mod flights;
mod follower;
mod hash;
mod hosts;
mod http;
mod journal;
mod keeper;
mod lane;
mod lock;
mod options;
mod outcome;
mod part;
mod partial;
mod pause;
mod probe;
mod progress;
mod ranges;
mod redirect;
mod run;
mod space;
mod staging;
mod wanted;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

pub use self::{
    api::ApiAnswer,
    client::{ClientError, ClientOptions, HttpClient},
    content::{Authorized, Authorizer, Content, Digest, HashPrefix, Origin, Secret},
    copied::{Copied, copy},
    error::{FetchError, Reason, SpaceLimit},
    fence::Writer,
    hash::{file_matches, git_blob_of_file, hex, over_cores, sha256_of_file, unhex, unhex_array},
    journal::{JOURNAL_END, held_of as held_of_journal},
    options::FetchOptions,
    probe::Probe,
    progress::{Progress, Snapshot},
    staging::{Staging, Swept},
    wanted::Place,
};
use self::{
    run::{Event, Handle},
    space::Space,
    wanted::Wanted,
};

/// How often `Progress` has its rate brought up to date.
const TICK: Duration = Duration::from_millis(500);

/// A content that is complete: length and digest are right, the bytes are on the disk, the mode is 0644.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// Which of the contents.
    pub at: Place,
    /// Which others are the same bytes, of this group or of others, those that ended included: they were not fetched
    /// again and come with no call of their own. Give their paths a link or a copy.
    pub also: Vec<Place>,
    /// Where it lies; on the volume, so that a rename puts it into place.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, whatever digest was promised.
    pub sha256: [u8; 32],
}

/// What the caller is told.
#[derive(Debug)]
pub enum Arrival {
    /// A content is complete.
    Staged(Staged),
    /// A group cannot be had. Nothing more of it is fetched; what comes of it all the same was on its way, or is wanted
    /// by another group too.
    Failed {
        /// Which of the groups.
        group: usize,
        /// What patience cannot mend.
        error: FetchError,
    },
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Contents handed over, identical ones counted once.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that came over the network, those of failed tries included.
    pub fetched_bytes: u64,
}

/// Brings the contents of all groups into `staging` and hands each to `on` as soon as it is complete.
///
/// # Flow
///
/// Space is checked first: with too little of it nothing is fetched. What an earlier run left is taken up. Large
/// contents go first, whatever group they are of, in ranges over all connections. `on` runs on the caller's task, one
/// call at a time, in the order of completion; it should move the file away (rename), and must not block for long. It
/// gives the groups that the caller does not want any more.
///
/// # Errors
///
/// What patience cannot mend ends the group that wanted it, and `on` is told; content that another group wants too is
/// then asked for at that one's origin. A full disk, a failing one, a writer that took over, and an error of `on` end
/// the run. Everything that was handed over stays so; what has arrived of the rest stays in staging for the next run.
///
/// # Caveats
///
/// Threads of its own do the work. Dropping the future stops them within moments, not at once; awaiting it does.
pub async fn fetch<E>(
    client: &HttpClient,
    groups: Vec<Vec<Content>>,
    staging: &Staging,
    options: &FetchOptions,
    progress: &Arc<Progress>,
    mut on: impl FnMut(Arrival) -> Result<Vec<usize>, E>,
) -> Result<Summary, FetchError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let wanted = Wanted::new(groups);
    let units = wanted.units().len() as u64;
    if units == 0 {
        return Ok(Summary::default());
    }
    staging.check()?;
    let space = Space::new(options, staging.free_bytes()?);
    reserve(&wanted, staging, &space)?;
    progress.expect(units, wanted.units().iter().filter_map(|(_, size)| *size).sum());

    let before = progress.snapshot().bytes_fetched;
    let mut handle = Handle::start(client, staging, options, progress, wanted, space)?;
    let run = Arc::clone(&handle.run);
    let mut tick = tokio::time::interval(TICK);
    let (mut summary, mut settled) = (Summary::default(), 0);
    let mut outcome = Ok(());
    while outcome.is_ok() && settled < units {
        let event = tokio::select! {
            event = handle.events.recv() => event,
            _ = tick.tick() => {
                progress.tick(Instant::now());
                continue;
            }
        };
        let told = match event {
            Some(Event::Complete { index, name, size, sha256 }) => {
                settled += 1;
                run.untaken.fetch_sub(1, SeqCst);
                summary.files += 1;
                summary.bytes += size;
                let also = run.wanted.also(index);
                let staged = Staged { at: run.wanted.place(index), also, path: staging.path_of(&name), size, sha256 };
                staging.check().and_then(|()| {
                    let given_up = on(Arrival::Staged(staged)).map_err(|source| FetchError::Publish {
                        label: run.wanted.label(index).to_owned(),
                        source: source.into(),
                    })?;
                    progress.file_done();
                    staging.remove(&journal::journal_of(&name))?;
                    Ok(given_up)
                })
            }
            Some(Event::Failed { group, error }) => on(Arrival::Failed { group, error })
                .map_err(|source| FetchError::Publish { label: format!("group {group}"), source: source.into() }),
            Some(Event::Dropped(contents)) => {
                settled += contents;
                Ok(vec![])
            }
            Some(Event::Ended(error)) => Err(error),
            None => Err(FetchError::io("the download", std::io::Error::other("its threads are gone"))),
        };
        outcome = told.map(|given_up| given_up.into_iter().for_each(|group| run.give_up_group(group)));
    }
    // Each thread holds the run; so must not we, or `is_fetching` would never end.
    drop(run);
    handle.end().await;
    progress.tick(Instant::now());
    outcome.map_err(|error| match error {
        // The system says that a disk is full, not by how much.
        FetchError::InsufficientSpace { available: 0, limit, .. } => {
            let available = staging.free_bytes().unwrap_or_default();
            FetchError::InsufficientSpace { needed: progress.remaining().max(available + 1), available, limit }
        }
        other => other,
    })?;
    summary.fetched_bytes = progress.snapshot().bytes_fetched - before;
    Ok(summary)
}

/// Promises room to all contents of known size, less what their partials have on the disk already.
fn reserve(wanted: &Wanted, staging: &Staging, space: &Space) -> Result<(), FetchError> {
    let staged: std::collections::HashSet<String> = staging.names()?.into_iter().collect();
    let (mut all, mut there) = (0_u64, 0_u64);
    for &(index, size) in wanted.units() {
        let Some(size) = size else { continue };
        all = all.saturating_add(size);
        if staged.is_empty() {
            continue;
        }
        let name = wanted.content(index, Some(size)).name();
        if staged.contains(&name) {
            there = there.saturating_add(staging.allocated(&name).min(size));
        }
    }
    space.promise(all, there)
}
