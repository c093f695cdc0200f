//! What is on a volume? Everything, in the order of lists; no link is followed, no other file system entered.

use super::repository::names::join;
use crate::agent::failure::Failure;
use crate::agent::layout::safe_path::Root;
use crate::agent::layout::{LayoutError, OWN};
use crate::agent::source::fnmatch::Patterns;
use crate::api::Reason;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Directories within directories that are gone into: each is an open file.
const DEPTH: usize = 200;

/// Something on a volume.
#[derive(Debug)]
pub struct Found {
    /// Path, relative to the volume's root.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// What the file system says of it.
    pub stat: Stat,
}

/// What something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory; what is in it comes next.
    Directory,
    /// A link, and where it points.
    Link(String),
    /// Anything else: a socket, a pipe, a device.
    Special,
    /// A directory that another file system is mounted on.
    OtherFileSystem,
    /// A directory that is excluded, and that nobody lets us look into.
    Closed,
}

/// What a check of the file system puts at the top of a volume. Only root may look into it.
const OF_THE_FILE_SYSTEM: &str = "lost+found";

/// Shows everything on a volume but our own state. A directory that cannot be opened is no error when `exclude` names it.
///
/// # Errors
/// `VolumeError`, with what cannot be read. `InvalidSpec` when `forbidden` (device and inode), the place of the backups, lies
/// on the volume: each backup would hold the ones before.
pub fn walk(
    root: &Root,
    forbidden: Option<(u64, u64)>,
    patterns: &Patterns,
    see: &mut dyn FnMut(Found) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let top = root.directory("")?;
    let device = fstat(&top).map_err(|error| root.failure("", error))?.st_dev;
    Walk { root, device, forbidden, patterns, see }.directory(&top, "", 0)
}

struct Walk<'a> {
    root: &'a Root,
    device: u64,
    forbidden: Option<(u64, u64)>,
    patterns: &'a Patterns,
    see: &'a mut dyn FnMut(Found) -> Result<(), Failure>,
}

impl Walk<'_> {
    fn directory(&mut self, handle: &OwnedFd, path: &str, depth: usize) -> Result<(), Failure> {
        let failed = |error: Errno| unreadable(self.root, path, error);
        let mut names = Vec::new();
        for entry in Dir::read_from(handle).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") || (path.is_empty() && name.to_bytes() == OWN.as_bytes()) {
                continue;
            }
            let name = name.to_str().map_err(|_| {
                let shown = self.root.shown(path).join(name.to_string_lossy().as_ref());
                let message = format!("the name {:?} is not UTF-8: rename it", shown.display());
                Failure::new(Reason::VolumeError, message)
            })?;
            names.push(name.to_owned());
        }
        names.sort_unstable();
        for name in names {
            self.entry(handle, &name, join(path, &name), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, parent: &OwnedFd, name: &str, path: String, depth: usize) -> Result<(), Failure> {
        let failed = |error: Errno| unreadable(self.root, &path, error);
        let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Removed since its directory was read: it is not there.
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Symlink => {
                let target = match readlinkat(parent, name, Vec::new()) {
                    Ok(target) => target,
                    // Gone, or something else, since it was looked at.
                    Err(Errno::NOENT | Errno::INVAL) => return self.entry(parent, name, path, depth),
                    Err(error) => return Err(failed(error)),
                };
                let target = target.into_string().map_err(|_| {
                    let message = format!("{} points to a name that is not UTF-8", self.root.shown(&path).display());
                    Failure::new(Reason::VolumeError, message)
                })?;
                Kind::Link(target)
            }
            FileType::Directory if stat.st_dev == self.device => Kind::Directory,
            FileType::Directory => Kind::OtherFileSystem,
            _ => Kind::Special,
        };
        if self.forbidden == Some((stat.st_dev, stat.st_ino)) {
            let message = format!(
                "the place of the backups, {}, lies on the volume that is backed up: put it elsewhere",
                self.root.shown(&path).display()
            );
            return Err(Failure::new(Reason::InvalidSpec, message));
        }
        if kind == Kind::Directory && path == OF_THE_FILE_SYSTEM {
            return Ok(());
        }
        if kind != Kind::Directory {
            return (self.see)(Found { path, kind, stat });
        }
        if depth >= DEPTH {
            let message = format!("{} lies deeper than {DEPTH} directories", self.root.shown(&path).display());
            return Err(Failure::new(Reason::VolumeError, message));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inner = match openat(parent, name, flags, Mode::empty()) {
            Ok(inner) => inner,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return self.entry(parent, name, path, depth),
            Err(Errno::ACCESS | Errno::PERM) if self.patterns.exclude(&format!("{path}/")) => {
                return (self.see)(Found { path, kind: Kind::Closed, stat });
            }
            Err(error) => return Err(failed(error)),
        };
        (self.see)(Found { path: path.clone(), kind, stat })?;
        self.directory(&inner, &path, depth + 1)
    }
}

/// A failure that says who may read it.
pub(super) fn unreadable(root: &Root, path: &str, error: Errno) -> Failure {
    let failure: Failure = LayoutError::new(root.shown(path), error).into();
    if !matches!(error, Errno::ACCESS | Errno::PERM) {
        return failure;
    }
    let advice = "run as a user that may read it (`podTemplate.securityContext`), or name it in `backup.exclude`";
    Failure { message: format!("{}: {advice}", failure.message), ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::backup::repository::list::order;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    #[test]
    fn a_walk_sees_everything_but_our_own_state_in_the_order_of_lists_and_follows_no_link() {
        let volume = tempfile::tempdir().unwrap();
        for directory in ["a/b", "a-b", ".modelcache/x", "a/.modelcache", "lost+found"] {
            std::fs::create_dir_all(volume.path().join(directory)).unwrap();
        }
        for file in ["a/b/1", "a-b/2", ".modelcache/x/3", "a/.modelcache/4", "a/z"] {
            std::fs::write(volume.path().join(file), "x").unwrap();
        }
        symlink("/", volume.path().join("root")).unwrap();
        let mut seen = vec![];
        let root = Root::open(volume.path()).unwrap();
        let mut see = |found: Found| {
            seen.push(found.path);
            Ok(())
        };
        walk(&root, None, &Patterns::default(), &mut see).unwrap();
        assert_eq!(seen, ["a", "a/.modelcache", "a/.modelcache/4", "a/b", "a/b/1", "a/z", "a-b", "a-b/2", "root"]);
        assert!(seen.is_sorted_by(|one, other| order(one, other).is_lt()));
    }

    #[test]
    fn a_backup_into_what_it_is_of_is_refused() {
        let volume = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(volume.path().join("a/backups")).unwrap();
        let inside = std::fs::metadata(volume.path().join("a/backups")).unwrap();
        let root = Root::open(volume.path()).unwrap();
        let forbidden = Some((inside.dev(), inside.ino()));
        let refused = walk(&root, forbidden, &Patterns::default(), &mut |_| Ok(())).unwrap_err();
        assert_eq!(refused.reason, Reason::InvalidSpec);
    }
}
