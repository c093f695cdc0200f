//! How does what was thrown away come back? By a rename to where it was, if nothing is there.

use super::super::failure::Failure;
use super::super::inspect::walk::{Next, walk_below};
use super::super::layout::LayoutError;
use super::super::layout::safe_path::Root;
use super::super::unpack::remove;
use super::found::split;
use super::hand::Hand;
use super::trash::{directory, entries, make_below, move_to};
use crate::api::Reason;
use rustix::fs::FileType;
use rustix::io::Errno;
use serde::Serialize;
use std::collections::HashSet;

/// What came of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Files that are where they were.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that stay in the trash, because something is in their place.
    pub taken: Vec<String>,
}

/// Puts back what an entry holds, or what was at a path (a file, or everything below a directory) and was thrown away last.
///
/// # Errors
/// `NotFound` when the trash has no such thing.
pub fn restore(root: &Root, what: &str) -> Result<Restored, Failure> {
    let entries = entries(root)?;
    let within = |path: &[u8]| {
        let rest = path.strip_prefix(what.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    let mut restored = Restored::default();
    let mut found = false;
    // Of a file that was thrown away more than once, the last one.
    let mut back: HashSet<Vec<u8>> = HashSet::new();
    for entry in entries.iter().rev() {
        let whole = entry.id == what;
        let start = format!("{}/{}/files", directory(), entry.id);
        let mut files = Vec::new();
        walk_below(root, &start, |path, stat| {
            let inside = path.get(start.len() + 1..).unwrap_or_default();
            let file = FileType::from_raw_mode(stat.st_mode) != FileType::Directory;
            if file && (whole || within(inside)) {
                files.push((inside.to_vec(), u64::try_from(stat.st_size).unwrap_or_default()));
            }
            Next::Enter
        })?;
        found |= whole || !files.is_empty();
        files.retain(|(path, _)| back.insert(path.clone()));
        let touched = whole || !files.is_empty();
        put_back(root, &start, files, &mut restored)?;
        let path = format!("{}/{}", directory(), entry.id);
        if touched {
            forget(root, &path)?;
        }
        if whole {
            break;
        }
    }
    if found {
        Ok(restored)
    } else {
        let message = format!(
            "the trash of {} has no `{what}`: `modelcache restore-trash --list` says what it has",
            root.shown("").display()
        );
        Err(Failure::new(Reason::NotFound, message))
    }
}

fn put_back(root: &Root, start: &str, files: Vec<(Vec<u8>, u64)>, restored: &mut Restored) -> Result<(), Failure> {
    let top = root.directory("")?;
    let mut hand = Hand::on(root)?;
    for (inside, size) in files {
        let failed =
            |error: Errno| Failure::new(Reason::VolumeError, format!("{}: {error}", super::found::shown(&inside)));
        let (directory, name) = split(&inside);
        let to = make_below(&top, directory).map_err(failed)?;
        let from = [start.as_bytes(), b"/", &inside].concat();
        let (from, _) = hand.parent(&from).map_err(|error| Failure::new(Reason::VolumeError, error.to_string()))?;
        match move_to(from, name, &to) {
            Ok(()) => {
                restored.files += 1;
                restored.bytes += size;
            }
            Err(Errno::EXIST) => restored.taken.push(super::found::shown(&inside)),
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Removes an entry that holds no file any more, directory by directory: what somebody throws into it meanwhile stays.
fn forget(root: &Root, entry: &str) -> Result<(), LayoutError> {
    let files = format!("{entry}/files");
    let (mut directories, mut drained) = (Vec::new(), true);
    walk_below(root, &files, |path, stat| {
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            directories.push(path.to_vec());
        } else {
            drained = false;
        }
        Next::Enter
    })?;
    if !drained {
        return Ok(());
    }
    // A parent is seen before what is in it.
    let mut hand = Hand::on(root)?;
    for directory in directories.iter().rev() {
        if !hand.remove_empty(directory).unwrap_or(false) {
            return Ok(());
        }
    }
    root.remove(&format!("{entry}/note.json"))?;
    remove::empty_directory(root, entry)
}
