//! What of a partial is certainly on the disk: an append-only file beside it, whose last whole record counts.

use std::{
    fs::File,
    io::{Read as _, Write as _},
};

use crate::agent::sha256::Sha256;
use serde::{Deserialize, Serialize};

use super::{error::FetchError, hash::hex, ranges::RangeSet, staging::Staging};

/// A journal past this size is written anew; one much larger is not ours.
const COMPACT: u64 = 256 * 1024;

/// One record: the whole truth at one moment, so that only the last one is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Size of the content in bytes, once known.
    pub(super) size: Option<u64>,
    /// The entity tag that the bytes were read under.
    pub(super) validator: Option<String>,
    /// Bytes that are on the disk, as start and end.
    pub(super) held: Vec<(u64, u64)>,
}

/// The journal of one partial.
#[derive(Debug)]
pub(super) struct Journal {
    staging: Staging,
    name: String,
    file: File,
    length: u64,
}

impl Record {
    /// The ranges of `held`.
    pub(super) fn ranges(&self) -> RangeSet {
        let mut set = RangeSet::default();
        for &(start, end) in &self.held {
            set.insert(start..end.max(start));
        }
        set
    }

    fn line(&self) -> Result<String, FetchError> {
        let json =
            serde_json::to_string(self).map_err(|error| FetchError::io("journal", std::io::Error::other(error)))?;
        // The break comes first: what an interrupted write left before it spoils no record but its own.
        Ok(format!("\n{} {json}", checksum(&json)))
    }

    fn parse(line: &str) -> Option<Self> {
        let (sum, json) = line.split_once(' ')?;
        (sum == checksum(json)).then(|| serde_json::from_str(json).ok())?
    }
}

impl Journal {
    /// Starts an empty journal for the partial `name`.
    pub(super) fn create(staging: &Staging, name: &str) -> Result<Self, FetchError> {
        let name = journal_of(name);
        let file = staging.create(&name)?;
        Ok(Self { staging: staging.clone(), name, file, length: 0 })
    }

    /// The last whole record beside the partial `name`, and the journal to go on with. A torn, foreign or missing
    /// journal is no record.
    pub(super) fn read(staging: &Staging, name: &str) -> Result<Option<(Self, Record)>, FetchError> {
        let name = journal_of(name);
        let Some(mut file) = staging.open_existing(&name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let limit = COMPACT * 4;
        (&mut file).take(limit).read_to_end(&mut bytes).map_err(|error| FetchError::io(&name, error))?;
        let length = bytes.len() as u64;
        let record = String::from_utf8_lossy(&bytes).lines().rev().find_map(Record::parse);
        Ok(record
            .filter(|_| length < limit)
            .map(|record| (Self { staging: staging.clone(), name, file, length }, record)))
    }

    /// Adds a record. The data it speaks of must be synced before; the record itself need not be, as losing it
    /// loses only time.
    pub(super) fn append(&mut self, record: &Record) -> Result<(), FetchError> {
        let line = record.line()?;
        self.staging.check()?;
        if self.length + line.len() as u64 > COMPACT {
            let fresh = format!("{}.new", self.name);
            let mut file = self.staging.create(&fresh)?;
            file.write_all(line.as_bytes()).map_err(|error| FetchError::io(&fresh, error))?;
            self.staging.rename(&fresh, &self.name)?;
            (self.file, self.length) = (file, 0);
        } else {
            self.file.write_all(line.as_bytes()).map_err(|error| FetchError::io(&self.name, error))?;
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

/// What a journal says to somebody who only looks: bytes that are on the disk, and the size of the content once that is known.
pub fn held_of(journal: &[u8]) -> Option<(u64, Option<u64>)> {
    let text = String::from_utf8_lossy(journal);
    let record = text.lines().rev().find_map(Record::parse)?;
    Some((record.ranges().total(), record.size))
}

/// The end of the name of a journal.
pub const JOURNAL_END: &str = ".journal";

/// The name of a partial's journal.
pub(super) fn journal_of(name: &str) -> String {
    format!("{name}{JOURNAL_END}")
}

fn checksum(text: &str) -> String {
    hex(&Sha256::digest(text)[..8])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::agent::fetch::Writer;

    fn record(held: u64) -> Record {
        Record { size: Some(100), held: vec![(0, held)], ..Record::default() }
    }

    #[test]
    fn the_last_whole_record_counts_and_a_torn_one_does_not() {
        let volume = tempfile::tempdir().unwrap();
        let staging = Staging::open(volume.path(), Path::new("s"), Writer::Local).unwrap();
        let mut journal = Journal::create(&staging, "x").unwrap();
        journal.append(&record(1)).unwrap();
        journal.append(&record(2)).unwrap();
        let path = staging.path_of("x.journal");
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let read = Journal::read(&staging, "x").unwrap().map(|(_, record)| record.held[0].1);
            assert!(matches!(read, None | Some(1)), "cut at {cut}: {read:?}");
        }
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let (mut journal, _) = Journal::read(&staging, "x").unwrap().unwrap();
        journal.append(&record(3)).unwrap();
        assert_eq!(Journal::read(&staging, "x").unwrap().unwrap().1, record(3));
    }

    #[test]
    fn a_long_journal_is_written_anew() {
        let volume = tempfile::tempdir().unwrap();
        let staging = Staging::open(volume.path(), Path::new("s"), Writer::Local).unwrap();
        let mut journal = Journal::create(&staging, "x").unwrap();
        for at in 0..4000 {
            journal.append(&record(at)).unwrap();
        }
        let bytes = std::fs::read(staging.path_of("x.journal")).unwrap();
        assert!(bytes.len() as u64 <= COMPACT);
        assert_eq!(held_of(&bytes), Some((3999, Some(100))));
        assert_eq!(Journal::read(&staging, "x").unwrap().unwrap().1, record(3999));
    }
}
