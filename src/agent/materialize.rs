//! How does a source become a tree without symbolic links, for readers that cannot follow them?
//!
//! `<to>/<source>/<path in the repository>`: hard links where cache and tree are on one file system, which take no space;
//! else copies, hashed as they are made. A tree is made aside and renamed into place whole; a new revision changes places
//! with the old one at once.

mod room;

use super::failure::Failure;
use super::fetch::{hex, over_cores};
use super::inspect::known::{self, File as Wanted};
use super::layout::manifest::Manifest;
use super::layout::safe_path::{Root, split};
use super::layout::{LayoutError, OWN, held};
use super::unpack::remove;
use super::verify::hub;
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, fchmod, flock, fsync, ioctl_ficlone, linkat, openat,
    renameat, renameat_with,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// In a tree of ours: what it was made of. Nothing without it is ever replaced.
const MARKER: &str = ".modelcache-materialized.json";
/// Beside the trees: one that is being made, and one that is being removed.
const ASIDE: &str = ".modelcache-new";
const VERSION: u32 = 1;
const MARKER_LIMIT: u64 = 1 << 20;
const BLOCK: usize = 256 * 1024;

/// What a tree was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    version: u32,
    cache: String,
    source: String,
    origin: String,
    revision: String,
    digest: String,
    copied: bool,
}

/// What was done for a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Files in the tree.
    pub files: u64,
    /// Those that are hard links and take no space.
    pub linked: u64,
    /// Bytes that were copied; where the file system can share them, they take no space either.
    pub copied_bytes: u64,
    /// The tree was there already, as it has to be.
    pub unchanged: bool,
}

/// A source on a volume, and where its tree is to be.
pub struct Materialize<'a> {
    /// The volume.
    pub volume: &'a Path,
    /// Name of the cache.
    pub cache: &'a str,
    /// What is there of the source.
    pub manifest: &'a Manifest,
    /// The directory that gets a directory for the source.
    pub to: &'a Path,
    /// Copies even where links could be made: the tree may then be written to.
    pub copy: bool,
}

impl Materialize<'_> {
    /// Makes the tree, or finds that it is as it has to be. Blocking.
    ///
    /// # Errors
    /// `InvalidSpec` when the target is not to be touched, `Damaged` when a file of the cache is, `InsufficientSpace`,
    /// `VolumeError`.
    pub fn run(&self) -> Result<Made, Failure> {
        let source = self.manifest.source.as_str();
        let volume = Root::open(self.volume)?;
        self.refuse_own()?;
        std::fs::create_dir_all(self.to)
            .map_err(|error| Failure::new(Reason::VolumeError, format!("{}: {error}", self.to.display())))?;
        self.refuse_own()?;
        let to = Root::open(self.to)?;
        let _lock = lock(&to)?;
        let files = known::files(self.manifest);
        if files.is_empty() || files.iter().any(|it| it.name == MARKER) {
            let message = format!("source `{source}` has no files that a tree could be made of");
            return Err(Failure::new(Reason::InvalidSpec, message));
        }
        let there = self.there(&to)?;
        if there.as_ref() == Some(&self.marker()) && self.is_right(&volume, &to, &files)? {
            return Ok(Made { files: files.len() as u64, unchanged: true, ..Made::default() });
        }
        let aside = format!("{ASIDE}-{source}");
        remove::tree(&to, &aside)?;
        let made = self.make(&volume, &to, &aside, &files);
        let made = made.and_then(|made| self.swap(&to, &aside, there.is_some()).map(|()| made));
        // The old tree after a success, what was half made after a failure.
        let removed = remove::tree(&to, &aside);
        let made = made?;
        removed?;
        Ok(made)
    }

    fn marker(&self) -> Marker {
        let Manifest { source, origin, revision, digest, .. } = self.manifest;
        Marker {
            version: VERSION,
            cache: self.cache.to_owned(),
            source: source.clone(),
            origin: origin.clone(),
            revision: revision.clone(),
            digest: digest.clone(),
            copied: self.copy,
        }
    }

    /// Refuses a target where our own state or a client's cache is.
    fn refuse_own(&self) -> Result<(), Failure> {
        let refuse = |why: &str| {
            let message = format!("{} {why}: name another directory with --to", self.to.display());
            Err(Failure::new(Reason::InvalidSpec, message))
        };
        if self.to.components().any(|it| matches!(it, std::path::Component::ParentDir)) {
            return refuse("has a part `..`");
        }
        let failed =
            |error: std::io::Error| Failure::new(Reason::VolumeError, format!("{}: {error}", self.volume.display()));
        let volume = self.volume.canonicalize().map_err(failed)?;
        // As much of it as is there: the rest is made below it.
        let absolute = std::path::absolute(self.to).map_err(failed)?;
        let there = absolute.ancestors().find_map(|it| Some((it, it.canonicalize().ok()?)));
        let Some((existing, real)) = there else { return Ok(()) };
        let to = real.join(absolute.strip_prefix(existing).unwrap_or(Path::new("")));
        if to.components().any(|it| it.as_os_str() == OWN) {
            return refuse(&format!("is below `{OWN}`, the cache's own state"));
        }
        let Ok(inside) = to.strip_prefix(&volume) else { return Ok(()) };
        if inside.as_os_str().is_empty() {
            return refuse("is the volume itself");
        }
        let tree = inside.join(&self.manifest.source);
        let hub = super::verify::foreign::hub_of(self.manifest);
        if hub.is_some_and(|hub| inside.starts_with(&hub)) {
            return refuse("is in a hub's cache, where nothing else may be");
        }
        let taken = self.manifest.entries.iter().any(|it| {
            let path = Path::new(&it.path);
            path.starts_with(&tree)
                || tree.starts_with(path)
                || (hub::repository(self.manifest).is_none() && path.starts_with(inside))
        });
        if taken { refuse("holds content of the cache") } else { Ok(()) }
    }

    /// What the tree that is there was made of. `None` when there is none.
    fn there(&self, to: &Root) -> Result<Option<Marker>, Failure> {
        let source = self.manifest.source.as_str();
        if to.stat(source)?.is_none() {
            return Ok(None);
        }
        let foreign = || {
            let message = format!(
                "{} exists and was not made by materialize: move it away, or name another directory",
                to.shown(source).display()
            );
            Failure::new(Reason::InvalidSpec, message)
        };
        let is_directory = |it: rustix::fs::Stat| FileType::from_raw_mode(it.st_mode) == FileType::Directory;
        if !to.stat(source)?.is_some_and(is_directory) {
            return Err(foreign());
        }
        let bytes = to.read(&format!("{source}/{MARKER}"), MARKER_LIMIT)?;
        let marker = bytes.and_then(|it| serde_json::from_slice::<Marker>(&it).ok());
        // Of another cache: two with a source of one name would take the place from each other for ever.
        Ok(Some(marker.filter(|it| it.source == source && it.cache == self.cache).ok_or_else(foreign)?))
    }

    /// Whether every file of the tree is the one that it must be: by size, and for a link by being the same file still.
    fn is_right(&self, volume: &Root, to: &Root, files: &[Wanted<'_>]) -> Result<bool, Failure> {
        for file in files {
            let Some(found) = to.stat(&format!("{}/{}", self.manifest.source, file.name))? else { return Ok(false) };
            let plain = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
            if !plain || u64::try_from(found.st_size).ok() != Some(file.size) {
                return Ok(false);
            }
            // A file that was mended in the cache is another one; its old self may be the damaged one.
            if let Some(content) =
                held::stat(volume, &file.content)?.filter(|it| !self.copy && it.st_dev == found.st_dev)
                && content.st_ino != found.st_ino
                && (content.st_mtime, content.st_mtime_nsec) > (found.st_mtime, found.st_mtime_nsec)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn make(&self, volume: &Root, to: &Root, aside: &str, files: &[Wanted<'_>]) -> Result<Made, Failure> {
        to.make_directory(aside)?;
        room::check(volume, to, aside, files, self.copy)?;
        let (linked, copied) = (AtomicU64::new(0), AtomicU64::new(0));
        let done = over_cores(files, |file| -> Result<(), Failure> {
            let path = format!("{aside}/{}", file.name);
            let content = match held::target(volume, &file.content)? {
                Some(target) => target,
                None => file.content.clone(),
            };
            if volume.size(&content)? != Some(file.size) {
                return Err(damaged(volume, &content, "is missing or has another size"));
            }
            if !self.copy && link(volume, &content, to, &path)? {
                linked.fetch_add(1, Relaxed);
                return Ok(());
            }
            copy(volume, &content, to, &path, file)?;
            copied.fetch_add(file.size, Relaxed);
            Ok(())
        });
        done.into_iter().collect::<Result<(), Failure>>()?;
        let marker = serde_json::to_vec_pretty(&self.marker()).unwrap_or_default();
        let mut file = create(to, &format!("{aside}/{MARKER}"))?;
        let written = file.write_all(&marker).and_then(|()| file.sync_all());
        written.map_err(|error| LayoutError::new(to.shown(MARKER), error))?;
        sync_directories(to, aside, files)?;
        Ok(Made {
            files: files.len() as u64,
            linked: linked.into_inner(),
            copied_bytes: copied.into_inner(),
            unchanged: false,
        })
    }

    /// Puts the finished tree into place. Where one is there, the two change places in one step; file systems without that
    /// have a moment without either.
    fn swap(&self, to: &Root, aside: &str, replace: bool) -> Result<(), Failure> {
        let source = self.manifest.source.as_str();
        let top = to.directory("")?;
        let failed = |error: Errno| to.failure(source, error);
        if replace {
            match renameat_with(&top, aside, &top, source, RenameFlags::EXCHANGE) {
                Ok(()) => {}
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    let old = format!("{ASIDE}-old-{source}");
                    remove::tree(to, &old)?;
                    renameat(&top, source, &top, &old).map_err(failed)?;
                    renameat(&top, aside, &top, source).map_err(failed)?;
                    remove::tree(to, &old)?;
                }
                Err(error) => return Err(failed(error).into()),
            }
        } else {
            match renameat_with(&top, aside, &top, source, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    renameat(&top, aside, &top, source).map_err(failed)?;
                }
                other => other.map_err(failed)?,
            }
        }
        sync(&top).map_err(|error| to.failure("", error))?;
        Ok(())
    }
}

fn damaged(root: &Root, path: &str, how: &str) -> Failure {
    let message =
        format!("{} {how}: run prefetch, which brings it again; no tree was made", root.shown(path).display());
    Failure::new(Reason::Damaged, message)
}

/// Two runs into one directory would take each other's half-made trees away. The lock ends with its process, however.
fn lock(to: &Root) -> Result<OwnedFd, Failure> {
    let top = to.directory("")?;
    match flock(&top, FlockOperation::NonBlockingLockExclusive) {
        // A file system without locks: the person at the terminal is the lock.
        Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::BADF) => Ok(top),
        Err(Errno::WOULDBLOCK) => {
            let message = format!("another materialize works on {}: wait for it", to.shown("").display());
            Err(Failure::new(Reason::VolumeError, message))
        }
        Err(error) => Err(to.failure("", error).into()),
    }
}

/// Another name for the file. Says whether that can be had.
fn link(volume: &Root, content: &str, to: &Root, path: &str) -> Result<bool, Failure> {
    let (directory, name) = split(path);
    let target = to.make_directory(directory)?;
    let Some((from, from_name)) = volume.parent(content)? else { return Ok(false) };
    match linkat(&from, from_name, &target, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        // Another file system, one without hard links, a file of somebody else's, or one with too many names.
        Err(Errno::XDEV | Errno::PERM | Errno::ACCESS | Errno::MLINK | Errno::NOTSUP | Errno::NOSYS) => Ok(false),
        Err(error) => Err(to.failure(path, error).into()),
    }
}

/// A copy: shared by the file system where it can, else read, hashed, and compared before anybody sees it.
fn copy(volume: &Root, content: &str, to: &Root, path: &str, wanted: &Wanted<'_>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| LayoutError::new(to.shown(path), error);
    let Some(mut from) = volume.file(content)? else { return Err(damaged(volume, content, "went away")) };
    let mut file = create(to, path)?;
    if ioctl_ficlone(&file, &from).is_err() {
        let (mut hasher, mut block) = (Sha256::new(), vec![0; BLOCK]);
        loop {
            let read = match from.read(&mut block) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(damaged(volume, content, &format!("cannot be read ({error})"))),
            };
            hasher.update(&block[..read]);
            file.write_all(&block[..read]).map_err(failed)?;
        }
        if hex(&hasher.finalize()) != wanted.sha256 {
            return Err(damaged(volume, content, "has other bytes than were published; run verify, then prefetch"));
        }
    }
    // A program stays one.
    if from.metadata().is_ok_and(|it| it.permissions().mode() & 0o111 != 0) {
        fchmod(&file, Mode::from_raw_mode(0o755)).map_err(|error| to.failure(path, error))?;
    }
    Ok(file.sync_all().map_err(failed)?)
}

fn create(to: &Root, path: &str) -> Result<File, LayoutError> {
    let (directory, name) = split(path);
    let directory = to.make_directory(directory)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o644);
    let file = openat(&directory, name, flags, mode).map_err(|error| to.failure(path, error))?;
    fchmod(&file, mode).map_err(|error| to.failure(path, error))?; // whatever the umask
    Ok(file.into())
}

/// Everything that the tree's directories say is on the disk.
fn sync_directories(to: &Root, aside: &str, files: &[Wanted<'_>]) -> Result<(), LayoutError> {
    let mut directories = std::collections::BTreeSet::from([aside.to_owned()]);
    for file in files {
        let mut path = split(file.name).0;
        while !path.is_empty() && directories.insert(format!("{aside}/{path}")) {
            path = split(path).0;
        }
    }
    for path in directories {
        sync(&to.directory(&path)?).map_err(|error| to.failure(&path, error))?;
    }
    Ok(())
}

fn sync(directory: &OwnedFd) -> Result<(), Errno> {
    match fsync(directory) {
        // Some network file systems cannot sync a directory, and need not.
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        other => other,
    }
}
