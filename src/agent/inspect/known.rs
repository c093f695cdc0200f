//! What do the caches of a volume say that they have?

use super::super::layout::manifest::{self, Manifest, What};
use super::super::layout::safe_path::Root;
use super::super::layout::{LayoutError, OWN, staging, state};
use super::super::verify::hub;

/// A cache that has something on a volume.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Its name.
    pub name: String,
    /// What it has.
    pub revisions: Vec<Revision>,
    /// Sources whose manifest cannot be believed.
    pub broken: Vec<String>,
    /// Manifests of earlier revisions that cannot be believed, by their paths: what they list is not known any more.
    pub broken_retired: Vec<String>,
    /// Whether something is half fetched.
    pub staged: bool,
}

/// A source at a revision.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Everything that is there for it.
    pub manifest: Manifest,
    /// Whether the cache asks for it; if not, it is of an earlier revision or of a source that it had.
    pub current: bool,
    /// When it became so: when its manifest was written here, in seconds since 1970.
    pub since: Option<i64>,
}

/// All caches of a volume.
pub fn caches(root: &Root) -> Result<Vec<Cache>, LayoutError> {
    let mut caches = Vec::new();
    for name in root.names(OWN)? {
        // Others may have left anything here; what is no directory has no names in it.
        let inside = match root.names(&state(&name)) {
            Ok(inside) => inside,
            Err(LayoutError::Link { .. }) => continue,
            Err(error) => return Err(error),
        };
        if !inside.iter().any(|it| matches!(it.as_str(), "manifests" | "retired" | "staging" | "pins.json")) {
            continue;
        }
        let mut revisions = Vec::new();
        for manifest in Manifest::read_all(root, &name)? {
            let since = root.stat(&manifest::path(&name, &manifest.source))?.map(|it| it.st_mtime);
            revisions.push(Revision { manifest, current: true, since });
        }
        let sources = manifest::sources(root, &name)?;
        let broken = sources.into_iter().filter(|it| !revisions.iter().any(|known| known.manifest.source == *it));
        let broken = broken.collect();
        let mut broken_retired = Vec::new();
        for looked_at in Manifest::look_at_retired(root, &name)? {
            let manifest = match looked_at {
                Ok(manifest) => manifest,
                Err(path) => {
                    broken_retired.push(path);
                    continue;
                }
            };
            let since = root.stat(&manifest.retired_path(&name))?.map(|it| it.st_mtime);
            revisions.push(Revision { manifest, current: false, since });
        }
        let staged = root.names(&staging(&name))?.iter().any(|it| !matches!(it.as_str(), "fence" | "lock"));
        caches.push(Cache { name, revisions, broken, broken_retired, staged });
    }
    Ok(caches)
}

/// Where a client finds a source, relative to the volume: the snapshot of a repository, else the directory that holds all of
/// it, or its one file.
pub fn loaded_from(manifest: &Manifest) -> Option<String> {
    if let Some(repository) = hub::repository(manifest) {
        return Some(format!("{repository}/snapshots/{}", manifest.revision));
    }
    let mut paths = manifest.entries.iter().map(|it| it.path.as_str());
    let first = paths.next()?.to_owned();
    let common = paths.fold(first, |common, path| {
        let equal = common.split('/').zip(path.split('/')).take_while(|(a, b)| a == b);
        equal.map(|(part, _)| part).collect::<Vec<_>>().join("/")
    });
    Some(common)
}

/// The files of a source as its users call them: path, path of the content on the volume, size, SHA-256. What only steers the
/// hub's clients is left out.
pub fn files(manifest: &Manifest) -> Vec<File<'_>> {
    let contents: std::collections::HashMap<&str, (u64, &str)> = manifest
        .entries
        .iter()
        .filter_map(|it| match &it.what {
            What::File { size, sha256 } => Some((it.path.as_str(), (*size, sha256.as_str()))),
            What::Link { .. } => None,
        })
        .collect();
    let prefix = hub::repository(manifest).map(|it| format!("{it}/snapshots/{}/", manifest.revision));
    let mut files: Vec<File<'_>> = manifest
        .entries
        .iter()
        .filter_map(|entry| {
            let name = match &prefix {
                Some(prefix) => entry.path.strip_prefix(prefix.as_str())?,
                None => &entry.path,
            };
            let content = match &entry.what {
                What::File { .. } => entry.path.clone(),
                What::Link { link } => super::super::layout::held::resolved(&entry.path, link)?,
            };
            let (size, sha256) = *contents.get(content.as_str())?;
            Some(File { name, content, size, sha256 })
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(b.name));
    files
}

/// A file of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Path in the repository; on the volume for what is no repository.
    pub name: &'a str,
    /// Path of the content on the volume.
    pub content: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, in hex.
    pub sha256: &'a str,
}
