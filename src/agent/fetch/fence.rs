//! Who may write here: the latest attempt of the latest owner, or, without a cluster, one process at a time.

use std::{
    io::{Read as _, Write as _},
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, openat, unlinkat},
    io::Errno,
};

use super::error::FetchError;

/// In whose name a run writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The numbered attempt of a Replica. A higher number of the same owner takes over at once; so does any attempt
    /// of another owner, since it comes from an object that replaced the first. Clocks and locks decide nothing, so
    /// it holds on network file systems and between nodes.
    Attempt {
        /// The Replica's UID: numbers of different owners do not compare. Letters, digits and `-`.
        owner: String,
        /// The attempt's number.
        number: u64,
    },
    /// A person's process: a second one is refused while the first lives. The lock ends with its process, however.
    Local,
}

/// The right to write into one staging directory.
#[derive(Debug)]
pub(super) enum Fence {
    Attempt { dir: OwnedFd, owner: String, number: u64 },
    Local { _lock: std::fs::File },
}

impl Fence {
    /// Takes the right to write.
    ///
    /// `fences` is a directory that holds one empty file `<owner>.<number>` per writer. Creating a file is atomic
    /// where rewriting one is not, so no take-over can be lost between two that start together.
    pub(super) fn take(staging: impl AsFd, fences: OwnedFd, writer: Writer) -> Result<Self, FetchError> {
        match writer {
            Writer::Local => local(staging),
            Writer::Attempt { owner, number } => {
                let valid = owner.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
                if owner.is_empty() || owner.len() > 64 || !valid {
                    return Err(FetchError::io("the writer's name", Errno::INVAL));
                }
                let (name, fence) = (format!("{owner}.{number}"), Self::Attempt { dir: fences, owner, number });
                let Self::Attempt { dir, owner, number } = &fence else { return Ok(fence) };
                higher(dir, owner, *number)?;
                let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(dir, &name, flags, Mode::from_raw_mode(0o644)).map_err(|e| FetchError::io("fence", e))?;
                higher(dir, owner, *number)?;
                for other in entries(dir)?.into_iter().filter(|other| *other != name) {
                    match unlinkat(dir, &other, AtFlags::empty()) {
                        Ok(()) | Err(Errno::NOENT) => {}
                        Err(error) => return Err(FetchError::io("fence", error)),
                    }
                }
                Ok(fence)
            }
        }
    }

    /// Fails with `Superseded` once another writer has taken over.
    pub(super) fn check(&self) -> Result<(), FetchError> {
        let Self::Attempt { dir, owner, number } = self else { return Ok(()) };
        higher(dir, owner, *number)?;
        let names = entries(dir)?;
        if names.contains(&format!("{owner}.{number}")) {
            return Ok(());
        }
        let by = names.first().map_or_else(|| "unknown".to_owned(), Clone::clone);
        Err(FetchError::Superseded { ours: *number, by })
    }
}

fn local(staging: impl AsFd) -> Result<Fence, FetchError> {
    let failed = |error: Errno| FetchError::io("lock of the staging directory", error);
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut lock: std::fs::File = openat(staging, "lock", flags, Mode::from_raw_mode(0o644)).map_err(failed)?.into();
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        // A file system without locks: the person at the terminal is the lock.
        Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let _ = (&lock).take(32).read_to_string(&mut holder);
            let what =
                format!("another modelcache writes to this volume (process {}): wait for it, or end it", holder.trim());
            return Err(FetchError::Io { what, source: Errno::WOULDBLOCK.into() });
        }
        Err(error) => return Err(failed(error)),
    }
    // Only to name the holder in the message above.
    let _ = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
    Ok(Fence::Local { _lock: lock })
}

fn higher(dir: &OwnedFd, owner: &str, number: u64) -> Result<(), FetchError> {
    let highest = entries(dir)?
        .iter()
        .filter_map(|name| name.rsplit_once('.').filter(|(who, _)| *who == owner)?.1.parse::<u64>().ok())
        .max();
    match highest {
        Some(highest) if highest > number => Err(FetchError::Superseded { ours: number, by: highest.to_string() }),
        _ => Ok(()),
    }
}

fn entries(dir: &OwnedFd) -> Result<Vec<String>, FetchError> {
    let failed = |error: Errno| FetchError::io("fence", error);
    let mut names = Vec::new();
    for entry in Dir::read_from(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}
