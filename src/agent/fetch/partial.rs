//! Taking up a content on the disk: what an earlier run left of it, or a new file with its space reserved.

use std::fs::File;

use rustix::{
    fs::{FallocateFlags, fallocate, ftruncate},
    io::Errno,
};

use super::{
    answer::plain_etag,
    content::Content,
    error::FetchError,
    journal::{Journal, Record},
    options::SMALL,
    ranges::RangeSet,
    staging::Staging,
};

/// `TMPFS_MAGIC` of <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/magic.h>.
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// A content's file in staging, and what of it can be relied on.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) file: File,
    /// Small content has none.
    pub(super) journal: Option<Journal>,
    pub(super) size: Option<u64>,
    pub(super) validator: Option<String>,
    /// Bytes that are on the disk. They are hashed again from there: what a power cut or another writer did to them
    /// shows, and it costs no network.
    pub(super) held: RangeSet,
}

impl Partial {
    /// Takes up what is there, or starts anew.
    pub(super) fn open(staging: &Staging, content: &Content, name: &str) -> Result<Self, FetchError> {
        match Self::resume(staging, content, name)? {
            Some(partial) => Ok(partial),
            None => Self::create(staging, content, name),
        }
    }

    /// Starts anew: another file under the same name, so that a late write to the old one is lost with it.
    pub(super) fn create(staging: &Staging, content: &Content, name: &str) -> Result<Self, FetchError> {
        staging.check()?;
        let journal = match content.size {
            Some(size) if size <= SMALL => None,
            _ => Some(Journal::create(staging, name)?),
        };
        let file = staging.create(name)?;
        if let Some(size) = content.size.filter(|size| *size > SMALL) {
            reserve(&file, size).map_err(|error| FetchError::io(&content.label, error))?;
        }
        Ok(Self {
            file,
            journal,
            size: content.size,
            validator: content.origin.validator.as_deref().map(|tag| plain_etag(tag).to_owned()),
            held: RangeSet::default(),
        })
    }

    fn resume(staging: &Staging, content: &Content, name: &str) -> Result<Option<Self>, FetchError> {
        let Some(file) = staging.open_existing(name)? else { return Ok(None) };
        let Some((journal, record)) = Journal::read(staging, name)? else { return Ok(None) };
        let length = file.metadata().map_err(|error| FetchError::io(name, error))?.len();
        let held = record.ranges();
        if !believable(content, &record, &held, length) {
            return Ok(None);
        }
        Ok(Some(Self { file, journal: Some(journal), size: record.size, validator: record.validator, held }))
    }
}

/// Whether a record fits the content and the file. Without a digest only a validator can say that the rest, fetched
/// today, belongs to what was fetched before.
fn believable(content: &Content, record: &Record, held: &RangeSet, length: u64) -> bool {
    let pinned = content.origin.validator.as_deref().map(plain_etag);
    let same_size = content.size.is_none() || content.size == record.size;
    let same_tag = pinned.is_none() || pinned == record.validator.as_deref();
    let provable = content.digest.is_some() || record.validator.is_some();
    same_size && same_tag && provable && held.end() <= length && record.size.is_none_or(|size| held.end() <= size)
}

/// Reserves the blocks, so that a full disk shows at once and the file lies in one piece. File systems that cannot
/// get a sparse file instead.
fn reserve(file: &File, size: u64) -> Result<(), Errno> {
    // In memory nothing lies in pieces, and to make a gigabyte of pages takes a good part of the time that it takes to
    // fetch one: each connection makes those that it writes.
    if rustix::fs::fstatfs(file)?.f_type == TMPFS {
        return ftruncate(file, size);
    }
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => ftruncate(file, size),
        other => other,
    }
}
