//! What is there that a rule means? Looked at once, remembered as it was, so that a deed can see whether it still is.

use super::super::failure::Failure;
use super::super::inspect::owners::Owners;
use super::super::inspect::walk::{Next, walk_below};
use super::super::layout::OWN;
use super::super::layout::safe_path::Root;
use super::globs::Globs;
use rustix::fs::{FileType, Stat};
use std::borrow::Cow;

/// A file or directory as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Path from the volume's root, in bytes: names need be no text.
    pub path: Box<[u8]>,
    /// Size in bytes.
    pub size: u64,
    /// Bytes on the disk.
    pub disk: u64,
    /// When it was last written to, in nanoseconds since 1970.
    pub written: i128,
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
    /// Names that it has.
    pub names: u64,
    /// Kind and mode.
    pub mode: u32,
    /// Owner.
    pub user: u32,
    /// Group.
    pub group: u32,
}

/// What a look found.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Plain files.
    pub files: Vec<Found>,
    /// Directories. Only those that the globs mean.
    pub directories: Vec<Found>,
    /// Links that the globs mean: they are left alone.
    pub links: u64,
    /// Files that the globs mean and a cache lists as its own.
    pub owned: u64,
    /// What could not be looked at.
    pub unreadable: Vec<String>,
    /// Where other file systems are mounted.
    pub mounts: Vec<String>,
}

impl Found {
    /// What was found at a path.
    #[allow(clippy::useless_conversion, reason = "the number of names has 32 bits on other machines")]
    pub fn of(path: &[u8], stat: &Stat) -> Self {
        Self {
            path: path.into(),
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            disk: u64::try_from(stat.st_blocks).unwrap_or_default() * 512,
            written: i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec),
            device: stat.st_dev,
            inode: stat.st_ino,
            names: u64::from(stat.st_nlink),
            mode: stat.st_mode,
            user: stat.st_uid,
            group: stat.st_gid,
        }
    }

    /// Whether it still is what it was.
    pub fn is(&self, stat: &Stat) -> bool {
        let now = Self::of(&self.path, stat);
        let same = |it: &Self| (it.device, it.inode, FileType::from_raw_mode(it.mode));
        let plain = FileType::from_raw_mode(self.mode) == FileType::RegularFile;
        same(self) == same(&now) && (!plain || (self.size, self.written) == (now.size, now.written))
    }

    /// Whether it still is the log that it was: one that is written to grows, and is the same one.
    pub fn is_log(&self, stat: &Stat) -> bool {
        let now = Self::of(&self.path, stat);
        let same = (self.device, self.inode) == (now.device, now.inode) && now.names == 1;
        same && FileType::from_raw_mode(now.mode) == FileType::RegularFile && now.size >= self.size
    }

    /// The path as messages show it.
    pub fn shown(&self) -> String {
        shown(&self.path)
    }
}

/// A path as messages show it: on one line, whatever is in it.
pub fn shown(path: &[u8]) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(path);
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// The directory of a path and its last part.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// Looks for what `wanted` means below the directories that the globs begin with. `wanted` sees the path of every plain file
/// and directory.
///
/// # Errors
/// `VolumeError` when such a directory cannot be read, or a link stands in its place.
pub fn look(root: &Root, globs: &Globs, owners: &Owners, wanted: impl Fn(&[u8]) -> bool) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    for start in globs.starts() {
        let skipped = walk_below(root, start, |path, stat| {
            if path == OWN.as_bytes() {
                return Next::Pass;
            }
            if path.is_empty() || !wanted(path) {
                return Next::Enter;
            }
            let owned = std::str::from_utf8(path).is_ok_and(|path| owners.get(path).is_some());
            match FileType::from_raw_mode(stat.st_mode) {
                _ if owned => seen.owned += 1,
                FileType::RegularFile => seen.files.push(Found::of(path, stat)),
                FileType::Directory => seen.directories.push(Found::of(path, stat)),
                FileType::Symlink => seen.links += 1,
                _ => {}
            }
            Next::Enter
        })?;
        seen.unreadable.extend(skipped.unreadable);
        seen.mounts.extend(skipped.mounts);
    }
    // The order of a directory is the file system's; ours is by name.
    seen.files.sort_by(|a, b| a.path.cmp(&b.path));
    seen.directories.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(seen)
}
