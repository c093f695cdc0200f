//! How are thousands of small files kept in few objects? Many in a block, which is compressed as one; many blocks in a pack.

use super::known::{Hash, Standing};
use super::repository::list::{At, File};
use super::repository::names;
use super::repository::upload::Upload;
use super::send::{Sender, damaged, gains};
use super::stable::{Opener, Seen, pour};
use crate::agent::failure::Failure;
use crate::agent::restore::bytes::BLOCK_LIMIT;
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use crate::api::name::hex;
use crate::api::quantity::human;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::Ordering;

/// Largest file that is packed, in bytes.
pub const SMALL: u64 = 128 << 10;
/// Plain bytes of a block: a restore of one file reads one block.
pub const BLOCK: u64 = 1 << 20;
/// Files in a block.
pub const FILES: usize = 512;
/// A pack ends beyond this many bytes: one request for a bucket, and one piece of memory.
const PACK: u64 = 6 << 20;

/// A small file that is to be read.
#[derive(Debug)]
pub struct Small {
    /// Its place in the list.
    pub seq: u64,
    /// Its path.
    pub path: String,
    /// What its source promises.
    pub promised: Option<Hash>,
}

/// Writes packs: one for each thread.
pub struct Packer<'a, 'b> {
    sender: &'b Sender<'a>,
    open: Option<(String, Upload)>,
    offset: u64,
    buffer: Vec<u8>,
}

impl<'a, 'b> Packer<'a, 'b> {
    /// Nothing is open yet.
    pub fn new(sender: &'b Sender<'a>) -> Self {
        Self { sender, open: None, offset: 0, buffer: vec![0; 64 << 10] }
    }

    /// Reads files and puts what is new into one block. What is gone has no file.
    pub fn block(&mut self, opener: &mut Opener<'_>, batch: &[Small]) -> Result<Vec<(u64, Option<File>)>, Failure> {
        let (mut plain, mut done, mut fresh) = (Vec::new(), Vec::with_capacity(batch.len()), vec![]);
        let mut starts: HashMap<Hash, u64> = HashMap::new();
        for small in batch {
            let begin = plain.len();
            let Some((hash, file)) = self.read(opener, small, &mut plain)? else {
                done.push((small.seq, None));
                continue;
            };
            let standing = self.sender.known.standing(&hash);
            let at = match standing {
                _ if file.size == 0 => Some(At::Empty),
                Standing::Held(at) => Some(at),
                _ => None,
            };
            if let Some(at) = at {
                plain.truncate(begin);
                done.push((small.seq, Some(File { at, ..file })));
                continue;
            }
            let start = match starts.get(&hash) {
                Some(start) => {
                    plain.truncate(begin);
                    *start
                }
                None => *starts.entry(hash).or_insert(begin as u64),
            };
            fresh.push((small.seq, hash, file, start));
        }
        if !fresh.is_empty() {
            let placed = self.write(&plain)?;
            for (seq, hash, file, start) in fresh {
                let at = placed(start);
                self.sender.known.proven(hash, &at);
                done.push((seq, Some(File { at, ..file })));
            }
        }
        Ok(done)
    }

    fn read(
        &mut self,
        opener: &mut Opener<'_>,
        small: &Small,
        plain: &mut Vec<u8>,
    ) -> Result<Option<(Hash, File)>, Failure> {
        let (begin, mut io_failure) = (plain.len(), None);
        let buffer = &mut self.buffer;
        let result = opener.whole(&small.path, None, |file, size| {
            plain.truncate(begin);
            check_room(&small.path, begin, size)?;
            let poured = pour(file, size, buffer, |bytes| {
                plain.extend_from_slice(bytes);
                Ok(())
            })?;
            match poured {
                Ok(bytes) => {
                    let hash = Sha256::digest(plain.get(begin..).unwrap_or_default());
                    Ok(Seen { made: (), hash, bytes })
                }
                Err(error) => {
                    io_failure = Some(error);
                    Err(super::repository::internal("reading failed"))
                }
            }
        });
        if let Some(error) = io_failure {
            return Err(opener.failed(&small.path, &error));
        }
        let Some(whole) = result? else {
            plain.truncate(begin);
            return Ok(None);
        };
        let hash = whole.hash;
        if let Some(promised) = small.promised.filter(|it| *it != hash) {
            return Err(damaged(&small.path, &promised));
        }
        self.sender.read.fetch_add(whole.size, Ordering::Relaxed);
        Ok(Some((hash, File { size: whole.size, sha256: hex(&hash), stamp: whole.stamp, at: At::Empty })))
    }

    /// Appends a block to the pack. Says where a file is whose bytes begin at a place in the block.
    fn write(&mut self, plain: &[u8]) -> Result<impl Fn(u64) -> At + use<>, Failure> {
        let sender = self.sender;
        let seal = &sender.repository.seal;
        let sealed = |form| seal.seal(plain, form).map_err(super::repository::internal);
        let (mut form, mut bytes) = (seal.form(true), sealed(seal.form(true))?);
        if !gains(plain.len(), bytes.len()) {
            (form, bytes) = (seal.form(false), sealed(seal.form(false))?);
        }
        if self.open.is_none() {
            let id = names::unique()?;
            let (handle, at_work) = (sender.handle.clone(), sender.at_work.clone());
            let begun = move |name: &str, id: &str| handle.block_on(at_work.note_upload(name, id));
            let upload = Upload::new(&sender.repository.store, sender.handle, &names::pack(&id), PACK, begun)?;
            (self.open, self.offset) = (Some((id, upload)), 0);
        }
        let (offset, length) = (self.offset, bytes.len() as u64);
        let mut pack = String::new();
        if let Some((id, upload)) = &mut self.open {
            let teller = upload.teller();
            upload.write_all(&bytes).map_err(|error| teller.tell(&error))?;
            pack.clone_from(id);
        }
        self.offset += length;
        if self.offset > PACK {
            self.finish()?;
        }
        Ok(move |start| At::Pack { pack: pack.clone(), offset, length, form, start })
    }

    /// Ends the pack that is open.
    pub fn finish(&mut self) -> Result<(), Failure> {
        if let Some((id, upload)) = self.open.take() {
            let stored = upload.finish(&names::pack(&id))?;
            self.sender.sent.fetch_add(stored, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Whether a file goes into a block in which others are already. It was small when it was listed.
fn check_room(path: &str, others: usize, size: u64) -> Result<(), Failure> {
    if (others as u64).saturating_add(size) < BLOCK_LIMIT {
        return Ok(());
    }
    let message = format!(
        "{path} grew to {} while it was backed up, which is too large for a block of small files: run the backup again",
        human(size)
    );
    Err(Failure::new(Reason::VolumeError, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_never_larger_than_a_restore_takes() {
        for (others, size, fits) in [
            (0, SMALL, true),
            (1 << 20, BLOCK_LIMIT - (1 << 20) - 1, true),
            (1 << 20, BLOCK_LIMIT - (1 << 20), false),
            (0, u64::MAX, false),
        ] {
            assert_eq!(check_room("log.txt", others, size).is_ok(), fits, "{others} {size}");
        }
        let failure = check_room("log.txt", 0, BLOCK_LIMIT).unwrap_err();
        assert!(failure.message.contains("log.txt grew") && failure.message.contains("again"), "{failure}");
    }
}
