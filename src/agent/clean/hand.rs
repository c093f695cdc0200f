//! How is something on a volume touched that others may move meanwhile? In the directory that was walked to part by part, and
//! only if it still is what was looked at.

use super::super::layout::LayoutError;
use super::super::layout::safe_path::Root;
use super::found::{Found, shown, split};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, fstat, fsync, linkat, openat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Why a deed on one file was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no longer there, or no longer what was looked at: somebody else is at work on it. The next run sees it.
    #[error("{0} has changed since it was looked at")]
    Changed(String),
    /// The system's error.
    #[error("{path}: {error}")]
    System {
        /// What was touched.
        path: String,
        /// The system's error.
        error: Errno,
    },
}

/// Reaches the files of one volume.
pub struct Hand {
    top: OwnedFd,
    device: u64,
    /// The directory of the last deed: files of one directory come one after the other.
    last: Option<(Box<[u8]>, OwnedFd)>,
}

impl Hand {
    /// A hand on a volume.
    pub fn on(root: &Root) -> Result<Self, LayoutError> {
        let top = root.directory("")?;
        let device = fstat(&top).map_err(|error| root.failure("", error))?.st_dev;
        Ok(Self { top, device, last: None })
    }

    /// The directory of a path and its last part. No link is followed, and no other file system entered.
    pub fn parent<'p>(&mut self, path: &'p [u8]) -> Result<(BorrowedFd<'_>, &'p [u8]), Refusal> {
        let (directory, name) = split(path);
        if self.last.as_ref().is_none_or(|(last, _)| **last != *directory) {
            let handle = self.walk(directory).map_err(|error| refused(path, error))?;
            self.last = Some((directory.into(), handle));
        }
        let handle = self.last.as_ref().map_or(self.top.as_fd(), |(_, handle)| handle.as_fd());
        Ok((handle, name))
    }

    fn walk(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let mut handle = openat(&self.top, ".", DIRECTORY, Mode::empty())?;
        for part in path.split(|byte| *byte == b'/').filter(|it| !it.is_empty()) {
            handle = openat(&handle, part, DIRECTORY, Mode::empty())?;
        }
        if fstat(&handle)?.st_dev != self.device {
            return Err(Errno::XDEV);
        }
        Ok(handle)
    }

    /// What is at a path. `None` when there is nothing.
    pub fn stat(&mut self, path: &[u8]) -> Result<Option<Stat>, Refusal> {
        let (directory, name) = self.parent(path)?;
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(refused(path, error)),
        }
    }

    /// Fails unless something still is what was looked at.
    pub fn check(&mut self, found: &Found) -> Result<(), Refusal> {
        match self.stat(&found.path)? {
            Some(stat) if found.is(&stat) => Ok(()),
            _ => Err(Refusal::Changed(found.shown())),
        }
    }

    /// Fails unless something still is the log that was looked at; it may have grown.
    pub fn check_log(&mut self, found: &Found) -> Result<(), Refusal> {
        match self.stat(&found.path)? {
            Some(stat) if found.is_log(&stat) => Ok(()),
            _ => Err(Refusal::Changed(found.shown())),
        }
    }

    /// Removes a file that still is what was looked at.
    pub fn remove(&mut self, found: &Found) -> Result<(), Refusal> {
        self.check(found)?;
        self.unlink(&found.path)
    }

    /// Removes a name; that it is gone already is fine.
    pub fn unlink(&mut self, path: &[u8]) -> Result<(), Refusal> {
        let (directory, name) = self.parent(path)?;
        match unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(refused(path, error)),
        }
    }

    /// Removes a directory if it is empty. Whether it was.
    pub fn remove_empty(&mut self, path: &[u8]) -> Result<bool, Refusal> {
        let (directory, name) = self.parent(path)?;
        match unlinkat(directory, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(refused(path, error)),
        }
    }

    /// Opens a plain file that still is what was looked at.
    pub fn open(&mut self, found: &Found, flags: OFlags) -> Result<File, Refusal> {
        self.open_if(found, flags, Found::is)
    }

    /// Opens a log that still is the one that was looked at; it may have grown.
    pub fn open_log(&mut self, found: &Found, flags: OFlags) -> Result<File, Refusal> {
        self.open_if(found, flags, Found::is_log)
    }

    fn open_if(&mut self, found: &Found, flags: OFlags, is: fn(&Found, &Stat) -> bool) -> Result<File, Refusal> {
        let (directory, name) = self.parent(&found.path)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(directory, name, flags, Mode::empty()).map_err(|error| refused(&found.path, error))?;
        let stat = fstat(&file).map_err(|error| refused(&found.path, error))?;
        if !is(found, &stat) || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Refusal::Changed(found.shown()));
        }
        Ok(file.into())
    }

    /// Makes a new file that only we see for now.
    pub fn create(&mut self, path: &[u8]) -> Result<File, Refusal> {
        let (directory, name) = self.parent(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(directory, name, flags, Mode::from_raw_mode(0o600));
        made.map(File::from).map_err(|error| refused(path, error))
    }

    /// Gives a file another name in its directory, which nothing has: nothing is ever overwritten. Whether the name was free.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<bool, Refusal> {
        let (_, new) = split(to);
        let (directory, old) = self.parent(from)?;
        match renameat_with(directory, old, directory, new, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // Network file systems: two names for a moment, which the next run understands.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                match linkat(directory, old, directory, new, AtFlags::empty()) {
                    Ok(()) => {}
                    Err(Errno::EXIST) => return Ok(false),
                    Err(error) => return Err(refused(from, error)),
                }
                unlinkat(directory, old, AtFlags::empty()).map_err(|error| refused(from, error))?;
                Ok(true)
            }
            Err(error) => Err(refused(from, error)),
        }
    }

    /// The names in the directory of a path are on the disk.
    pub fn sync(&mut self, path: &[u8]) -> Result<(), Refusal> {
        let (directory, _) = self.parent(path)?;
        match fsync(directory) {
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(error) => Err(refused(path, error)),
        }
    }
}

/// The refusal that an error means: what is gone or became a link has changed.
pub fn refused(path: &[u8], error: Errno) -> Refusal {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV => Refusal::Changed(shown(path)),
        error => Refusal::System { path: shown(path), error },
    }
}

/// The refusal that an error of the standard library means.
pub fn failed(path: &[u8], error: &std::io::Error) -> Refusal {
    refused(path, Errno::from_io_error(error).unwrap_or(Errno::IO))
}
