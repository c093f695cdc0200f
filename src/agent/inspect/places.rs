//! Which volumes are meant? Those of a ModelCache in a file, all below a directory, or one.

use super::super::failure::Failure;
use super::super::layout::OWN;
use super::super::local;
use crate::api::Reason;
use crate::api::source::Source;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A volume to look at.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Sources that a cache wants on it, by name of the cache. `None`: nobody said, everything found is meant.
    pub wanted: Option<BTreeMap<String, Vec<Source>>>,
}

/// The volumes of the caches in a file. A volume that several caches name is one.
///
/// # Errors
/// `InvalidSpec` as [`local::read`].
pub fn of_file(file: &Path, volumes: &Path) -> Result<Vec<Place>, Failure> {
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for cache in local::read(file)? {
        let name = cache.metadata.name.clone().unwrap_or_default();
        for volume in &cache.spec.volumes {
            let place = places.entry(volume.name.clone()).or_insert_with(|| Place {
                name: volume.name.clone(),
                path: volumes.join(&volume.name),
                wanted: Some(BTreeMap::new()),
            });
            let mine = cache.spec.sources.iter();
            let mine = mine.filter(|it| cache.spec.volume_of(it).is_some_and(|it| it.name == volume.name));
            if let Some(wanted) = &mut place.wanted {
                wanted.insert(name.clone(), mine.cloned().collect());
            }
        }
    }
    Ok(places.into_values().collect())
}

/// A volume, or all volumes below a directory: those that have something of ours.
///
/// # Errors
/// `VolumeError` when it cannot be read; `InvalidSpec` when nothing of ours is there.
pub fn below(directory: &Path) -> Result<Vec<Place>, Failure> {
    if is_ours(directory) {
        return Ok(vec![one(directory)]);
    }
    let failed = |error: std::io::Error| Failure::new(Reason::VolumeError, format!("{}: {error}", directory.display()));
    let mut places = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        places.extend(is_ours(&path).then(|| one(&path)));
    }
    places.sort_by(|a, b| a.name.cmp(&b.name));
    if places.is_empty() {
        let message = format!(
            "{} is no volume with a `{OWN}` directory, and has none below it: name one, or a ModelCache with -f",
            directory.display()
        );
        return Err(Failure::new(Reason::InvalidSpec, message));
    }
    Ok(places)
}

/// One volume, whatever is on it.
pub fn one(path: &Path) -> Place {
    let name = path.file_name().map_or_else(|| path.display().to_string(), |it| it.to_string_lossy().into_owned());
    Place { name, path: path.to_owned(), wanted: None }
}

fn is_ours(path: &Path) -> bool {
    std::fs::symlink_metadata(path.join(OWN)).is_ok_and(|it| it.is_dir())
}
