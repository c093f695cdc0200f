//! What is wrong with one thing on a volume, without reading its bytes?

use super::super::layout::LayoutError;
use super::super::layout::held;
use super::super::layout::manifest::{Entry, Manifest, What};
use super::super::layout::safe_path::Root;
use super::finding::{Kind, Wrong};
use super::{hub, ollama};
use rustix::fs::{FileType, Stat};

/// What is wrong with an entry by kind, size and target, if something is; and what the file is that holds it. Small files
/// that steer the hub's clients are read.
pub fn look(root: &Root, manifest: &Manifest, entry: &Entry) -> Result<Option<Stat>, Wrong> {
    let unreadable = |error: LayoutError| Wrong::new(Kind::Unreadable, format!("cannot be looked at: {error}"));
    let size = match &entry.what {
        What::Link { link } => return linked(root, &entry.path, link).map(|()| None),
        What::File { size, .. } => *size,
    };
    let Some(stat) = held::stat(root, &entry.path).map_err(unreadable)? else {
        return Err(absent(root, &entry.path));
    };
    if hub::is_ref(manifest, entry) {
        hub::check_ref(root, &entry.path, &manifest.revision)?;
    }
    let found = u64::try_from(stat.st_size).unwrap_or_default();
    if found != size {
        // The hub's clients write the listing in their own words when they are online.
        if hub::is_tree(manifest, entry) {
            return hub::check_tree(root, &entry.path).map(|()| Some(stat));
        }
        return Err(Wrong::new(Kind::Size, format!("has {found} bytes instead of {size}")));
    }
    if ollama::is_manifest(manifest, entry) {
        ollama::check_manifest(root, &entry.path, &manifest.revision)?;
    }
    Ok(Some(stat))
}

/// Whether everything that a manifest lists is there by kind, size and target, nothing of it is known to be damaged, and no
/// listing of another tool makes clients refuse it.
pub fn is_whole(root: &Root, manifest: &Manifest) -> Result<bool, LayoutError> {
    let right = |entry: &Entry| !entry.damaged && look(root, manifest, entry).is_ok();
    Ok(manifest.entries.iter().all(right) && hub::contradiction(root, manifest)?.is_none())
}

fn linked(root: &Root, path: &str, wanted: &str) -> Result<(), Wrong> {
    match root.link(path) {
        Ok(Some(found)) if found == wanted => Ok(()),
        Ok(Some(found)) => Err(Wrong::new(Kind::Link, format!("links to {found:?} instead of {wanted:?}"))),
        Ok(None) => match root.stat(path) {
            Ok(None) => Err(Wrong::new(Kind::Missing, "is missing")),
            _ => Err(Wrong::new(Kind::Link, format!("is no link to {wanted:?}"))),
        },
        Err(error) => Err(Wrong::new(Kind::Unreadable, format!("cannot be looked at: {error}"))),
    }
}

/// Nothing holds the file: what stands in its place?
fn absent(root: &Root, path: &str) -> Wrong {
    let detail = match root.stat(path) {
        Ok(Some(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
            "is a link that leads to no file on this volume"
        }
        Ok(Some(_)) => "is no file",
        _ => "is missing",
    };
    Wrong::new(Kind::Missing, detail)
}
