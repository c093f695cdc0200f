//! `backup`: keep what is on the volumes somewhere else.

use super::options::{Input, Network, Say};
use super::output::{Done, Output, print};
use crate::agent::backup::access::BackupAccess;
use crate::agent::backup::dry::Plan;
use crate::agent::backup::prune::{Prune, Pruned};
use crate::agent::backup::repository::Repository;
use crate::agent::backup::repository::marker::Owner;
use crate::agent::backup::repository::place::Directories;
use crate::agent::backup::repository::snapshot::Snapshot;
use crate::agent::backup::repository::store::Store;
use crate::agent::backup::retention::{Policy, Verdict};
use crate::agent::backup::run::{Progress, Request, dry_run, run};
use crate::agent::failure::Failure;
use crate::agent::local;
use crate::api::backup::{BackupContent, BackupFormat, Retention};
use crate::api::condition::truncate;
use crate::api::quantity::human;
use crate::api::schedule::{InvalidSchedule, zone};
use crate::api::{ModelCache, Reason};
use crate::contract::mount;
use crate::contract::outcome::{self, Outcome};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;
use std::process::ExitCode;

/// How long what no backup needs stays after it was written, as in `prune`.
const GRACE: SignedDuration = SignedDuration::from_hours(24);

/// Where the backups of a cache are.
#[derive(Args, Clone, Debug)]
pub struct Whereabouts {
    /// Keep the backups in this directory, whatever the ModelCache says: one for each cache below it.
    #[arg(long = "to", value_name = "DIR")]
    pub directory: Option<PathBuf>,

    /// The directory that the destination's claim is mounted at. [default in a pod: /backup]
    #[arg(long, value_name = "DIR", hide = true)]
    pub claim_dir: Option<PathBuf>,

    /// Directory with `.backup/<file>` for each key that the destination names. [default: /secrets in a pod, and environment
    /// variables without a cluster]
    #[arg(long, value_name = "DIR")]
    pub backup_secrets_dir: Option<PathBuf>,
}

/// Options of `backup`.
#[derive(Args, Debug)]
pub struct Backup {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    whereabouts: Whereabouts,

    /// Then remove the backups that `backup.retention` does not keep, as `prune` does.
    #[arg(long)]
    prune: bool,

    /// With --prune: a snapshot that stays whatever the rules say, by its id or the beginning of it. One that is gone pins nothing.
    #[arg(long = "pin", value_name = "ID", requires = "prune")]
    pinned: Vec<String>,

    /// Only say what would be read and sent.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    network: Network,

    #[command(flatten)]
    say: Say,
}

impl Whereabouts {
    /// The store and the seal of a cache's repository.
    fn store(&self, cache: &ModelCache, network: &Network, make: bool) -> Result<(Store, BackupAccess), Failure> {
        let backup = cache.spec.backup.as_ref();
        let mounted = || Some(PathBuf::from(mount::SECRETS)).filter(|it| it.join(mount::BACKUP_SECRETS).is_dir());
        let secrets = self.backup_secrets_dir.clone().or_else(mounted);
        // A directory that a person gives needs no login; what is encrypted stays so.
        let access = match &self.directory {
            Some(_) => {
                let seal = BackupAccess::seal(backup, secrets.as_deref(), &environment)?;
                BackupAccess { seal, ..BackupAccess::default() }
            }
            None => BackupAccess::read(backup, secrets.as_deref(), &environment)?,
        };
        let mounted = || Some(PathBuf::from(mount::BACKUP)).filter(|it| it.is_dir());
        let claim = self.claim_dir.clone().or_else(mounted);
        let directories = Directories { given: self.directory.clone(), claim };
        let store = Store::of(backup, &Owner::of(cache), &directories, &network.origins()?, &access.destination, make)?;
        Ok((store, access))
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Backup {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let output = self.say.output();
        if self.dry_run {
            return match self.plans(&output).await {
                Ok(plans) => {
                    print(
                        self.say.output,
                        &plans.iter().map(text).collect::<String>(),
                        &plans.iter().map(document).collect::<Vec<_>>(),
                    );
                    ExitCode::SUCCESS
                }
                Err(failure) => output.finish(&[Done::of(Outcome::failure(failure.reason, failure.message))]),
            };
        }
        let results = match self.caches() {
            Err(failure) => vec![Done::of(Outcome::failure(failure.reason, failure.message))],
            Ok(caches) => {
                let mut results = Vec::new();
                for cache in caches {
                    let outcome = match self.one(&cache, &output).await {
                        Ok((snapshot, pruned)) => outcome(&snapshot, pruned.as_ref()),
                        Err(failure) => Outcome::failure(failure.reason, failure.message),
                    };
                    results.push(Done { cache: cache.metadata.name.clone(), ..Done::of(outcome) });
                }
                results
            }
        };
        if let [one] = results.as_slice() {
            self.say.leave(&one.outcome);
        }
        output.finish(&results)
    }

    fn caches(&self) -> Result<Vec<ModelCache>, Failure> {
        let Some(file) = &self.input.file else {
            return Err(Failure::new(Reason::InvalidSpec, "name a ModelCache with -f"));
        };
        local::read(file)
    }

    async fn one(
        &self,
        cache: &ModelCache,
        output: &Output,
    ) -> Result<(Snapshot, Option<Result<Pruned, Failure>>), Failure> {
        let origins = self.network.origins()?;
        let request = self.request(cache, &origins)?;
        let (store, access) = self.whereabouts.store(cache, &self.network, true)?;
        let repository = Repository::open_or_create(store, &Owner::of(cache), access.seal).await?;
        let snapshot = run(&repository, &request, &Progress::default(), &|line| output.line(line)).await?;
        let retention = cache.spec.backup.as_ref().and_then(|it| it.retention.as_ref()).filter(|_| self.prune);
        let pruned = match retention {
            None => None,
            // The backup is there, whatever becomes of older ones.
            Some(retention) => Some(prune(cache, retention, &self.pinned, &repository).await),
        };
        Ok((snapshot, pruned))
    }

    async fn plans(&self, output: &Output) -> Result<Vec<(String, String, Plan)>, Failure> {
        let mut plans = Vec::new();
        for cache in self.caches()? {
            let origins = self.network.origins()?;
            let request = self.request(&cache, &origins)?;
            let repository = match self.whereabouts.store(&cache, &self.network, false) {
                Ok((store, access)) => Some(Repository::open(store, &Owner::of(&cache), access.seal).await),
                Err(failure) => Some(Err(failure)),
            };
            let repository = match repository {
                // The first backup makes it.
                Some(Err(failure)) if failure.reason == Reason::NotFound => None,
                other => other.transpose()?,
            };
            let name = cache.metadata.name.clone().unwrap_or_default();
            let found = dry_run(repository.as_ref(), &request, &|line| output.line(line)).await?;
            plans.extend(found.into_iter().map(|(volume, plan)| (name.clone(), volume, plan)));
        }
        Ok(plans)
    }

    fn request<'a>(
        &self,
        cache: &'a ModelCache,
        origins: &'a crate::agent::source::Origins,
    ) -> Result<Request<'a>, Failure> {
        let backup = cache.spec.backup.as_ref();
        let named = backup.map(|it| it.volumes.as_slice()).unwrap_or_default();
        if let Some(unknown) = named.iter().find(|name| !cache.spec.volumes.iter().any(|it| it.name == **name)) {
            let message = format!("`backup.volumes` names {unknown:?}, which is none of `volumes`");
            return Err(Failure::new(Reason::InvalidSpec, message));
        }
        let covered = cache.spec.volumes.iter().filter(|it| backup.is_none_or(|backup| backup.covers(&it.name)));
        let volumes = covered.map(|it| (it.name.clone(), self.input.volume(&it.name), it.per_node.is_some())).collect();
        let content = backup.map_or(BackupContent::default(), crate::api::backup::Backup::effective_content);
        let format = backup.map_or(BackupFormat::default(), crate::api::backup::Backup::effective_format);
        Ok(Request { cache, volumes, content, format, origins, now: Timestamp::now() })
    }
}

/// Removes what retention does not keep.
async fn prune(
    cache: &ModelCache,
    retention: &Retention,
    pinned: &[String],
    repository: &Repository,
) -> Result<Pruned, Failure> {
    let invalid = |error: InvalidSchedule| Failure::new(Reason::InvalidSpec, error.to_string());
    let work = Prune {
        repository,
        policy: Policy::of(retention)?,
        pinned: pinned.iter().cloned().collect(),
        pins_may_be_gone: true,
        zone: zone(cache.spec.time_zone.as_deref()).map_err(invalid)?,
        grace: GRACE,
        acknowledged: false,
        dry_run: false,
    };
    work.run().await
}

/// What stays at the destination, and why.
fn kept(pruned: &Pruned) -> Vec<outcome::Kept> {
    let stays = pruned.rulings.verdicts.iter().filter(|it| it.is_kept());
    let one =
        |it: &Verdict| outcome::Kept { snapshot: it.candidate.id.clone(), why: it.reasons(), whole: it.candidate.good };
    stays.map(one).collect()
}

fn not_pruned(failure: &Failure) -> outcome::NotPruned {
    outcome::NotPruned { reason: failure.reason, message: truncate(&failure.message, 512) }
}

fn outcome(snapshot: &Snapshot, pruned: Option<&Result<Pruned, Failure>>) -> Outcome {
    let not_covered = snapshot.not_covered();
    let mut parts = vec![format!(
        "{} files, {}, of which {} were new to the destination, as {}",
        snapshot.files,
        human(snapshot.bytes),
        human(snapshot.new_bytes),
        snapshot.id
    )];
    let again: u64 = snapshot.volumes.iter().map(|it| it.from_origin).sum();
    if again > 0 {
        parts.push(format!("{again} files are kept by name and hash, as their source fetches them again"));
    }
    if not_covered.files > 0 {
        parts.push(format!("not covered: {} files, {}", not_covered.files, human(not_covered.bytes)));
    }
    let backup = outcome::Backup {
        snapshot: snapshot.id.clone(),
        files: snapshot.files,
        bytes: snapshot.bytes,
        new_bytes: snapshot.new_bytes,
        not_covered: not_covered.files,
        seconds: snapshot.seconds,
        manifest: snapshot.digest.clone(),
        kept: pruned.and_then(|it| it.as_ref().ok()).map(kept).unwrap_or_default(),
        kept_all: matches!(pruned, Some(Ok(_))),
        not_pruned: pruned.and_then(|it| it.as_ref().err()).map(not_pruned),
    };
    match pruned {
        None => {}
        Some(Ok(pruned)) => {
            parts.push(format!("{} older backups removed, as `retention` says", pruned.rulings.removed().count()));
        }
        Some(Err(failure)) => parts.push(format!("no older backup removed: {}", failure.message)),
    }
    Outcome { backup: Some(backup), ..Outcome::success(Reason::BackedUp, parts.join("; ")) }
}

fn text((cache, volume, plan): &(String, String, Plan)) -> String {
    let first = format!(
        "{cache}/{volume}: {} files, {}; would read {} files, {}\n",
        plan.covered.files,
        human(plan.covered.bytes),
        plan.read.files,
        human(plan.read.bytes)
    );
    let not_covered = plan
        .not_covered
        .iter()
        .map(|(why, count)| format!("  not covered ({why:?}): {} files, {}\n", count.files, human(count.bytes)));
    std::iter::once(first).chain(not_covered).collect()
}

fn document((cache, volume, plan): &(String, String, Plan)) -> serde_json::Value {
    serde_json::json!({
        "cache": cache, "volume": volume, "covered": plan.covered, "read": plan.read, "notCovered": plan.not_covered
    })
}
