//! Is there room for what a restore will write? Seen before anything is written, for all volumes together.
//!
//! Files that are in their places with the right hash are not written again, neither out of the backup nor by their sources. They
//! are hashed only where it matters: not where everything would fit, nor where what is missing by its size alone does not.

use super::fill::Wanted;
use super::volume::{Prepared, VolumeRestore, has_bytes, is_there};
use crate::agent::backup::repository::list::{At, Entry};
use crate::agent::failure::Failure;
use crate::agent::fetch::over_cores;
use crate::agent::layout::LayoutError;
use crate::agent::layout::safe_path::Root;
use crate::api::Reason;
use crate::api::quantity::human;
use std::collections::BTreeMap;

/// Volumes of one file system.
struct Shared<'a> {
    volumes: Vec<(&'a VolumeRestore<'a>, &'a Prepared)>,
    /// Bytes that are free on it.
    free: u64,
}

/// How a file is known to be in its place.
#[derive(Clone, Copy)]
enum Evidence {
    /// At most those are.
    Size,
    /// Those are.
    Hash,
}

/// Sees whether everything fits.
///
/// # Errors
/// `InsufficientSpace`; nothing is written then.
pub async fn check<'a>(works: impl Iterator<Item = (&'a VolumeRestore<'a>, &'a Prepared)>) -> Result<(), Failure> {
    let mut systems: BTreeMap<(u64, u64), Shared<'a>> = BTreeMap::new();
    for (work, prepared) in works {
        let (system, free) = file_system(&prepared.root)?;
        let shared = systems.entry(system).or_insert(Shared { volumes: vec![], free });
        shared.free = shared.free.min(free);
        shared.volumes.push((work, prepared));
    }
    for shared in systems.values() {
        shared.check().await?;
    }
    Ok(())
}

/// Which file system a volume is on, and what is free there. Where a quota bounds the directory it shows in the size: then the
/// volumes share nothing.
fn file_system(root: &Root) -> Result<((u64, u64), u64), Failure> {
    let failed = |error| Failure::from(LayoutError::new(root.shown(""), error));
    let handle = root.directory("")?;
    let device = rustix::fs::fstat(&handle).map_err(failed)?.st_dev;
    let blocks = rustix::fs::fstatvfs(&handle).map_err(failed)?.f_blocks;
    Ok(((device, blocks), root.free_bytes()?))
}

impl Shared<'_> {
    async fn check(&self) -> Result<(), Failure> {
        let min_free = self.volumes.iter().map(|(work, _)| work.min_free).max().unwrap_or(0);
        let room = self.free.saturating_sub(min_free);
        if self.volumes.iter().map(|(_, prepared)| prepared.survey.bytes).sum::<u64>() <= room {
            return Ok(());
        }
        let mut missing = 0;
        for evidence in [Evidence::Size, Evidence::Hash] {
            missing = 0;
            for (work, prepared) in &self.volumes {
                missing += to_write(work, prepared, evidence).await?;
            }
            if missing > room {
                break;
            }
        }
        if missing <= room { Ok(()) } else { Err(self.refusal(missing, min_free)) }
    }

    fn refusal(&self, missing: u64, min_free: u64) -> Failure {
        let places: Vec<String> = self.volumes.iter().map(|(work, _)| work.to.display().to_string()).collect();
        let places = match places.as_slice() {
            [one] => one.clone(),
            several => format!("the file system of {}", several.join(" and ")),
        };
        let kept = if min_free > 0 { format!(", of which {} must stay free", human(min_free)) } else { String::new() };
        let message = format!(
            "{} are needed beside what is on the volume, and {places} has {} left{kept}: free some space, or restore less; \
             nothing was written",
            human(missing),
            human(self.free),
        );
        Failure::new(Reason::InsufficientSpace, message)
    }
}

/// Bytes that are still to be written on a volume: of a file that is in its place there are none.
async fn to_write(work: &VolumeRestore<'_>, prepared: &Prepared, evidence: Evidence) -> Result<u64, Failure> {
    let Prepared { root, survey, .. } = prepared;
    let mut bytes = 0;
    for chunk in &work.from.list {
        let wanted = |entry: Entry| {
            let file = entry.file().filter(|_| survey.wants(work.choice, &entry))?.clone();
            Some(Wanted { path: entry.path, mode: entry.mode, file })
        };
        let files: Vec<Wanted> = work.repository.entries(chunk).await?.into_iter().filter_map(wanted).collect();
        let there = tokio::task::block_in_place(|| over_cores(&files, |it| in_place(root, it, evidence)));
        for (file, there) in files.iter().zip(there) {
            bytes += if there? { 0 } else { file.file.size };
        }
    }
    Ok(bytes)
}

fn in_place(root: &Root, wanted: &Wanted, evidence: Evidence) -> Result<bool, Failure> {
    match evidence {
        Evidence::Size => Ok(root.size(&wanted.path)? == Some(wanted.file.size)),
        // Its source leaves the mode as it is.
        Evidence::Hash if matches!(wanted.file.at, At::Origin { .. }) => has_bytes(root, wanted),
        Evidence::Hash => is_there(root, wanted),
    }
}
