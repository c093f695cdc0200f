//! A content that lies on another file system of this machine, or on this one: copied into staging, and hashed as it is there.

use std::{fs::File, os::unix::fs::FileExt as _};

use crate::agent::sha256::Sha256;
use rustix::fs::{fdatasync, ioctl_ficlone};

use super::{
    content::{Content, Digest},
    error::FetchError,
    hash::sha256_of_file,
    staging::Staging,
};

/// Bytes that are read at once.
const BLOCK: usize = 1 << 20;
/// Bytes between two syncs: what is written and not synced counts against the container's memory.
const WINDOW: u64 = 32 << 20;

/// A content in staging: on the disk, with the digest that it must have.
#[derive(Debug)]
pub struct Copied {
    /// Where it lies.
    pub path: std::path::PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// Copies a file into staging; where the file system can share blocks, they are shared. The hash is that of the copy, so that
/// a file that changes meanwhile cannot pass. `None` when the copy is not what was promised, or when it was told to stop.
///
/// Blocking. `went` is told of bytes as they are copied.
///
/// # Errors
/// Those of the two file systems.
pub fn copy(
    staging: &Staging,
    content: &Content,
    from: &File,
    went: &dyn Fn(u64),
    stopping: &dyn Fn() -> bool,
) -> Result<Option<Copied>, FetchError> {
    staging.check()?;
    let name = content.name();
    let to = staging.create(&name)?;
    let failed = |error: std::io::Error| FetchError::io(content.label.clone(), error);
    let (size, sha256) = if ioctl_ficlone(&to, from).is_ok() {
        let (size, sha256) = sha256_of_file(&to).map_err(failed)?;
        went(size);
        (size, sha256)
    } else {
        let (mut at, mut synced, mut hasher) = (0, 0, Sha256::new());
        let mut block = vec![0; BLOCK];
        loop {
            if stopping() {
                staging.remove(&name)?;
                return Ok(None);
            }
            let length = from.read_at(&mut block, at).map_err(failed)?;
            let bytes = block.get(..length).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
            hasher.update(bytes);
            to.write_all_at(bytes, at).map_err(failed)?;
            at += length as u64;
            went(length as u64);
            if at - synced >= WINDOW {
                fdatasync(&to).map_err(|error| failed(error.into()))?;
                synced = at;
            }
        }
        (at, hasher.finalize())
    };
    to.sync_all().map_err(failed)?;
    let right = content.size.is_none_or(|it| it == size) && content.digest == Some(Digest::Sha256(sha256));
    if !right {
        staging.remove(&name)?;
        return Ok(None);
    }
    Ok(Some(Copied { path: staging.path_of(&name), size, sha256 }))
}
