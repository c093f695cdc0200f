//! What has a restore done to a volume so far? Written before the first thing is moved, so that a killed run can be finished
//! or taken back by the next one.

use crate::agent::failure::Failure;
use crate::agent::layout::publish::Publisher;
use crate::agent::layout::safe_path::Root;
use crate::agent::layout::state;
use crate::api::Reason;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Version of the document.
const VERSION: u32 = 1;
/// Largest journal that is read, in bytes: a million steps of 500 bytes.
const LIMIT: u64 = 512 << 20;

/// Where a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// All that is new is staged and on the disk; it is being moved into place.
    Switching,
    /// Everything is in place. What was there is kept.
    Done,
    /// What was there is being moved back.
    RollingBack,
    /// What was there is there again. What was restored is kept.
    RolledBack,
}

/// One thing that is moved into place: a file, a link, or a whole directory where there was none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Path on the volume.
    pub path: String,
    /// Whether something was there before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

/// A restore of one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Journal {
    /// Version of the document.
    version: u32,
    /// The snapshot, or the archive, that is restored.
    pub snapshot: String,
    /// Where the restore is.
    pub phase: Phase,
    /// Until when what was there is kept.
    pub keep_until: Timestamp,
    /// The plan that is complete once everything is in place: what `current` will say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// What `current` said before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What is moved, in this order.
    pub steps: Vec<Step>,
}

impl Journal {
    /// A journal of a restore that is staged.
    pub fn new(snapshot: &str, keep_until: Timestamp, steps: Vec<Step>) -> Self {
        let phase = Phase::Switching;
        Self { version: VERSION, snapshot: snapshot.to_owned(), phase, keep_until, current: None, before: None, steps }
    }

    /// The journal of a cache on a volume. `None` when nothing was restored, or what was there is no longer kept.
    ///
    /// # Errors
    /// When it cannot be read: what it says must not be guessed.
    pub fn read(root: &Root, cache: &str) -> Result<Option<Self>, Failure> {
        let path = path(cache);
        let Some(bytes) = root.read(&path, LIMIT)? else { return Ok(None) };
        let journal: Option<Self> = serde_json::from_slice(&bytes).ok();
        journal.filter(|it| it.version == VERSION).map(Some).ok_or_else(|| {
            let message = format!(
                "{} says what a restore has moved, and cannot be read: it is damaged, or of another version of modelcache; \
                 move it away once the volume was looked at",
                root.shown(&path).display()
            );
            Failure::new(Reason::VolumeError, message)
        })
    }

    /// Writes the journal. It is on the disk when this returns.
    pub fn write(&self, root: &Root, cache: &str) -> Result<(), Failure> {
        let mut publisher = Publisher::new(root, format!("{}/write", directory(cache)))?;
        publisher.file(&path(cache), &serde_json::to_vec(self).unwrap_or_default())?;
        Ok(publisher.finish()?)
    }
}

/// The directory of everything that restores leave on a volume.
pub fn directory(cache: &str) -> String {
    format!("{}/restore", state(cache))
}

/// Where what is restored is made, by its later path.
pub fn staged(cache: &str) -> String {
    format!("{}/new", directory(cache))
}

/// Where what was there is kept, by its former path.
pub fn kept(cache: &str) -> String {
    format!("{}/old", directory(cache))
}

/// The journal.
pub fn path(cache: &str) -> String {
    format!("{}/journal.json", directory(cache))
}
