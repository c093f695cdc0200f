//! How is the directory of a per-node volume made and removed? The only code that runs as root on a node's own disk: it
//! takes one validated name below the pool, and touches nothing else.

use super::failure::Failure;
use crate::api::Reason;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, fstatvfs, mkdirat, openat, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Directories open at once while a tree is removed; what lies deeper is moved up first.
const DEPTH: usize = 32;

/// A directory that is to be there.
#[derive(Clone, Debug)]
pub struct Prepare<'a> {
    /// The pool's directory.
    pub root: &'a Path,
    /// The leaf; see [`check_name`].
    pub name: &'a str,
    /// Owner of the leaf.
    pub uid: u32,
    /// Group of the leaf.
    pub gid: u32,
    /// A directory on the kubelet's own file system. `None`: the pool may lie there.
    pub kubelet: Option<&'a Path>,
}

/// Makes the directory, and returns the bytes that its file system has left.
///
/// The pool's own directory becomes 0700 and root's: the kubelet's bind mounts do not care, and nobody on the node reads
/// around them.
///
/// # Errors
/// `PoolPathForbidden` when the pool lies on the kubelet's file system: a model that fills it evicts every pod.
pub fn prepare(wanted: &Prepare<'_>) -> Result<u64, Failure> {
    check_name(wanted.name)?;
    let shown = wanted.root.join(wanted.name);
    let failed = |error: Errno| Failure::new(Reason::VolumeError, format!("{}: {error}", shown.display()));
    let pool = open(wanted.root)?;
    if let Some(kubelet) = wanted.kubelet {
        let ours = fstat(&pool).map_err(failed)?.st_dev;
        if fstat(open(kubelet)?).map_err(failed)?.st_dev == ours {
            let message = "the pool's directory lies on the kubelet's own file system, which a full cache would take \
                           down with every pod of the node: mount a disk at `path`, or set `allowRootFilesystem` in \
                           the NodeCachePool";
            return Err(Failure::new(Reason::PoolPathForbidden, message));
        }
    }
    fchmod(&pool, Mode::from_raw_mode(0o700)).map_err(failed)?;
    fchown(&pool, Some(Uid::ROOT), Some(Gid::ROOT)).map_err(failed)?;
    match mkdirat(&pool, wanted.name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(failed(error)),
    }
    let leaf = openat(&pool, wanted.name, DIRECTORY, Mode::empty()).map_err(failed)?;
    fchown(&leaf, Some(Uid::from_raw(wanted.uid)), Some(Gid::from_raw(wanted.gid))).map_err(failed)?;
    fchmod(&leaf, Mode::from_raw_mode(0o755)).map_err(failed)?;
    let stat = fstatvfs(&leaf).map_err(failed)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Removes the directory with everything in it. Whether it was there.
///
/// Links are removed, not followed; another file system that is mounted below is neither entered nor removed.
pub fn purge(root: &Path, name: &str) -> Result<bool, Failure> {
    check_name(name)?;
    let shown = root.join(name);
    let failed = |error: Errno| Failure::new(Reason::VolumeError, format!("{}: {error}", shown.display()));
    let pool = open(root)?;
    let leaf = match openat(&pool, name, DIRECTORY, Mode::empty()) {
        Ok(leaf) => leaf,
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    let device = fstat(&leaf).map_err(failed)?.st_dev;
    if device != fstat(&pool).map_err(failed)?.st_dev {
        let message = format!("{} is a mount of another file system: nothing was removed", shown.display());
        return Err(Failure::new(Reason::VolumeError, message));
    }
    let mut moved = 0;
    // Every round removes all but what was moved up to the top.
    loop {
        let before = moved;
        empty(&leaf, &leaf, device, 0, &mut moved).map_err(|error| match error {
            Errno::XDEV => Failure::new(
                Reason::VolumeError,
                format!("another file system is mounted below {}: unmount it first", shown.display()),
            ),
            other => failed(other),
        })?;
        if moved == before {
            break;
        }
    }
    unlinkat(&pool, name, AtFlags::REMOVEDIR).map_err(failed)?;
    Ok(true)
}

/// Whether a name is `<uid>_<cache>_<volume>`, and so one that we gave.
pub fn check_name(name: &str) -> Result<(), Failure> {
    let parts: Vec<&str> = name.split('_').collect();
    let part = |it: &str| {
        let inner = it.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        inner && edge(it.bytes().next()) && edge(it.bytes().last()) && !it.contains("..")
    };
    if parts.len() == 3 && name.len() <= 255 && parts.iter().all(|it| part(it)) {
        return Ok(());
    }
    let message = format!("{name:?} is not the name of a volume's directory (<namespace uid>_<cache>_<volume>)");
    Err(Failure::new(Reason::InvalidSpec, message))
}

fn open(path: &Path) -> Result<OwnedFd, Failure> {
    openat(CWD, path, DIRECTORY, Mode::empty())
        .map_err(|error| Failure::new(Reason::VolumeError, format!("{}: {error}", path.display())))
}

/// Removes what is in a directory. Directories deeper than [`DEPTH`] are moved to `top`, for the next round: neither the
/// stack nor the number of open files grows with what somebody has nested.
fn empty(directory: &OwnedFd, top: &OwnedFd, device: u64, depth: usize, moved: &mut u64) -> Result<(), Errno> {
    for name in names(directory)? {
        let stat = match statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            unlinkat(directory, &name, AtFlags::empty())?;
            continue;
        }
        if stat.st_dev != device {
            return Err(Errno::XDEV);
        }
        if depth >= DEPTH {
            *moved += 1;
            renameat(directory, &name, top, format!(".purge-{}-{moved}", std::process::id()))?;
            continue;
        }
        let child = openat(directory, &name, DIRECTORY, Mode::empty())?;
        empty(&child, top, device, depth + 1, moved)?;
        // Not empty when something was moved here meanwhile: only the top is, and the next round sees to it.
        unlinkat(directory, &name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

fn names(directory: impl AsFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if name.as_bytes() != b"." && name.as_bytes() != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    const NAME: &str = "0a1b-2c_studio_models";

    fn me() -> (u32, u32) {
        (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
    }

    #[test]
    fn only_names_that_we_give_are_taken() {
        assert_eq!(check_name(NAME), Ok(()));
        for name in
            ["", "..", "a", "a_b", "a_b_c_d", "a_../x_c", "a_b_..", "A_b_c", "a__c", "a_b_c/d", "a_b_-c", "a_x..y_c"]
        {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_purge_removes_exactly_one_directory_and_follows_no_link() {
        let pool = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("keep"), "x").unwrap();
        let leaf = pool.path().join(NAME);
        let mut deep = leaf.clone();
        for level in 0..100 {
            deep.push(format!("d{level}"));
        }
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("file"), "x").unwrap();
        symlink(outside.path(), leaf.join("link")).unwrap();
        symlink(outside.path(), deep.join("link")).unwrap();
        std::fs::create_dir(pool.path().join("foreign")).unwrap();

        assert!(purge(pool.path(), NAME).unwrap());
        assert!(!leaf.exists());
        assert!(outside.path().join("keep").exists());
        assert!(pool.path().join("foreign").exists());
        assert!(!purge(pool.path(), NAME).unwrap());
    }

    #[test]
    fn a_link_in_the_place_of_the_directory_is_refused() {
        let pool = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), pool.path().join(NAME)).unwrap();
        assert!(purge(pool.path(), NAME).is_err());
        let (uid, gid) = me();
        assert!(prepare(&Prepare { root: pool.path(), name: NAME, uid, gid, kubelet: None }).is_err());
        assert!(outside.path().exists());
    }

    #[test]
    fn a_pool_on_the_kubelets_file_system_is_refused_before_anything_is_changed() {
        let (pool, kubelet) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (uid, gid) = me();
        let wanted = Prepare { root: pool.path(), name: NAME, uid, gid, kubelet: Some(kubelet.path()) };
        assert_eq!(prepare(&wanted).unwrap_err().reason, Reason::PoolPathForbidden);
        assert_eq!(std::fs::read_dir(pool.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_prepared_directory_belongs_to_the_jobs_user_in_a_pool_that_only_root_enters() {
        let pool = tempfile::tempdir().unwrap();
        let wanted = Prepare { root: pool.path(), name: NAME, uid: 65532, gid: 65532, kubelet: None };
        if me().0 != 0 {
            // Only root may give files away: refused with the path, and not half done in silence.
            assert!(prepare(&wanted).unwrap_err().message.contains(NAME));
            return;
        }
        assert!(prepare(&wanted).unwrap() > 0);
        prepare(&wanted).unwrap();
        let leaf = std::fs::metadata(pool.path().join(NAME)).unwrap();
        assert_eq!((leaf.uid(), leaf.gid(), leaf.permissions().mode() & 0o7777), (65532, 65532, 0o755));
        assert_eq!(std::fs::metadata(pool.path()).unwrap().permissions().mode() & 0o7777, 0o700);
    }
}
