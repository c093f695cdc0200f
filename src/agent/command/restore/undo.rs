//! How is a restore taken back or made final, and an archive restored? No repository is needed.

use super::Restore;
use crate::agent::backup::repository::seal::Seal;
use crate::agent::command::output::Done;
use crate::agent::failure::Failure;
use crate::agent::fetch::Staging;
use crate::agent::layout;
use crate::agent::layout::safe_path::Root;
use crate::agent::restore::archive::ArchiveRestore;
use crate::agent::restore::journal;
use crate::agent::restore::rollback::{self, ARCHIVES};
use crate::api::backup::Encryption;
use crate::api::quantity::human;
use crate::api::{ModelCache, Reason};
use crate::contract::mount;
use crate::contract::outcome::{Outcome, Restored};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

impl Restore {
    pub(super) fn archive(&self, archive: &Path) -> Result<Done, Failure> {
        let to = self.to.clone().unwrap_or_default();
        let (directory, below) = match to.rsplit_once(':') {
            // A directory may have a colon in its own name.
            Some((directory, below)) if !directory.is_empty() && !Path::new(&to).is_dir() => (directory, below),
            _ => (to.as_str(), ""),
        };
        let named = self.cache()?;
        let name = named.as_ref().and_then(|it| it.metadata.name.clone());
        let cache = name.unwrap_or_else(|| ARCHIVES.to_owned());
        let volume = match self.volumes.as_slice() {
            [] => None,
            [one] => Some(one.as_str()),
            _ => return Err(Failure::new(Reason::InvalidSpec, "--to is for one volume: name one with --volume")),
        };
        let seal = match std::env::var(Encryption::STAND_IN) {
            Ok(key) if !key.is_empty() => Seal::with_key(&key, Encryption::STAND_IN)?,
            _ => Seal::default(),
        };
        let work = ArchiveRestore {
            file: archive,
            volume,
            seal: &seal,
            to: Path::new(directory),
            below: below.trim_matches('/'),
            cache: &cache,
            spec: named.as_ref().map(|it| &it.spec),
            writer: self.writer(),
            min_free: self.min_free,
            keep_until: self.keep_until()?,
        };
        let began = Instant::now();
        let (files, bytes) = work.run()?;
        let snapshot = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let message = format!("{files} files, {} out of {snapshot}", human(bytes));
        let restored = Restored { snapshot, files, bytes, seconds: began.elapsed().as_secs(), manifest: String::new() };
        let outcome = Outcome { restore: Some(restored), ..Outcome::success(Reason::Restored, message) };
        Ok(Done { cache: Some(cache), ..Done::of(outcome) })
    }

    /// Takes the last restore back, or makes it final.
    pub(super) fn undo(&self) -> Result<Vec<Done>, Failure> {
        let cache = self.cache()?;
        let volumes: Vec<(String, PathBuf)> = match (&self.to, &cache) {
            (Some(to), _) => vec![(to.clone(), to.into())],
            (None, Some(cache)) => {
                let base = self.volumes_dir.clone().unwrap_or_else(|| mount::VOLUMES.into());
                let wanted = |name: &str| self.volumes.is_empty() || self.volumes.iter().any(|it| it == name);
                let names = cache.spec.volumes.iter().map(|it| it.name.clone()).filter(|it| wanted(it));
                names.map(|name| (name.clone(), base.join(name))).collect()
            }
            (None, None) => {
                let message = "name the volumes: with -f and --volumes-dir, or one with --to";
                return Err(Failure::new(Reason::InvalidSpec, message));
            }
        };
        let mut done = Vec::new();
        for (volume, path) in volumes {
            let root = Root::open(&path)?;
            for cache in caches_on(&root, cache.as_ref())? {
                let outcome = self.undo_one(&root, &path, &cache);
                let outcome = outcome.unwrap_or_else(|it| Outcome::failure(it.reason, it.message));
                done.push(Done { cache: Some(cache), volume: Some(volume.clone()), ..Done::of(outcome) });
            }
        }
        // Volumes that were not restored are none of this command's; that nothing was is an error.
        let any = done.iter().any(|it| it.outcome.succeeded);
        done.retain(|it| !any || it.outcome.reason != Reason::NotFound);
        Ok(done)
    }

    pub(super) fn undo_one(&self, root: &Root, path: &Path, cache: &str) -> Result<Outcome, Failure> {
        let _lock = Staging::open(path, Path::new(&layout::staging(cache)), self.writer())?;
        if self.finish {
            rollback::resume(root, cache)?;
            rollback::forget(root, cache)?;
            return Ok(Outcome::success(Reason::Restored, "what the last restore kept is removed"));
        }
        let journal = rollback::roll_back(root, cache)?;
        let message =
            format!("the restore of {} is taken back: what was there before is there again", journal.snapshot);
        Ok(Outcome::success(Reason::RolledBack, message))
    }
}

/// The caches whose restores are on a volume: the one that is named, or all.
fn caches_on(root: &Root, cache: Option<&ModelCache>) -> Result<Vec<String>, Failure> {
    if let Some(name) = cache.and_then(|it| it.metadata.name.clone()) {
        return Ok(vec![name]);
    }
    let all: BTreeSet<String> = root.names(layout::OWN)?.into_iter().collect();
    let journal = |it: &String| root.stat(&journal::path(it)).is_ok_and(|it| it.is_some());
    let some: Vec<String> = all.into_iter().filter(journal).collect();
    if some.is_empty() {
        let message = format!("{}: no restore is on record; there is nothing to roll back", root.shown("").display());
        return Err(Failure::new(Reason::NotFound, message));
    }
    Ok(some)
}
