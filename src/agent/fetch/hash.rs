//! Hashes of content: while it is fetched, and of files that are there already.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::agent::sha256::Sha256;
use sha1::{Digest as _, Sha1};

use super::content::Digest;

/// Bytes read at a time: fits the second-level cache beside the hash's own state.
pub(super) const BLOCK: usize = 256 * 1024;

/// The running hash of a content: SHA-256 always, and git's SHA-1 when the content is named by it.
#[derive(Clone, Debug)]
pub(super) struct Hasher {
    sha256: Sha256,
    git: Option<Sha1>,
}

/// What a content hashed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hashed {
    /// SHA-256 of the bytes.
    pub(super) sha256: [u8; 32],
    git: Option<[u8; 20]>,
}

impl Hasher {
    /// Starts at byte zero. `None` while the size is unknown and git's hash, which begins with it, is wanted.
    pub(super) fn start(digest: Option<&Digest>, size: Option<u64>) -> Option<Self> {
        let git = match digest {
            Some(Digest::GitBlob(_)) => Some(git_hasher(size?)),
            _ => None,
        };
        Some(Self { sha256: Sha256::new(), git })
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(git) = &mut self.git {
            git.update(bytes);
        }
    }

    /// The hash of all bytes so far.
    pub(super) fn finish(&self) -> Hashed {
        Hashed { sha256: self.sha256.clone().finalize(), git: self.git.clone().map(|git| git.finalize().into()) }
    }
}

impl Hashed {
    /// Whether this is what was promised; nothing promised holds always.
    pub(super) fn matches(&self, digest: Option<&Digest>) -> bool {
        match digest {
            None => true,
            Some(Digest::Sha256(expected)) => self.sha256 == *expected,
            Some(Digest::GitBlob(expected)) => self.git == Some(*expected),
            Some(Digest::Sha256Prefix(prefix)) => prefix.begins(&self.sha256),
        }
    }

    /// The hash of the kind that `digest` is of, for messages.
    pub(super) fn like(&self, digest: Option<&Digest>) -> Digest {
        match (digest, self.git) {
            (Some(Digest::GitBlob(_)), Some(git)) => Digest::GitBlob(git),
            _ => Digest::Sha256(self.sha256),
        }
    }
}

fn git_hasher(size: u64) -> Sha1 {
    let mut git = Sha1::new();
    git.update(format!("blob {size}\0"));
    git
}

/// Size in bytes and SHA-256 of an open file, from its start. Reads in blocks; memory does not grow with the file.
pub fn sha256_of_file(file: &File) -> io::Result<(u64, [u8; 32])> {
    let mut hasher = Sha256::new();
    let size = read_all(file, |block| hasher.update(block))?;
    Ok((size, hasher.finalize()))
}

/// Git's name for the content of an open file: SHA-1 of `blob <size>\0` and the bytes.
///
/// The size is taken first, as git does; a file that grows meanwhile is an error, never a wrong name.
pub fn git_blob_of_file(file: &File) -> io::Result<[u8; 20]> {
    let size = file.metadata()?.len();
    let mut git = git_hasher(size);
    if read_all(file, |block| git.update(block))? != size {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file changed while it was read"));
    }
    Ok(git.finalize().into())
}

/// Whether an open file has this digest.
pub fn file_matches(file: &File, digest: &Digest) -> io::Result<bool> {
    match digest {
        Digest::Sha256(expected) => Ok(sha256_of_file(file)?.1 == *expected),
        Digest::GitBlob(expected) => Ok(git_blob_of_file(file)? == *expected),
        Digest::Sha256Prefix(prefix) => Ok(prefix.begins(&sha256_of_file(file)?.1)),
    }
}

/// Runs `work` over `items` on as many threads as there are cores, and gives the results in the items' order.
///
/// Blocking: call it from a blocking thread. Hashing scales with cores over files, never within one.
pub fn over_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        while let Some((index, item)) = take(&next, items) {
            done.push((index, work(item)));
        }
        done
    };
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut results = run();
        for helper in helpers {
            match helper.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    items.get(index).map(|item| (index, item))
}

/// Reads a file from its start by position, so that nobody's cursor moves; returns how much there was.
fn read_all(file: &File, mut each: impl FnMut(&[u8])) -> io::Result<u64> {
    // Advice only: a file system without it reads all the same.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    loop {
        match file.read_at(&mut block, at) {
            Ok(0) => return Ok(at),
            Ok(read) => {
                each(&block[..read]);
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

/// Bytes of hexadecimal text; `None` when it is not that.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits?;
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// As [`unhex`], for text of as many bytes as are wanted.
pub fn unhex_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    unhex(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_file_has_the_names_that_git_and_sha256sum_give_it() {
        let file = file(b"hello\n");
        assert_eq!(hex(&git_blob_of_file(&file).unwrap()), "ce013625030ba8dba906f756967f9e9ca394464a");
        let (size, sha256) = sha256_of_file(&file).unwrap();
        assert_eq!(size, 6);
        assert_eq!(hex(&sha256), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    }

    #[test]
    fn gits_hash_waits_for_the_size_that_it_begins_with() {
        let digest = Digest::GitBlob([0; 20]);
        assert!(Hasher::start(Some(&digest), None).is_none());
        let mut hasher = Hasher::start(Some(&digest), Some(6)).unwrap();
        hasher.update(
            b"hello
",
        );
        let name = hasher.finish().like(Some(&digest)).to_string();
        assert_eq!(name, "git-blob:ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..100).collect();
        assert_eq!(over_cores(&items, |item| item * 2), items.iter().map(|i| i * 2).collect::<Vec<_>>());
    }
}
