//! What of a source has been kept for long enough, as its `expireAfter` says?
//!
//! Clean-up removes it: [`expired`] says what may go, and once it is gone [`emptied`] is the manifest to write in the place of
//! the old one. A source with such a manifest is complete: a prefetch fetches nothing for it, until its spec, its pin or its
//! life is another.

use super::manifest::{Entry, Manifest};
use jiff::{SignedDuration, Timestamp};

/// When the content of a manifest expires. `None` when it is kept for ever, or is gone already.
pub fn moment(manifest: &Manifest) -> Option<Timestamp> {
    let after = i64::try_from(manifest.expire_after_seconds?).ok()?;
    let fetched = manifest.fetched_at.filter(|_| manifest.expired_at.is_none())?;
    // What expires after the end of the calendar does not.
    fetched.checked_add(SignedDuration::from_secs(after)).ok()
}

/// The entries that may be removed now: all of them, or none. Those that another source lists too must stay.
pub fn expired(manifest: &Manifest, now: Timestamp) -> &[Entry] {
    if moment(manifest).is_some_and(|moment| moment <= now) { &manifest.entries } else { &[] }
}

/// The manifest once its expired entries are gone.
pub fn emptied(manifest: &Manifest, now: Timestamp) -> Manifest {
    Manifest { entries: vec![], archives: vec![], bytes: 0, expired_at: Some(now), ..manifest.clone() }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::What;
    use super::*;
    use crate::contract::plan::Pin;
    use serde_json::Value;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn manifest(fetched_at: Option<i64>, after: Option<u64>) -> Manifest {
        let pin = Pin { revision: "r".into(), files: 1, bytes: 1, digest: "d".into() };
        let mut manifest = Manifest::new("s", "http://x", &pin, Value::Null);
        manifest.entries = vec![Entry::new("a".into(), What::File { size: 1, sha256: "00".repeat(32) })];
        (manifest.fetched_at, manifest.expire_after_seconds) = (fetched_at.map(at), after);
        manifest
    }

    #[test]
    fn a_file_expires_so_long_after_it_was_fetched_and_never_without_a_word_of_it() {
        for (fetched, after, now, gone) in [
            (Some(100), Some(60), 159, 0),
            (Some(100), Some(60), 160, 1),
            (Some(100), None, 1_000_000, 0),
            (None, Some(60), 1_000_000, 0),
            (Some(100), Some(u64::MAX), 1_000_000, 0),
            // A clock that went back does not remove anything.
            (Some(100), Some(60), 50, 0),
        ] {
            let manifest = manifest(fetched, after);
            assert_eq!(expired(&manifest, at(now)).len(), gone, "{fetched:?} {after:?} {now}");
        }
    }

    #[test]
    fn what_has_expired_and_is_gone_is_complete_and_expires_no_more() {
        let gone = emptied(&manifest(Some(100), Some(60)), at(200));
        assert_eq!((gone.entries.len(), gone.files, gone.bytes, gone.expired_at), (0, 1, 0, Some(at(200))));
        assert_eq!(expired(&gone, at(300)), []);
        assert_eq!(super::super::sound::unsound(&gone), None);
    }
}
