//! May readers read it, and will they? They are other users than the one who wrote it.
//!
//! NLTK from 3.10 on refuses every file and directory that its group or everybody may write, and every one that belongs to
//! neither the reader nor root. A `fsGroup` on a pod that mounts the volume writable makes it exactly so.

use super::super::layout::LayoutError;
use super::super::layout::held;
use super::super::layout::manifest::{Manifest, What};
use super::super::layout::safe_path::{Root, split};
use super::finding::{Kind, Note, Wrong};
use rustix::fs::{Mode, Stat, fchmod};
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::fd::AsFd;

/// What others need of a file, and of a directory.
const FILE: u32 = 0o444;
const DIRECTORY: u32 = 0o555;
/// What NLTK does not stand.
const SHARED_WRITE: u32 = 0o022;
/// The directory that NLTK's data is in, whatever it is below.
const NLTK: &str = "nltk_data";

/// A mode that keeps readers away: where, why, and the mode that would not.
pub struct Barred {
    /// Path on the volume.
    pub path: String,
    /// Why.
    pub wrong: Wrong,
    /// The mode that it should have.
    mode: u32,
    /// Whether this process may change it. If not, it is none of our business.
    pub ours: bool,
}

/// What of a file's mode keeps readers away.
pub fn of_file(manifest: &Manifest, path: &str, stat: &Stat) -> Option<Barred> {
    barred(is_nltk(manifest, path), path, stat, FILE)
}

/// What of the modes of the directories above a source's files keeps readers away, and a note where the owner may. The
/// volume's root belongs to whoever mounts it.
pub fn of_directories(root: &Root, manifest: &Manifest) -> Result<(Vec<Barred>, Vec<Note>), LayoutError> {
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    for path in directories(manifest) {
        let nltk = is_nltk(manifest, path);
        let Some(stat) = root.stat(path)? else { continue };
        found.extend(barred(nltk, path, &stat, DIRECTORY));
        if nltk && stat.st_uid != 0 && split(path).1 == NLTK {
            let owner = stat.st_uid;
            let detail =
                format!("belongs to user {owner}: NLTK from 3.10 on reads it as that user only, or where root owns it");
            notes.push(Note::new(path, detail));
        }
    }
    Ok((found, notes))
}

/// Makes everything readable that this process may change. Says what it changed.
pub fn mend(root: &Root, manifest: &Manifest, say: &(dyn Fn(String) + Sync)) -> Result<(), LayoutError> {
    for it in of_directories(root, manifest)?.0.into_iter().filter(|it| it.ours) {
        change(root.directory(&it.path)?, &it, say);
    }
    for entry in manifest.entries.iter().filter(|it| matches!(it.what, What::File { .. })) {
        let barred = held::stat(root, &entry.path)?.and_then(|stat| of_file(manifest, &entry.path, &stat));
        if let Some(it) = barred.filter(|it| it.ours)
            && let Some(file) = held::file(root, &it.path)?
        {
            change(file, &it, say);
        }
    }
    Ok(())
}

fn change(what: impl AsFd, it: &Barred, say: &(dyn Fn(String) + Sync)) {
    match fchmod(what, Mode::from_raw_mode(it.mode)) {
        Ok(()) => say(format!("{} had a mode that keeps readers away; it is {:o} now", it.path, it.mode)),
        Err(error) => say(format!("the mode of {} cannot be changed: {error}", it.path)),
    }
}

fn barred(nltk: bool, path: &str, stat: &Stat, needed: u32) -> Option<Barred> {
    let mode = stat.st_mode & 0o7777;
    let too_much = if nltk { mode & SHARED_WRITE } else { 0 };
    let detail = if too_much != 0 {
        format!(
            "has mode {mode:o}: NLTK from 3.10 on refuses data that its group or everybody may write; prefetch takes that \
             away, and it stays so when pods mount the volume read-only, or without `fsGroup`"
        )
    } else if mode & needed & 0o007 != needed & 0o007 {
        format!("has mode {mode:o}: readers are other users and cannot read it; prefetch makes it {:o}", mode | needed)
    } else {
        return None;
    };
    let user = rustix::process::geteuid();
    let ours = user.is_root() || user.as_raw() == stat.st_uid;
    let wrong = Wrong::new(Kind::Mode, detail);
    Some(Barred { path: path.to_owned(), wrong, mode: (mode | needed) & !too_much, ours })
}

fn is_nltk(manifest: &Manifest, path: &str) -> bool {
    let kind = manifest.layout.get(0).and_then(Value::as_str) == Some("nltk");
    path.split('/').any(|part| part == NLTK) || (kind && !path.is_empty())
}

/// All directories above a manifest's entries, without the root.
fn directories(manifest: &Manifest) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for entry in &manifest.entries {
        let mut path = split(&entry.path).0;
        while !path.is_empty() && found.insert(path) {
            path = split(path).0;
        }
    }
    found
}
