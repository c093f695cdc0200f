//! Which snapshot is meant? Exactly one, or none: never a guess.

use crate::agent::backup::prune::digits;
use crate::agent::backup::repository::snapshot::Snapshot;
use crate::agent::backup::repository::{Repository, names};
use crate::agent::failure::Failure;
use crate::api::Reason;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Fewest digits that name a snapshot.
const SHORTEST: usize = 4;

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Latest,
    /// The one whose id begins so.
    Id(String),
    /// The newest that was begun at this time or before.
    AsOf(Timestamp),
}

impl Which {
    /// What the options say.
    ///
    /// # Errors
    /// `InvalidSpec` when the time is none.
    pub fn of(id: Option<&str>, as_of: Option<&str>, zone: &TimeZone) -> Result<Self, Failure> {
        match (id, as_of) {
            (Some(id), _) => Ok(Self::Id(id.to_owned())),
            (None, Some(text)) => time(text, zone).map(Self::AsOf),
            (None, None) => Ok(Self::Latest),
        }
    }

    /// The one that is meant.
    ///
    /// # Errors
    /// `NotFound` when there is none, `InvalidSpec` when there are several; the message says what there is.
    pub fn choose<'a>(&self, snapshots: &'a [Snapshot], place: &str) -> Result<&'a Snapshot, Failure> {
        let none = |what: String| Err(Failure::new(Reason::NotFound, format!("{place}: {what}; nothing was restored")));
        let Some(newest) = snapshots.iter().max_by_key(|it| (it.time, &it.id)) else {
            return none("there is no snapshot".to_owned());
        };
        match self {
            Self::Latest => Ok(newest),
            Self::AsOf(time) => {
                let before = snapshots.iter().filter(|it| it.time <= *time).max_by_key(|it| (it.time, &it.id));
                let oldest = snapshots.iter().map(|it| it.time).min().unwrap_or_default();
                before.map_or_else(|| none(format!("no snapshot is as old as {time}; the oldest is of {oldest}")), Ok)
            }
            Self::Id(id) => {
                // As `snapshots` shows it, or as the object is called.
                let digits = digits(id);
                let found: Vec<&Snapshot> =
                    snapshots.iter().filter(|it| digits.len() >= SHORTEST && it.id.starts_with(digits)).collect();
                match found.as_slice() {
                    [one] => Ok(one),
                    [] => none(format!("no snapshot is called {id:?}; there are {} others", snapshots.len())),
                    several => Err(Failure::new(
                        Reason::InvalidSpec,
                        format!("{place}: {} snapshots begin with {id:?}: give more of the id", several.len()),
                    )),
                }
            }
        }
    }
}

/// The snapshots of a repository that can be read, and the names of those that cannot, with why. A damaged one must not keep
/// anybody from the others.
pub async fn all(repository: &Repository) -> Result<(Vec<Snapshot>, Vec<(String, Failure)>), Failure> {
    let (mut snapshots, mut damaged) = (Vec::new(), Vec::new());
    for found in repository.store.list("snapshots/").await? {
        if !names::is_snapshot(&found.name) {
            continue;
        }
        match repository.snapshot(&found.name).await {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(failure) if failure.reason == Reason::ChecksumMismatch => damaged.push((found.name, failure)),
            Err(failure) => return Err(failure),
        }
    }
    snapshots.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    Ok((snapshots, damaged))
}

impl Which {
    /// As [`Which::choose`], and refused when one that cannot be read is meant, or may be: another is never taken in its place
    /// without a word.
    pub fn choose_whole<'a>(
        &self,
        snapshots: &'a [Snapshot],
        damaged: &[(String, Failure)],
        place: &str,
    ) -> Result<&'a Snapshot, Failure> {
        let chosen = self.choose(snapshots, place);
        let text = |time: Timestamp| time.strftime("snapshots/%Y%m%dT%H%M%SZ").to_string();
        let after = chosen.as_ref().map(|it| text(it.time)).unwrap_or_default();
        let is_meant = |name: &str| match self {
            Self::Id(id) => name.contains(id.as_str()),
            Self::Latest => *name > *after,
            Self::AsOf(time) => *name > *after && *name < *format!("{}~", text(*time)),
        };
        match damaged.iter().find(|(name, _)| is_meant(name)) {
            Some((_, failure)) => {
                let message = format!("{}; choose another with --snapshot or --as-of", failure.message);
                Err(Failure::new(failure.reason, message))
            }
            None => chosen,
        }
    }
}

/// RFC 3339, or the same without an offset: then it is a time of the time zone.
fn time(text: &str, zone: &TimeZone) -> Result<Timestamp, Failure> {
    let invalid = || {
        let message = format!(
            "--as-of must be a time such as 2026-11-20T18:00:00+03:00, or 2026-11-20T18:00:00 in the time zone of the cache, not {text:?}"
        );
        Failure::new(Reason::InvalidSpec, message)
    };
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let local: DateTime = text.parse().ok().filter(|_| text.contains(['T', 't', ' '])).ok_or_else(invalid)?;
    zone.to_zoned(local).map(|it| it.timestamp()).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn snapshot(id: &str, time: &str) -> Snapshot {
        serde_json::from_value(json!({
            "version": 1, "id": id, "time": time, "repository": "r", "namespace": "default", "cache": "c",
            "content": "Full", "spec": {}, "volumes": [], "files": 1, "bytes": 1, "newBytes": 1, "seconds": 1, "digest": "d"
        }))
        .unwrap()
    }

    fn chosen(id: Option<&str>, as_of: Option<&str>) -> Result<String, Failure> {
        let all = [
            snapshot("abcd1111", "2026-03-01T00:00:00Z"),
            snapshot("abcd2222", "2026-03-02T00:00:00Z"),
            snapshot("beef3333", "2026-03-01T12:00:00Z"),
        ];
        let zone = TimeZone::get("Europe/Istanbul").unwrap();
        Which::of(id, as_of, &zone)?.choose(&all, "file:///x").map(|it| it.id.clone())
    }

    #[test]
    fn one_is_meant_or_it_is_refused() {
        for (id, as_of, expected) in [
            (None, None, Ok("abcd2222")),
            (Some("beef"), None, Ok("beef3333")),
            (Some("20260301T000000Z-abcd1111.json"), None, Ok("abcd1111")),
            (Some("abcd"), None, Err(Reason::InvalidSpec)),
            (Some("bee"), None, Err(Reason::NotFound)),
            (Some("0000"), None, Err(Reason::NotFound)),
            (None, Some("2026-03-01T12:00:00Z"), Ok("beef3333")),
            (None, Some("2026-03-01T14:59:59"), Ok("abcd1111")),
            (None, Some("2026-03-01T15:00:00"), Ok("beef3333")),
            (None, Some("2026-03-01T03:00:00+03:00"), Ok("abcd1111")),
            (None, Some("2026-02-28T23:59:59Z"), Err(Reason::NotFound)),
            (None, Some("2026-03-01"), Err(Reason::InvalidSpec)),
            (None, Some("yesterday"), Err(Reason::InvalidSpec)),
        ] {
            let found = chosen(id, as_of).map_err(|it| it.reason);
            assert_eq!(found, expected.map(str::to_owned), "{id:?} {as_of:?}");
        }
        let all = [snapshot("abcd1111", "2026-03-01T00:00:00Z"), snapshot("beef2222", "2026-03-03T00:00:00Z")];
        let bad = |name: &str| vec![(format!("snapshots/{name}.json"), Failure::new(Reason::ChecksumMismatch, name))];
        for (which, name, taken) in [
            (Which::Latest, "20260302T000000Z-0f", true),
            (Which::Latest, "20260304T000000Z-0f", false),
            (Which::AsOf("2026-03-02T12:00:00Z".parse().unwrap()), "20260302T000000Z-0f", false),
            (Which::AsOf("2026-03-02T12:00:00Z".parse().unwrap()), "20260304T000000Z-0f", true),
            (Which::Id("abcd".into()), "20260304T000000Z-0f", true),
            (Which::Id("0f00".into()), "20260304T000000Z-0f00", false),
        ] {
            assert_eq!(which.choose_whole(&all, &bad(name), "x").is_ok(), taken, "{which:?} {name}");
        }
        let message = chosen(None, Some("2020-01-01T00:00:00Z")).unwrap_err().message;
        assert!(message.contains("the oldest is of 2026-03-01T00:00:00Z"), "{message}");
        assert!(Which::Latest.choose(&[], "file:///x").unwrap_err().message.contains("there is no snapshot"));
    }
}
