//! Where does a deleted file wait until nobody wants it back? Below `.modelcache/trash/`, by a rename:
//!
//! ```text
//! .modelcache/trash/<time>-<rule>-<4 hex>/note.json     which cache and rule, when, why: written first
//!                                         files/<path>  the file, where it was
//! ```
//!
//! Only the user of the clean-up may look into it: files that lay in a private directory stay private.

use super::super::failure::Failure;
use super::super::inspect::amount::Amount;
use super::super::inspect::walk::{Next, walk_below};
use super::super::layout::publish::Publisher;
use super::super::layout::safe_path::Root;
use super::super::layout::{LayoutError, OWN, state};
use super::super::unpack::remove;
use super::found::{Found, split};
use super::hand::{Hand, Refusal, refused};
use super::rotated::stamped;
use crate::api::name::short_hash;
use rustix::fs::{Mode, OFlags, RenameFlags, fchmod, linkat, mkdirat, openat, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Version of a note.
const VERSION: u32 = 1;
/// Longest note that is read, in bytes.
const NOTE_LIMIT: u64 = 16 << 10;

/// The directory of the trash.
pub fn directory() -> String {
    format!("{OWN}/trash")
}

/// What one run of one rule has thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    version: u32,
    /// The cache whose rule it was.
    pub cache: String,
    /// The rule.
    pub rule: String,
    /// When, in seconds since 1970.
    pub time: i64,
    /// Why, in words.
    pub why: String,
}

/// Something in the trash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its name.
    pub id: String,
    /// What is known of it.
    #[serde(flatten)]
    pub note: Note,
    /// How much it is.
    pub amount: Amount,
}

/// Takes what a rule throws away.
pub struct Trash<'a> {
    root: &'a Root,
    note: Note,
    id: String,
    /// The directory of the files, once there is one.
    made: Option<OwnedFd>,
    /// The directory that the last file went to.
    last: Option<(Box<[u8]>, OwnedFd)>,
}

impl<'a> Trash<'a> {
    /// A place for what a rule throws away in this run. Nothing is made before there is something.
    pub fn new(root: &'a Root, cache: &str, rule: &str, why: String, now: i64) -> Self {
        let note = Note { version: VERSION, cache: cache.into(), rule: rule.into(), time: now, why };
        let short = short_hash(&[cache, rule, &now.to_string(), &std::process::id().to_string()]);
        Self { root, note, id: format!("{}-{rule}-{short:.4}", stamped(now)), made: None, last: None }
    }

    /// Where the files are, for messages.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Throws away a file that still is what was looked at.
    pub fn throw(&mut self, hand: &mut Hand, found: &Found) -> Result<(), Refusal> {
        hand.check(found)?;
        let (directory, name) = split(&found.path);
        if self.last.as_ref().is_none_or(|(last, _)| **last != *directory) {
            let files = if let Some(files) = &self.made {
                files
            } else {
                let failed = |error: LayoutError| Refusal::System { path: error.to_string(), error: Errno::IO };
                let made = self.make().map_err(failed)?;
                self.made.insert(made)
            };
            let handle = make_below(files, directory).map_err(|error| refused(&found.path, error))?;
            self.last = Some((directory.into(), handle));
        }
        let Some((_, to)) = &self.last else { return Err(Refusal::Changed(found.shown())) };
        let (from, _) = hand.parent(&found.path)?;
        move_to(from, name, to).map_err(|error| refused(&found.path, error))
    }

    fn make(&self) -> Result<OwnedFd, LayoutError> {
        let top = self.root.make_directory(&directory())?;
        let private = |handle: &OwnedFd| fchmod(handle, Mode::from_raw_mode(0o700));
        private(&top).map_err(|error| self.root.failure(&directory(), error))?;
        let path = format!("{}/{}", directory(), self.id);
        let mut publisher = Publisher::new(self.root, format!("{}/new", state(&self.note.cache)))?;
        publisher.directory(&path)?;
        publisher.file(&format!("{path}/note.json"), &serde_json::to_vec(&self.note).unwrap_or_default())?;
        publisher.finish()?;
        self.root.make_directory(&format!("{path}/files"))
    }
}

/// Moves a file into a directory where nothing has its name.
pub(super) fn move_to(from: impl std::os::fd::AsFd, name: &[u8], to: &OwnedFd) -> Result<(), Errno> {
    match renameat_with(&from, name, to, name, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            linkat(&from, name, to, name, rustix::fs::AtFlags::empty())?;
            unlinkat(&from, name, rustix::fs::AtFlags::empty())
        }
        other => other,
    }
}

/// The directory at a path below another, made where it is missing.
pub(super) fn make_below(top: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut handle = openat(top, ".", flags, Mode::empty())?;
    for part in path.split(|byte| *byte == b'/').filter(|it| !it.is_empty()) {
        match mkdirat(&handle, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        handle = openat(&handle, part, flags, Mode::empty())?;
    }
    Ok(handle)
}

/// What is in the trash of a volume, the oldest first. What has no note of ours is not ours.
pub fn entries(root: &Root) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for id in root.names(&directory())? {
        let bytes = root.read(&format!("{}/{id}/note.json", directory()), NOTE_LIMIT)?;
        let note = bytes.and_then(|it| serde_json::from_slice::<Note>(&it).ok()).filter(|it| it.version == VERSION);
        if let Some(note) = note {
            let mut amount = Amount::default();
            walk_below(root, &format!("{}/{id}/files", directory()), |_, stat| {
                amount += Amount::of(stat);
                Next::Enter
            })?;
            entries.push(Entry { id, note, amount });
        }
    }
    entries.sort_by(|a, b| (a.note.time, &a.id).cmp(&(b.note.time, &b.id)));
    Ok(entries)
}

/// Removes what a cache threw away longer ago than the grace time. What was removed, or would be.
pub fn empty(root: &Root, cache: &str, grace: Duration, now: i64, dry_run: bool) -> Result<Amount, Failure> {
    let grace = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
    let mut gone = Amount::default();
    for entry in entries(root)? {
        if entry.note.cache != cache || now.saturating_sub(entry.note.time) < grace {
            continue;
        }
        if !dry_run {
            let path = format!("{}/{}", directory(), entry.id);
            // The note last: without it nobody would know whose the rest is.
            remove::tree(root, &format!("{path}/files"))?;
            remove::tree(root, &path)?;
        }
        gone += entry.amount;
    }
    Ok(gone)
}
