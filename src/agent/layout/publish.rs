//! How does something appear on a volume? Whole or not at all: made aside, synced, renamed into place.

use super::LayoutError;
use super::safe_path::{Root, split};
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fchmod, fsync, linkat, openat, renameat, renameat_with, symlinkat,
};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Mode of every file that we make, whatever the umask.
const FILE_MODE: u32 = 0o644;
/// The one name in the directory aside: there is one publisher at a time.
const ASIDE: &str = "new";

/// Puts files and links into place on one volume.
pub struct Publisher<'a> {
    root: &'a Root,
    /// Directory of our own on the same volume: nothing half-made may be seen among a client's files.
    aside: String,
    /// Directories whose entries changed since the last sync.
    touched: BTreeSet<String>,
}

impl<'a> Publisher<'a> {
    /// A publisher that makes things in `aside`.
    pub fn new(root: &'a Root, aside: String) -> Result<Self, LayoutError> {
        root.make_directory(&aside)?;
        Ok(Self { root, aside, touched: BTreeSet::new() })
    }

    /// A small file with these bytes. One that is there already with the same bytes is left alone.
    pub fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), LayoutError> {
        let readable = |it: &rustix::fs::Stat| Mode::from_raw_mode(it.st_mode).bits() == FILE_MODE;
        if self.root.read(path, bytes.len() as u64 + 1)?.is_some_and(|it| it == bytes)
            && self.root.stat(path)?.is_some_and(|it| readable(&it))
        {
            return Ok(());
        }
        let failed = |error: Errno| self.root.failure(path, error);
        let aside = self.empty_aside()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file: File = openat(&aside, ASIDE, flags, Mode::from_raw_mode(FILE_MODE)).map_err(failed)?.into();
        fchmod(&file, Mode::from_raw_mode(FILE_MODE)).map_err(failed)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(|error| LayoutError::new(self.root.shown(path), error))?;
        self.place(path)
    }

    /// A link. One that is there already and points to the same place is left alone.
    pub fn link(&mut self, path: &str, target: &str) -> Result<(), LayoutError> {
        if self.root.link(path)?.is_some_and(|it| it == target) {
            return Ok(());
        }
        let aside = self.empty_aside()?;
        symlinkat(target, &aside, ASIDE).map_err(|error| self.root.failure(path, error))?;
        self.place(path)
    }

    /// Moves a finished file of staging into place. It is on the disk already, with its mode.
    pub fn adopt(&mut self, staged: &Path, path: &str) -> Result<(), LayoutError> {
        let inside = self.root.relative(staged).ok_or_else(|| LayoutError::new(staged, Errno::XDEV))?;
        self.rename(inside, path)
    }

    /// Moves a file, a link or a directory of ours into place. It is on the disk already, with its mode.
    pub fn bring(&mut self, from: &str, path: &str) -> Result<(), LayoutError> {
        self.rename(from, path)?;
        // A rename onto another name of the same file does nothing and leaves both.
        if self.root.stat(from)?.is_some() { self.root.remove(from) } else { Ok(()) }
    }

    /// Lets what is at two paths change places, in one step where the file system has it.
    pub fn exchange(&mut self, aside: &str, path: &str) -> Result<(), LayoutError> {
        let failed = |error: Errno| self.root.failure(path, error);
        let (to, name) = self.root.parent(path)?.ok_or_else(|| failed(Errno::NOENT))?;
        let (from, from_name) = self.root.parent(aside)?.ok_or_else(|| failed(Errno::NOENT))?;
        match renameat_with(&from, from_name, &to, name, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                // Network file systems: two steps, and nothing is there between them.
                let old = format!("{from_name}.old");
                renameat(&to, name, &from, &old).map_err(failed)?;
                renameat(&from, from_name, &to, name).map_err(failed)?;
                renameat(&from, &old, &from, from_name).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        self.touch(split(path).0);
        Ok(())
    }

    /// Another name for a file that is there: the same content is fetched and kept once.
    pub fn same(&mut self, existing: &str, path: &str) -> Result<(), LayoutError> {
        let failed = |error: Errno| self.root.failure(path, error);
        let (from, name) = self.root.parent(existing)?.ok_or_else(|| failed(Errno::NOENT))?;
        let aside = self.empty_aside()?;
        linkat(&from, name, &aside, ASIDE, AtFlags::empty()).map_err(failed)?;
        self.place(path)
    }

    /// Makes a directory, if it is missing.
    pub fn directory(&mut self, path: &str) -> Result<(), LayoutError> {
        self.root.make_directory(path)?;
        self.touch(path);
        Ok(())
    }

    /// Everything so far is on the disk: what comes next may rely on it.
    pub fn sync(&mut self) -> Result<(), LayoutError> {
        for path in std::mem::take(&mut self.touched) {
            match fsync(&self.root.directory(&path)?) {
                // Some network file systems cannot sync a directory, and need not.
                Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => {}
                Err(error) => return Err(self.root.failure(&path, error)),
            }
        }
        Ok(())
    }

    /// Removes the directory aside. Its content was ours.
    pub fn finish(mut self) -> Result<(), LayoutError> {
        self.sync()?;
        self.root.remove(&format!("{}/{ASIDE}", self.aside))?;
        if let Some((parent, name)) = self.root.parent(&self.aside)? {
            let _ = rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR);
        }
        Ok(())
    }

    /// The directory aside, without what a killed run left in it.
    fn empty_aside(&self) -> Result<std::os::fd::OwnedFd, LayoutError> {
        let aside = self.root.make_directory(&self.aside)?;
        match rustix::fs::unlinkat(&aside, ASIDE, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(aside),
            Err(error) => Err(self.root.failure(&self.aside, error)),
        }
    }

    fn place(&mut self, path: &str) -> Result<(), LayoutError> {
        let aside = format!("{}/{ASIDE}", self.aside);
        self.rename(&aside, path)?;
        // A rename onto another name of the same file does nothing and leaves both.
        self.root.remove(&aside)
    }

    fn rename(&mut self, from: &str, path: &str) -> Result<(), LayoutError> {
        let (directory, name) = split(path);
        let to = self.root.make_directory(directory)?;
        let (from, from_name) = self.root.parent(from)?.ok_or_else(|| self.root.failure(from, Errno::NOENT))?;
        renameat(&from, from_name, &to, name).map_err(|error| self.root.failure(path, error))?;
        self.touch(directory);
        Ok(())
    }

    /// A new directory is an entry of its parent, and so on up.
    fn touch(&mut self, directory: &str) {
        let mut path = directory;
        while self.touched.insert(path.to_owned()) && !path.is_empty() {
            path = split(path).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn a_file_that_is_right_already_is_not_written_again() {
        let volume = tempfile::tempdir().unwrap();
        let root = Root::open(volume.path()).unwrap();
        let mut publisher = Publisher::new(&root, ".modelcache/x/new".into()).unwrap();
        publisher.file("a/b", b"one").unwrap();
        let inode = std::fs::metadata(volume.path().join("a/b")).unwrap().ino();
        publisher.file("a/b", b"one").unwrap();
        assert_eq!(std::fs::metadata(volume.path().join("a/b")).unwrap().ino(), inode);
        publisher.file("a/b", b"two").unwrap();
        assert_eq!(std::fs::read(volume.path().join("a/b")).unwrap(), b"two");
        publisher.finish().unwrap();
        assert_eq!(std::fs::read_dir(volume.path().join(".modelcache/x")).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_replaced_and_its_target_untouched() {
        let volume = tempfile::tempdir().unwrap();
        std::fs::write(volume.path().join("victim"), "keep").unwrap();
        symlink("victim", volume.path().join("a")).unwrap();
        let root = Root::open(volume.path()).unwrap();
        let mut publisher = Publisher::new(&root, ".modelcache/x/new".into()).unwrap();
        publisher.file("a", b"new").unwrap();
        assert_eq!(std::fs::read(volume.path().join("victim")).unwrap(), b"keep");
        assert!(std::fs::symlink_metadata(volume.path().join("a")).unwrap().is_file());
    }

    #[test]
    fn the_same_content_is_kept_once() {
        let volume = tempfile::tempdir().unwrap();
        let root = Root::open(volume.path()).unwrap();
        let mut publisher = Publisher::new(&root, ".modelcache/x/new".into()).unwrap();
        publisher.file("a", b"bytes").unwrap();
        publisher.same("a", "b/c").unwrap();
        publisher.same("a", "b/c").unwrap();
        assert_eq!(std::fs::metadata(volume.path().join("b/c")).unwrap().nlink(), 2);
    }
}
