//! What is in a zip file? One entry after the other, in the order of its directory, whatever their number.

use super::Bad;
use super::sink::{Item, Sink, expect};
use rustix::fs::FileType;
use std::fs::File;
use std::io::Read;
use zip::ZipReadOptions;
use zip::read::Config;
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

/// Longest target of a link, in bytes.
const TARGET_LIMIT: u64 = 4096;

/// Gives every entry to the sink. Checksums are held while an entry is read.
pub fn read(file: File, sink: &mut Sink<'_>) -> Result<(), Bad> {
    let contents = file.try_clone().map_err(|error| Bad::Broken(error.to_string()))?;
    let mut archive = ZipIterable::try_new(file, Config::default()).map_err(broken)?;
    expect(archive.len() as u64)?;
    // Both handles share one position; each of the two seeks before it reads.
    let mut contents = contents;
    let mut entries = archive.files().map_err(broken)?;
    for entry in &mut entries {
        let entry = entry.map_err(broken)?;
        let name = entry.name().map_err(broken)?.into_owned();
        let (size, directory) = (entry.size(), entry.is_dir());
        let mode = entry.unix_mode();
        // Tools that leave the type out mean a plain file.
        let kind = mode.filter(|mode| mode & 0o170_000 != 0).map(FileType::from_raw_mode);
        let mut content = entry.with_reader(&mut contents, ZipReadOptions::new()).map_err(broken)?;
        let item = match kind {
            _ if directory => Item::Directory,
            None | Some(FileType::RegularFile) => {
                Item::File { executable: mode.is_some_and(|it| it & 0o111 != 0), size, content: &mut content }
            }
            Some(FileType::Symlink) => {
                let mut target = String::new();
                let read = (&mut content).take(TARGET_LIMIT).read_to_string(&mut target);
                read.map_err(|error| Bad::Broken(format!("{name:?}: {error}")))?;
                Item::Link { target }
            }
            Some(_) => Item::Other("is neither file, directory nor link"),
        };
        sink.take(&name, item)?;
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn broken(error: ZipError) -> Bad {
    Bad::Broken(error.to_string())
}
