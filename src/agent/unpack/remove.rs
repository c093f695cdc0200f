//! How is a tree of our own removed? By directory handle, following no link.

use super::super::layout::LayoutError;
use super::super::layout::safe_path::Root;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::AsFd;

/// Removes whatever is at a path; that it is gone already is fine.
pub fn tree(root: &Root, path: &str) -> Result<(), LayoutError> {
    let Some((parent, name)) = root.parent(path)? else { return Ok(()) };
    let name = CString::new(name).unwrap_or_default();
    below(&parent, &name).map_err(|error| root.failure(path, error))
}

/// Removes a directory if it is empty.
pub fn empty_directory(root: &Root, path: &str) -> Result<(), LayoutError> {
    let Some((parent, name)) = root.parent(path)? else { return Ok(()) };
    match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(()),
        Err(error) => Err(root.failure(path, error)),
    }
}

fn below(parent: impl AsFd, name: &CString) -> Result<(), Errno> {
    let stat = match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return gone(unlinkat(&parent, name, AtFlags::empty()));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(&parent, name, flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    // What says that a tree is whole goes before the tree: a kill in between must leave no such word.
    names.sort_by_key(|name| !matches!(name.as_bytes(), b"index.json" | b"moved.json"));
    for name in &names {
        below(&directory, name)?;
    }
    gone(unlinkat(&parent, name, AtFlags::REMOVEDIR))
}

fn gone(removed: Result<(), Errno>) -> Result<(), Errno> {
    match removed {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
