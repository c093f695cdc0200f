//! How is a file read that others may be writing? Looked at before and after; what changed meanwhile is read again, never torn.
//!
//! That is enough for SQLite, too, whose writers change the file's times: a database whose write-ahead log is not empty is
//! backed up with that log beside it, and SQLite takes it in when the pair is opened.

use super::decide::{size, stamp};
use super::repository::list::Stamp;
use super::walk::unreadable;
use crate::agent::failure::Failure;
use crate::agent::layout::safe_path::{Root, split};
use crate::api::Reason;
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a file that changes is read.
const TRIES: u32 = 5;
/// Pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// A file that changed this shortly before it was read may change again within the same tick of its file system's clock: it
/// is read again next time. In nanoseconds.
const TICK: i64 = 100_000_000;

/// Opens files; remembers the directory of the last one.
pub struct Opener<'a> {
    root: &'a Root,
    last: Option<(String, OwnedFd)>,
}

/// A file that was read whole.
pub struct Whole<T> {
    /// What became of its bytes.
    pub made: T,
    /// Bytes.
    pub size: u64,
    /// What the file system said before and after.
    pub stamp: Stamp,
}

/// An attempt at reading: what it made, and how many bytes it saw.
pub struct Seen<T> {
    /// What became of the bytes.
    pub made: T,
    /// How many there were.
    pub bytes: u64,
}

impl<'a> Opener<'a> {
    /// For the files of a volume.
    pub fn new(root: &'a Root) -> Self {
        Self { root, last: None }
    }

    /// Reads a file by `read`, again while it changes. `None` when it is gone.
    ///
    /// # Errors
    /// `VolumeError`, with its name, when it cannot be read, or changes whenever it is read.
    pub fn whole<T>(
        &mut self,
        path: &str,
        mut read: impl FnMut(&mut File, u64) -> Result<Seen<T>, Failure>,
    ) -> Result<Option<Whole<T>>, Failure> {
        for attempt in 0..TRIES {
            if attempt > 0 {
                std::thread::sleep(PAUSE * 2_u32.pow(attempt - 1));
            }
            let Some(mut file) = self.open(path)? else { return Ok(None) };
            let failed = |error: Errno| unreadable(self.root, path, error);
            let (before, now) = (fstat(&file).map_err(failed)?, SystemTime::now());
            if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
                return Ok(None);
            }
            let seen = read(&mut file, size(&before))?;
            let after = fstat(&file).map_err(failed)?;
            if stamp(&before) == stamp(&after) && size(&after) == seen.bytes {
                let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
                let settled = i64::try_from(since).unwrap_or_default() - stamp(&after).ctime > TICK;
                let stamp = if settled { stamp(&after) } else { Stamp::default() };
                return Ok(Some(Whole { made: seen.made, size: seen.bytes, stamp }));
            }
        }
        let message = format!(
            "{} changed each of the {TRIES} times that it was read: back it up while nobody writes to it, or name it in \
             `backup.exclude`",
            self.root.shown(path).display()
        );
        Err(Failure::new(Reason::VolumeError, message))
    }

    fn open(&mut self, path: &str) -> Result<Option<File>, Failure> {
        let (directory, name) = split(path);
        if self.last.as_ref().is_none_or(|(last, _)| last != directory) {
            match self.root.directory(directory) {
                Ok(handle) => self.last = Some((directory.to_owned(), handle)),
                Err(_) if self.root.parent(path)?.is_none() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        let Some((_, handle)) = &self.last else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(handle, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(error) => Err(unreadable(self.root, path, error)),
        }
    }

    /// An error of reading a file.
    pub fn failed(&self, path: &str, error: &std::io::Error) -> Failure {
        unreadable(self.root, path, Errno::from_io_error(error).unwrap_or(Errno::IO))
    }
}

/// Reads at most `limit` bytes and hands them over as they come.
pub fn pour(
    file: &mut File,
    limit: u64,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<Result<u64, std::io::Error>, Failure> {
    let mut total = 0;
    while total < limit {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(length) => {
                take(buffer.get(..length).unwrap_or_default())?;
                total += length as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(total))
}
