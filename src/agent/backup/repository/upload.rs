//! How does a large object get to its place? Into a file aside that is renamed, or in parts that are joined: whole, or not at all.

use super::bucket::Bucket;
use super::directory::{Directory, aside};
use super::names;
use super::store::Store;
use crate::agent::failure::Failure;
use crate::agent::write_behind::WriteBehind;
use bytes::Bytes;
use object_store::multipart::PartId;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// Bytes of a part. A store takes at most 10,000 of them, of equal size but the last
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const PART: usize = 8 << 20;
/// Parts that a large object is cut into at most.
const PARTS: u64 = 9_000;

/// An object on its way. For threads, not for tasks: it waits. Dropped before it is finished, nothing of it is left.
pub struct Upload {
    target: Option<Target>,
    written: u64,
    teller: Teller,
}

/// Says why a write failed, in the store's words: `io::Error` has none for most of them.
#[derive(Clone, Debug, Default)]
pub struct Teller(Arc<Mutex<Option<Failure>>>);

impl Teller {
    /// Why, when a write gave this error.
    pub fn tell(&self, error: &io::Error) -> Failure {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_else(|| super::internal(error))
    }

    fn keep(&self, failure: Failure) -> io::Error {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        io::Error::other("the store refused it")
    }
}

enum Target {
    File { directory: Directory, aside: String, file: File, behind: WriteBehind },
    Parts(Box<Parts>),
}

/// Hears the name and the id of an upload in parts.
type Begun = Box<dyn FnMut(&str, &str) -> Result<(), Failure> + Send>;

struct Parts {
    bucket: Bucket,
    handle: Handle,
    name: String,
    /// Set once there is more than one part.
    id: Option<String>,
    begun: Begun,
    buffer: Vec<u8>,
    size: usize,
    sent: Vec<PartId>,
}

impl Upload {
    /// Begins an object of about `expected` bytes. A bucket wants its name now; in a directory it may be given at the end.
    /// `begun` hears of an upload in parts, by name and id: who is killed leaves it to the next run to give it up.
    pub fn new(
        store: &Store,
        handle: &Handle,
        name: &str,
        expected: u64,
        begun: impl FnMut(&str, &str) -> Result<(), Failure> + Send + 'static,
    ) -> Result<Self, Failure> {
        let target = match store {
            Store::Directory(directory) => {
                let aside = aside(&names::unique()?);
                let file = directory.create(&aside)?;
                Target::File { directory: directory.clone(), aside, file, behind: WriteBehind::default() }
            }
            Store::Bucket(bucket) => Target::Parts(Box::new(Parts {
                bucket: bucket.clone(),
                handle: handle.clone(),
                name: name.to_owned(),
                id: None,
                begun: Box::new(begun),
                buffer: Vec::new(),
                size: PART.max(usize::try_from(expected / PARTS).unwrap_or(PART)),
                sent: vec![],
            })),
        };
        Ok(Self { target: Some(target), written: 0, teller: Teller::default() })
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Who says why a write failed.
    pub fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// Ends it, under this name; what is there already under it is the same content. In a directory it gets the name once it is
    /// on the disk, at the latest with the next sync of the store, which says so if it cannot. Bytes written.
    pub fn finish(mut self, name: &str) -> Result<u64, Failure> {
        match self.target.take() {
            Some(Target::File { directory, aside, file, mut behind }) => {
                behind.end(&file);
                directory.settle(file, aside, name)?;
            }
            Some(Target::Parts(parts)) => parts.finish()?,
            None => {}
        }
        Ok(self.written)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        match self.target.take() {
            Some(Target::File { directory, aside, .. }) => _ = directory.remove(&aside),
            Some(Target::Parts(parts)) => parts.abort(),
            None => {}
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = match &mut self.target {
            Some(Target::File { file, directory, aside, behind }) => {
                let taken = file.write(bytes).map_err(|error| self.teller.keep(directory.failed(aside, error)))?;
                behind.wrote(file, taken as u64);
                taken
            }
            Some(Target::Parts(parts)) => parts.take(bytes).map_err(|failure| self.teller.keep(failure))?,
            None => 0,
        };
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Parts {
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let taken = bytes.len().min(self.size - self.buffer.len());
        self.buffer.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if self.buffer.len() == self.size {
            self.send()?;
        }
        Ok(taken)
    }

    fn send(&mut self) -> Result<(), Failure> {
        let id = if let Some(id) = &self.id {
            id.clone()
        } else {
            let id = self.handle.block_on(self.bucket.begin(&self.name))?;
            (self.begun)(&self.name, &id)?;
            self.id.insert(id).clone()
        };
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let part = self.handle.block_on(self.bucket.part(&self.name, &id, self.sent.len(), bytes))?;
        self.sent.push(part);
        Ok(())
    }

    fn abort(&self) {
        if let Some(id) = &self.id {
            let _ = self.handle.block_on(self.bucket.abort(&self.name, id));
        }
    }

    fn finish(mut self) -> Result<(), Failure> {
        if self.id.is_none() {
            let bytes = Bytes::from(std::mem::take(&mut self.buffer));
            return self.handle.block_on(self.bucket.put(&self.name, bytes, true)).map(drop);
        }
        if !self.buffer.is_empty()
            && let Err(failure) = self.send()
        {
            self.abort();
            return Err(failure);
        }
        let id = self.id.clone().unwrap_or_default();
        let sent = std::mem::take(&mut self.sent);
        let done = self.handle.block_on(self.bucket.complete(&self.name, &id, sent));
        done.inspect_err(|_| self.abort())
    }
}
