//! What may come out of an archive, and how is it written? Every name, link and size is checked; every file is hashed while
//! it is written, and on the disk in the end.

use super::super::fetch::{hex, over_cores};
use super::super::layout::archive::Tree;
use super::super::layout::manifest::{Entry, What};
use super::super::layout::safe_path::{Root, split};
use super::super::layout::{LayoutError, OWN};
use super::super::source::name;
use super::Bad;
use super::room::Room;
use crate::agent::sha256::Sha256;
use rustix::fs::{Advice, AtFlags, Mode, OFlags, fadvise, fchmod, fsync, linkat, openat, symlinkat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};

/// Entries of an archive at most: each costs memory until the manifest is written.
const ENTRIES: u64 = 250_000;
/// Directories in one another at most.
const DEPTH: usize = 100;
/// Bytes read at a time.
const BLOCK: usize = 256 << 10;
/// Bytes that may be written and not yet on the disk: page cache counts against the container's memory.
const DIRTY: u64 = 32 << 20;
/// Files that may be open for that.
const OPEN: usize = 128;

/// One entry of an archive, as a reader finds it.
pub enum Item<'a> {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Whether anybody may run it.
        executable: bool,
        /// Its size in bytes, as the archive says.
        size: u64,
        /// Its bytes.
        content: &'a mut dyn Read,
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: String,
    },
    /// Another name of a file that came before.
    HardLink {
        /// Its name in the archive.
        target: String,
    },
    /// What is never taken, and why.
    Other(&'static str),
}

/// What a path is.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Directory,
    Link,
    /// A file: which of the entries.
    File(usize),
}

/// Takes entries, and writes those that are wanted below a directory of our own.
pub struct Sink<'a> {
    below: Root,
    tree: &'a Tree,
    room: Room,
    seen: HashMap<String, Seen>,
    entries: Vec<Entry>,
    /// The directory that everything lies in, when that is to be dropped.
    top: Option<String>,
    count: u64,
    dirty: Vec<File>,
    dirty_bytes: u64,
    block: Vec<u8>,
}

impl<'a> Sink<'a> {
    /// A sink that writes below an empty directory.
    pub fn new(below: Root, tree: &'a Tree, room: Room) -> Self {
        Self {
            below,
            tree,
            room,
            seen: HashMap::new(),
            entries: vec![],
            top: None,
            count: 0,
            dirty: vec![],
            dirty_bytes: 0,
            block: vec![0; BLOCK],
        }
    }

    /// Takes the next entry.
    pub(super) fn take(&mut self, raw: &str, item: Item<'_>) -> Result<(), Bad> {
        self.count += 1;
        expect(self.count)?;
        self.room.entry()?;
        let item = match item {
            // How the oldest archives write a directory.
            Item::File { size: 0, .. } if raw.ends_with('/') => Item::Directory,
            item => item,
        };
        if let Item::Other(why) = item {
            return Err(Bad::refused(raw, why));
        }
        let Some(path) = self.wanted(raw)? else { return Ok(()) };
        if path.is_empty() {
            return match item {
                Item::Directory => Ok(()),
                _ => Err(Bad::refused(raw, "stands in the place of the directory that is wanted")),
            };
        }
        self.parents(raw, &path)?;
        match (self.seen.get(&path), &item) {
            (None, _) => {}
            (Some(Seen::Directory), Item::Directory) => return Ok(()),
            (Some(Seen::Directory), _) | (Some(_), Item::Directory) => {
                return Err(Bad::refused(raw, "is a directory and something else at once"));
            }
            (Some(_), _) => return Err(Bad::refused(raw, "comes twice")),
        }
        match item {
            Item::Directory => {
                self.below.make_directory(&path)?;
                self.seen.insert(path, Seen::Directory);
                Ok(())
            }
            Item::File { executable, size, content } => self.file(raw, path, executable, size, content),
            Item::Link { target } => self.link(raw, path, target),
            Item::HardLink { target } => self.hard_link(raw, path, &target),
            Item::Other(why) => Err(Bad::refused(raw, why)),
        }
    }

    /// All entries, with their paths on the volume; everything is on the disk.
    pub(super) fn finish(mut self) -> Result<Vec<Entry>, Bad> {
        if self.entries.is_empty() {
            return Err(Bad::Empty(match &self.tree.unpack.only {
                Some(only) => format!("no file below {only:?}"),
                None => "no file".to_owned(),
            }));
        }
        self.flush()?;
        let directories = self.seen.iter().filter(|(_, seen)| **seen == Seen::Directory).map(|(path, _)| path.as_str());
        for path in directories.chain([""]) {
            let synced = sync_directory(fsync(&self.below.directory(path)?));
            synced.map_err(|error| self.below.failure(path, error))?;
        }
        Ok(self.entries)
    }

    /// The path below the directory that an entry is for; `None` when nobody wants it. Every name is checked, wanted or not.
    fn wanted(&mut self, raw: &str) -> Result<Option<String>, Bad> {
        let mut path = raw;
        while let Some(rest) = path.strip_prefix("./") {
            path = rest;
        }
        let mut path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() || path == "." {
            return Ok(Some(String::new()));
        }
        name::check(path).map_err(|bad| Bad::refused(raw, bad.to_string()))?;
        if path.split('/').count() > DEPTH {
            return Err(Bad::refused(raw, format!("is more than {DEPTH} directories deep")));
        }
        if path.split('/').any(|part| part == OWN) {
            return Err(Bad::refused(raw, format!("has a part `{OWN}`")));
        }
        if self.tree.unpack.drop_top {
            let (top, rest) = path.split_once('/').unwrap_or((path, ""));
            if self.top.get_or_insert_with(|| top.to_owned()) != top {
                return Err(Bad::refused(raw, "is not in the one directory that everything should be in"));
            }
            path = rest;
        }
        let wanted = match self.tree.unpack.only.as_deref() {
            None => Some(path),
            Some(only) if path == only => Some(""),
            Some(only) => path.strip_prefix(only).and_then(|rest| rest.strip_prefix('/')),
        };
        if let Some(path) = wanted {
            let full = format!("{}/{path}", self.tree.directory);
            name::check(full.trim_end_matches('/')).map_err(|bad| Bad::refused(raw, bad.to_string()))?;
        }
        Ok(wanted.map(str::to_owned))
    }

    fn parents(&mut self, raw: &str, path: &str) -> Result<(), Bad> {
        for (at, _) in path.match_indices('/') {
            let parent = path.get(..at).unwrap_or_default();
            match self.seen.get(parent) {
                Some(Seen::Directory) => {}
                Some(_) => return Err(Bad::refused(raw, format!("is below {parent:?}, which is no directory"))),
                None => _ = self.seen.insert(parent.to_owned(), Seen::Directory),
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        raw: &str,
        path: String,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), Bad> {
        self.room.declared(size)?;
        let (directory, name) = split(&path);
        let directory = self.below.make_directory(directory)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        let file = match openat(&directory, name, flags, mode) {
            // Two names that this file system takes for one.
            Err(Errno::EXIST) => return Err(Bad::refused(raw, "comes twice on this file system")),
            file => file.map_err(|error| self.below.failure(&path, error))?,
        };
        fchmod(&file, mode).map_err(|error| self.below.failure(&path, error))?; // whatever the umask
        let mut file = File::from(file);
        let written = |error: std::io::Error| LayoutError::new(self.below.shown(&path), error);
        let (mut hasher, mut length) = (Sha256::new(), 0_u64);
        loop {
            let read = match content.read(&mut self.block) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Bad::Broken(format!("{raw:?}: {error}"))),
            };
            let block = self.block.get(..read).unwrap_or_default();
            length += read as u64;
            if length > size {
                return Err(Bad::refused(raw, format!("is longer than the {size} bytes that it is said to have")));
            }
            self.room.take(read as u64)?;
            hasher.update(block);
            file.write_all(block).map_err(written)?;
            self.dirty_bytes += read as u64;
            if self.dirty_bytes >= DIRTY {
                file.sync_data().map_err(written)?;
                let _ = fadvise(&file, 0, None, Advice::DontNeed);
                self.dirty_bytes = 0;
            }
        }
        if length != size {
            return Err(Bad::Broken(format!("{raw:?} ends after {length} of {size} bytes")));
        }
        self.dirty.push(file);
        let sha256 = hex(&hasher.finalize());
        self.add(path, What::File { size, sha256 });
        if self.dirty.len() >= OPEN || self.dirty_bytes >= DIRTY {
            self.flush()?;
        }
        Ok(())
    }

    fn link(&mut self, raw: &str, path: String, target: String) -> Result<(), Bad> {
        if let Some(why) = leaves(&path, &target) {
            return Err(Bad::refused(raw, format!("is a link to {target:?}, which {why}")));
        }
        let (directory, name) = split(&path);
        let directory = self.below.make_directory(directory)?;
        match symlinkat(target.as_str(), &directory, name) {
            Err(Errno::EXIST) => return Err(Bad::refused(raw, "comes twice on this file system")),
            made => made.map_err(|error| self.below.failure(&path, error))?,
        }
        self.add(path, What::Link { link: target });
        Ok(())
    }

    fn hard_link(&mut self, raw: &str, path: String, target: &str) -> Result<(), Bad> {
        let bad = || Bad::refused(raw, format!("is a hard link to {target:?}, which is no file that came before it"));
        let source = match self.wanted(target) {
            Ok(Some(source)) => source,
            Ok(None) | Err(Bad::Refused { .. }) => return Err(bad()),
            Err(other) => return Err(other),
        };
        let Some(Seen::File(index)) = self.seen.get(&source) else { return Err(bad()) };
        let what = self.entries.get(*index).map(|it| it.what.clone()).ok_or_else(bad)?;
        let failed = |error: Errno| self.below.failure(&path, error);
        let (from, from_name) = self.below.parent(&source)?.ok_or_else(bad)?;
        let (directory, name) = split(&path);
        let directory = self.below.make_directory(directory)?;
        match linkat(&from, from_name, &directory, name, AtFlags::empty()) {
            Err(Errno::EXIST) => return Err(Bad::refused(raw, "comes twice on this file system")),
            made => made.map_err(failed)?,
        }
        self.add(path, what);
        Ok(())
    }

    fn add(&mut self, path: String, what: What) {
        let seen = match what {
            What::File { .. } => Seen::File(self.entries.len()),
            What::Link { .. } => Seen::Link,
        };
        self.entries.push(Entry::new(format!("{}/{path}", self.tree.directory), what));
        self.seen.insert(path, seen);
    }

    /// Puts what was written on the disk, several files at a time: they share the file system's commits.
    fn flush(&mut self) -> Result<(), Bad> {
        self.dirty_bytes = 0;
        let files = std::mem::take(&mut self.dirty);
        let synced = over_cores(&files, |file| {
            let synced = file.sync_all();
            let _ = fadvise(file, 0, None, Advice::DontNeed);
            synced
        });
        for result in synced {
            result.map_err(|error| LayoutError::new(self.below.shown(""), error))?;
        }
        Ok(())
    }
}

/// Whether so many entries can be taken.
pub(super) fn expect(entries: u64) -> Result<(), Bad> {
    if entries > ENTRIES {
        return Err(Bad::refused("it", format!("has {entries} entries, and at most {ENTRIES} are taken")));
    }
    Ok(())
}

/// Why a link at a path may not point there. `..` counts only at its beginning, where every directory on the way up is
/// one: behind a name, that name may be a link itself, and lead to where `..` is something else.
fn leaves(path: &str, target: &str) -> Option<String> {
    let mut up = 0;
    let mut rest = target;
    while let Some(after) = rest.strip_prefix("../") {
        (up, rest) = (up + 1, after);
    }
    if matches!(rest, ".." | "." | "") {
        (up, rest) = (up + usize::from(rest == ".."), "x");
    }
    if let Err(bad) = name::check(rest.strip_suffix('/').unwrap_or(rest)) {
        return Some(bad.to_string());
    }
    (up > path.matches('/').count()).then(|| "leaves the tree".to_owned())
}

/// Some network file systems cannot sync a directory, and need not.
pub(super) fn sync_directory(synced: Result<(), Errno>) -> Result<(), Errno> {
    match synced {
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        other => other,
    }
}
