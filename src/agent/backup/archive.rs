//! How does a backup become one file that can be carried elsewhere? A tar of each volume's directory, compressed, with the list inside.
//!
//! ```text
//! <volume>/<path>                         what is on it
//! .modelcache-backup/list-<volume>.jsonl  the lines of its list, as in a repository
//! .modelcache-backup/manifests/<volume>/<source>.json   our own words about what a source put there
//! .modelcache-backup/snapshot.json        last: an archive without it is not whole
//! ```

use super::asked::{Asked, lost, promised};
use super::decide::{size, stamp};
use super::known::Hash;
use super::owned::Document;
use super::repository::internal;
use super::repository::list::{At, Chunk, Entry, File, Stamp, What};
use super::repository::seal::{Form, SealWriter};
use super::repository::snapshot::{Count, NotCovered};
use super::repository::upload::{Teller, Upload};
use super::send::damaged;
use super::stable::{Opener, Seen, beginning, pour};
use super::volume::Backed;
use super::walk::{Found, Kind, walk};
use crate::agent::failure::Failure;
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use crate::api::name::hex;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use tar::{Builder, EntryType, Header};

/// The directory of what is ours in an archive.
pub const OWN: &str = ".modelcache-backup";
/// Where an archive has the manifest of a source of a volume.
pub fn manifest(volume: &str, source: &str) -> String {
    format!("{OWN}/manifests/{volume}/{source}.json")
}

/// Files up to this size are read before they are put in, so that one that changes is read again.
const WHOLE: u64 = 4 << 20;

/// An archive that is being written.
pub struct Archive {
    tar: Builder<SealWriter<Upload>>,
    teller: Teller,
    buffer: Vec<u8>,
}

impl Archive {
    /// An empty one.
    pub fn new(writer: SealWriter<Upload>, teller: Teller) -> Self {
        Self { tar: Builder::new(writer), teller, buffer: vec![0; 512 << 10] }
    }

    /// Puts a volume in, and its list.
    ///
    /// # Errors
    /// `VolumeError` when a large file changes while it is read: an archive cannot take anything back.
    pub fn volume(&mut self, name: &str, asked: &Asked<'_>) -> Result<Backed, Failure> {
        let (mut backed, mut lines, mut digest) = (Backed::default(), Vec::new(), Sha256::new());
        let (mut opener, mut seen) = (Opener::new(asked.root), 0);
        walk(asked.root, asked.forbidden, asked.patterns, &mut |mut found| {
            let owned = asked.owned.entries.get(&found.path);
            seen += usize::from(owned.is_some());
            let real = asked.held(&mut found, owned)?;
            if let Some(why) = asked.not_covered(&found, owned) {
                let count = backed.not_covered.entry(why).or_default();
                count.files += 1;
                count.bytes += if found.kind == Kind::File { size(&found.stat) } else { 0 };
                return Ok(());
            }
            let (path, promised) = (found.path.clone(), promised(asked.known(&found.path, owned)));
            let bytes = if found.kind == Kind::File { size(&found.stat) } else { 0 };
            let entry = match self.entry(name, found, real.as_deref(), &mut opener)? {
                Some(entry) => entry,
                None if promised.is_some() => return Err(lost(&path)),
                None => {
                    let count = backed.not_covered.entry(NotCovered::Vanished).or_default();
                    *count = Count { files: count.files + 1, bytes: count.bytes + bytes };
                    return Ok(());
                }
            };
            if let (Some(file), Some(promised)) = (entry.file(), promised)
                && file.sha256 != hex(&promised)
            {
                return Err(damaged(&path, &promised));
            }
            if let Some(file) = entry.file() {
                backed.total.files += 1;
                backed.total.bytes += file.size;
                digest.update(format!("{path}\0{:o}\0{} {}\0", entry.mode, file.size, file.sha256));
            }
            backed.total.entries += 1;
            serde_json::to_writer(&mut lines, &entry).map_err(internal)?;
            lines.push(b'\n');
            Ok(())
        })?;
        if seen < asked.owned.entries.len() {
            asked.missing()?;
        }
        self.document(&format!("{OWN}/list-{name}.jsonl"), &lines)?;
        backed.total.digest = hex(&digest.finalize());
        Ok(backed)
    }

    /// Puts the manifests of a volume's sources in; what the snapshot says of them. As in a repository: so that what comes out
    /// of the archive is known by its hashes, and no source fetches it again.
    pub fn manifests(&mut self, volume: &str, manifests: &[Document]) -> Result<BTreeMap<String, Chunk>, Failure> {
        let mut kept = BTreeMap::new();
        for Document { source, entries, plain } in manifests {
            self.document(&manifest(volume, source), plain)?;
            let (sha256, stored) = (hex(&Sha256::digest(plain)), plain.len() as u64);
            kept.insert(source.clone(), Chunk { sha256, form: Form::default(), stored, entries: *entries });
        }
        Ok(kept)
    }

    /// Puts a file of ours in.
    pub fn document(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.append(name, &mut header(EntryType::Regular, 0o644, bytes.len() as u64), bytes)
    }

    /// Ends it. What comes back is not in its place yet.
    pub fn finish(self) -> Result<Upload, Failure> {
        let Self { tar, teller, .. } = self;
        let finished = tar.into_inner().and_then(SealWriter::finish);
        finished.map_err(|error| teller.tell(&error))
    }

    /// Puts something in; the bytes of a file from `real`, if that is given. `None` when it went away.
    fn entry(
        &mut self,
        volume: &str,
        found: Found,
        real: Option<&str>,
        opener: &mut Opener<'_>,
    ) -> Result<Option<Entry>, Failure> {
        let Found { path, kind, stat } = found;
        let real = real.unwrap_or(&path);
        let (mode, name) = (stat.st_mode & 0o7777, format!("{volume}/{path}"));
        let what = match kind {
            Kind::Special | Kind::OtherFileSystem | Kind::Closed => return Ok(None),
            Kind::Directory => {
                self.append(&name, &mut header(EntryType::Directory, mode, 0), &[])?;
                What::Directory
            }
            Kind::Link(target) => {
                let mut header = header(EntryType::Symlink, mode, 0);
                let put = self.tar.append_link(&mut header, &name, &target);
                put.map_err(|error| self.teller.tell(&error))?;
                What::Link { target }
            }
            Kind::File if size(&stat) <= WHOLE => {
                let mut bytes = Vec::new();
                let whole = opener.whole(real, None, |file, size| {
                    bytes.clear();
                    let poured = pour(file, size, &mut self.buffer, |piece| {
                        bytes.extend_from_slice(piece);
                        Ok(())
                    })?;
                    let length =
                        poured.map_err(|error| Failure::new(Reason::VolumeError, format!("{path}: {error}")))?;
                    Ok(Seen { made: (), hash: Sha256::digest(&bytes), bytes: length })
                })?;
                let Some(whole) = whole else { return Ok(None) };
                let mut header = header(EntryType::Regular, mode, whole.size);
                header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
                self.append(&name, &mut header, &bytes)?;
                let sha256 = hex(&whole.hash);
                What::File(File { size: whole.size, sha256, stamp: Stamp::default(), at: At::Empty })
            }
            Kind::File => match self.large(&name, real, mode, opener)? {
                Some(file) => What::File(file),
                None => return Ok(None),
            },
        };
        Ok(Some(Entry { path, mode, what }))
    }

    /// A large file, hashed on its way.
    fn large(&mut self, name: &str, path: &str, mode: u32, opener: &mut Opener<'_>) -> Result<Option<File>, Failure> {
        let Some(mut file) = opener.open(path)? else { return Ok(None) };
        let failed = |error: rustix::io::Errno| Failure::new(Reason::VolumeError, format!("{path}: {error}"));
        let before = rustix::fs::fstat(file.as_fd()).map_err(failed)?;
        let mut header = header(EntryType::Regular, mode, size(&before));
        header.set_mtime(u64::try_from(before.st_mtime).unwrap_or_default());
        let mut hashing = Hashing { file: &mut file, hasher: Sha256::new(), failure: None };
        let put = self.tar.append_data(&mut header, name, io::Read::take(&mut hashing, size(&before)));
        if let Some(error) = hashing.failure.take() {
            return Err(opener.failed(path, &error));
        }
        put.map_err(|error| self.teller.tell(&error))?;
        let hash: Hash = hashing.hasher.finalize();
        let after = rustix::fs::fstat(file.as_fd()).map_err(failed)?;
        let same = stamp(&before) == stamp(&after) && size(&before) == size(&after);
        let again = |error: io::Error| opener.failed(path, &error);
        // What has only grown is taken as it was when it was opened.
        let grew = size(&after) > size(&before);
        let consistent = same || (grew && beginning(&mut file, size(&before)).map_err(again)? == hash);
        if !consistent {
            let message =
                format!("{path} changed while it was read: back it up while nobody writes to it, or exclude it");
            return Err(Failure::new(Reason::VolumeError, message));
        }
        Ok(Some(File { size: size(&before), sha256: hex(&hash), stamp: Stamp::default(), at: At::Empty }))
    }

    fn append(&mut self, name: &str, header: &mut Header, bytes: &[u8]) -> Result<(), Failure> {
        self.tar.append_data(header, name, bytes).map_err(|error| self.teller.tell(&error))
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}

/// A file that is hashed as it is read.
struct Hashing<'a> {
    file: &'a mut std::fs::File,
    hasher: Sha256,
    failure: Option<io::Error>,
}

impl io::Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(length) => {
                self.hasher.update(buffer.get(..length).unwrap_or_default());
                Ok(length)
            }
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}
