//! Where is what is restored made? Aside on the same volume, by its later path, below a directory of our own.

use super::journal;
use crate::agent::failure::Failure;
use crate::agent::fetch::hex;
use crate::agent::layout::safe_path::{Root, split};
use crate::agent::layout::{LayoutError, OWN};
use crate::agent::sha256::Sha256;
use crate::agent::source::name;
use crate::agent::unpack::remove;
use crate::agent::write_behind::WriteBehind;
use rustix::fs::{Mode, OFlags, fchmod, openat, symlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

/// Longest target of a link, in bytes, as Linux has it.
const TARGET_LIMIT: usize = 4095;
/// Bits of a mode that come from a backup: nothing that runs as somebody else.
const MODE_BITS: u32 = 0o777;

/// The tree that is made.
#[derive(Clone, Debug)]
pub struct Stage {
    root: Root,
}

/// A content on its way into its files.
pub struct Writing {
    files: Vec<(File, WriteBehind)>,
    hasher: Sha256,
    length: u64,
}

/// Why a name of a backup is not used.
///
/// # Errors
/// In words, without the name.
pub fn check_name(path: &str) -> Result<(), String> {
    // A backslash is a letter of a name here: whoever backed it up wants it back.
    name::check(&path.replace('\\', "_")).map_err(|bad| bad.to_string())?;
    if path.split('/').next() == Some(OWN) { Err(format!("is in `{OWN}`")) } else { Ok(()) }
}

/// Why a link of a backup is not made. It may point anywhere: no link is ever followed by us.
///
/// # Errors
/// In words, without the target.
pub fn check_target(target: &str) -> Result<(), String> {
    if target.is_empty() || target.len() > TARGET_LIMIT || target.contains('\0') {
        return Err("is a link to nothing that could be a path".to_owned());
    }
    Ok(())
}

impl Stage {
    /// An empty tree. What a killed run had staged is removed.
    pub fn new(root: &Root, cache: &str) -> Result<Self, Failure> {
        let path = journal::staged(cache);
        remove::tree(root, &path)?;
        root.make_directory(&path)?;
        Ok(Self { root: root.below(&path)? })
    }

    /// The tree that is there: another directory may have been put into its place.
    pub fn again(root: &Root, cache: &str) -> Result<Self, LayoutError> {
        Ok(Self { root: root.below(&journal::staged(cache))? })
    }

    /// The root of the tree.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// A directory with a mode, which it can be written with while it is staged.
    pub fn directory(&self, path: &str, mode: u32) -> Result<(), LayoutError> {
        let handle = self.root.make_directory(path)?;
        let mode = Mode::from_raw_mode((mode & MODE_BITS) | 0o700);
        fchmod(&handle, mode).map_err(|error| self.root.failure(path, error))
    }

    /// A link.
    pub fn link(&self, path: &str, target: &str) -> Result<(), LayoutError> {
        let (parent, name) = self.parent(path)?;
        symlinkat(target, &parent, name).map_err(|error| self.root.failure(path, error))
    }

    /// A content that goes into one file, or the same into several.
    pub fn content<'a>(&self, files: impl IntoIterator<Item = (&'a str, u32)>) -> Result<Writing, LayoutError> {
        let file = |(path, mode)| Ok((self.file(path, mode)?, WriteBehind::default()));
        let files: Result<Vec<_>, LayoutError> = files.into_iter().map(file).collect();
        Ok(Writing { files: files?, hasher: Sha256::new(), length: 0 })
    }

    /// Removes what was made at a path.
    pub fn drop(&self, path: &str) -> Result<(), LayoutError> {
        self.root.remove(path)
    }

    fn file(&self, path: &str, mode: u32) -> Result<File, LayoutError> {
        let (parent, name) = self.parent(path)?;
        let failed = |error: Errno| self.root.failure(path, error);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & MODE_BITS);
        let file = openat(&parent, name, flags, mode).map_err(failed)?;
        fchmod(&file, mode).map_err(failed)?; // whatever the umask
        Ok(file.into())
    }

    fn parent<'a>(&self, path: &'a str) -> Result<(OwnedFd, &'a str), LayoutError> {
        let (parent, name) = split(path);
        Ok((self.root.make_directory(parent)?, name))
    }
}

impl Writing {
    /// Into no file: only to know whether it is what was promised.
    pub fn nowhere() -> Self {
        Self { files: vec![], hasher: Sha256::new(), length: 0 }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        self.files.iter_mut().try_for_each(|(file, behind)| {
            file.write_all(bytes)?;
            behind.wrote(file, bytes.len() as u64);
            Ok(())
        })
    }

    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether this is what was promised.
    ///
    /// # Errors
    /// What it is instead, in words.
    pub fn finish(self, size: u64, sha256: &str) -> Result<(), String> {
        for (file, mut behind) in self.files {
            behind.end(&file);
        }
        let found = hex(&self.hasher.finalize());
        if self.length != size {
            return Err(format!("has {} bytes instead of {size}", self.length));
        }
        if found != sha256 {
            return Err(format!("has the SHA-256 {found} instead of {sha256}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_name_is_refused() {
        for (path, refused) in [
            ("models/a.bin", false),
            ("../a", true),
            ("a/../../b", true),
            ("/etc/passwd", true),
            ("a//b", true),
            ("./a", true),
            ("", true),
            ("a\nb", true),
            ("a\0b", true),
            ("a\\b", false),
            ("a\\/../b", true),
            (".modelcache/c/current", true),
            ("models/.modelcache/x", false),
        ] {
            assert_eq!(check_name(path).is_err(), refused, "{path:?}");
        }
        assert!(check_target("").is_err() && check_target("a\0").is_err() && check_target(&"x".repeat(5000)).is_err());
        assert!(check_target("../../blobs/x").is_ok());
    }

    #[test]
    fn nothing_is_written_through_a_link_of_the_same_backup() {
        let (volume, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let stage = Stage::new(&Root::open(volume.path()).unwrap(), "c").unwrap();
        stage.link("a", elsewhere.path().to_str().unwrap()).unwrap();
        assert!(matches!(stage.content([("a/x", 0o644)]), Err(LayoutError::Link { .. })));
        assert!(stage.content([("a", 0o644)]).is_err());
        assert!(stage.directory("a/b", 0o755).is_err());
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_content_is_what_was_promised_or_says_what_it_is() {
        use std::os::unix::fs::PermissionsExt;
        let volume = tempfile::tempdir().unwrap();
        let stage = Stage::new(&Root::open(volume.path()).unwrap(), "c").unwrap();
        let right = hex(&Sha256::digest(b"right"));
        let mut writing = stage.content([("x", 0o644), ("d/y", 0o6755)]).unwrap();
        writing.take(b"rig").unwrap();
        writing.take(b"ht").unwrap();
        assert_eq!(writing.finish(5, &right), Ok(()));
        let staged = volume.path().join(".modelcache/c/restore/new");
        assert_eq!(std::fs::read(staged.join("d/y")).unwrap(), b"right");
        assert_eq!(std::fs::metadata(staged.join("d/y")).unwrap().permissions().mode() & 0o7777, 0o755);
        let mut writing = stage.content([("z", 0o644)]).unwrap();
        writing.take(b"wrong").unwrap();
        assert!(writing.finish(5, &right).unwrap_err().contains("instead of"));
        assert!(stage.content([("z2", 0o644)]).unwrap().finish(5, &right).unwrap_err().contains("0 bytes"));
    }
}
