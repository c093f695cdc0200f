//! `prefetch`: puts the content on the volumes.

use super::options::{Input, Network, Say};
use super::output::{Done, Output};
use super::seed::Seed;
use super::serve::serve;
use crate::agent::failure::Failure;
use crate::agent::fetch::{FetchOptions, Staging, Writer};
use crate::agent::layout;
use crate::agent::layout::safe_path::Root;
use crate::agent::local::{self, Pins};
use crate::agent::prefetch::Prefetch as Work;
use crate::agent::prefetch::anew;
use crate::agent::prefetch::report::Report;
use crate::agent::source::Origins;
use crate::agent::source::access::Access;
use crate::agent::source::listing::Listing;
use crate::api::quantity;
use crate::api::source::Source;
use crate::api::volume::Volume;
use crate::api::{ModelCache, Reason};
use crate::contract::outcome::Outcome;
use crate::contract::plan::{Plan, PlannedSource};
use clap::Args;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Options of `prefetch`.
#[derive(Args, Debug)]
pub struct Prefetch {
    #[command(flatten)]
    input: Input,

    /// Ask again what the sources are now. Without it the revisions of the first run are kept. Only with --file.
    #[arg(long, requires = "file")]
    refresh: bool,

    /// UID of the ModelCacheReplica that the attempts are counted for.
    #[arg(long, value_name = "UID", requires = "attempt")]
    owner: Option<String>,

    /// Number of this attempt: a lower one of the same owner that still runs gives way.
    #[arg(long, value_name = "N", requires = "owner")]
    attempt: Option<u64>,

    /// Remove what the cache has put on the volume, and fetch all of it anew; only once every origin has said that it still has what
    /// is pinned. Files that others have put there stay.
    #[arg(long)]
    anew: bool,

    /// Bytes that the cache may hold on the volume. [default: as much as fits; with --file the volume's `size`]
    #[arg(long, value_name = "BYTES")]
    budget: Option<u64>,

    /// Bytes that must stay free on the file system.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    min_free: u64,

    /// Connections that fetch at once.
    #[arg(long, value_name = "N", default_value_t = FetchOptions::default().connections)]
    connections: usize,

    /// Bytes per second to take from the network at most.
    #[arg(long, value_name = "BYTES")]
    max_bandwidth: Option<u64>,

    /// Address and port to serve /progress and /metrics on, such as 0.0.0.0:8080. [default: not served]
    #[arg(long, value_name = "ADDRESS")]
    progress_address: Option<SocketAddr>,

    #[command(flatten)]
    seed: Seed,

    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    say: Say,
}

impl Prefetch {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let output = self.say.output();
        let report = Report::default();
        if let Some(address) = self.progress_address {
            let (report, output) = (report.clone(), output.clone());
            tokio::spawn(async move {
                if let Err(error) = serve(address, report).await {
                    output.line(&format!("progress is not served at {address}: {error}"));
                }
            });
        }
        let results = tokio::select! {
            results = self.results(&output, &report) => results,
            () = told_to_stop(&output) => Err(self.stop(&output, &report).await),
        };
        self.say.finish(&self.input, &output, results)
    }

    async fn results(&self, output: &Output, report: &Report) -> Result<Vec<Done>, Failure> {
        let origins = self.network.origins()?;
        let Some(file) = &self.input.file else {
            let (plan, volume) = self.input.planned()?;
            let writer = match (&self.owner, self.attempt) {
                (Some(owner), Some(number)) => Writer::Attempt { owner: owner.clone(), number },
                _ => Writer::Local,
            };
            let access = |source: &Source| self.network.mounted(source);
            let say = |line: String| output.line(&line);
            let mut listed = BTreeMap::new();
            if self.anew {
                match anew::empty(&plan, &volume, &writer, &origins, &access, &say).await {
                    Ok(origins_said) => listed = origins_said,
                    Err(failure) => {
                        return Ok(vec![of_volume(&plan, Outcome::failure(failure.reason, failure.message))]);
                    }
                }
            }
            // What the backup cannot give, the origins may: without it the run is only slower.
            let seeded = self.seed.plant(&plan, &volume, &writer, self.min_free, &self.network).await;
            match &seeded {
                Ok(None) => {}
                Ok(Some(done)) => output.line(done),
                Err(failure) => output.line(&format!("nothing came out of the backup: {}", failure.message)),
            }
            let work = Work {
                plan: &plan,
                volume: &volume,
                writer,
                partial: false,
                unresolved: vec![],
                listed,
                origins: &origins,
                access: &access,
                options: self.options(self.budget),
                report,
                say: &say,
            };
            let mut outcome = output.follow(report, work.run()).await;
            match seeded {
                Ok(Some(done)) if outcome.succeeded => outcome.message = format!("{}; {done}", outcome.message),
                Err(failure) if !outcome.succeeded => {
                    let message = format!("{}; nothing came out of the backup: {}", outcome.message, failure.message);
                    outcome.message = message;
                }
                _ => {}
            }
            return Ok(vec![of_volume(&plan, outcome)]);
        };
        let caches = local::read(file)?;
        let mut results = Vec::new();
        for cache in &caches {
            for volume in &cache.spec.volumes {
                // Each volume has an account of its own; the first one is served.
                let report = if results.is_empty() { report.clone() } else { Report::default() };
                let outcome = match self.local(output, &report, &origins, file, cache, volume).await {
                    Ok(outcome) => outcome,
                    Err(failure) => Outcome::failure(failure.reason, failure.message),
                };
                let (cache, volume) = (cache.metadata.name.clone(), Some(volume.name.clone()));
                results.push(Done { cache, volume, ..Done::of(outcome) });
            }
        }
        Ok(results)
    }

    /// Resolve and fetch in one go, for one volume.
    async fn local(
        &self,
        output: &Output,
        report: &Report,
        origins: &Origins,
        file: &Path,
        cache: &ModelCache,
        volume: &Volume,
    ) -> Result<Outcome, Failure> {
        let name = cache.metadata.name.as_deref().unwrap_or_default();
        let path = self.input.volume(&volume.name);
        make(&path)?;
        let root = Root::open(&path)?;
        let access = |source: &Source| self.network.local(source, file);
        // Before anybody is asked and before the pins change: what another process works on stays what it began with, and two
        // that begin together do not write the pins into each other's hands.
        let writing = Staging::open(&path, Path::new(&layout::staging(name)), Writer::Local)?;
        let mut pins = Pins::read(&root, name)?;
        let mut plan = Plan { directories: volume.directories.clone(), ..Plan::new(name, &volume.name) };
        let (mut unresolved, mut listed) = (Vec::new(), BTreeMap::new());
        let mine = |source: &&Source| cache.spec.volume_of(source).is_some_and(|it| it.name == volume.name);
        for source in cache.spec.sources.iter().filter(mine) {
            let kept = pins.get(source).cloned().filter(|_| !self.refresh);
            let pin = match kept {
                Some(pin) => Ok(pin),
                None => match self.resolve(origins, source, &access).await {
                    Ok(listing) => Ok(listed.entry(source.name.clone()).or_insert(listing).pin()),
                    Err(failure) => Err(failure),
                },
            };
            match pin {
                Ok(pin) => {
                    pins.keep(source, pin.clone());
                    plan.sources.push(PlannedSource { source: source.clone(), pin });
                }
                Err(failure) => unresolved.push(failure.of_source(&source.name)),
            }
        }
        pins.write(&root, name)?;
        // What comes now takes the right to write itself.
        drop(writing);
        if self.anew {
            if let Some(failure) = unresolved.first() {
                return Err(Failure {
                    message: format!("nothing was removed: {}", failure.message),
                    ..failure.clone()
                });
            }
            let say = |line: String| output.line(&line);
            listed = anew::empty(&plan, &path, &Writer::Local, origins, &access, &say).await?;
        }
        let size = volume.size().map(quantity::bytes).transpose();
        let size = size.map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?;
        let work = Work {
            plan: &plan,
            volume: &path,
            writer: Writer::Local,
            partial: false,
            unresolved,
            listed,
            origins,
            access: &access,
            options: self.options(self.budget.or(size)),
            report,
            say: &|line| output.line(&line),
        };
        Ok(output.follow(report, work.run()).await)
    }

    async fn resolve(
        &self,
        origins: &Origins,
        source: &Source,
        access: &(dyn Fn(&Source) -> Result<Access, Failure> + Sync),
    ) -> Result<Listing, Failure> {
        let access = access(source)?;
        origins.resolve(source, &access).await
    }

    fn options(&self, budget_bytes: Option<u64>) -> FetchOptions {
        FetchOptions {
            connections: self.connections,
            budget_bytes,
            min_free_bytes: self.min_free,
            max_bandwidth: self.max_bandwidth,
            ..FetchOptions::default()
        }
    }

    /// The work was dropped: gives its threads the time to bring to the disk what has arrived.
    async fn stop(&self, output: &Output, report: &Report) -> Failure {
        let message = "told to stop; what was fetched is kept, and the next run goes on from there";
        output.line(message);
        let deadline = Instant::now() + GRACE;
        while report.is_fetching() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Failure::new(Reason::Evicted, message)
    }
}

fn of_volume(plan: &Plan, outcome: Outcome) -> Done {
    Done { cache: Some(plan.cache.clone()), volume: Some(plan.volume.clone()), ..Done::of(outcome) }
}

/// How long the threads of a run that is told to stop may take. Less than the 15 s that our pods are given; ended
/// earlier, the next run fetches a little more again.
const GRACE: Duration = Duration::from_secs(10);

/// Returns when a signal says that the run is to end.
pub(super) async fn told_to_stop(output: &Output) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        output.line("signals cannot be handled; a signal ends the run at once");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The directory of a volume, made when it is missing: without a cluster nobody else does.
fn make(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::new(Reason::VolumeError, format!("{}: {error}", path.display())))
}
