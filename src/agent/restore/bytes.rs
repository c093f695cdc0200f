//! Where do the bytes of a restore come from? From objects of the repository, read by threads, whatever the store.

use crate::agent::backup::repository::list::At;
use crate::agent::backup::repository::seal::{Form, OVERHEAD};
use crate::agent::backup::repository::store::Store;
use crate::agent::backup::repository::{Repository, names};
use crate::agent::failure::Failure;
use crate::api::Reason;
use bytes::{Buf, Bytes};
use std::io::{self, Read};
use tokio::runtime::Handle;

/// Bytes that are asked of a bucket at once.
const PIECE: u64 = 4 << 20;
/// Largest block of small files, in plain bytes. A backup writes none that is larger.
pub const BLOCK_LIMIT: u64 = 64 << 20;

/// Why bytes cannot be had.
#[derive(Debug)]
pub enum Trouble {
    /// What is in the store is not what was put there, in words.
    Damaged(String),
    /// Anything else: it ends the run.
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure.reason {
            Reason::ChecksumMismatch => Self::Damaged(failure.message),
            _ => Self::Failed(failure),
        }
    }
}

/// The objects of a repository, for threads that may block.
#[derive(Clone)]
pub struct Objects<'a> {
    repository: &'a Repository,
    handle: Handle,
}

impl<'a> Objects<'a> {
    /// Of a repository. Called from a task.
    pub fn new(repository: &'a Repository) -> Self {
        Self { repository, handle: Handle::current() }
    }

    /// How many threads are worth while: a disk is read as fast as cores hash, a bucket answers late.
    pub fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match self.repository.store {
            Store::Directory(_) => cores.min(8),
            Store::Bucket(_) => cores.clamp(4, 8),
        }
    }

    /// Hands over the plain bytes of a blob.
    pub fn blob(
        &self,
        sha256: &str,
        form: Form,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Trouble> {
        let name = names::blob(sha256, form);
        let shown = self.repository.store.shown_name(&name);
        let input = self.open(&name)?.ok_or_else(|| Trouble::Damaged(format!("{shown} is missing")))?;
        let cannot = |error: io::Error| trouble(&shown, error);
        let mut plain = self.repository.seal.reader(input, form).map_err(cannot)?;
        let mut block = vec![0; 256 << 10];
        loop {
            match plain.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(read) => take(block.get(..read).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(trouble(&shown, error)),
            }
        }
    }

    /// The plain bytes of a block of small files.
    pub fn block(&self, pack: &str, offset: u64, length: u64, form: Form) -> Result<Vec<u8>, Trouble> {
        let name = names::pack(pack);
        let shown = self.repository.store.shown_name(&name);
        if length > BLOCK_LIMIT + OVERHEAD {
            return Err(Trouble::Damaged(format!("{shown}: a block of {length} bytes is larger than any")));
        }
        let sealed = match self.repository.store.root() {
            Some(root) => {
                let file = root.file(&name).map_err(|error| Trouble::Failed(error.into()))?;
                file.map(|file| exactly(&file, offset, length).map_err(|error| trouble(&shown, error))).transpose()?
            }
            None => self.handle.block_on(self.repository.store.range(&name, offset, length))?,
        };
        let sealed = sealed.ok_or_else(|| Trouble::Damaged(format!("{shown} is missing")))?;
        self.repository.seal.open(&sealed, form, BLOCK_LIMIT).map_err(|error| trouble(&shown, error))
    }

    fn open(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>, Trouble> {
        if let Some(root) = self.repository.store.root() {
            let file = root.file(name).map_err(|error| Trouble::Failed(error.into()))?;
            return Ok(file.map(|file| {
                let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
                Box::new(file) as Box<dyn Read>
            }));
        }
        let Some(size) = self.handle.block_on(self.repository.store.size(name))? else { return Ok(None) };
        Ok(Some(Box::new(Pieces { objects: self, name: name.to_owned(), at: 0, size, piece: Bytes::new() })))
    }
}

/// A block's place, for those that have one.
pub fn block_of(at: &At) -> Option<(&str, u64, u64, Form, u64)> {
    match at {
        At::Pack { pack, offset, length, form, start } => Some((pack, *offset, *length, *form, *start)),
        _ => None,
    }
}

fn exactly(file: &std::fs::File, offset: u64, length: u64) -> io::Result<Bytes> {
    use std::os::unix::fs::FileExt as _;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.into())
}

/// What zstd and age refuse is damage; what the store said is what it said.
fn trouble(shown: &str, error: io::Error) -> Trouble {
    let damaged = [io::ErrorKind::Other, io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData];
    match error.downcast::<Failure>() {
        Ok(failure) => failure.into(),
        Err(error) if error.raw_os_error().is_some() || !damaged.contains(&error.kind()) => {
            Trouble::Failed(Failure::new(Reason::VolumeError, format!("{shown}: {error}")))
        }
        Err(error) => Trouble::Damaged(format!("{shown} cannot be read: {error}")),
    }
}

/// An object of a bucket, piece by piece.
struct Pieces<'a> {
    objects: &'a Objects<'a>,
    name: String,
    at: u64,
    size: u64,
    piece: Bytes,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.size {
            let length = PIECE.min(self.size - self.at);
            let asked = self.objects.repository.store.range(&self.name, self.at, length);
            let piece = self.objects.handle.block_on(asked).map_err(io::Error::other)?;
            self.piece = piece.ok_or_else(|| io::Error::other("it went away"))?;
            self.at += length;
        }
        let read = self.piece.len().min(buffer.len());
        buffer.get_mut(..read).unwrap_or_default().copy_from_slice(self.piece.get(..read).unwrap_or_default());
        self.piece.advance(read);
        Ok(read)
    }
}
