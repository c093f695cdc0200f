//! Who else is at work on the repository? A backup and a prune never are at once.
//!
//! Each writes its own marker first and then looks for the other's, so that at least one of two sees the other. A marker that
//! was not renewed for [`STALE`] is of a killed run; times are those of the store, which one clock gave to both. A run whose own
//! marker was that old once (its machine slept, the store did not answer) knows it, and takes nothing for safe any more.

use super::{Repository, names};
use crate::agent::failure::Failure;
use crate::api::Reason;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a marker is renewed.
pub const RENEWED: Duration = Duration::from_secs(60);
/// A marker that was not renewed for this long is nobody's.
pub const STALE: SignedDuration = SignedDuration::from_mins(15);
/// Largest marker that is read, in bytes.
const LIMIT: u64 = 4 << 20;

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Adds to the repository.
    Backup,
    /// Removes from it.
    Prune,
}

/// A marker: what a killed run leaves for the next one to tidy up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Uploads in parts that are not complete: name and id.
    #[serde(default)]
    pub uploads: Vec<(String, String)>,
}

/// The marker of one's own run.
#[derive(Clone, Debug)]
pub struct AtWork {
    repository: Repository,
    name: String,
    note: Arc<Mutex<Note>>,
    word: Arc<Mutex<Word>>,
}

/// How long our word that we are at work was good.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    /// When the store had it last.
    given: Option<Timestamp>,
    /// Whether others may have taken us for dead once.
    lapsed: bool,
}

/// Markers of others.
#[derive(Clone, Debug, Default)]
pub struct Others {
    /// Of runs that go on.
    pub alive: Vec<String>,
    /// Of runs that were killed.
    pub stale: Vec<String>,
}

impl Work {
    fn directory(self) -> &'static str {
        match self {
            Self::Backup => "running/",
            Self::Prune => "pruning/",
        }
    }
}

impl AtWork {
    /// Says that work begins. The caller looks for others only then.
    pub async fn begin(repository: &Repository, work: Work, id: &str) -> Result<Self, Failure> {
        let name = match work {
            Work::Backup => names::running(id),
            Work::Prune => names::pruning(id),
        };
        let this = Self { repository: repository.clone(), name, note: Arc::default(), word: Arc::default() };
        this.renew().await?;
        Ok(this)
    }

    /// Says that work goes on, and sees whether that was known all the time.
    pub async fn renew(&self) -> Result<(), Failure> {
        self.now().await.map(drop)
    }

    /// Notes an upload in parts, before its first part is sent.
    pub async fn note_upload(&self, name: &str, id: &str) -> Result<(), Failure> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner).uploads.push((name.to_owned(), id.to_owned()));
        self.say().await
    }

    /// The time, by the clock of the store.
    pub async fn now(&self) -> Result<Timestamp, Failure> {
        let before = self.said().await?;
        self.say().await?;
        let now = self.said().await?.ok_or_else(|| {
            let shown = self.repository.store.shown();
            Failure::new(Reason::VolumeError, format!("{shown} does not keep what is written to it"))
        })?;
        let mut word = self.word.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(given) = word.given {
            // Gone: somebody has tidied it up. Between two looks others may have written it, and only the time is left.
            word.lapsed |= before.is_none_or(|before| is_stale(before, now)) || is_stale(given, now);
        }
        word.given = word.given.max(Some(now));
        Ok(now)
    }

    /// Whether others may have taken this run for dead since this was asked last: what it relies on may be gone.
    pub fn lapsed(&self) -> bool {
        std::mem::take(&mut self.word.lock().unwrap_or_else(PoisonError::into_inner).lapsed)
    }

    async fn say(&self) -> Result<(), Failure> {
        let note = self.note.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bytes = serde_json::to_vec(&note).unwrap_or_default();
        self.repository.store.replace(&self.name, bytes.into()).await
    }

    /// When the marker was written, by the clock of the store.
    async fn said(&self) -> Result<Option<Timestamp>, Failure> {
        let (own, _) = self.name.split_at(self.name.find('/').map_or(0, |at| at + 1));
        let found = self.repository.store.list(own).await?;
        Ok(found.into_iter().find(|it| it.name == self.name).map(|it| it.modified))
    }

    /// Markers of this kind of work but one's own, told apart by the store's clock.
    pub async fn others(&self, work: Work) -> Result<Others, Failure> {
        let (store, now) = (&self.repository.store, self.now().await?);
        let mut others = Others::default();
        for found in store.list(work.directory()).await?.into_iter().filter(|it| it.name != self.name) {
            let side = if is_stale(found.modified, now) { &mut others.stale } else { &mut others.alive };
            side.push(found.name);
        }
        Ok(others)
    }

    /// Gives up what killed runs began, and forgets them.
    pub async fn tidy(&self, stale: Vec<String>) -> Result<(), Failure> {
        let store = &self.repository.store;
        for name in &stale {
            let bytes = store.get(name, LIMIT).await?.unwrap_or_default();
            let note: Note = serde_json::from_slice(&bytes).unwrap_or_default();
            for (name, id) in note.uploads {
                store.abort(&name, &id).await?;
            }
        }
        store.remove(stale).await
    }

    /// Says that work has ended, well or not.
    pub async fn end(self) -> Result<(), Failure> {
        self.repository.store.remove(vec![self.name]).await
    }
}

fn is_stale(modified: Timestamp, now: Timestamp) -> bool {
    now.duration_since(modified) > STALE
}

#[cfg(test)]
mod tests {
    use super::super::marker::Owner;
    use super::super::seal::Seal;
    use super::super::store::Store;
    use super::*;

    #[tokio::test]
    async fn a_run_that_others_may_have_taken_for_dead_knows_it() {
        let base = tempfile::tempdir().unwrap();
        let store = Store::in_directory(base.path(), "default/c", true).unwrap();
        let owner = Owner { namespace: "default".into(), cache: "c".into() };
        let repository = Repository::open_or_create(store, &owner, Seal::default()).await.unwrap();
        let at_work = AtWork::begin(&repository, Work::Backup, "1").await.unwrap();
        let marker = base.path().join("default/c/running/1.json");
        let aged = |minutes: u64| {
            let file = std::fs::File::options().write(true).open(&marker).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60 * minutes)).unwrap();
        };
        for (what, done, lapsed) in [
            ("fresh", &(|| ()) as &dyn Fn(), false),
            ("renewed late", &|| aged(14), false),
            ("not renewed for too long", &|| aged(16), true),
            ("as it was", &|| (), false),
            ("tidied up by a prune", &|| std::fs::remove_file(&marker).unwrap(), true),
        ] {
            done();
            at_work.renew().await.unwrap();
            assert_eq!(at_work.lapsed(), lapsed, "{what}");
        }
        // A note of an upload hides nothing: what counts is when this was looked at last.
        at_work.word.lock().unwrap().given = Some(Timestamp::now() - SignedDuration::from_mins(16));
        at_work.note_upload("a", "b").await.unwrap();
        at_work.renew().await.unwrap();
        assert!(at_work.lapsed());
    }

    #[test]
    fn a_marker_is_stale_by_the_stores_own_clock_alone() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (modified, expected) in
            [("2026-11-21T11:50:00Z", false), ("2026-11-21T11:44:00Z", true), ("2026-11-21T13:00:00Z", false)]
        {
            assert_eq!(is_stale(modified.parse().unwrap(), now), expected, "{modified}");
        }
    }
}
