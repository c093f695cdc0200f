//! The engine: brings content onto a volume, verified, resumable and bounded in memory.
//!
//! ```text
//! contents ─► board ─► lanes (connections) ─► partial files ─► followers (hash) ─► complete ─► on_staged
//!               ▲            │  redirect, answer, pause            │
//!               └─ again ────┘                            keeper (sync, journal)
//! ```
//!
//! - `board` says who fetches what next, `crew` how many do; a `lane` is one connection; `part` is one range.
//! - `redirect`, `answer`, `pause` say where a request goes, what its answer means, how long to wait.
//! - `partial`, `journal`, `staging`, `fence` are what is on the disk, and who may write it.
//! - `active`, `ranges`, `hash`, `follower`, `keeper`, `dirty` turn arriving bytes into verified, synced content.
//! - `run` holds it together; `space`, `bandwidth`, `progress` are its limits and its account.
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
mod content;
mod crew;
mod dirty;
mod error;
mod fence;
mod follower;
mod hash;
mod journal;
mod keeper;
mod lane;
mod lock;
mod options;
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

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

pub use self::{
    api::ApiAnswer,
    client::{ClientError, ClientOptions, HttpClient},
    content::{Authorized, Authorizer, Content, Digest, HashPrefix, Origin, Secret},
    error::{FetchError, Reason, SpaceLimit},
    fence::Writer,
    hash::{file_matches, git_blob_of_file, hex, over_cores, sha256_of_file, unhex},
    options::FetchOptions,
    probe::Probe,
    progress::{Progress, Snapshot},
    staging::{Staging, Swept},
};
use self::{
    run::{Event, Handle},
    space::Space,
};

/// How often `Progress` has its rate brought up to date.
const TICK: Duration = Duration::from_millis(500);

/// A content that is complete: length and digest are right, the bytes are on the disk, the mode is 0644.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// Which of the contents.
    pub index: usize,
    /// Which others are the same content (same digest and size): they were not fetched again and come with no call
    /// of their own. Give their paths a link or a copy.
    pub also: Vec<usize>,
    /// Where it lies; on the volume, so that a rename puts it into place.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, whatever digest was promised.
    pub sha256: [u8; 32],
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

/// Brings all contents into `staging` and hands each to `on_staged` as soon as it is complete.
///
/// # Flow
///
/// Space is checked first: with too little of it nothing is fetched. What an earlier run left is taken up. Large
/// contents go first, in ranges over all connections. `on_staged` runs on the caller's task, one at a time, in the order
/// of completion; it should move the file away (rename), and must not block for long.
///
/// # Errors
///
/// The first error that patience cannot mend ends the run. Everything that was handed over stays so; what has arrived
/// of the rest stays in staging for the next run. An error of `on_staged` ends the run likewise.
///
/// # Caveats
///
/// Threads of its own do the work. Dropping the future stops them within moments, not at once; awaiting it does.
pub async fn fetch<E>(
    client: &HttpClient,
    contents: Vec<Content>,
    staging: &Staging,
    options: &FetchOptions,
    progress: &Arc<Progress>,
    mut on_staged: impl FnMut(Staged) -> Result<(), E>,
) -> Result<Summary, FetchError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut same: HashMap<String, Vec<usize>> = HashMap::new();
    let mut which = Vec::new();
    for (index, content) in contents.iter().enumerate() {
        let alike = same.entry(content.name()).or_default();
        if alike.is_empty() {
            which.push(index);
        }
        alike.push(index);
    }
    if which.is_empty() {
        return Ok(Summary::default());
    }
    staging.check()?;
    let space = Space::new(options, staging.free_bytes()?);
    reserve(&contents, &which, staging, &space)?;
    progress.expect(which.len() as u64, which.iter().filter_map(|&index| contents[index].size).sum());

    let before = progress.snapshot().bytes_fetched;
    let labels: Vec<String> = contents.iter().map(|content| content.label.clone()).collect();
    let mut handle = Handle::start(client, staging, options, progress, contents, &which, space)?;
    let mut tick = tokio::time::interval(TICK);
    let mut summary = Summary::default();
    let mut outcome = Ok(());
    while outcome.is_ok() && summary.files < which.len() as u64 {
        let event = tokio::select! {
            event = handle.events.recv() => event,
            _ = tick.tick() => {
                progress.tick(Instant::now());
                continue;
            }
        };
        outcome = match event {
            Some(Event::Complete { index, name, size, sha256 }) => {
                summary.files += 1;
                summary.bytes += size;
                let mut also = same.remove(&name).unwrap_or_default();
                also.retain(|other| *other != index);
                let staged = Staged { index, also, path: staging.path_of(&name), size, sha256 };
                staging.check().and_then(|()| {
                    on_staged(staged).map_err(|source| FetchError::Publish {
                        label: labels[index].clone(),
                        source: source.into(),
                    })?;
                    progress.file_done();
                    staging.remove(&journal::journal_of(&name))
                })
            }
            Some(Event::Failed(error)) => Err(error),
            None => Err(FetchError::io("the download", std::io::Error::other("its threads are gone"))),
        };
    }
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
fn reserve(contents: &[Content], which: &[usize], staging: &Staging, space: &Space) -> Result<(), FetchError> {
    let staged: std::collections::HashSet<String> = staging.names()?.into_iter().collect();
    let (mut all, mut there) = (0_u64, 0_u64);
    for &index in which {
        let Some(size) = contents[index].size else { continue };
        all = all.saturating_add(size);
        let name = contents[index].name();
        if staged.contains(&name) {
            there = there.saturating_add(staging.allocated(&name).min(size));
        }
    }
    space.promise(all, there)
}
