//! What does a file hash to, without pushing what others read out of the page cache?
//!
//! A model server on the same node lives from the page cache. What it has there stays; what only this reading brought in is
//! given back behind it, so that a volume of any size passes through a few megabytes.

use super::page_cache::resident;
use crate::agent::sha256::Sha256;
use rustix::fs::{Advice, fadvise};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::os::unix::fs::FileExt;

/// Bytes read at a time.
const BLOCK: usize = 256 * 1024;
/// Bytes after which the page cache is given back what was taken from it.
const WINDOW: u64 = 16 << 20;
/// Windows that are asked about before they are reached: reading brings in what comes next, as far as the device reads ahead,
/// which is twice its `read_ahead_kb` for a sequential reader (8 MiB on many cloud disks), from wherever the last step began.
const AHEAD: u64 = 4;
/// Files shorter than this are not worth the question.
const SMALL: u64 = 64 * 1024;

/// Size in bytes and SHA-256 of an open file. `step` is told how many bytes were read.
pub fn sha256(file: &File, mut step: impl FnMut(u64)) -> io::Result<(u64, [u8; 32])> {
    let size = file.metadata()?.len();
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    let mut were_there: VecDeque<bool> = (0..AHEAD).map(|window| is_cached(file, window * WINDOW, size)).collect();
    loop {
        let start = at;
        were_there.push_back(is_cached(file, start + AHEAD * WINDOW, size));
        let was_there = were_there.pop_front().unwrap_or(true);
        // Advice only, here and below: a file system without it is read all the same.
        let _ = fadvise(file, 0, None, Advice::Sequential);
        let mut ended = false;
        while at < start + WINDOW && !ended {
            match file.read_at(&mut block, at) {
                Ok(0) => ended = true,
                Ok(read) => {
                    hasher.update(&block[..read]);
                    at += read as u64;
                    step(read as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if !was_there && let Some(length) = NonZeroU64::new(at - start) {
            let _ = fadvise(file, start, Some(length), Advice::DontNeed);
        }
        if ended {
            return Ok((at, hasher.finalize()));
        }
    }
}

/// Whether most of the window that starts here is in the page cache. Where that cannot be asked, it counts as if it were:
/// nothing is given back.
fn is_cached(file: &File, start: u64, size: u64) -> bool {
    let length = usize::try_from(WINDOW.min(size.saturating_sub(start))).ok().and_then(NonZeroUsize::new);
    let Some(length) = length.filter(|_| size >= SMALL) else { return true };
    resident(file, start, length).map_or(true, |(there, pages)| there > pages / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// On the disk that the sources are on: in memory nothing can be given back.
    fn file(bytes: &[u8]) -> File {
        let target = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let mut file = tempfile::tempfile_in(target).unwrap();
        file.write_all(bytes).unwrap();
        file.sync_all().unwrap();
        file
    }

    fn windows() -> impl Iterator<Item = u64> {
        [0, WINDOW, 2 * WINDOW].into_iter()
    }

    fn evict(file: &File) {
        fadvise(file, 0, None, Advice::DontNeed).unwrap();
    }

    #[test]
    fn the_hash_is_right_whatever_the_size() {
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 40 << 20] {
            let bytes: Vec<u8> = (0..size).map(|it| u8::try_from(it % 251).unwrap()).collect();
            let mut read = 0;
            let (found, hash) = sha256(&file(&bytes), |step| read += step).unwrap();
            assert_eq!((found, read), (size as u64, size as u64));
            assert_eq!(hash, Sha256::digest(&bytes), "{size}");
        }
    }

    #[test]
    fn what_was_not_in_the_page_cache_is_not_there_afterwards() {
        let file = file(&vec![7; 40 << 20]);
        evict(&file);
        sha256(&file, |_| {}).unwrap();
        assert!(windows().all(|start| !is_cached(&file, start, 40 << 20)));
    }

    #[test]
    fn what_the_disk_read_ahead_is_not_taken_for_what_others_have_there() {
        let file = file(&vec![7; 100 << 20]);
        evict(&file);
        // Slower than the disk, so that what it reads ahead is there long before it is asked for.
        sha256(&file, |_| std::thread::sleep(std::time::Duration::from_millis(1))).unwrap();
        assert!((0..6).all(|window| !is_cached(&file, window * WINDOW, 100 << 20)));
    }

    #[test]
    fn what_others_have_in_the_page_cache_stays_there() {
        let file = file(&vec![7; 40 << 20]);
        assert!(windows().all(|start| is_cached(&file, start, 40 << 20)), "it was written just now");
        sha256(&file, |_| {}).unwrap();
        assert!(windows().all(|start| is_cached(&file, start, 40 << 20)));
    }
}
