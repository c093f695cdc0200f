//! How does the list of files get into the repository? In pieces that are cut where a path says so: what did not change is
//! the same piece, and is there already.

use super::known::Known;
use super::repository::list::{At, Chunk, Entry, What};
use super::repository::{Repository, internal, names};
use super::send::Sender;
use crate::agent::failure::Failure;
use crate::agent::fetch::unhex_array;
use crate::agent::sha256::Sha256;
use crate::api::name::hex;
use std::sync::atomic::Ordering;

/// Entries of a piece, at least and at most.
const ENTRIES: (u64, u64) = (512, 16_384);
/// A piece ends, on average, after so many entries more.
const CUT: u64 = 2_048;

/// Writes the list of one volume.
pub struct Lines<'a, 'b> {
    sender: &'b Sender<'a>,
    plain: Vec<u8>,
    entries: u64,
    digest: Sha256,
    /// What was written so far.
    pub total: Total,
}

/// A list that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Its pieces.
    pub chunks: Vec<Chunk>,
    /// Entries of any kind.
    pub entries: u64,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that come from their origin again.
    pub from_origin: u64,
    /// SHA-256 over what is listed, wherever its bytes are.
    pub digest: String,
}

impl<'a, 'b> Lines<'a, 'b> {
    /// An empty list.
    pub fn new(sender: &'b Sender<'a>) -> Self {
        Self { sender, plain: vec![], entries: 0, digest: Sha256::new(), total: Total::default() }
    }

    /// Adds an entry; they come in order.
    pub fn push(&mut self, entry: &Entry) -> Result<(), Failure> {
        let identity = match &entry.what {
            What::Directory => "d".to_owned(),
            What::Link { target } => format!("l{target}"),
            What::File(file) => format!("f{} {}", file.size, file.sha256),
        };
        self.digest.update(format!("{}\0{:o}\0{identity}\0", entry.path, entry.mode));
        serde_json::to_writer(&mut self.plain, entry).map_err(internal)?;
        self.plain.push(b'\n');
        self.entries += 1;
        self.total.entries += 1;
        if let Some(file) = entry.file() {
            self.total.files += 1;
            self.total.bytes += file.size;
            self.total.from_origin += u64::from(matches!(file.at, At::Origin { .. }));
        }
        let (least, most) = ENTRIES;
        if self.entries >= most || (self.entries >= least && is_cut(&entry.path)) { self.cut() } else { Ok(()) }
    }

    /// Ends the list.
    pub fn finish(mut self) -> Result<Total, Failure> {
        self.cut()?;
        Ok(Total { digest: hex(&self.digest.finalize()), ..self.total })
    }

    fn cut(&mut self) -> Result<(), Failure> {
        if self.plain.is_empty() {
            return Ok(());
        }
        let Sender { repository, handle, known, sent, .. } = *self.sender;
        let sha256: super::known::Hash = Sha256::digest(&self.plain);
        let entries = std::mem::take(&mut self.entries);
        let chunk = |form, stored| Chunk { sha256: hex(&sha256), form, stored, entries };
        let chunk = if let Some(At::Blob { form, stored }) = self.sender.held(&sha256)? {
            chunk(form, stored)
        } else {
            let form = repository.seal.form(true);
            let sealed = repository.seal.seal(&self.plain, form).map_err(internal)?;
            let stored = sealed.len() as u64;
            handle.block_on(repository.store.replace(&names::blob(&hex(&sha256), form), sealed.into()))?;
            sent.fetch_add(stored, Ordering::Relaxed);
            known.proven(sha256, &At::Blob { form, stored });
            chunk(form, stored)
        };
        self.total.chunks.push(chunk);
        self.plain.clear();
        Ok(())
    }
}

/// FNV-1a of a path says whether a piece ends with it.
fn is_cut(path: &str) -> bool {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    path.bytes().fold(0xcbf2_9ce4_8422_2325, fold) % CUT == 0
}

/// The last list of a volume, entry by entry, beside a walk.
pub struct Before<'a> {
    repository: &'a Repository,
    handle: &'a tokio::runtime::Handle,
    chunks: std::slice::Iter<'a, Chunk>,
    entries: std::iter::Peekable<std::vec::IntoIter<Entry>>,
}

impl<'a> Before<'a> {
    /// From its beginning.
    pub fn new(repository: &'a Repository, handle: &'a tokio::runtime::Handle, chunks: &'a [Chunk]) -> Self {
        Self { repository, handle, chunks: chunks.iter(), entries: vec![].into_iter().peekable() }
    }

    /// What the last list said of a path. Paths come in order.
    pub fn at(&mut self, path: &str) -> Result<Option<Entry>, Failure> {
        use super::repository::list::order;
        loop {
            let Some(next) = self.entries.peek() else {
                let Some(chunk) = self.chunks.next() else { return Ok(None) };
                self.entries = self.handle.block_on(self.repository.entries(chunk))?.into_iter().peekable();
                continue;
            };
            match order(&next.path, path) {
                std::cmp::Ordering::Less => _ = self.entries.next(),
                std::cmp::Ordering::Equal => return Ok(self.entries.next()),
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
    }
}

/// Whether all pieces of a list are in the store.
pub fn is_whole(known: &Known, chunks: &[Chunk]) -> bool {
    chunks.iter().all(|it| known.holds(unhex_array(&it.sha256), &At::Blob { form: it.form, stored: it.stored }))
}
