//! `verify`: is what is on the volumes still what was put there? Offline.

use super::options::{Input, Say};
use super::output::{Done, Output};
use crate::agent::failure::Failure;
use crate::agent::local;
use crate::agent::prefetch::report::Report;
use crate::agent::verify::{Depth, Verified, verify};
use crate::contract::outcome::{Outcome, VerifyEvidence};
use clap::Args;
use std::process::ExitCode;

/// Options of `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    #[command(flatten)]
    input: Input,

    /// Look at kind, size, mode and target of each file and link only.
    #[arg(long, conflicts_with = "deep")]
    quick: bool,

    /// Hash every file. This is the default.
    #[arg(long)]
    deep: bool,

    #[command(flatten)]
    say: Say,
}

impl Verify {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let output = self.say.output();
        let results = self.results(&output).await;
        self.say.finish(&self.input, &output, results)
    }

    async fn results(&self, output: &Output) -> Result<Vec<Done>, Failure> {
        let Some(file) = &self.input.file else {
            let (plan, volume) = self.input.planned()?;
            let sources = plan.sources.iter().map(|it| it.source.name.clone()).collect();
            let wanted = (plan.content_hash(), plan.files());
            let done = self.one(output, volume, plan.cache.clone(), Some(wanted), sources).await;
            return Ok(vec![Done { cache: Some(plan.cache), volume: Some(plan.volume), ..done }]);
        };
        let mut results = Vec::new();
        for cache in local::read(file)? {
            let name = cache.metadata.name.clone().unwrap_or_default();
            for volume in &cache.spec.volumes {
                let mine = cache.spec.sources.iter();
                let mine = mine.filter(|it| cache.spec.volume_of(it).is_some_and(|it| it.name == volume.name));
                let sources: Vec<String> = mine.map(|it| it.name.clone()).collect();
                let path = self.input.volume(&volume.name);
                let done = self.one(output, path, name.clone(), None, sources).await;
                results.push(Done { cache: Some(name.clone()), volume: Some(volume.name.clone()), ..done });
            }
        }
        Ok(results)
    }

    async fn one(
        &self,
        output: &Output,
        volume: std::path::PathBuf,
        cache: String,
        wanted: Option<(String, u64)>,
        sources: Vec<String>,
    ) -> Done {
        let depth = if self.quick { Depth::Quick } else { Depth::Deep };
        let (plan, files) = wanted.unwrap_or_default();
        let report = Report::default();
        let (account, say) = (report.clone(), output.clone());
        let work = tokio::task::spawn_blocking(move || {
            let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
            let wanted = (plan.as_str(), sources.as_slice());
            verify(&volume, &cache, Some(wanted), depth, &account, &|line| say.line(&line))
        });
        match output.follow(&report, work).await {
            Ok(Ok(Verified { mut outcome, damage, notes })) => {
                outcome.verify = Some(shown(&outcome, damage.len(), depth, files));
                Done { damage, notes, ..Done::of(outcome) }
            }
            Ok(Err(failure)) => Done::of(Outcome::failure(failure.reason, failure.message)),
            Err(error) => Done::of(Outcome::failure(crate::api::Reason::InternalError, error.to_string())),
        }
    }
}

/// What was checked. A volume that has nothing of the cache has no finding to count: all files of the plan are gone.
fn shown(outcome: &Outcome, findings: usize, depth: Depth, planned: u64) -> VerifyEvidence {
    let damaged = if outcome.succeeded || findings > 0 { findings as u64 } else { planned.max(1) };
    let evidence = outcome.evidence.as_ref();
    VerifyEvidence {
        files: evidence.map_or(0, |it| it.files),
        bytes: evidence.map_or(0, |it| it.bytes),
        damaged,
        deep: depth == Depth::Deep,
    }
}
