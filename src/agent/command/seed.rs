//! Which bytes of a copy come out of a backup? Those that it has, before their origins are asked: on a node of a cache that was
//! restored.

use super::options::Network;
use super::repository::Which as Repositories;
use crate::agent::failure::Failure;
use crate::agent::fetch::Writer;
use crate::agent::local;
use crate::agent::restore::choice::Choice;
use crate::agent::restore::own_state::Target;
use crate::agent::restore::room;
use crate::agent::restore::volume::VolumeRestore;
use crate::agent::restore::which::{self, Which};
use crate::api::Reason;
use crate::api::quantity::human;
use crate::api::schedule::zone;
use crate::contract::plan::Plan;
use clap::Args;
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// The backup.
#[derive(Args, Clone, Debug)]
pub struct Seed {
    /// A file with the ModelCache whose `backup` says where the backups are: what the snapshot has is taken from there.
    #[arg(id = "restore_file", long = "restore-file", value_name = "YAML", requires_all = ["restore_of", "restore_snapshot"], hide = true)]
    file: Option<PathBuf>,

    /// Where the backups are, when that is not the ModelCache's own `backup.destination`.
    #[arg(id = "restore_from", long = "restore-from", value_name = "PLACE", requires = "restore_file", hide = true)]
    from: Option<String>,

    /// Whose backups.
    #[arg(id = "restore_of", long = "restore-of", value_name = "NAMESPACE/CACHE", hide = true)]
    of: Option<String>,

    /// The snapshot.
    #[arg(id = "restore_snapshot", long = "restore-snapshot", value_name = "ID", hide = true)]
    snapshot: Option<String>,
}

impl Seed {
    /// Puts what the snapshot has of the plan's volume in its place, verified. What it has no bytes of, or is damaged there, is
    /// left to the warm-up that follows. What was done, in words; nothing where no backup is named.
    ///
    /// # Errors
    /// As a restore. The copy is no worse than before.
    pub async fn plant(
        &self,
        plan: &Plan,
        volume: &Path,
        writer: &Writer,
        min_free: u64,
        network: &Network,
    ) -> Result<Option<String>, Failure> {
        let (Some(file), Some(id)) = (&self.file, &self.snapshot) else { return Ok(None) };
        let missing = || Failure::new(Reason::InvalidSpec, format!("{} has no ModelCache", file.display()));
        let cache = local::read(file)?.into_iter().next().ok_or_else(missing)?;
        let origins = network.origins()?;
        let repositories = Repositories { from: self.from.clone(), of: self.of.clone() };
        let secrets = Some(network.secrets_dir.as_path()).filter(|it| it.is_dir());
        let repository = repositories.open(Some(&cache), &origins, secrets).await?;
        let (snapshots, damaged) = which::all(&repository).await?;
        let utc = zone(None).map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?;
        let which = Which::of(Some(id), None, &utc)?;
        let snapshot = which.choose_whole(&snapshots, &damaged, &repository.store.shown())?;
        let then = serde_json::from_value(snapshot.spec.clone()).map_err(|error| {
            Failure::new(Reason::ChecksumMismatch, format!("the spec in snapshot {id} is not understood: {error}"))
        })?;
        let Some(from) = snapshot.volumes.iter().find(|it| it.name == plan.volume && it.files > 0) else {
            let message = format!("snapshot {id} has no file of volume `{}`", plan.volume);
            return Err(Failure::new(Reason::NoFiles, message));
        };
        let target = Target { cache: plan.cache.clone(), volume: plan.volume.clone(), spec: cache.spec };
        let choice = Choice::default();
        let work = VolumeRestore {
            repository: &repository,
            snapshot,
            then: &then,
            from,
            to: volume,
            target: &target,
            choice: &choice,
            keep_going: true,
            writer: writer.clone(),
            min_free,
            // Every node has another copy, or the origin: nothing is kept for a rollback.
            keep_until: Timestamp::now(),
        };
        let prepared = work.prepare().await?;
        room::check(std::iter::once((&work, &prepared))).await?;
        let staged = work.stage(prepared).await?;
        let (written, files) = (staged.written, staged.files);
        let lacks = if staged.damaged.is_empty() {
            String::new()
        } else {
            format!("; {} of them are damaged there and come from their origins", staged.damaged.len())
        };
        staged.switch(&plan.cache)?;
        Ok(Some(format!("{} of {files} files came out of backup {id}{lacks}", human(written))))
    }
}
