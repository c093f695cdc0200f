//! How does a large file become a blob? Read once, hashed on one core while the other compresses, encrypts and writes.

use super::known::{Hash, Known, Standing};
use super::repository::at_work::AtWork;
use super::repository::list::{At, File};
use super::repository::seal::{Form, Seal};
use super::repository::upload::Upload;
use super::repository::{Repository, internal, names};
use super::stable::{Opener, Seen, Whole, pour};
use crate::agent::failure::Failure;
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use crate::api::name::hex;
use std::fs;
use std::io::{Read as _, Seek as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use tokio::runtime::Handle;

/// Bytes that are read at once.
const PIECE: usize = 512 << 10;
/// Pieces between reader and writer.
const PIECES: usize = 4;
/// Bytes that are compressed to learn whether that pays.
const PROBE: u64 = 1 << 20;
/// What is compressed already, or is floating-point numbers: no first MiB tells otherwise.
const DENSE: [&str; 24] = [
    "safetensors",
    "gguf",
    "ggml",
    "pt",
    "pth",
    "ckpt",
    "bin",
    "onnx",
    "h5",
    "tflite",
    "npz",
    "zip",
    "gz",
    "tgz",
    "xz",
    "zst",
    "bz2",
    "whl",
    "7z",
    "png",
    "jpg",
    "jpeg",
    "mp4",
    "parquet",
];
/// How often a file is read that another content was read from than before.
const TRIES: u32 = 5;

/// Sends contents to a repository.
pub struct Sender<'a> {
    /// Where to.
    pub repository: &'a Repository,
    /// Runs what the store does.
    pub handle: &'a Handle,
    /// What is there.
    pub known: &'a Known,
    /// Our own marker.
    pub at_work: &'a AtWork,
    /// Bytes written to the store.
    pub sent: &'a AtomicU64,
    /// Bytes read.
    pub read: &'a AtomicU64,
}

struct Read {
    form: Form,
    upload: Option<Upload>,
}

impl Sender<'_> {
    /// Reads a file and sees to it that the repository has it. `None` when it is gone.
    ///
    /// # Errors
    /// `Damaged` when a source promises another hash than the bytes have.
    pub fn large(&self, opener: &mut Opener<'_>, path: &str, promised: Option<Hash>) -> Result<Option<File>, Failure> {
        // A bucket wants an object's name first, so that a content whose hash nobody says is read twice.
        let late = self.repository.store.root().is_some();
        let (mut expected, mut limit) = (promised, None);
        for _ in 0..TRIES {
            let with_upload = late || expected.is_some();
            let Some(whole) = self.read(opener, path, limit, expected, with_upload)? else { return Ok(None) };
            let Whole { made: Read { form, upload }, hash, size, stamp } = whole;
            if let Some(promised) = promised.filter(|it| *it != hash) {
                return Err(damaged(path, &promised));
            }
            if let Some(at) = self.held(&hash)? {
                return Ok(Some(File { size, sha256: hex(&hash), stamp, at }));
            }
            match upload {
                Some(upload) if late || expected == Some(hash) => {
                    let stored = upload.finish(&names::blob(&hex(&hash), form))?;
                    self.sent.fetch_add(stored, Ordering::Relaxed);
                    let at = At::Blob { form, stored };
                    self.known.proven(hash, &at);
                    return Ok(Some(File { size, sha256: hex(&hash), stamp, at }));
                }
                // Known by now: what was added since is left to the next backup.
                _ if expected.is_none() => (expected, limit) = (Some(hash), Some(size)),
                // It changed between two readings.
                _ => (expected, limit) = (None, None),
            }
        }
        Err(Failure::new(Reason::VolumeError, format!("{path} changes whenever it is read")))
    }

    /// Where a content is, if the repository has it: what nobody of us vouches for is read and hashed once.
    pub fn held(&self, hash: &Hash) -> Result<Option<At>, Failure> {
        match self.known.standing(hash) {
            Standing::Held(at) => Ok(Some(at)),
            Standing::Missing => Ok(None),
            Standing::Unproven(form) => {
                let stored = self.prove(hash, form)?;
                let at = At::Blob { form, stored };
                self.known.proven(*hash, &at);
                Ok(Some(at))
            }
        }
    }

    fn prove(&self, hash: &Hash, form: Form) -> Result<u64, Failure> {
        let name = names::blob(&hex(hash), form);
        let shown = self.repository.store.shown_name(&name);
        let (sender, receiver) = mpsc::sync_channel::<bytes::Bytes>(2);
        let mut stored = 0;
        let found = std::thread::scope(|scope| {
            let hashing = scope.spawn(move || hash_sealed(&self.repository.seal, form, receiver));
            let fed = self.handle.block_on(self.repository.store.read(&name, |bytes| {
                stored += bytes.len() as u64;
                sender.send(bytes).map_err(internal)
            }));
            drop(sender);
            (fed, hashing.join())
        });
        match found {
            (Err(failure), _) if failure.reason != Reason::InternalError => Err(failure),
            (_, Ok(Ok(found))) if found == *hash => Ok(stored),
            _ => {
                let message = format!(
                    "{shown} does not hold what its name says: damaged, or put there by somebody; nothing relies on it yet: \
                     remove it"
                );
                Err(Failure::new(Reason::ChecksumMismatch, message))
            }
        }
    }

    fn read(
        &self,
        opener: &mut Opener<'_>,
        path: &str,
        limit: Option<u64>,
        name: Option<Hash>,
        send: bool,
    ) -> Result<Option<Whole<Read>>, Failure> {
        let mut io_failure = None;
        let result = opener.whole(path, limit, |file, size| {
            let form = self.repository.seal.form(send && pays(path, file, size));
            let upload = if send { Some(self.upload(name, form, size)?) } else { None };
            let (hash, bytes, upload) = match upload {
                Some(upload) => self.pump(file, size, upload, form),
                None => hashed(file, size).map(|(hash, bytes)| (hash, bytes, None)),
            }
            .map_err(|error| match error {
                Pumped::Source(error) => {
                    io_failure = Some(error);
                    internal("reading failed")
                }
                Pumped::Target(failure) => failure,
            })?;
            self.read.fetch_add(bytes, Ordering::Relaxed);
            Ok(Seen { made: Read { form, upload }, hash, bytes })
        });
        match io_failure {
            Some(error) => Err(opener.failed(path, &error)),
            None => result,
        }
    }

    fn upload(&self, name: Option<Hash>, form: Form, size: u64) -> Result<Upload, Failure> {
        let name = name.map(|hash| names::blob(&hex(&hash), form)).unwrap_or_default();
        let (handle, at_work) = (self.handle.clone(), self.at_work.clone());
        let begun = move |name: &str, id: &str| handle.block_on(at_work.note_upload(name, id));
        Upload::new(&self.repository.store, self.handle, &name, size, begun)
    }

    /// Reads and hashes here, compresses, encrypts and writes in another thread.
    fn pump(
        &self,
        file: &mut fs::File,
        size: u64,
        upload: Upload,
        form: Form,
    ) -> Result<(Hash, u64, Option<Upload>), Pumped> {
        let teller = upload.teller();
        let (full, to_write) = mpsc::sync_channel::<Vec<u8>>(PIECES);
        let (empty, to_fill) = mpsc::channel::<Vec<u8>>();
        let seal = &self.repository.seal;
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || -> std::io::Result<Upload> {
                let mut writer = seal.writer(upload, form)?;
                for piece in to_write {
                    writer.write_all(&piece)?;
                    let _ = empty.send(piece);
                }
                writer.finish()
            });
            let (mut hasher, mut total, mut source) = (Sha256::new(), 0, None);
            while total < size {
                let mut piece = to_fill.try_recv().unwrap_or_default();
                piece.resize(usize::try_from(size - total).unwrap_or(PIECE).min(PIECE), 0);
                let length = match fill(file, &mut piece) {
                    Ok(0) => break,
                    Ok(length) => length,
                    Err(error) => {
                        source = Some(error);
                        break;
                    }
                };
                piece.truncate(length);
                hasher.update(&piece);
                total += length as u64;
                if full.send(piece).is_err() {
                    break;
                }
            }
            drop(full);
            let written = writing.join().map_err(|_| Pumped::Target(internal("a writer ended early")))?;
            match (source, written) {
                (Some(error), _) => Err(Pumped::Source(error)),
                (None, Err(error)) => Err(Pumped::Target(teller.tell(&error))),
                (None, Ok(upload)) => Ok((hasher.finalize(), total, Some(upload))),
            }
        })
    }
}

/// Whose fault it is.
enum Pumped {
    Source(std::io::Error),
    Target(Failure),
}

fn hashed(file: &mut fs::File, size: u64) -> Result<(Hash, u64), Pumped> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; PIECE]);
    let poured = pour(file, size, &mut buffer, |bytes| {
        hasher.update(bytes);
        Ok(())
    });
    let bytes = poured.map_err(Pumped::Target)?.map_err(Pumped::Source)?;
    Ok((hasher.finalize(), bytes))
}

fn fill(file: &mut fs::File, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn hash_sealed(seal: &Seal, form: Form, pieces: mpsc::Receiver<bytes::Bytes>) -> std::io::Result<Hash> {
    struct Pieces(mpsc::Receiver<bytes::Bytes>, bytes::Bytes);
    impl std::io::Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.1.is_empty() {
                self.1 = self.0.recv().unwrap_or_default();
            }
            let piece = self.1.split_to(self.1.len().min(buffer.len()));
            buffer.iter_mut().zip(&piece).for_each(|(to, from)| *to = *from);
            Ok(piece.len())
        }
    }
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; PIECE]);
    let mut reader = seal.reader(Pieces(pieces, bytes::Bytes::new()), form)?;
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

/// Whether compressing pays: its first MiB becomes smaller by a tenth at least.
fn pays(path: &str, file: &mut fs::File, size: u64) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    if DENSE.contains(&extension.as_str()) {
        return false;
    }
    let mut head = Vec::new();
    let probed = std::io::Read::by_ref(file).take(PROBE.min(size)).read_to_end(&mut head).is_ok();
    let compressed = || zstd::bulk::compress(&head, 1);
    probed && file.rewind().is_ok() && compressed().is_ok_and(|it| gains(head.len(), it.len()))
}

/// Whether bytes have become smaller by a tenth.
pub fn gains(plain: usize, compressed: usize) -> bool {
    compressed < plain / 10 * 9
}

/// What is told of a file that is not what its source put there.
pub fn damaged(path: &str, promised: &Hash) -> Failure {
    let message = format!(
        "{path} is not what its source put there (SHA-256 {:.12}…): `modelcache prefetch` mends it; nothing damaged is backed up",
        hex(promised)
    );
    Failure::new(Reason::Damaged, message)
}
