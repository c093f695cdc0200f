//! `restore`: puts what was backed up onto volumes.

use super::options::{Input, Network, Say, local_access};
use super::output::{Done, Output, print};
use super::repository::Which as Repositories;
use crate::agent::backup::repository::Repository;
use crate::agent::backup::repository::snapshot::{Snapshot, VolumeSnapshot};
use crate::agent::failure::Failure;
use crate::agent::fetch::{Staging, Writer};
use crate::agent::layout;
use crate::agent::layout::safe_path::Root;
use crate::agent::local;
use crate::agent::prefetch::report::Report;
use crate::agent::restore::archive::ArchiveRestore;
use crate::agent::restore::choice::Choice;
use crate::agent::restore::origin::{self, Reach};
use crate::agent::restore::own_state::Target;
use crate::agent::restore::rollback;
use crate::agent::restore::volume::{Staged, VolumeRestore, damage};
use crate::agent::restore::which::Which;
use crate::agent::source::Origins;
use crate::api::model_cache::ModelCacheSpec;
use crate::api::quantity::human;
use crate::api::schedule::zone;
use crate::api::source::Source;
use crate::api::{ModelCache, Reason, duration};
use crate::contract::mount;
use crate::contract::outcome::{Outcome, Restored};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Options of `restore`.
#[derive(Args, Debug)]
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

    /// Only files whose path on the volume matches one of these patterns (and what a matching link leads to).
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,

    /// No file whose path on the volume matches one of these patterns.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,

    /// Restore what is whole although something is damaged, and end with an error that names the rest.
    #[arg(long)]
    keep_going: bool,

    /// Print the ModelCache of the snapshot as JSON, which is YAML, and restore nothing.
    #[arg(long)]
    print_spec: bool,

    /// Restore an archive instead: .tar.zst, .tar.gz, .tgz, .tar or .zip, made by `backup` or by hand.
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

    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    say: Say,
}

/// A volume of the snapshot, and where it goes.
struct Way {
    from: VolumeSnapshot,
    to: PathBuf,
    target: Target,
}

impl Restore {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let output = self.say.output();
        if self.print_spec {
            return match self.spec().await {
                Ok(document) => {
                    print(super::output::Format::Json, "", &document);
                    ExitCode::SUCCESS
                }
                Err(failure) => self.end(&output, Err(failure)),
            };
        }
        let results = match (&self.archive, self.rollback || self.finish) {
            (Some(archive), _) => self.archive(archive).map(|it| vec![it]),
            (None, true) => self.undo(),
            (None, false) => self.results(&output).await,
        };
        self.end(&output, results)
    }

    fn end(&self, output: &Output, results: Result<Vec<Done>, Failure>) -> ExitCode {
        let input = Input { file: self.file.clone(), volumes_dir: self.volumes_dir.clone(), plan: PathBuf::new() };
        self.say.finish(&input, output, results)
    }

    async fn results(&self, output: &Output) -> Result<Vec<Done>, Failure> {
        let origins = self.network.origins()?;
        let cache = self.cache()?;
        let repository = self.repositories.open(cache.as_ref(), &origins, self.secrets()).await?;
        let snapshot = self.chosen(&repository, cache.as_ref()).await?;
        let then = spec_of(&snapshot)?;
        let began = Instant::now();
        output.line(&format!(
            "snapshot {} of {}/{}, {}: {} files, {}",
            snapshot.id,
            snapshot.namespace,
            snapshot.cache,
            snapshot.time,
            snapshot.files,
            human(snapshot.bytes)
        ));
        let ways = self.ways(&snapshot, &then, cache.as_ref())?;
        let choice = Choice { include: self.include.clone(), exclude: self.exclude.clone() };
        let keep_until = self.keep_until()?;
        let works: Vec<VolumeRestore<'_>> = ways
            .iter()
            .map(|way| VolumeRestore {
                repository: &repository,
                snapshot: &snapshot,
                then: &then,
                from: &way.from,
                to: &way.to,
                target: &way.target,
                choice: &choice,
                keep_going: self.keep_going,
                writer: self.writer(),
                min_free: self.min_free,
                keep_until,
            })
            .collect();
        // Everything of all volumes is aside and proven before the first of them is touched.
        let mut staged: Vec<Staged> = Vec::new();
        for work in &works {
            staged.push(work.stage().await.map_err(|it| of_volume(it, &work.from.name))?);
        }
        let mut done = Vec::new();
        for (work, staged) in works.iter().zip(staged) {
            let outcome = self.finish_volume(output, &origins, work, staged, began).await;
            let outcome = outcome.unwrap_or_else(|it| Outcome::failure(it.reason, it.message));
            let (cache, volume) = (Some(work.target.cache.clone()), Some(work.from.name.clone()));
            done.push(Done { cache, volume, ..Done::of(outcome) });
        }
        Ok(done)
    }

    /// Switches a volume, and lets its sources bring what has no bytes in the backup.
    async fn finish_volume(
        &self,
        output: &Output,
        origins: &Origins,
        work: &VolumeRestore<'_>,
        staged: Staged,
        began: Instant,
    ) -> Result<Outcome, Failure> {
        let (files, bytes, written) = (staged.files, staged.bytes, staged.written);
        let (wanted, damaged) = (staged.origins.clone(), staged.damaged.clone());
        staged.switch(&work.target.cache)?;
        if !wanted.is_empty() {
            let report = Report::default();
            let access = |source: &Source| match &self.file {
                Some(file) => local_access(source, file),
                None => {
                    crate::agent::source::access::Access::local(source, &|name| std::env::var(name).ok(), &|_| None)
                }
            };
            let reach = Reach { origins, access: &access, report: &report, say: &|line| output.line(&line) };
            let fetched = output.follow(&report, origin::fetch(work, &wanted, &reach)).await?;
            if !fetched.succeeded {
                let message = format!(
                    "what the backup has bytes of is restored; the rest comes from its origin, and did not: {}",
                    fetched.message
                );
                return Err(Failure::new(fetched.reason, message));
            }
        }
        if !damaged.is_empty() {
            return Err(damage(&damaged, "; all other files are restored"));
        }
        let snapshot = work.snapshot;
        let message = format!(
            "{files} files, {} as of {}, {} written; what was there is kept for {}: --rollback puts it back",
            human(bytes),
            snapshot.time,
            human(written),
            self.grace
        );
        let restored = Restored {
            snapshot: snapshot.id.clone(),
            files,
            bytes,
            seconds: began.elapsed().as_secs(),
            manifest: snapshot.digest.clone(),
        };
        Ok(Outcome { restore: Some(restored), ..Outcome::success(Reason::Restored, message) })
    }

    /// Where each wanted volume of the snapshot goes.
    fn ways(
        &self,
        snapshot: &Snapshot,
        then: &ModelCacheSpec,
        cache: Option<&ModelCache>,
    ) -> Result<Vec<Way>, Failure> {
        let invalid = |what: String| Failure::new(Reason::InvalidSpec, what);
        let known: Vec<&str> = snapshot.volumes.iter().map(|it| it.name.as_str()).collect();
        if let Some(unknown) = self.volumes.iter().find(|it| !known.contains(&it.as_str())) {
            let message = format!("the snapshot has no volume `{unknown}`, but {}", known.join(", "));
            return Err(Failure::new(Reason::NotFound, message));
        }
        let wanted = |it: &&VolumeSnapshot| self.volumes.is_empty() || self.volumes.contains(&it.name);
        // A volume of which there is nothing is nothing to restore, unless somebody asks for it.
        let some = |it: &&VolumeSnapshot| it.files > 0 || !self.volumes.is_empty() || snapshot.files == 0;
        let chosen: Vec<&VolumeSnapshot> = snapshot.volumes.iter().filter(wanted).filter(some).collect();
        let spec = cache.map_or(then, |it| &it.spec);
        let name = cache.and_then(|it| it.metadata.name.clone()).unwrap_or_else(|| snapshot.cache.clone());
        let target = |volume: &str| Target { cache: name.clone(), volume: volume.to_owned(), spec: spec.clone() };
        if let Some(to) = &self.to {
            let [one] = chosen.as_slice() else {
                let message = format!(
                    "--to is for one volume, and the snapshot has {}: name one with --volume",
                    known.join(", ")
                );
                return Err(invalid(message));
            };
            return Ok(vec![Way { from: (*one).clone(), to: to.into(), target: target(&one.name) }]);
        }
        let base = self.volumes_dir.clone().unwrap_or_else(|| mount::VOLUMES.into());
        if let Some(missing) = chosen.iter().find(|it| !spec.volumes.iter().any(|volume| volume.name == it.name)) {
            let message = format!(
                "the ModelCache has no volume `{}`, which the snapshot has: choose others with --volume, or a directory with --to",
                missing.name
            );
            return Err(invalid(message));
        }
        Ok(chosen
            .into_iter()
            .map(|it| Way { from: it.clone(), to: base.join(&it.name), target: target(&it.name) })
            .collect())
    }

    async fn chosen(&self, repository: &Repository, cache: Option<&ModelCache>) -> Result<Snapshot, Failure> {
        let snapshots = repository.snapshots().await?;
        let mine = cache.map(|it| serde_json::to_value(&it.spec).unwrap_or_default());
        let spec = mine.as_ref().or_else(|| snapshots.last().map(|it| &it.spec));
        let zone = zone(spec.and_then(|it| it["timeZone"].as_str()))
            .map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?;
        let which = Which::of(self.snapshot.as_deref(), self.as_of.as_deref(), &zone)?;
        which.choose(&snapshots, &repository.store.shown()).cloned()
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
        match (caches.pop(), caches.is_empty()) {
            (Some(one), true) => Ok(Some(one)),
            _ => {
                let message = format!("{} has several ModelCaches, and a restore is of one", file.display());
                Err(Failure::new(Reason::InvalidSpec, message))
            }
        }
    }

    fn archive(&self, archive: &Path) -> Result<Done, Failure> {
        let to = self.to.clone().unwrap_or_default();
        let (directory, below) = match to.rsplit_once(':') {
            // A directory may have a colon in its own name.
            Some((directory, below)) if !directory.is_empty() && !Path::new(&to).is_dir() => (directory, below),
            _ => (to.as_str(), ""),
        };
        let cache = match self.cache()? {
            Some(cache) => cache.metadata.name.unwrap_or_default(),
            None => ARCHIVES.to_owned(),
        };
        let work = ArchiveRestore {
            file: archive,
            to: Path::new(directory),
            below: below.trim_matches('/'),
            cache: &cache,
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
    fn undo(&self) -> Result<Vec<Done>, Failure> {
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
            for cache in self.caches_on(&root, cache.as_ref())? {
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

    fn undo_one(&self, root: &Root, path: &Path, cache: &str) -> Result<Outcome, Failure> {
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

    /// The caches whose restores are on a volume: the one that is named, or all.
    fn caches_on(&self, root: &Root, cache: Option<&ModelCache>) -> Result<Vec<String>, Failure> {
        if let Some(name) = cache.and_then(|it| it.metadata.name.clone()) {
            return Ok(vec![name]);
        }
        let all: BTreeSet<String> = root.names(layout::OWN)?.into_iter().collect();
        let journal = |it: &String| root.stat(&crate::agent::restore::journal::path(it)).is_ok_and(|it| it.is_some());
        let some: Vec<String> = all.into_iter().filter(journal).collect();
        if some.is_empty() {
            let message =
                format!("{}: no restore is on record; there is nothing to roll back", root.shown("").display());
            return Err(Failure::new(Reason::NotFound, message));
        }
        Ok(some)
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

/// The cache whose state is used where an archive is restored and no ModelCache is named.
const ARCHIVES: &str = "archive";

fn spec_of(snapshot: &Snapshot) -> Result<ModelCacheSpec, Failure> {
    serde_json::from_value(snapshot.spec.clone()).map_err(|error| {
        let message = format!("the spec in snapshot {} is not understood: {error}", snapshot.id);
        Failure::new(Reason::ChecksumMismatch, message)
    })
}

fn of_volume(failure: Failure, volume: &str) -> Failure {
    Failure { message: format!("volume `{volume}`: {}", failure.message), ..failure }
}
