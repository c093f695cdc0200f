//! How does the content of an archive become a tree on a volume? Aside, checked and on the disk first; then at once.
//!
//! ```text
//! archive (whole, verified) ─► reader (zip, tar) ─► sink: name, bounds, hash ─► tree aside + index ─► put: into place
//! ```
//!
//! # Guarantees
//!
//! - Nothing is written into place from an archive: a name, a link or a size that lies is met aside, and all is dropped.
//! - No more is written than the budget and the file system leave, whatever the archive says of itself.
//! - A tree that is complete aside is not unpacked or fetched again after a kill.
//! - A reader sees the directory of one version or of the other: it is exchanged in one step, unless others keep files of
//!   their own in it (then file by file) or the file system has no such step (then it is absent for a moment).

#[cfg(test)]
mod hostile_tests;
pub mod put;
mod reader_tar;
mod reader_zip;
pub mod remove;
mod room;
mod sink;
#[cfg(test)]
mod tests;

use super::failure::Failure;
use super::fetch::{Staging, hex, over_cores, sha256_of_file};
use super::layout::archive::{self, Tree};
use super::layout::manifest::{Entry, What};
use super::layout::safe_path::Root;
use super::layout::{LayoutError, Placement};
use super::prefetch::inventory::{Found, Inventory};
use super::source::unpack::Unpack;
use crate::api::Reason;
use crate::api::source::ArchiveFormat;
use room::Room;
use rustix::fs::{Mode, OFlags, fsync, openat, renameat};
use sink::Sink;
use std::collections::HashSet;
use std::fs::File;
use std::io::Write;

/// Largest index that is read, in bytes.
const INDEX_LIMIT: u64 = 256 << 20;

/// What may be written.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that the budget leaves, with archives counted that are still there. `None`: there is no budget.
    pub budget_left: Option<u64>,
    /// Bytes that must stay free on the file system.
    pub min_free: u64,
}

/// Why an archive gives no tree.
#[derive(Debug, thiserror::Error)]
enum Bad {
    /// An entry that is refused, and with it everything.
    #[error("{name:?} {why}")]
    Refused { name: String, why: String },
    /// It ends early, does not fit its checksums, or is something else.
    #[error("{0}")]
    Broken(String),
    /// There is nothing in it that is wanted.
    #[error("{0}")]
    Empty(String),
    /// What has nothing to do with the archive.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<LayoutError> for Bad {
    fn from(error: LayoutError) -> Self {
        Self::Failed(error.into())
    }
}

impl Bad {
    fn refused(name: &str, why: impl Into<String>) -> Self {
        Self::Refused { name: name.to_owned(), why: why.into() }
    }

    fn of(self, tree: &Tree) -> Failure {
        let (name, format) = (&tree.name, tree.unpack.format);
        match self {
            Self::Failed(failure) => failure,
            Self::Refused { .. } => {
                Failure::new(Reason::ListingMismatch, format!("{name} holds {self}; nothing was taken from it"))
            }
            Self::Empty(what) => Failure::new(Reason::NoFiles, format!("{name} holds {what}")),
            Self::Broken(cause) => Failure::new(
                Reason::ChecksumMismatch,
                format!(
                    "{name} cannot be unpacked as {format:?}: {cause}; the file is damaged at its origin, or is something \
                     else; nothing was taken from it"
                ),
            ),
        }
    }
}

/// Unpacks the archives of a source that have arrived, each into a directory of our own; the archives are not kept.
///
/// # Errors
/// A name, link or size that is refused (`ListingMismatch`), damage (`ChecksumMismatch`), no room (`InsufficientSpace`).
/// What was unpacked of that archive is removed.
pub async fn expand(
    root: &Root,
    staging: &Staging,
    cache: &str,
    placement: &Placement,
    inventory: &mut Inventory,
    limits: Limits,
) -> Result<(), Failure> {
    let mut written = 0;
    for placed in &placement.contents {
        let Some(tree) = placed.tree.as_ref().filter(|tree| !inventory.trees.contains_key(tree)) else { continue };
        if !inventory.there.contains_key(&placed.path) {
            let message = format!("{} is not there although everything was fetched", tree.name);
            return Err(Failure::new(Reason::InternalError, message));
        }
        let left = limits.budget_left.map(|left| left.saturating_sub(written));
        let (root, staging, cache, tree) = (root.clone(), staging.clone(), cache.to_owned(), tree.clone());
        let work = move || {
            let space = Room::new(root.clone(), Limits { budget_left: left, ..limits }, staging.clone());
            let unpacked = one(&root, &staging, &cache, &tree, space).map_err(|bad| bad.of(&tree));
            // What is there now may be a later attempt's.
            staging.check()?;
            if unpacked.is_err() {
                remove::tree(&root, &tree.aside(&cache))?;
            }
            // Good or bad, it has done what it is for.
            root.remove(&tree.landing(&cache))?;
            Ok((tree, unpacked?))
        };
        let done: Result<_, Failure> = match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => Err(Failure::new(Reason::InternalError, error.to_string())),
        };
        let (tree, entries) = done?;
        inventory.there.remove(&placed.path);
        written += entries.iter().map(Entry::size).sum::<u64>();
        inventory.trees.insert(tree, Found { entries, in_place: false });
    }
    Ok(())
}

/// An archive that a person has.
pub enum Input<'a> {
    /// A file, and what it is.
    File(File, ArchiveFormat),
    /// The plain bytes of a tar.
    Tar(Box<dyn std::io::Read + 'a>),
}

/// Unpacks an archive that a person has into an empty directory of our own. Gives what came out of it, by its path there. Blocking.
///
/// # Errors
/// As [`expand`]; what was unpacked is left to the caller to remove.
pub fn into_directory(
    root: &Root,
    below: Root,
    name: &str,
    input: Input<'_>,
    limits: Limits,
    staging: &Staging,
) -> Result<Vec<Entry>, Failure> {
    let format = match &input {
        Input::File(_, format) => *format,
        Input::Tar(_) => ArchiveFormat::Tar,
    };
    let unpack = Unpack::whole(format);
    let tree = Tree { name: name.to_owned(), content: String::new(), directory: "it".to_owned(), unpack };
    let work = || {
        let mut sink = Sink::new(below, &tree, Room::new(root.clone(), limits, staging.clone()));
        match input {
            Input::File(file, format) => read(file, format, &mut sink)?,
            Input::Tar(plain) => reader_tar::read(plain, &mut sink)?,
        }
        sink.finish()
    };
    let mut entries = work().map_err(|bad: Bad| bad.of(&tree))?;
    for entry in &mut entries {
        entry.path = entry.path.strip_prefix("it/").unwrap_or(&entry.path).to_owned();
    }
    Ok(entries)
}

/// What an earlier run has unpacked of a tree, and has not put into place or not said so. Blocking: it may have to hash.
pub fn left(root: &Root, cache: &str, tree: &Tree) -> Result<Option<Found>, LayoutError> {
    let read = |path: &str| -> Result<Option<Vec<Entry>>, LayoutError> {
        Ok(root.read(path, INDEX_LIMIT)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    };
    if let Some(entries) = read(&tree.index(cache))? {
        return Ok(Some(Found { entries, in_place: false }));
    }
    let Some(entries) = read(&tree.moved(cache))? else { return Ok(None) };
    // It was killed while it moved the tree: what is in place may be of either version.
    for right in over_cores(&entries, |entry| is_right(root, entry)) {
        if !right? {
            return Ok(None);
        }
    }
    Ok(Some(Found { entries, in_place: true }))
}

fn is_right(root: &Root, entry: &Entry) -> Result<bool, LayoutError> {
    Ok(match &entry.what {
        What::Link { link } => root.link(&entry.path)?.as_ref() == Some(link),
        What::File { size, sha256 } => {
            let found = root.file(&entry.path)?.and_then(|file| sha256_of_file(&file).ok());
            found.is_some_and(|(length, hash)| length == *size && hex(&hash) == *sha256)
        }
    })
}

/// Removes what is aside of archives that are not wanted.
pub fn sweep(root: &Root, cache: &str, wanted: &[&Tree]) -> Result<(), LayoutError> {
    let directory = archive::directory(cache);
    let keep: HashSet<String> = wanted.iter().flat_map(|it| [it.landing(cache), it.aside(cache)]).collect();
    for name in root.names(&directory)? {
        let path = format!("{directory}/{name}");
        if !keep.contains(&path) {
            remove::tree(root, &path)?;
        }
    }
    remove::empty_directory(root, &directory)
}

fn one(root: &Root, staging: &Staging, cache: &str, tree: &Tree, space: Room) -> Result<Vec<Entry>, Bad> {
    remove::tree(root, &tree.aside(cache))?;
    let below = tree.tree_aside(cache);
    root.make_directory(&below)?;
    let Some(file) = root.file(&tree.landing(cache))? else {
        return Err(Bad::Broken("it is gone".to_owned()));
    };
    let mut sink = Sink::new(root.below(&below)?, tree, space);
    read(file, tree.unpack.format, &mut sink)?;
    let entries = sink.finish()?;
    staging.check().map_err(Failure::from)?;
    write_index(root, cache, tree, &entries)?;
    Ok(entries)
}

fn read(file: File, format: ArchiveFormat, sink: &mut Sink<'_>) -> Result<(), Bad> {
    let broken = |error: std::io::Error| Bad::Broken(error.to_string());
    match format {
        ArchiveFormat::Zip => reader_zip::read(file, sink),
        ArchiveFormat::Tar => reader_tar::read(std::io::BufReader::new(file), sink),
        ArchiveFormat::TarGz => {
            reader_tar::read(flate2::bufread::MultiGzDecoder::new(std::io::BufReader::new(file)), sink)
        }
        ArchiveFormat::TarZst => {
            let mut decoder = zstd::Decoder::new(file).map_err(broken)?;
            decoder.window_log_max(WINDOW_LOG).map_err(broken)?;
            reader_tar::read(decoder, sink)
        }
    }
}

/// Largest window that a Zstandard stream may ask memory for, as a power of two: what `zstd -d` takes, 128 MiB.
const WINDOW_LOG: u32 = 27;

/// Everything in `tree` is on the disk: from here on it need not be unpacked again.
fn write_index(root: &Root, cache: &str, tree: &Tree, entries: &[Entry]) -> Result<(), LayoutError> {
    let (index, aside) = (tree.index(cache), tree.aside(cache));
    let failed = |error: rustix::io::Errno| root.failure(&index, error);
    let directory = root.directory(&aside)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file: File = openat(&directory, "index.new", flags, Mode::from_raw_mode(0o644)).map_err(failed)?.into();
    let bytes = serde_json::to_vec(entries).unwrap_or_default();
    let written = file.write_all(&bytes).and_then(|()| file.sync_all());
    written.map_err(|error| LayoutError::new(root.shown(&index), error))?;
    renameat(&directory, "index.new", &directory, "index.json").map_err(failed)?;
    sink::sync_directory(fsync(&directory)).map_err(failed)
}
