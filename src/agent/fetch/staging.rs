//! The place on the volume where content is brought together before anybody may see it.

use std::{
    ffi::OsStr,
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, fstat, fstatvfs, mkdirat, openat, renameat, unlinkat},
    io::Errno,
};

use super::{
    content::Content,
    error::FetchError,
    fence::{Fence, Writer},
};

/// A staging directory and the right to write into it. Cheap to clone; the right ends with the last clone.
///
/// Everything in it is opened by directory handle, and no link is ever followed.
#[derive(Clone, Debug)]
pub struct Staging {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: OwnedFd,
    path: PathBuf,
    fence: Fence,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Partials.
    pub files: u64,
    /// Bytes on the disk that they took.
    pub bytes: u64,
}

impl Staging {
    /// Makes `below` (say `.modelcache/staging/<cache>`) under `volume`, which must exist, and takes the right to
    /// write there. Directories it makes have mode 0755 whatever the umask.
    ///
    /// Caches that share a volume need a directory each: two owners in one take it from each other.
    ///
    /// `Superseded` when a later attempt was here; `Io` when a local process holds it, with its process id.
    pub fn open(volume: &Path, below: &Path, writer: Writer) -> Result<Self, FetchError> {
        let failed = |error: Errno| FetchError::io(format!("{}", volume.join(below).display()), error);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut dir = openat(CWD, volume, flags, Mode::empty()).map_err(failed)?;
        for component in below.components() {
            let Component::Normal(name) = component else { return Err(failed(Errno::INVAL)) };
            dir = directory(&dir, name).map_err(failed)?;
        }
        let fences = directory(&dir, OsStr::new("fence")).map_err(failed)?;
        let fence = Fence::take(&dir, fences, writer)?;
        Ok(Self { inner: Arc::new(Inner { dir, path: volume.join(below), fence }) })
    }

    /// Removes partials and journals that none of `keep` would take up again. With nothing to keep, none is left.
    ///
    /// Call it before a run, so that leftovers of another revision do not count against its space, and after
    /// everything is published. Names that are not the engine's are left alone.
    pub fn sweep(&self, keep: &[Content]) -> Result<Swept, FetchError> {
        self.check()?;
        let keep: std::collections::HashSet<String> = keep.iter().map(Content::name).collect();
        let mut swept = Swept::default();
        for name in self.names()? {
            let stem = name.strip_suffix(".new").unwrap_or(&name);
            let stem = stem.strip_suffix(".journal").unwrap_or(stem);
            if keep.contains(stem) {
                continue;
            }
            swept.bytes += self.allocated(&name);
            swept.files += u64::from(stem == name);
            self.remove(&name)?;
        }
        Ok(swept)
    }

    /// Fails once another writer has taken over: before anything that this run may not do then.
    pub fn check(&self) -> Result<(), FetchError> {
        self.inner.fence.check()
    }

    /// Where a name of this directory is, for the caller's rename.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.inner.path.join(name)
    }

    /// Opens what an earlier run left. `None` when there is nothing, or when it is not a plain file of one name.
    pub(super) fn open_existing(&self, name: &str) -> Result<Option<File>, FetchError> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&self.inner.dir, name, flags, Mode::empty()) {
            Ok(file) => {
                let stat = fstat(&file).map_err(|error| FetchError::io(name, error))?;
                let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1;
                Ok(plain.then(|| file.into()))
            }
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ISDIR | Errno::ACCESS) => Ok(None),
            Err(error) => Err(FetchError::io(name, error)),
        }
    }

    /// Makes a new empty file in the place of whatever had the name; a writer that still has the old one open
    /// writes into nothing.
    pub(super) fn create(&self, name: &str) -> Result<File, FetchError> {
        self.remove(name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let file = openat(&self.inner.dir, name, flags, mode).map_err(|error| FetchError::io(name, error))?;
        fchmod(&file, mode).map_err(|error| FetchError::io(name, error))?; // whatever the umask
        Ok(file.into())
    }

    /// Puts `from` into the place of `to`.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), FetchError> {
        renameat(&self.inner.dir, from, &self.inner.dir, to).map_err(|error| FetchError::io(to, error))
    }

    /// Removes a name; that it is gone already is fine.
    pub(super) fn remove(&self, name: &str) -> Result<(), FetchError> {
        match unlinkat(&self.inner.dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(FetchError::io(name, error)),
        }
    }

    /// Bytes on the disk that a file takes; zero when it is not there.
    pub(super) fn allocated(&self, name: &str) -> u64 {
        rustix::fs::statat(&self.inner.dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_or(0, |stat| u64::try_from(stat.st_blocks).unwrap_or_default() * 512)
    }

    /// Names of the engine's own files.
    pub(super) fn names(&self) -> Result<Vec<String>, FetchError> {
        let failed = |error: Errno| FetchError::io("staging", error);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.inner.dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if is_ours(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Bytes that an ordinary user may still write to this file system.
    pub(super) fn free_bytes(&self) -> Result<u64, FetchError> {
        let stat = fstatvfs(&self.inner.dir).map_err(|error| FetchError::io("staging", error))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Whether a name has the form that `Content::name` gives, or its journal's.
fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(".new").unwrap_or(name);
    let name = name.strip_suffix(".journal").unwrap_or(name);
    let Some((key, size)) = name.split_once('.') else { return false };
    let key = key.strip_prefix("url-").unwrap_or(key);
    (key.len() == 40 || key.len() == 64)
        && key.bytes().all(|b| b.is_ascii_hexdigit())
        && (size == "unknown" || (!size.is_empty() && size.bytes().all(|b| b.is_ascii_digit())))
}

fn directory(parent: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => return Err(error),
    };
    let dir = openat(&parent, name, flags, Mode::empty())?;
    if made {
        fchmod(&dir, Mode::from_raw_mode(0o755))?; // whatever the umask
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::agent::fetch::Reason;

    fn below() -> &'static Path {
        Path::new(".modelcache/staging")
    }

    fn attempt(owner: &str, number: u64) -> Writer {
        Writer::Attempt { owner: owner.into(), number }
    }

    #[test]
    fn a_lower_attempt_stops_when_a_higher_one_has_come() {
        let volume = tempfile::tempdir().unwrap();
        let first = Staging::open(volume.path(), below(), attempt("uid", 1)).unwrap();
        first.check().unwrap();
        let second = Staging::open(volume.path(), below(), attempt("uid", 2)).unwrap();
        assert_eq!(first.check().unwrap_err().reason(), Reason::Superseded);
        second.check().unwrap();
        let late = Staging::open(volume.path(), below(), attempt("uid", 1)).unwrap_err();
        assert_eq!(late.reason(), Reason::Superseded);
        second.check().unwrap();
        Staging::open(volume.path(), below(), attempt("uid", 2)).unwrap().check().unwrap();
    }

    #[test]
    fn a_new_owner_takes_over_whatever_its_number() {
        let volume = tempfile::tempdir().unwrap();
        let old = Staging::open(volume.path(), below(), attempt("old", 7)).unwrap();
        let new = Staging::open(volume.path(), below(), attempt("new", 1)).unwrap();
        assert_eq!(old.check().unwrap_err().reason(), Reason::Superseded);
        new.check().unwrap();
    }

    #[test]
    fn a_second_local_run_is_refused_while_the_first_lives() {
        let volume = tempfile::tempdir().unwrap();
        let first = Staging::open(volume.path(), below(), Writer::Local).unwrap();
        let refused = Staging::open(volume.path(), below(), Writer::Local).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(first);
        Staging::open(volume.path(), below(), Writer::Local).unwrap();
    }

    #[test]
    fn staging_is_never_reached_through_a_link() {
        let volume = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), volume.path().join(".modelcache")).unwrap();
        assert!(Staging::open(volume.path(), below(), Writer::Local).is_err());
        assert!(Staging::open(volume.path(), Path::new("../x"), Writer::Local).is_err());
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_the_place_of_a_partial_is_replaced_and_not_followed() {
        let volume = tempfile::tempdir().unwrap();
        let staging = Staging::open(volume.path(), below(), Writer::Local).unwrap();
        let victim = volume.path().join("victim");
        std::fs::write(&victim, "keep").unwrap();
        let name = format!("{}.4", "a".repeat(64));
        symlink(&victim, staging.path_of(&name)).unwrap();
        assert!(staging.open_existing(&name).unwrap().is_none());
        let file = staging.create(&name).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "keep");
    }

    #[test]
    fn a_sweep_removes_only_what_the_engine_has_made() {
        let volume = tempfile::tempdir().unwrap();
        let staging = Staging::open(volume.path(), below(), Writer::Local).unwrap();
        let name = format!("{}.4", "a".repeat(40));
        for name in [&name, &format!("{name}.journal"), "theirs", "README.md"] {
            std::fs::write(staging.path_of(name), "1234").unwrap();
        }
        assert_eq!(staging.sweep(&[]).unwrap().files, 1);
        let mut left: Vec<_> =
            std::fs::read_dir(staging.path_of("")).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["README.md", "fence", "lock", "theirs"]);
    }
}
