//! How does a rotated log become smaller without a line being lost? Written aside, read back, compared, and only then the
//! original goes.

use super::found::{Found, split};
use super::hand::{Hand, Refusal, failed};
use super::logs::beside;
use super::rotated::{Aside, aside, rotated};
use crate::agent::sha256::Sha256;
use rustix::fs::{Gid, Mode, OFlags, Timespec, Timestamps, Uid, fchmod, fchown, futimens};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;

/// Level of compression: what `zstd` takes when nothing is said.
const LEVEL: i32 = 3;
/// Bytes read at once.
const BLOCK: usize = 128 << 10;

/// Compresses a rotated file of a log. The bytes on the disk that are free because of it. `None` when it does not become
/// smaller, or was written to meanwhile: it stays as it is.
pub fn compress(hand: &mut Hand, found: &Found, log: &[u8], time: i64) -> Result<Option<u64>, Refusal> {
    let (directory, name) = split(log);
    let part = beside(directory, &aside(name, time, Aside::Part));
    let whole = [beside(directory, &rotated(name, time)), b".zst".to_vec()].concat();
    let mut original = hand.open(found, OFlags::RDONLY)?;
    let mut new = hand.create(&part)?;
    let done = write_and_check(&mut original, &mut new).and_then(|equal| {
        like(found, &new)?;
        new.sync_all()?;
        Ok(equal)
    });
    let equal = match done {
        Ok(equal) => equal,
        Err(error) => {
            hand.unlink(&part)?;
            return Err(failed(&found.path, &error));
        }
    };
    let made = new.metadata().map_err(|error| failed(&part, &error))?;
    // Written to since it was looked at: the next run sees to it, when it is quiet.
    if !equal || made.len() >= found.size || hand.check(found).is_err() {
        hand.unlink(&part)?;
        return Ok(None);
    }
    if !hand.rename(&part, &whole)? {
        hand.unlink(&part)?;
        return Err(Refusal::Changed(super::found::shown(&whole)));
    }
    hand.sync(&whole)?;
    hand.remove(found)?;
    Ok(Some(found.disk.saturating_sub(made.blocks() * 512)))
}

/// Whether a compressed file holds exactly what the original does.
pub fn is_equal(hand: &mut Hand, original: &Found, compressed: &Found) -> Result<bool, Refusal> {
    let mut plain = hand.open(original, OFlags::RDONLY)?;
    let compressed = hand.open(compressed, OFlags::RDONLY)?;
    let hash = hash(&mut plain).map_err(|error| failed(&original.path, &error))?;
    // One that cannot be read is another content.
    Ok(decoded(&compressed).is_ok_and(|it| it == hash))
}

/// Compresses, reads back what is on its way to the disk, and says whether it is the same.
fn write_and_check(original: &mut File, new: &mut File) -> std::io::Result<bool> {
    let mut hasher = Sha256::new();
    let mut encoder = zstd::stream::write::Encoder::new(&mut *new, LEVEL)?;
    encoder.include_checksum(true)?;
    let mut block = vec![0; BLOCK];
    loop {
        let read = original.read(&mut block)?;
        if read == 0 {
            break;
        }
        hasher.update(&block[..read]);
        encoder.write_all(&block[..read])?;
    }
    encoder.finish()?.flush()?;
    new.seek(SeekFrom::Start(0))?;
    Ok(decoded(new)? == hasher.finalize()[..])
}

fn decoded(compressed: &File) -> std::io::Result<Vec<u8>> {
    hash(&mut zstd::stream::read::Decoder::new(compressed)?)
}

fn hash(reader: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let (mut hasher, mut block) = (Sha256::new(), vec![0; BLOCK]);
    loop {
        let read = reader.read(&mut block)?;
        if read == 0 {
            return Ok(hasher.finalize().to_vec());
        }
        hasher.update(&block[..read]);
    }
}

/// Gives a new file the mode, the owner and the time of another. Only root may give files away; others keep theirs.
pub fn like(found: &Found, file: &File) -> std::io::Result<()> {
    _ = fchown(file, Some(Uid::from_raw(found.user)), Some(Gid::from_raw(found.group)));
    fchmod(file, Mode::from_raw_mode(found.mode & 0o777))?;
    let second = 1_000_000_000;
    let time = Timespec {
        tv_sec: i64::try_from(found.written.div_euclid(second)).unwrap_or_default(),
        tv_nsec: i64::try_from(found.written.rem_euclid(second)).unwrap_or_default(),
    };
    futimens(file, &Timestamps { last_access: time, last_modification: time })?;
    Ok(())
}

/// Whether a file begins with all bytes of another.
pub fn begins_with(hand: &mut Hand, whole: &Found, start: &Found) -> Result<bool, Refusal> {
    if whole.size < start.size {
        return Ok(false);
    }
    let mut a = hand.open_log(whole, OFlags::RDONLY)?.take(start.size);
    let mut b = hand.open(start, OFlags::RDONLY)?;
    let hashes = hash(&mut a).and_then(|a| Ok((a, hash(&mut b)?)));
    hashes.map(|(a, b)| a == b).map_err(|error| failed(&whole.path, &error))
}
