//! What do the hub's clients read beside the content, and what makes them refuse it?
//!
//! - `refs/<branch>`: 40 hex digits. With a newline behind them no version finds the snapshot.
//! - `trees/<commit>.json`: what the repository holds. From `huggingface_hub` 1.22 on, a listing with a file that the snapshot
//!   does not have makes `snapshot_download` raise `IncompleteSnapshotError` offline. `hf download --exclude` leaves one.

use super::super::layout::LayoutError;
use super::super::layout::manifest::{Entry, Manifest, What};
use super::super::layout::safe_path::{Root, split};
use super::super::source::name;
use super::finding::{Kind, Wrong};
use serde_json::Value;

/// Largest listing that is read, in bytes: a million files of 200 bytes.
const TREE_LIMIT: u64 = 256 << 20;
/// Longest branch file that is read, in bytes.
const REF_LIMIT: u64 = 256;

/// How the directory of a repository begins, for each kind that the clients know.
pub const KINDS: [&str; 4] = ["models--", "datasets--", "spaces--", "kernels--"];

/// The repository's directory on the volume, of a source that lies in a hub's cache, whatever kind of source it is.
pub fn repository(manifest: &Manifest) -> Option<&str> {
    let below = format!("/snapshots/{}/", manifest.revision);
    let mut links = manifest.entries.iter().filter(|it| matches!(it.what, What::Link { .. }));
    let found = links.find_map(|it| it.path.split_once(&below).map(|(repository, _)| repository))?;
    let name = split(found).1;
    KINDS.iter().any(|kind| name.starts_with(kind)).then_some(found)
}

/// Whether an entry is a branch.
pub fn is_ref(manifest: &Manifest, entry: &Entry) -> bool {
    matches!(entry.what, What::File { size: 40, .. }) && is_in(manifest, entry, "refs")
}

/// Whether an entry is the listing.
pub fn is_tree(manifest: &Manifest, entry: &Entry) -> bool {
    is_in(manifest, entry, "trees")
}

fn is_in(manifest: &Manifest, entry: &Entry, directory: &str) -> bool {
    let below = |it: &str| entry.path.strip_prefix(it)?.strip_prefix('/')?.strip_prefix(directory).map(str::len);
    // The cheap question first: it is asked of every entry.
    entry.path.contains(directory) && repository(manifest).and_then(below).is_some()
}

/// Whether a branch names the commit.
pub fn check_ref(root: &Root, path: &str, commit: &str) -> Result<(), Wrong> {
    let found = match root.read(path, REF_LIMIT) {
        Ok(Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(None) => return Err(Wrong::new(Kind::Ref, "is not a plain file")),
        Err(error) => return Err(Wrong::new(Kind::Unreadable, format!("cannot be read: {error}"))),
    };
    if found == commit {
        return Ok(());
    }
    let detail = if found.trim() == commit {
        "has white space behind the commit, with which no client of the hub finds the snapshot".to_owned()
    } else {
        format!("names {found:?} instead of {commit}")
    };
    Err(Wrong::new(Kind::Ref, detail))
}

/// Whether the listing of a complete snapshot is one that clients accept, whoever wrote it.
pub fn check_tree(root: &Root, path: &str) -> Result<(), Wrong> {
    match missing(root, path) {
        Ok(Listed::All) => Ok(()),
        Ok(Listed::Unreadable) => Err(Wrong::new(Kind::Tree, "is no listing that the hub's clients can read")),
        Ok(Listed::More(detail)) => Err(Wrong::new(Kind::Tree, detail)),
        Err(error) => Err(Wrong::new(Kind::Unreadable, format!("cannot be read: {error}"))),
    }
}

/// A listing that others put beside our snapshot and that contradicts it: its path, and how.
pub fn contradiction(root: &Root, manifest: &Manifest) -> Result<Option<(String, Wrong)>, LayoutError> {
    let Some(repository) = repository(manifest) else { return Ok(None) };
    let path = format!("{repository}/trees/{}.json", manifest.revision);
    if manifest.entries.iter().any(|it| it.path == path) || root.size(&path)?.is_none() {
        return Ok(None);
    }
    match missing(root, &path)? {
        Listed::More(detail) => Ok(Some((path, Wrong::new(Kind::Tree, detail)))),
        // What they cannot read, they ignore.
        Listed::All | Listed::Unreadable => Ok(None),
    }
}

/// How a listing compares with the snapshot.
enum Listed {
    /// Everything that is listed is there.
    All,
    /// Files are listed that are not there.
    More(String),
    /// It cannot be read.
    Unreadable,
}

/// Compares the listing `<repository>/trees/<commit>.json` with the snapshot beside it.
fn missing(root: &Root, path: &str) -> Result<Listed, LayoutError> {
    let Some(bytes) = root.read(path, TREE_LIMIT)? else { return Ok(Listed::Unreadable) };
    let Ok(tree) = serde_json::from_slice::<Value>(&bytes) else { return Ok(Listed::Unreadable) };
    let files = tree.get("files").and_then(Value::as_object).filter(|_| tree["format_version"] == 1);
    let Some(files) = files else { return Ok(Listed::Unreadable) };
    let (repository, name) = path.rsplit_once("/trees/").unwrap_or(("", path));
    let snapshot = format!("{repository}/snapshots/{}", name.trim_end_matches(".json"));
    let (mut count, mut first) = (0_usize, None);
    for file in files.keys() {
        // A name that leaves the snapshot is in no snapshot.
        if name::check(file).is_err() || root.stat(&format!("{snapshot}/{file}"))?.is_none() {
            count += 1;
            first.get_or_insert(file);
        }
    }
    Ok(first.map_or(Listed::All, |first| {
        Listed::More(format!(
            "lists {count} of {} files that the snapshot does not have, such as {first:?}: clients of the hub from 1.22 on \
             refuse the whole snapshot offline",
            files.len()
        ))
    }))
}
