//! What is in a tar file? One entry after the other, as they come.

use super::Bad;
use super::sink::{Item, Sink};
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;
use tar::EntryType;

/// Bytes that may come between two contents: headers, long names and extensions, which the reader keeps in memory.
const BETWEEN: u64 = 1 << 20;

/// Gives every entry to the sink.
pub fn read(stream: impl Read, sink: &mut Sink<'_>) -> Result<(), Bad> {
    let broken = |error: io::Error| Bad::Broken(error.to_string());
    let left = Rc::new(Cell::new(BETWEEN));
    let mut archive = tar::Archive::new(Metered { stream, left: Rc::clone(&left) });
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        left.set(u64::MAX);
        let name = text(&entry.path_bytes())?;
        let target = entry.link_name_bytes().map(|it| text(&it)).transpose()?.unwrap_or_default();
        let (kind, size) = (entry.header().entry_type(), entry.size());
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        let item = match kind {
            // What `git archive` puts first: a comment for everything.
            EntryType::XGlobalHeader => continue_with(&mut entry, &left)?,
            EntryType::Directory => Some(Item::Directory),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                Some(Item::File { executable, size, content: &mut entry })
            }
            EntryType::Symlink => Some(Item::Link { target }),
            EntryType::Link => Some(Item::HardLink { target }),
            EntryType::Block | EntryType::Char => Some(Item::Other("is a device node")),
            EntryType::Fifo => Some(Item::Other("is a pipe")),
            _ => Some(Item::Other("is neither file, directory nor link")),
        };
        if let Some(item) = item {
            sink.take(&name, item)?;
        }
        // What the sink did not want is passed over, so that its bytes are not taken for headers.
        io::copy(&mut entry, &mut io::sink()).map_err(broken)?;
        left.set(BETWEEN);
    }
    // The checksum of a compressed stream stands at its end.
    left.set(BETWEEN);
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(broken)?;
    Ok(())
}

fn continue_with<'a>(entry: &mut impl Read, left: &Cell<u64>) -> Result<Option<Item<'a>>, Bad> {
    left.set(BETWEEN);
    io::copy(entry, &mut io::sink()).map_err(|error| Bad::Broken(error.to_string()))?;
    Ok(None)
}

fn text(bytes: &[u8]) -> Result<String, Bad> {
    String::from_utf8(bytes.to_vec())
        .map_err(|error| Bad::refused(&String::from_utf8_lossy(error.as_bytes()), "is not UTF-8"))
}

/// A stream of which only so much may be read until somebody says that more is right.
struct Metered<R> {
    stream: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.stream.read(buffer.get_mut(..most).unwrap_or_default())?;
        if read == 0 && most < buffer.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it has more than 1 MiB between two files"));
        }
        if left != u64::MAX {
            self.left.set(left - read as u64);
        }
        Ok(read)
    }
}
