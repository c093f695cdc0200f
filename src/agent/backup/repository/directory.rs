//! How is a repository kept in a directory? Every object is made aside and appears whole; no link is followed.

use super::settle::{Settler, Written};
use super::store::Found;
use crate::agent::failure::Failure;
use crate::agent::layout::LayoutError;
use crate::agent::layout::safe_path::{Root, split};
use crate::api::Reason;
use bytes::Bytes;
use jiff::Timestamp;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, fsync, linkat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// Where objects are made. One file system with the rest, so that a rename suffices.
const ASIDE: &str = "tmp";

/// A directory that holds one repository.
#[derive(Clone, Debug)]
pub struct Directory {
    root: Root,
    settler: Arc<Settler>,
}

impl Directory {
    /// A directory; `make` makes it where it is missing, below one that is there.
    pub(super) fn open(base: &Path, below: &str, make: bool) -> Result<Option<Self>, Failure> {
        let base_root = Root::open(base).map_err(|error| told(error.into()))?;
        if make {
            base_root.make_directory(below).map_err(|error| told(error.into()))?;
        }
        match base_root.below(below) {
            Ok(root) => Ok(Some(Self { root, settler: Arc::default() })),
            Err(LayoutError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(told(error.into())),
        }
    }

    /// The directory, for comparing it with what is backed up.
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    pub(super) fn get(&self, name: &str, limit: u64) -> Result<Option<Bytes>, Failure> {
        let Some(file) = self.file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| self.failed(name, error))?;
        Ok(Some(bytes.into()))
    }

    pub(super) fn range(&self, name: &str, start: u64, length: u64) -> Result<Option<Bytes>, Failure> {
        let Some(file) = self.file(name)? else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        match file.read_exact_at(&mut bytes, start) {
            Ok(()) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                let message = format!("{} ends before byte {}", self.root.shown(name).display(), start + length);
                Err(Failure::new(Reason::ChecksumMismatch, message))
            }
            Err(error) => Err(self.failed(name, error)),
        }
    }

    pub(super) fn size(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.root.size(name).map_err(|error| told(error.into()))
    }

    /// A small object, synced. Whether it was not there before.
    pub(super) fn put(&self, name: &str, bytes: &[u8], replace: bool) -> Result<bool, Failure> {
        let aside = format!("{ASIDE}/{}", super::names::unique()?);
        let mut file = self.create(&aside)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let placed =
            written.map_err(|error| self.failed(&aside, error)).and_then(|()| place(&self.root, &aside, name, replace));
        if !matches!(placed, Ok(true)) {
            let _ = self.root.remove(&aside);
        }
        let placed = placed?;
        let parent = self.root.directory(split(name).0).map_err(|error| told(error.into()))?;
        match fsync(&parent) {
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(placed),
            Err(error) => Err(self.failed(name, error.into())),
        }
    }

    /// A new file aside.
    pub(super) fn create(&self, aside: &str) -> Result<File, Failure> {
        let (parent, name) = split(aside);
        let parent = self.root.make_directory(parent).map_err(|error| told(error.into()))?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&parent, name, flags, Mode::from_raw_mode(0o644));
        Ok(file.map_err(|error| self.failed(aside, error.into()))?.into())
    }

    /// Sees to it that a file that was written aside gets this name, once the disk has it. What is there under it is replaced.
    /// It has the name when the store was synced.
    pub(super) fn settle(&self, file: File, aside: String, name: &str) -> Result<(), Failure> {
        self.settler.take(Written { root: self.root.clone(), aside, file, name: name.to_owned() })
    }

    /// Every object whose name begins so.
    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Found>, Failure> {
        let mut found = Vec::new();
        let (directory, _) = split(prefix);
        let handle = match self.root.directory(directory) {
            Ok(handle) => handle,
            Err(LayoutError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(told(error.into())),
        };
        self.collect(&handle, directory, prefix, 0, &mut found)?;
        Ok(found)
    }

    fn collect(
        &self,
        directory: &OwnedFd,
        path: &str,
        prefix: &str,
        depth: u32,
        found: &mut Vec<Found>,
    ) -> Result<(), Failure> {
        let failed = |error: Errno| self.failed(path, error.into());
        for entry in Dir::read_from(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(last) = entry.file_name().to_str() else { continue };
            let name = super::names::join(path, last);
            if matches!(last, "." | "..")
                || (path.is_empty() && last == ASIDE)
                || !(name.starts_with(prefix) || prefix.starts_with(&name))
            {
                continue;
            }
            let stat = match statat(directory, last, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(failed(error)),
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => found.push(Found {
                    name,
                    size: u64::try_from(stat.st_size).unwrap_or_default(),
                    modified: Timestamp::from_second(stat.st_mtime).unwrap_or_default(),
                }),
                // A repository is four deep.
                FileType::Directory if depth < 8 => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let inner = openat(directory, last, flags, Mode::empty()).map_err(failed)?;
                    self.collect(&inner, &name, prefix, depth + 1, found)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), Failure> {
        self.root.remove(name).map_err(|error| told(error.into()))
    }

    /// Everything written so far is on the disk, and has its name.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        self.settler.settle()?;
        let handle = self.root.directory("").map_err(|error| told(error.into()))?;
        // One call for the whole file system: a sync for each of thousands of files would be the whole run.
        rustix::fs::syncfs(&handle).map_err(|error| self.failed("", error.into()))
    }

    /// Names of the half-written files.
    pub(super) fn half_written(&self) -> Result<Vec<String>, Failure> {
        self.root.names(ASIDE).map_err(|error| told(error.into()))
    }

    /// Removes a half-written file.
    pub(super) fn remove_half_written(&self, name: &str) -> Result<(), Failure> {
        let name = aside(name);
        let Some((parent, name)) = self.root.parent(&name).map_err(|error| told(error.into()))? else { return Ok(()) };
        match unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed(ASIDE, error.into())),
        }
    }

    fn file(&self, name: &str) -> Result<Option<File>, Failure> {
        self.root.file(name).map_err(|error| told(error.into()))
    }

    pub(super) fn failed(&self, name: &str, error: std::io::Error) -> Failure {
        failed(&self.root, name, error)
    }
}

/// What the system said of an object.
pub(super) fn failed(root: &Root, name: &str, error: std::io::Error) -> Failure {
    told(LayoutError::new(root.shown(name), error).into())
}

/// Brings a file from aside into its place. Whether it did: without `replace`, what is there stays.
pub(super) fn place(root: &Root, aside: &str, name: &str, replace: bool) -> Result<bool, Failure> {
    let failed = |error: Errno| failed(root, name, error.into());
    let layout = |error: LayoutError| told(error.into());
    let (to_directory, last) = split(name);
    let to = root.make_directory(to_directory).map_err(layout)?;
    let (from, from_name) = root.parent(aside).map_err(layout)?.ok_or_else(|| failed(Errno::NOENT))?;
    if replace {
        return renameat(&from, from_name, &to, last).map(|()| true).map_err(failed);
    }
    match linkat(&from, from_name, &to, last, AtFlags::empty()) {
        Ok(()) => root.remove(aside).map(|()| true).map_err(layout),
        Err(Errno::EXIST) => Ok(false),
        // No hard links here.
        Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK) => {
            match renameat_with(&from, from_name, &to, last, RenameFlags::NOREPLACE) {
                Ok(()) => Ok(true),
                Err(Errno::EXIST) => Ok(false),
                Err(error) => Err(failed(error)),
            }
        }
        Err(error) => Err(failed(error)),
    }
}

/// Path of a file that is being written.
pub(super) fn aside(name: &str) -> String {
    format!("{ASIDE}/{name}")
}

/// A failure at the destination, said so: the disk that is full may be another than the one that is backed up.
fn told(failure: Failure) -> Failure {
    let Failure { reason, message } = failure;
    Failure::new(reason, format!("the destination of the backup: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn directory(base: &Path) -> Directory {
        Directory::open(base, "ns/c", true).unwrap().unwrap()
    }

    #[test]
    fn an_object_that_is_there_is_never_replaced_unless_that_is_asked_for() {
        let base = tempfile::tempdir().unwrap();
        let store = directory(base.path());
        assert!(store.put("a/b", b"one", false).unwrap());
        assert!(!store.put("a/b", b"two", false).unwrap());
        assert_eq!(store.get("a/b", 10).unwrap().unwrap().as_ref(), b"one");
        assert!(store.put("a/b", b"two", true).unwrap());
        assert_eq!(store.get("a/b", 10).unwrap().unwrap().as_ref(), b"two");
        assert_eq!(store.half_written().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_listing_has_what_begins_so_and_nothing_half_written() {
        let base = tempfile::tempdir().unwrap();
        let store = directory(base.path());
        for name in ["blobs/sha256/aa/1", "blobs/sha256/ab/2", "snapshots/x", "modelcache.json"] {
            store.put(name, b"x", false).unwrap();
        }
        store.create("tmp/half").unwrap();
        let names = |prefix: &str| {
            let mut names: Vec<String> = store.list(prefix).unwrap().into_iter().map(|it| it.name).collect();
            names.sort();
            names
        };
        assert_eq!(names("blobs/sha256/"), ["blobs/sha256/aa/1", "blobs/sha256/ab/2"]);
        assert_eq!(names("snapshots/"), ["snapshots/x"]);
        assert_eq!(names("").len(), 4);
        assert_eq!(names("nothing/"), Vec::<String>::new());
    }

    #[test]
    fn a_link_in_the_repository_is_not_followed() {
        let (base, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = directory(base.path());
        symlink(elsewhere.path(), base.path().join("ns/c/blobs")).unwrap();
        assert!(store.put("blobs/x", b"x", false).is_err());
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
