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
    path: Vec<u8>,
}

/// What a walk does with a directory that it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Looks into it. What is no directory has nothing in it anyway.
    Enter,
    /// Leaves it alone.
    Pass,
}

/// Calls `each` for the root (whose path is empty) and everything below it: path from the root, and what it is. Names that
/// are no UTF-8 are shown with a replacement character.
///
/// # Errors
/// Only when the root itself cannot be read.
pub fn walk(root: &Root, mut each: impl FnMut(&str, &Stat)) -> Result<Skipped, LayoutError> {
    walk_below(root, "", |path, stat| {
        each(&String::from_utf8_lossy(path), stat);
        Next::Enter
    })
}

/// Calls `each` for a directory of the volume and everything below it that it lets the walk enter, by their true names. None
/// when the directory is not there.
///
/// # Errors
/// Only when the directory itself cannot be read, or a link is in the way.
pub fn walk_below(root: &Root, from: &str, mut each: impl FnMut(&[u8], &Stat) -> Next) -> Result<Skipped, LayoutError> {
    let failed = |error: Errno| root.failure(from, error);
    let (mut skipped, mut pending) = (Skipped::default(), Vec::new());
    let device = fstat(&root.directory("")?).map_err(failed)?.st_dev;
    let top = match root.directory(from) {
        Ok(top) => top,
        Err(error) if error.is_missing() => return Ok(skipped),
        Err(error) => return Err(error),
    };
    let stat = fstat(&top).map_err(failed)?;
    if stat.st_dev != device {
        skipped.mounts.push(from.to_owned());
        return Ok(skipped);
    }
    if each(from.as_bytes(), &stat) == Next::Pass {
        return Ok(skipped);
    }
    read(&Rc::new(top), from.as_bytes(), device, &mut pending, &mut skipped, &mut each).map_err(failed)?;
    while let Some(Pending { parent, name, path }) = pending.pop() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&*parent, &name, flags, Mode::empty());
        drop(parent);
        let done = opened.and_then(|it| read(&Rc::new(it), &path, device, &mut pending, &mut skipped, &mut each));
        match done {
            // Gone, or become something else, since it was seen: others may write here.
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => skipped.unreadable.push(format!("{}: {error}", String::from_utf8_lossy(&path))),
        }
    }
    skipped.unreadable.sort();
    skipped.mounts.sort();
    Ok(skipped)
}

fn read(
    directory: &Rc<OwnedFd>,
    path: &[u8],
    device: u64,
    pending: &mut Vec<Pending>,
    skipped: &mut Skipped,
    each: &mut impl FnMut(&[u8], &Stat) -> Next,
) -> Result<(), Errno> {
    for entry in Dir::read_from(&**directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
        let inside = [path, separator, name.to_bytes()].concat();
        let shown = || String::from_utf8_lossy(&inside).into_owned();
        let stat = match statat(&**directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(error) => {
                skipped.unreadable.push(format!("{}: {error}", shown()));
                continue;
            }
        };
        if stat.st_dev != device {
            skipped.mounts.push(shown());
            continue;
        }
        let next = each(&inside, &stat);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && next == Next::Enter {
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
