//! How is a file read that others may be writing? Looked at before and after; what changed meanwhile is read again, never torn.
//!
//! What has only grown meanwhile, as a log does all the time, is taken as it was when it was opened: its first bytes are read
//! once more, and when they are the same they are what was there between the two readings.
//!
//! That is enough for SQLite, too, whose writers change the file's times: a database whose write-ahead log is not empty is
//! backed up with that log beside it, and SQLite takes it in when the pair is opened.

use super::decide::{size, stamp};
use super::known::Hash;
use super::repository::list::Stamp;
use super::walk::unreadable;
use crate::agent::failure::Failure;
use crate::agent::layout::safe_path::{Root, split};
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a file that changes is read.
const TRIES: u32 = 5;
/// Pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// A file that changed this shortly before it was read may change again within the same tick of its file system's clock: it
/// is read again next time. In nanoseconds.
const TICK: i64 = 100_000_000;

/// Opens files; remembers the directory of the last one.
pub struct Opener<'a> {
    root: &'a Root,
    last: Option<(String, OwnedFd)>,
}

/// A file that was read whole.
#[derive(Debug)]
pub struct Whole<T> {
    /// What became of its bytes.
    pub made: T,
    /// SHA-256 of its bytes.
    pub hash: Hash,
    /// Bytes.
    pub size: u64,
    /// What the file system said before and after.
    pub stamp: Stamp,
}

/// An attempt at reading: what it made, and which bytes it saw.
pub struct Seen<T> {
    /// What became of the bytes.
    pub made: T,
    /// Their SHA-256.
    pub hash: Hash,
    /// How many there were.
    pub bytes: u64,
}

impl<'a> Opener<'a> {
    /// For the files of a volume.
    pub fn new(root: &'a Root) -> Self {
        Self { root, last: None }
    }

    /// Reads a file by `read`, which is told how many bytes there are; again while it changes. No more than the first `limit`
    /// bytes, if there is a limit. `None` when it is gone.
    ///
    /// # Errors
    /// `VolumeError`, with its name, when it cannot be read, or changes whenever it is read.
    pub fn whole<T>(
        &mut self,
        path: &str,
        limit: Option<u64>,
        mut read: impl FnMut(&mut File, u64) -> Result<Seen<T>, Failure>,
    ) -> Result<Option<Whole<T>>, Failure> {
        for attempt in 0..TRIES {
            if attempt > 0 {
                std::thread::sleep(PAUSE * 2_u32.pow(attempt - 1));
            }
            let Some(mut file) = self.open(path)? else { return Ok(None) };
            let failed = |error: Errno| unreadable(self.root, path, error);
            let (before, now) = (fstat(&file).map_err(failed)?, SystemTime::now());
            if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
                return Ok(None);
            }
            let all = size(&before);
            let wanted = limit.map_or(all, |limit| limit.min(all));
            let Seen { made, hash, bytes } = read(&mut file, wanted)?;
            let after = fstat(&file).map_err(failed)?;
            if bytes != wanted {
                continue;
            }
            if stamp(&before) == stamp(&after) && size(&after) == all {
                let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
                let settled = i64::try_from(since).unwrap_or_default() - stamp(&after).ctime > TICK;
                let stamp = if settled && wanted == all { stamp(&after) } else { Stamp::default() };
                return Ok(Some(Whole { made, hash, size: wanted, stamp }));
            }
            let again = |error: io::Error| self.failed(path, &error);
            if size(&after) > all && beginning(&mut file, wanted).map_err(again)? == hash {
                return Ok(Some(Whole { made, hash, size: wanted, stamp: Stamp::default() }));
            }
        }
        let message = format!(
            "{} changed each of the {TRIES} times that it was read: back it up while nobody writes to it, or name it in \
             `backup.exclude`",
            self.root.shown(path).display()
        );
        Err(Failure::new(Reason::VolumeError, message))
    }

    /// Opens a file. `None` when it is gone, or no file any more.
    pub fn open(&mut self, path: &str) -> Result<Option<File>, Failure> {
        let (directory, name) = split(path);
        if self.last.as_ref().is_none_or(|(last, _)| last != directory) {
            match self.root.directory(directory) {
                Ok(handle) => self.last = Some((directory.to_owned(), handle)),
                Err(_) if self.root.parent(path)?.is_none() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        let Some((_, handle)) = &self.last else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(handle, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(error) => Err(unreadable(self.root, path, error)),
        }
    }

    /// An error of reading a file.
    pub fn failed(&self, path: &str, error: &std::io::Error) -> Failure {
        unreadable(self.root, path, Errno::from_io_error(error).unwrap_or(Errno::IO))
    }
}

/// SHA-256 of the first bytes of a file.
pub fn beginning(file: &mut File, length: u64) -> io::Result<Hash> {
    file.rewind()?;
    let mut hasher = Sha256::new();
    let poured = pour(file, length, &mut vec![0; 256 << 10], |piece| {
        hasher.update(piece);
        Ok(())
    });
    poured.map_err(io::Error::other)??;
    Ok(hasher.finalize())
}

/// Reads at most `limit` bytes and hands them over as they come.
pub fn pour(
    file: &mut File,
    limit: u64,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<Result<u64, std::io::Error>, Failure> {
    let mut total = 0;
    while total < limit {
        let left = usize::try_from(limit - total).unwrap_or(usize::MAX).min(buffer.len());
        match file.read(buffer.get_mut(..left).unwrap_or_default()) {
            Ok(0) => break,
            Ok(length) => {
                take(buffer.get(..length).unwrap_or_default())?;
                total += length as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;
    use std::path::Path;

    /// Reads a file of twenty bytes that somebody does something to whenever it was read: what came of it, and how often.
    fn read(limit: Option<u64>, meanwhile: impl Fn(&Path)) -> (Result<Option<(String, bool)>, Reason>, u32) {
        let volume = tempfile::tempdir().unwrap();
        let path = volume.path().join("a.log");
        std::fs::write(&path, "one line, two lines\n").unwrap();
        let root = Root::open(volume.path()).unwrap();
        let mut times = 0;
        let whole = Opener::new(&root).whole("a.log", limit, |file, size| {
            times += 1;
            let mut text = vec![];
            let bytes = pour(file, size, &mut [0; 7], |piece| {
                text.extend_from_slice(piece);
                Ok(())
            })?;
            meanwhile(&path);
            Ok(Seen { hash: Sha256::digest(&text), made: text, bytes: bytes.unwrap() })
        });
        let text = |it: Whole<Vec<u8>>| {
            assert_eq!(it.size, it.made.len() as u64);
            (String::from_utf8(it.made).unwrap(), it.stamp.is_unknown())
        };
        (whole.map(|it| it.map(text)).map_err(|it| it.reason), times)
    }

    fn append(path: &Path, text: &str) {
        std::fs::File::options().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn what_only_grows_is_taken_as_it_was_when_it_was_opened_and_read_again_next_time() {
        let then = "one line, two lines\n".to_owned();
        let (whole, times) = read(None, |path| append(path, "and one more\n"));
        assert_eq!((whole, times), (Ok(Some((then.clone(), true))), 1));
        // The same beginning, of a file that is longer by now.
        let (whole, times) = read(Some(8), |path| append(path, "and one more\n"));
        assert_eq!((whole, times), (Ok(Some(("one line".into(), true))), 1));
        let (whole, times) = read(Some(8), |_| ());
        assert_eq!((whole, times), (Ok(Some(("one line".into(), true))), 1));
        let (whole, times) = read(Some(100), |_| ());
        assert_eq!((whole.unwrap().unwrap().0, times), (then, 1));
    }

    #[test]
    fn what_changes_otherwise_is_read_again_and_refused_in_the_end() {
        let rewritten = |path: &Path| {
            // The clock of a file system ticks every few milliseconds.
            std::thread::sleep(Duration::from_millis(20));
            let file = std::fs::File::options().write(true).open(path).unwrap();
            let mut first = [0];
            std::fs::File::open(path).unwrap().read_exact_at(&mut first, 0).unwrap();
            file.write_all_at(&[first[0].wrapping_add(1) & 0x7f], 0).unwrap();
        };
        for meanwhile in [
            &rewritten as &dyn Fn(&Path),
            // Longer, and the beginning is another.
            &|path: &Path| {
                append(path, "more\n");
                rewritten(path);
            },
        ] {
            let (whole, times) = read(None, meanwhile);
            assert_eq!((whole, times), (Err(Reason::VolumeError), TRIES));
        }
        // Emptied, as a log that is copied and cut: the second time it is what it is.
        let (whole, times) = read(None, |path| {
            if std::fs::metadata(path).unwrap().len() > 0 {
                std::fs::write(path, "").unwrap();
            }
        });
        assert_eq!((whole.unwrap().unwrap().0.as_str(), times >= 2), ("", true));
        let (whole, _) = read(None, |path| drop(std::fs::remove_file(path)));
        assert!(whole.is_ok());
    }
}
