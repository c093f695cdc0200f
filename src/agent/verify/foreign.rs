//! What did other tools put beside ours in a hub's cache? Named, never judged, never touched.

use super::super::layout::LayoutError;
use super::super::layout::manifest::Manifest;
use super::super::layout::safe_path::{Root, split};
use super::finding::Note;
use super::hub;
use std::collections::BTreeSet;

/// Notes of one volume at most; then their number.
const SHOWN: usize = 200;
/// The file that marks the shared store as one.
pub const MARKER: &str = ".huggingface-shared-blobs";

/// Notes on everything in the hub directories of `manifests` that none of them lists. `manifests`: of all caches on the volume,
/// also of earlier revisions.
pub fn notes(root: &Root, manifests: &[&Manifest]) -> Result<Vec<Note>, LayoutError> {
    let hubs: BTreeSet<String> = manifests.iter().filter_map(|it| hub_of(it)).collect();
    let repositories: BTreeSet<&str> = manifests.iter().filter_map(|it| hub::repository(it)).collect();
    let known: BTreeSet<&str> = manifests.iter().flat_map(|it| &it.entries).map(|it| it.path.as_str()).collect();
    let mut notes = Vec::new();
    for directory in &hubs {
        for name in root.names(directory)? {
            let path = format!("{directory}/{name}");
            if !repositories.contains(path.as_str()) {
                notes.push(Note::new(&path, beside(root, &path, &name)?));
            }
        }
    }
    for repository in repositories {
        for name in root.names(&format!("{repository}/blobs"))? {
            let path = format!("{repository}/blobs/{name}");
            if !known.contains(path.as_str()) {
                notes.push(Note::new(&path, blob(&name)));
            }
        }
        let ours: BTreeSet<&str> = manifests.iter().map(|it| it.revision.as_str()).collect();
        for commit in root.names(&format!("{repository}/snapshots"))? {
            if !ours.contains(commit.as_str()) {
                let path = format!("{repository}/snapshots/{commit}");
                notes.push(Note::new(path, "is a snapshot that no cache asked for; it is left alone"));
            }
        }
    }
    let more = notes.len().saturating_sub(SHOWN);
    notes.truncate(SHOWN);
    if more > 0 {
        notes.push(Note::new("", format!("{more} more things that are not ours; `modelcache du` counts them all")));
    }
    Ok(notes)
}

/// The hub directory that a source lies in.
pub fn hub_of(manifest: &Manifest) -> Option<String> {
    Some(split(hub::repository(manifest)?).0.to_owned())
}

fn beside(root: &Root, path: &str, name: &str) -> Result<String, LayoutError> {
    Ok(match name {
        ".locks" => "locks of the hub's own clients".to_owned(),
        "blobs" if root.size(&format!("{path}/{MARKER}"))?.is_some() => {
            "the shared blob store of the hub's own clients".to_owned()
        }
        name if hub::KINDS.iter().any(|it| name.starts_with(it)) => {
            "a repository that no cache asked for; it is left alone".to_owned()
        }
        _ => "is no part of a hub's cache: `hf cache ls` calls it corrupted".to_owned(),
    })
}

fn blob(name: &str) -> &'static str {
    if name.ends_with(".incomplete") {
        "an interrupted download of another tool: no client from 1.18 on takes it up again"
    } else {
        "a blob that no cache asked for; it is left alone"
    }
}
