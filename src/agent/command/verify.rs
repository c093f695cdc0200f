//! `verify`: is what is on the volumes still what was put there? Offline.

use super::options::{Input, Say};
use super::output::{Done, Output};
use crate::agent::failure::Failure;
use crate::agent::local;
use crate::agent::prefetch::report::Report;
use crate::agent::verify::{Depth, verify};
use crate::contract::outcome::Outcome;
use clap::Args;
use std::process::ExitCode;

/// Options of `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    #[command(flatten)]
    input: Input,

    /// Look at kind and size of each file only.
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
            let outcome = self.one(output, volume, plan.cache.clone(), Some(plan.content_hash()), sources).await;
            return Ok(vec![Done { cache: Some(plan.cache), volume: Some(plan.volume), ..Done::of(outcome) }]);
        };
        let mut results = Vec::new();
        for cache in local::read(file)? {
            let name = cache.metadata.name.clone().unwrap_or_default();
            for volume in &cache.spec.volumes {
                let mine = cache.spec.sources.iter();
                let mine = mine.filter(|it| cache.spec.volume_of(it).is_some_and(|it| it.name == volume.name));
                let sources: Vec<String> = mine.map(|it| it.name.clone()).collect();
                let path = self.input.volume(&volume.name);
                let outcome = self.one(output, path, name.clone(), None, sources).await;
                results.push(Done {
                    cache: Some(name.clone()),
                    volume: Some(volume.name.clone()),
                    ..Done::of(outcome)
                });
            }
        }
        Ok(results)
    }

    async fn one(
        &self,
        output: &Output,
        volume: std::path::PathBuf,
        cache: String,
        plan: Option<String>,
        sources: Vec<String>,
    ) -> Outcome {
        let depth = if self.quick { Depth::Quick } else { Depth::Deep };
        let report = Report::default();
        let (account, say) = (report.clone(), output.clone());
        let work = tokio::task::spawn_blocking(move || {
            let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
            let wanted = (plan.as_deref().unwrap_or_default(), sources.as_slice());
            verify(&volume, &cache, Some(wanted), depth, &account, &|line| say.line(&line))
        });
        match output.follow(&report, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) => Outcome::failure(failure.reason, failure.message),
            Err(error) => Outcome::failure(crate::api::Reason::InternalError, error.to_string()),
        }
    }
}
