//! `prune`: removes the backups that retention does not keep, and what only they needed.

use super::options::{Input, Network, Say};
use super::output::{Done, print};
use super::repository::Which;
use super::table::{Side, table};
use crate::agent::backup::prune::{Prune as Work, Pruned};
use crate::agent::backup::retention::{Policy, Verdict};
use crate::agent::failure::Failure;
use crate::agent::local;
use crate::api::quantity::human;
use crate::api::schedule::zone;
use crate::api::{Reason, duration};
use crate::contract::outcome::Outcome;
use clap::Args;
use jiff::SignedDuration;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `prune`.
#[derive(Args, Debug)]
pub struct Prune {
    /// A file with the ModelCache whose `backup.retention` says what is kept.
    #[arg(short = 'f', long = "file", value_name = "YAML")]
    file: PathBuf,

    #[command(flatten)]
    repository: Which,

    /// Print what would go and what stays, with the reasons, and remove nothing.
    #[arg(long)]
    dry_run: bool,

    /// Remove although more would go than `retention.maxDeletePercent` lets go at once.
    #[arg(long)]
    acknowledge: bool,

    /// A snapshot that stays whatever the rules say, by its id or the beginning of it; `NotFound` when there is none.
    #[arg(long = "pin", value_name = "ID")]
    pinned: Vec<String>,

    /// How long what no snapshot needs stays after it was written, such as 24h: a killed backup takes it up again.
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    grace: String,

    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    say: Say,
}

impl Prune {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let output = self.say.output();
        let input = Input { file: Some(self.file.clone()), volumes_dir: None, plan: PathBuf::new() };
        let results = match self.results().await {
            Ok(results) if self.dry_run => {
                print(self.say.output, &text(&results), &document(&results));
                return ExitCode::SUCCESS;
            }
            Ok(results) => Ok(results.into_iter().map(|(cache, pruned)| done(cache, &pruned)).collect()),
            Err(failure) => Err(failure),
        };
        self.say.finish(&input, &output, results)
    }

    async fn results(&self) -> Result<Vec<(String, Pruned)>, Failure> {
        let origins = self.network.origins()?;
        let grace = duration::parse(&self.grace).map_err(invalid)?;
        let secrets = Some(self.network.secrets_dir.as_path()).filter(|it| it.is_dir());
        let mut results = Vec::new();
        for cache in local::read(&self.file)? {
            let Some(backup) = &cache.spec.backup else { continue };
            let name = cache.metadata.name.clone().unwrap_or_default();
            let repository = self.repository.open(Some(&cache), &origins, secrets).await?;
            let work = Work {
                repository: &repository,
                policy: backup.retention.as_ref().map(Policy::of).transpose()?.unwrap_or_default(),
                pinned: self.pinned.iter().cloned().collect(),
                pins_may_be_gone: false,
                zone: zone(cache.spec.time_zone.as_deref()).map_err(invalid)?,
                grace: SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX),
                acknowledged: self.acknowledge,
                dry_run: self.dry_run,
            };
            results.push((name, work.run().await?));
        }
        if results.is_empty() {
            return Err(invalid(format!("{} has no ModelCache with `backup`", self.file.display())));
        }
        Ok(results)
    }
}

fn invalid(error: impl std::fmt::Display) -> Failure {
    Failure::new(Reason::InvalidSpec, error.to_string())
}

fn done(cache: String, pruned: &Pruned) -> Done {
    let (kept, removed) = (pruned.rulings.kept().count(), pruned.rulings.removed().count());
    let archives = match (pruned.archives.removed().count(), pruned.archives.kept().count()) {
        (0, 0) => String::new(),
        (removed, kept) => format!("{removed} archives removed, {kept} kept; "),
    };
    let message = format!(
        "{removed} snapshots removed, {kept} kept; {archives}{} objects with {} removed, {} more wait for their time",
        pruned.objects,
        human(pruned.bytes),
        pruned.young
    );
    Done { cache: Some(cache), ..Done::of(Outcome::success(Reason::Pruned, message)) }
}

fn text(results: &[(String, Pruned)]) -> String {
    let mut text = String::new();
    for (cache, pruned) in results {
        let row = |it: &Verdict| {
            let fate = if it.is_kept() { "keep" } else { "remove" };
            vec![fate.to_owned(), it.candidate.id.clone(), it.candidate.time.to_string(), it.reasons()]
        };
        let mut rows: Vec<Vec<String>> = vec![["PLAN", "SNAPSHOT", "TIME", "WHY"].map(str::to_owned).to_vec()];
        rows.extend(pruned.rulings.verdicts.iter().map(row));
        let _ = writeln!(text, "{cache}");
        text.push_str(&table(&[Side::Left; 4], &rows));
        if !pruned.archives.verdicts.is_empty() {
            let mut rows: Vec<Vec<String>> = vec![["PLAN", "ARCHIVE", "TIME", "WHY"].map(str::to_owned).to_vec()];
            rows.extend(pruned.archives.verdicts.iter().map(row));
            text.push_str(&table(&[Side::Left; 4], &rows));
        }
        let _ = writeln!(
            text,
            "{} objects with {} would go now, {} more wait for their time, {} are not ours",
            pruned.objects,
            human(pruned.bytes),
            pruned.young,
            pruned.foreign
        );
        for breaker in [pruned.rulings.breaker, pruned.archives.breaker].into_iter().flatten() {
            let _ = writeln!(text, "held: {breaker}");
        }
    }
    text
}

fn document(results: &[(String, Pruned)]) -> serde_json::Value {
    let verdict = |it: &Verdict| {
        let candidate = &it.candidate;
        json!({
            "snapshot": candidate.id, "time": candidate.time, "good": candidate.good, "kept": it.is_kept(), "why": it.reasons()
        })
    };
    let one = |(cache, pruned): &(String, Pruned)| {
        let verdicts: Vec<serde_json::Value> = pruned.rulings.verdicts.iter().map(verdict).collect();
        let archives: Vec<serde_json::Value> = pruned.archives.verdicts.iter().map(verdict).collect();
        let breaker = pruned.rulings.breaker.or(pruned.archives.breaker);
        json!({
            "cache": cache, "snapshots": verdicts, "archives": archives, "objects": pruned.objects, "bytes": pruned.bytes, "young": pruned.young,
            "foreign": pruned.foreign, "held": breaker.map(|it| it.to_string())
        })
    };
    results.iter().map(one).collect()
}
