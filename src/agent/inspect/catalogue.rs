//! Which sources are on a volume, are they whole, and where are they loaded from?

use super::super::failure::Failure;
use super::super::layout::safe_path::Root;
use super::super::verify::look::is_whole;
use super::known::{self, Cache, Revision};
use super::places::Place;
use serde::Serialize;
use std::collections::BTreeSet;

/// How a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Everything is there, by kind and size.
    Complete,
    /// Something of it is damaged or missing: `modelcache verify` says what.
    Damaged,
    /// Something is being fetched, or was when it was interrupted.
    Partial,
    /// It was there for as long as it was to be, and is gone.
    Expired,
    /// Nothing is there.
    Absent,
}

/// A source on a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Name of the cache.
    pub cache: String,
    /// Name of the source.
    pub source: String,
    /// Name of the volume.
    pub volume: String,
    /// How it is.
    pub state: State,
    /// The commit, or what else it is pinned by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Number of files.
    pub file_count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it became so (RFC 3339, UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Where a client loads it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its files, when one source was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ListedFile>,
}

/// A file of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedFile {
    /// Path in the repository; on the volume for what is no repository.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, in hex.
    pub sha256: String,
}

/// The sources of a volume. With the name of one, that one and its files. Blocking.
pub fn of(place: &Place, only: Option<&str>) -> Result<Vec<Listed>, Failure> {
    let root = Root::open(&place.path)?;
    let mut caches = known::caches(&root)?;
    if let Some(wanted) = &place.wanted {
        caches.retain(|it| wanted.contains_key(&it.name));
        let missing = wanted.keys().filter(|name| !caches.iter().any(|it| it.name == **name));
        let missing: Vec<Cache> = missing.map(|name| nothing(name)).collect();
        caches.extend(missing);
    }
    let mut listed = Vec::new();
    for cache in &caches {
        let current = |source: &str| cache.revisions.iter().find(|it| it.current && it.manifest.source == source);
        let mut names: BTreeSet<&str> = cache.broken.iter().map(String::as_str).collect();
        if let Some(sources) = place.wanted.as_ref().and_then(|it| it.get(&cache.name)) {
            names.retain(|name| sources.iter().any(|it| it.name == *name));
            names.extend(sources.iter().map(|it| it.name.as_str()));
        } else {
            let there = cache.revisions.iter().filter(|it| it.current);
            names.extend(there.map(|it| it.manifest.source.as_str()));
        }
        for name in names.into_iter().filter(|name| only.is_none_or(|only| only == *name)) {
            listed.push(match current(name) {
                Some(revision) => there(&root, place, &cache.name, revision, only.is_some())?,
                None => not_there(place, cache, name),
            });
        }
    }
    Ok(listed)
}

fn there(root: &Root, place: &Place, cache: &str, revision: &Revision, with_files: bool) -> Result<Listed, Failure> {
    let manifest = &revision.manifest;
    let files = known::files(manifest).into_iter().filter(|_| with_files);
    let since = revision.since.and_then(|it| jiff::Timestamp::from_second(it).ok());
    Ok(Listed {
        cache: cache.to_owned(),
        source: manifest.source.clone(),
        volume: place.name.clone(),
        state: match manifest.expired_at {
            Some(_) => State::Expired,
            None if is_whole(root, manifest)? => State::Complete,
            None => State::Damaged,
        },
        revision: Some(manifest.revision.clone()),
        origin: Some(manifest.origin.clone()),
        file_count: manifest.files,
        bytes: manifest.bytes,
        since: since.map(|it| it.to_string()),
        path: known::loaded_from(manifest).map(|it| root.shown(&it).display().to_string()),
        files: files
            .map(|it| ListedFile { path: it.name.to_owned(), size: it.size, sha256: it.sha256.to_owned() })
            .collect(),
    })
}

fn not_there(place: &Place, cache: &Cache, source: &str) -> Listed {
    let state = match (cache.broken.iter().any(|it| it == source), cache.staged) {
        (true, _) => State::Damaged,
        (false, true) => State::Partial,
        (false, false) => State::Absent,
    };
    Listed {
        cache: cache.name.clone(),
        source: source.to_owned(),
        volume: place.name.clone(),
        state,
        revision: None,
        origin: None,
        file_count: 0,
        bytes: 0,
        since: None,
        path: None,
        files: vec![],
    }
}

fn nothing(cache: &str) -> Cache {
    Cache { name: cache.to_owned(), revisions: vec![], broken: vec![], broken_retired: vec![], staged: false }
}
