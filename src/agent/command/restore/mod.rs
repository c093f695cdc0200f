//! `restore`: puts what was backed up onto volumes.

mod pinned;
mod undo;
mod volumes;
mod ways;

use super::options::{Input, Network, Say};
use super::output::{Done, Format, Output, print};
use super::repository::Which as Repositories;
use crate::agent::backup::repository::Repository;
use crate::agent::backup::repository::snapshot::Snapshot;
use crate::agent::failure::Failure;
use crate::agent::fetch::Writer;
use crate::agent::local;
use crate::agent::restore::which::{self, Which};
use crate::api::schedule::zone;
use crate::api::{ModelCache, Reason, duration};
use crate::contract::outcome::Outcome;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `restore`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that people know by its name")]
pub struct Restore {
    /// A file with the ModelCache whose volumes are restored. Without it the snapshot's own spec is taken.
    #[arg(short = 'f', long = "file", value_name = "YAML")]
    file: Option<PathBuf>,

    /// Directory that has a directory for each volume. [default without --file and --to: /volumes]
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    volumes_dir: Option<PathBuf>,

    /// The directory that becomes one volume's content: a mounted claim, say. With --archive also `DIR:PATH`, a directory on it.
    #[arg(long, value_name = "DIR")]
    to: Option<String>,

    #[command(flatten)]
    repositories: Repositories,

    /// The snapshot, by its id as `modelcache snapshots` shows it. [default: the latest]
    #[arg(long, value_name = "ID", conflicts_with = "as_of")]
    snapshot: Option<String>,

    /// The latest snapshot of this time or before: RFC 3339, or without an offset in the time zone of the cache.
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,

    /// Only these volumes of the snapshot.
    #[arg(long = "volume", value_name = "NAME")]
    volumes: Vec<String>,

    /// Restore nothing of this volume: only say what its sources were pinned to, once all that it needs is known to be there.
    #[arg(long, value_name = "NAME", hide = true)]
    pins_of: Vec<String>,

    /// Only files whose path on the volume matches one of these patterns (and what a matching link leads to).
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,

    /// No file whose path on the volume matches one of these patterns.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,

    /// Restore what is whole although something is damaged, and end with an error that names the rest.
    #[arg(long)]
    keep_going: bool,

    /// Restore nothing: see whether the snapshot is whole, by the sizes of everything that it needs.
    #[arg(long, conflicts_with_all = ["archive", "rollback", "finish", "print_spec"])]
    verify: bool,

    /// With --verify: read and hash every byte.
    #[arg(long, requires = "verify")]
    deep: bool,

    /// Print the ModelCache of the snapshot as JSON, which is YAML, and restore nothing.
    #[arg(long)]
    print_spec: bool,

    /// Restore an archive instead: one that a backup with `format: Archive` wrote (.tar.zst, or .tar.zst.age with the key in
    /// `MODELCACHE_BACKUP_KEY`), or one that was made by hand (.tar.zst, .tar.gz, .tgz, .tar or .zip).
    #[arg(long, value_name = "FILE", requires = "to", conflicts_with_all = ["snapshot", "as_of", "from", "include", "exclude", "print_spec"])]
    archive: Option<PathBuf>,

    /// Put back what was on the volumes before the last restore.
    #[arg(long, conflicts_with_all = ["snapshot", "as_of", "archive", "print_spec", "finish"])]
    rollback: bool,

    /// Give up what the last restore keeps for a rollback: frees its space.
    #[arg(long, conflicts_with_all = ["snapshot", "as_of", "archive", "print_spec"])]
    finish: bool,

    /// How long what was there is kept for a rollback, such as 24h.
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    grace: String,

    /// Bytes that must stay free on the file system.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    min_free: u64,

    /// UID of the object that the attempts are counted for.
    #[arg(long, value_name = "UID", requires = "attempt")]
    owner: Option<String>,

    /// Number of this attempt: a lower one of the same owner that still runs gives way.
    #[arg(long, value_name = "N", requires = "owner")]
    attempt: Option<u64>,

    /// Take from --file only where the backups are: volumes and sources are those that the snapshot carries.
    #[arg(long, hide = true, conflicts_with_all = ["to", "pins_of"])]
    volumes_of_snapshot: bool,

    /// What sources name is mounted, a directory for each source, as in a warm-up's pod: no variable stands in for it.
    #[arg(long, hide = true)]
    mounted_inputs: bool,

    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    say: Say,
}

impl Restore {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let output = self.say.output();
        if self.print_spec {
            return match self.spec().await {
                Ok(document) => {
                    print(Format::Json, "", &document);
                    ExitCode::SUCCESS
                }
                Err(failure) => self.end(&output, Err(failure)),
            };
        }
        let results = match (&self.archive, self.rollback || self.finish) {
            (Some(archive), _) => self.archive(archive).map(|it| vec![it]),
            (None, true) => self.undo(),
            (None, false) => Box::pin(self.results(&output)).await,
        };
        self.end(&output, results)
    }

    fn end(&self, output: &Output, results: Result<Vec<Done>, Failure>) -> ExitCode {
        let input = Input { file: self.file.clone(), volumes_dir: self.volumes_dir.clone(), plan: PathBuf::new() };
        let together = match &results {
            Ok(results) => together(results),
            Err(failure) => Outcome::failure(failure.reason, failure.message.clone()),
        };
        let code = self.say.finish(&input, output, results);
        // One message for all volumes, also with --file: in a pod of the operator that is how it works.
        self.say.leave(&together);
        code
    }

    async fn chosen(&self, repository: &Repository, cache: Option<&ModelCache>) -> Result<Snapshot, Failure> {
        let (snapshots, damaged) = which::all(repository).await?;
        let mine = cache.map(|it| serde_json::to_value(&it.spec).unwrap_or_default());
        let spec = mine.as_ref().or_else(|| snapshots.last().map(|it| &it.spec));
        let zone = zone(spec.and_then(|it| it["timeZone"].as_str()))
            .map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?;
        let which = Which::of(self.snapshot.as_deref(), self.as_of.as_deref(), &zone)?;
        which.choose_whole(&snapshots, &damaged, &repository.store.shown()).cloned()
    }

    /// The ModelCache that the snapshot carries.
    async fn spec(&self) -> Result<serde_json::Value, Failure> {
        let cache = self.cache()?;
        let repository = self.repositories.open(cache.as_ref(), &self.network.origins()?, self.secrets()).await?;
        let snapshot = self.chosen(&repository, cache.as_ref()).await?;
        let mut metadata = json!({"name": snapshot.cache});
        if snapshot.namespace != "default" {
            metadata["namespace"] = snapshot.namespace.clone().into();
        }
        let version = format!("{}/{}", crate::api::GROUP, crate::api::VERSION);
        Ok(json!({"apiVersion": version, "kind": "ModelCache", "metadata": metadata, "spec": snapshot.spec}))
    }

    fn cache(&self) -> Result<Option<ModelCache>, Failure> {
        let Some(file) = &self.file else { return Ok(None) };
        let mut caches = local::read(file)?;
        if let (Some(one), true) = (caches.pop(), caches.is_empty()) {
            return Ok(Some(one));
        }
        let message = format!("{} has several ModelCaches, and a restore is of one", file.display());
        Err(Failure::new(Reason::InvalidSpec, message))
    }

    fn writer(&self) -> Writer {
        match (&self.owner, self.attempt) {
            (Some(owner), Some(number)) => Writer::Attempt { owner: owner.clone(), number },
            _ => Writer::Local,
        }
    }

    fn secrets(&self) -> Option<&Path> {
        // In a pod of ours there is such a directory; elsewhere the environment stands in for it.
        Some(self.network.secrets_dir.as_path()).filter(|it| it.is_dir())
    }

    fn keep_until(&self) -> Result<Timestamp, Failure> {
        let grace =
            duration::parse(&self.grace).map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?;
        let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
        Ok(Timestamp::now().checked_add(grace).unwrap_or(Timestamp::MAX))
    }
}

/// One outcome for all volumes: the first failure, or what was restored in all.
fn together(results: &[Done]) -> Outcome {
    if let Some(failed) = results.iter().find(|it| !it.outcome.succeeded) {
        let volume = failed.volume.as_ref().map_or_else(String::new, |it| format!("volume `{it}`: "));
        return Outcome::failure(failed.outcome.reason, format!("{volume}{}", failed.outcome.message));
    }
    let mut outcomes = results.iter().map(|it| it.outcome.clone());
    let Some(mut all) = outcomes.next() else {
        return Outcome::failure(Reason::NoFiles, "nothing was restored");
    };
    for outcome in outcomes {
        if let (Some(sum), Some(more)) = (all.restore.as_mut(), outcome.restore) {
            sum.files += more.files;
            sum.bytes += more.bytes;
            sum.seconds = sum.seconds.max(more.seconds);
        }
        all.pins.extend(outcome.pins);
    }
    all
}
