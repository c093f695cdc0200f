//! How is a file on a volume reached without ever leaving it? By directory handle, one part at a time, following no link.
//!
//! A volume may be written by others: a link that somebody put in the way must not make us read or write elsewhere.

use super::LayoutError;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat, readlinkat, statat};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Mode of every directory that we make, whatever the umask: readers have other user ids.
const DIRECTORY_MODE: u32 = 0o755;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The root of a volume. Paths are relative to it, with `/` between their parts.
#[derive(Clone, Debug)]
pub struct Root {
    handle: Arc<OwnedFd>,
    path: PathBuf,
}

impl Root {
    /// Opens the directory that a volume is mounted at. The path itself may go through links: it is the caller's.
    pub fn open(path: &Path) -> Result<Self, LayoutError> {
        let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
        let handle = openat(CWD, path, flags, Mode::empty()).map_err(|error| LayoutError::new(path, error))?;
        Ok(Self { handle: Arc::new(handle), path: path.to_owned() })
    }

    /// A directory on it as a root of its own.
    pub fn below(&self, path: &str) -> Result<Self, LayoutError> {
        Ok(Self { handle: Arc::new(self.directory(path)?), path: self.shown(path) })
    }

    /// A path as messages show it.
    pub fn shown(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    /// The relative path of one below this root.
    pub fn relative<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.strip_prefix(&self.path).ok()?.to_str()
    }

    /// A directory that is there. The empty path is the root.
    pub fn directory(&self, path: &str) -> Result<OwnedFd, LayoutError> {
        self.walk(path, false)
    }

    /// A directory, made with its parents where it is missing. One that is there keeps its mode and owner.
    pub fn make_directory(&self, path: &str) -> Result<OwnedFd, LayoutError> {
        self.walk(path, true)
    }

    fn walk(&self, path: &str, make: bool) -> Result<OwnedFd, LayoutError> {
        let failed = |error: Errno| self.failure(path, error);
        let mut handle =
            self.handle.as_fd().try_clone_to_owned().map_err(|error| LayoutError::new(self.shown(path), error))?;
        for part in path.split('/').filter(|_| !path.is_empty()) {
            if matches!(part, "" | "." | "..") {
                return Err(failed(Errno::INVAL));
            }
            handle = match openat(&handle, part, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) if make => {
                    match mkdirat(&handle, part, Mode::from_raw_mode(DIRECTORY_MODE)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(failed(error)),
                    }
                    let new = openat(&handle, part, DIRECTORY, Mode::empty()).map_err(failed)?;
                    fchmod(&new, Mode::from_raw_mode(DIRECTORY_MODE)).map_err(failed)?;
                    new
                }
                other => other.map_err(failed)?,
            };
        }
        Ok(handle)
    }

    /// The directory that a path is in, and its last part. `None` when there is no such directory.
    pub fn parent<'a>(&self, path: &'a str) -> Result<Option<(OwnedFd, &'a str)>, LayoutError> {
        let (parent, name) = split(path);
        match self.directory(parent) {
            Ok(handle) => Ok(Some((handle, name))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is at a path, a link as itself. `None` when there is nothing.
    pub fn stat(&self, path: &str) -> Result<Option<Stat>, LayoutError> {
        let Some((parent, name)) = self.parent(path)? else { return Ok(None) };
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failure(path, error)),
        }
    }

    /// Whether two paths are names of one file.
    pub fn same_file(&self, one: &str, other: &str) -> Result<bool, LayoutError> {
        let (one, other) = (self.stat(one)?, self.stat(other)?);
        Ok(one.zip(other).is_some_and(|(a, b)| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)))
    }

    /// A plain file, for reading. `None` when there is nothing, or something else than a plain file.
    pub fn file(&self, path: &str) -> Result<Option<File>, LayoutError> {
        let Some((parent, name)) = self.parent(path)? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&parent, name, flags, Mode::empty()) {
            Ok(file) => {
                let stat = fstat(&file).map_err(|error| self.failure(path, error))?;
                Ok((FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| file.into()))
            }
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(error) => Err(self.failure(path, error)),
        }
    }

    /// Size of a plain file. `None` when there is nothing, or something else.
    pub fn size(&self, path: &str) -> Result<Option<u64>, LayoutError> {
        let stat = self.stat(path)?.filter(|it| FileType::from_raw_mode(it.st_mode) == FileType::RegularFile);
        Ok(stat.and_then(|it| u64::try_from(it.st_size).ok()))
    }

    /// Bytes of a plain file of at most `limit` bytes.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, LayoutError> {
        let Some(file) = self.file(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).map_err(|error| LayoutError::new(self.shown(path), error))?;
        Ok(Some(bytes))
    }

    /// Where a link points. `None` when there is nothing, or no link.
    pub fn link(&self, path: &str) -> Result<Option<String>, LayoutError> {
        let Some((parent, name)) = self.parent(path)? else { return Ok(None) };
        match readlinkat(&parent, name, Vec::new()) {
            Ok(target) => Ok(target.into_string().ok()),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => Err(self.failure(path, error)),
        }
    }

    /// Names in a directory; none when it is not there.
    pub fn names(&self, path: &str) -> Result<Vec<String>, LayoutError> {
        let handle = match self.directory(path) {
            Ok(handle) => handle,
            Err(error) if error.is_missing() => return Ok(vec![]),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&handle).map_err(|error| self.failure(path, error))? {
            let entry = entry.map_err(|error| self.failure(path, error))?;
            names.extend(entry.file_name().to_str().ok().filter(|it| !matches!(*it, "." | "..")).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Removes a file or a link; that it is gone already is fine.
    pub fn remove(&self, path: &str) -> Result<(), LayoutError> {
        let Some((parent, name)) = self.parent(path)? else { return Ok(()) };
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failure(path, error)),
        }
    }

    /// Bytes that may still be written here.
    pub fn free_bytes(&self) -> Result<u64, LayoutError> {
        let stat = rustix::fs::fstatvfs(&self.handle).map_err(|error| self.failure("", error))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// An error at a path, with a word about the link that is in the way, if that is why.
    pub(in crate::agent) fn failure(&self, path: &str, error: Errno) -> LayoutError {
        if matches!(error, Errno::LOOP | Errno::NOTDIR)
            && let Some(link) = self.first_link(path)
        {
            return LayoutError::Link { path: self.shown(&link) };
        }
        LayoutError::new(self.shown(path), error)
    }

    fn first_link(&self, path: &str) -> Option<String> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.filter_map(|end| path.get(..end))
            .find(|prefix| self.link(prefix).is_ok_and(|it| it.is_some()))
            .map(str::to_owned)
    }
}

/// A path's directory and its last part.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_link_in_the_way_is_named_and_never_followed() {
        let (volume, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(elsewhere.path().join("secret"), "x").unwrap();
        symlink(elsewhere.path(), volume.path().join("huggingface")).unwrap();
        let root = Root::open(volume.path()).unwrap();
        for attempt in [root.make_directory("huggingface/hub").map(drop), root.file("huggingface/secret").map(drop)] {
            let error = attempt.unwrap_err();
            assert!(matches!(&error, LayoutError::Link { path } if path.ends_with("huggingface")), "{error}");
        }
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }

    #[test]
    fn directories_are_readable_by_everybody_whatever_the_umask() {
        let volume = tempfile::tempdir().unwrap();
        let root = Root::open(volume.path()).unwrap();
        let before = rustix::process::umask(Mode::from_raw_mode(0o077));
        let made = root.make_directory("a/b/c");
        rustix::process::umask(before);
        made.unwrap();
        for path in ["a", "a/b", "a/b/c"] {
            assert_eq!(std::fs::metadata(volume.path().join(path)).unwrap().permissions().mode() & 0o7777, 0o755);
        }
    }

    #[test]
    fn a_path_with_dots_is_refused() {
        let volume = tempfile::tempdir().unwrap();
        let root = Root::open(volume.path()).unwrap();
        for path in ["../x", "a/../b", "/x", "a//b", "."] {
            assert!(root.make_directory(path).is_err(), "{path}");
        }
    }

    #[test]
    fn what_is_no_plain_file_is_not_read() {
        let volume = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", volume.path().join("link")).unwrap();
        let root = Root::open(volume.path()).unwrap();
        assert!(root.file("link").unwrap().is_none());
        std::fs::write(volume.path().join("plain"), "x").unwrap();
        assert!(root.file("missing/file").unwrap().is_none());
        assert!(root.file("plain/file").unwrap().is_none());
        assert_eq!(root.link("link").unwrap().as_deref(), Some("/etc/passwd"));
        assert_eq!(root.size("link").unwrap(), None);
    }
}
