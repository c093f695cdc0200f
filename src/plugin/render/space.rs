//! What takes the space? From what the status says: no pod is entered for it.

use super::paint::Paint;
use super::progress::CopyProgress;
use super::table::{Cell, table};
use crate::api::ModelCache;
use crate::api::quantity::human;
use kube::ResourceExt;
use serde::Serialize;

/// What takes the space of a cache.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Space {
    /// Namespace of the cache.
    pub namespace: String,
    /// Name of the cache.
    pub cache: String,
    /// What each source is, once.
    pub sources: Vec<SourceSpace>,
    /// What each copy is.
    pub copies: Vec<CopySpace>,
    /// Bytes of all copies.
    pub bytes: u64,
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceSpace {
    /// Its name.
    pub name: String,
    /// Its volume.
    pub volume: String,
    /// Its files.
    pub files: Option<i64>,
    /// Their bytes.
    pub bytes: Option<u64>,
}

/// What a copy is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopySpace {
    /// Its volume.
    pub volume: String,
    /// Its node; nothing for a shared volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Bytes that are there of what is wanted.
    pub bytes: u64,
}

/// What takes the space of a cache.
pub fn space(cache: &ModelCache, copies: &[CopyProgress]) -> Space {
    let (namespace, name) = (cache.namespace().unwrap_or_default(), cache.name_any());
    let known = cache.status.iter().flat_map(|it| &it.sources);
    let known: Vec<_> = known.collect();
    let sources = cache.spec.sources.iter().map(|source| {
        let status = known.iter().find(|it| it.name == source.name);
        SourceSpace {
            name: source.name.clone(),
            volume: cache.spec.volume_of(source).map(|it| it.name.clone()).unwrap_or_default(),
            files: status.and_then(|it| it.files),
            bytes: status.and_then(|it| it.bytes).and_then(|it| u64::try_from(it).ok()),
        }
    });
    let mine = copies.iter().filter(|it| it.cache == name && it.namespace == namespace);
    let copies: Vec<CopySpace> = mine
        .map(|it| CopySpace { volume: it.volume.clone(), node: it.node.clone(), bytes: it.amount.bytes_done })
        .collect();
    let bytes = copies.iter().map(|it| it.bytes).fold(0, u64::saturating_add);
    Space { namespace, cache: name, sources: sources.collect(), copies, bytes }
}

/// The same as tables: sources, then copies, then the sum.
pub fn text(space: &Space, paint: Paint) -> String {
    let sources = space.sources.iter().map(|it| {
        let files = it.files.map(|it| it.to_string()).unwrap_or_default();
        let bytes = it.bytes.map(human).unwrap_or_default();
        vec![Cell::from(&it.name), Cell::from(&it.volume), files.into(), bytes.into()]
    });
    let copies = space.copies.iter().map(|it| {
        let node = it.node.clone().unwrap_or_else(|| "(shared)".into());
        vec![node.into(), Cell::from(&it.volume), human(it.bytes).into()]
    });
    format!(
        "{}\n{}\n{}/{}: {} in {} copies\n",
        table(&["SOURCE", "VOLUME", "FILES", "SIZE"], &sources.collect::<Vec<_>>(), paint),
        table(&["NODE", "VOLUME", "SIZE"], &copies.collect::<Vec<_>>(), paint),
        space.namespace,
        space.cache,
        human(space.bytes),
        space.copies.len()
    )
}
