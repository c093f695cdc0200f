//! What is below a directory? Every name once, by directory handle: no link is followed, no other file system entered.

use super::super::layout::LayoutError;
use super::super::layout::safe_path::Root;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// What could not be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Directories that could not be read, with the system's word.
    pub unreadable: Vec<String>,
    /// Directories that other file systems are mounted at.
    pub mounts: Vec<String>,
}

/// A directory that is still to be read. Its parent is open for as long as that needs it.
struct Pending {
    parent: Rc<OwnedFd>,
    name: CString,
    path: String,
}

/// Calls `each` for the root (whose path is empty) and everything below it: path from the root, and what it is. Names that
/// are no UTF-8 are shown with a replacement character.
///
/// # Errors
/// Only when the root itself cannot be read.
pub fn walk(root: &Root, mut each: impl FnMut(&str, &Stat)) -> Result<Skipped, LayoutError> {
    let top = root.directory("")?;
    let stat = fstat(&top).map_err(|error| root.failure("", error))?;
    each("", &stat);
    let (device, mut skipped, mut pending) = (stat.st_dev, Skipped::default(), Vec::new());
    read(&Rc::new(top), "", device, &mut pending, &mut skipped, &mut each).map_err(|error| root.failure("", error))?;
    while let Some(Pending { parent, name, path }) = pending.pop() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&*parent, &name, flags, Mode::empty());
        drop(parent);
        let done = opened.and_then(|it| read(&Rc::new(it), &path, device, &mut pending, &mut skipped, &mut each));
        match done {
            // Gone, or become something else, since it was seen: others may write here.
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => skipped.unreadable.push(format!("{path}: {error}")),
        }
    }
    skipped.unreadable.sort();
    skipped.mounts.sort();
    Ok(skipped)
}

fn read(
    directory: &Rc<OwnedFd>,
    path: &str,
    device: u64,
    pending: &mut Vec<Pending>,
    skipped: &mut Skipped,
    each: &mut impl FnMut(&str, &Stat),
) -> Result<(), Errno> {
    for entry in Dir::read_from(&**directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let shown = name.to_string_lossy();
        let inside = if path.is_empty() { shown.into_owned() } else { format!("{path}/{shown}") };
        let stat = match statat(&**directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(error) => {
                skipped.unreadable.push(format!("{inside}: {error}"));
                continue;
            }
        };
        if stat.st_dev != device {
            skipped.mounts.push(inside);
            continue;
        }
        each(&inside, &stat);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            pending.push(Pending { parent: directory.clone(), name: name.to_owned(), path: inside });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn everything_is_seen_once_and_no_link_is_followed() {
        let (volume, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(elsewhere.path().join("secret"), "x").unwrap();
        std::fs::create_dir_all(volume.path().join("a/b")).unwrap();
        std::fs::write(volume.path().join("a/b/c"), "x").unwrap();
        std::fs::write(volume.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "x").unwrap();
        symlink(elsewhere.path(), volume.path().join("out")).unwrap();
        symlink(".", volume.path().join("a/round")).unwrap();
        let root = Root::open(volume.path()).unwrap();
        let mut seen = vec![];
        assert_eq!(walk(&root, |path, _| seen.push(path.to_owned())).unwrap(), Skipped::default());
        seen.sort();
        assert_eq!(seen, ["", "a", "a/b", "a/b/c", "a/round", "out", "\u{fffd}"]);
    }
}
