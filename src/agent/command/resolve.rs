//! `resolve`: asks the origin of a source for its revision, files and bytes. Once, for the whole fleet.

use super::options::{Network, Say};
use super::output::{Done, Output};
use crate::agent::failure::Failure;
use crate::agent::local;
use crate::agent::source::Origins;
use crate::agent::source::access::Access;
use crate::api::Reason;
use crate::api::quantity::human;
use crate::api::source::Source;
use crate::contract::outcome::Outcome;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `resolve`.
#[derive(Args, Debug)]
pub struct Resolve {
    /// Work without a cluster: a file with one ModelCache or more, of which every source is resolved.
    #[arg(short = 'f', long = "file", value_name = "YAML", conflicts_with_all = ["source", "source_json"])]
    file: Option<PathBuf>,

    /// A file with one source of a ModelCache, as JSON.
    #[arg(long, value_name = "FILE", conflicts_with = "source_json")]
    source: Option<PathBuf>,

    /// One source of a ModelCache, as JSON.
    #[arg(long, value_name = "JSON", env = "MODELCACHE_SOURCE")]
    source_json: Option<String>,

    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    say: Say,
}

impl Resolve {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let output = self.say.output();
        let results = match self.results(&output).await {
            Ok(results) => results,
            Err(failure) => vec![Done::of(Outcome::failure(failure.reason, failure.message))],
        };
        if self.file.is_none()
            && let [one] = results.as_slice()
        {
            self.say.leave(&one.outcome);
        }
        output.finish(&results)
    }

    async fn results(&self, output: &Output) -> Result<Vec<Done>, Failure> {
        let origins = self.network.origins()?;
        let Some(file) = &self.file else {
            let source = self.one()?;
            output.line(&format!("asking for source `{}`", source.name));
            let access = self.network.mounted(&source).map_err(|it| it.of_source(&source.name))?;
            let outcome = resolve(&origins, &source, &access).await;
            return Ok(vec![Done { source: Some(source.name), ..Done::of(outcome) }]);
        };
        let mut results = Vec::new();
        for cache in local::read(file)? {
            for source in &cache.spec.sources {
                let outcome = match self.network.local(source, file) {
                    Ok(access) => resolve(&origins, source, &access).await,
                    Err(failure) => Outcome::failure(failure.reason, failure.message),
                };
                let cache = cache.metadata.name.clone();
                results.push(Done { cache, source: Some(source.name.clone()), ..Done::of(outcome) });
            }
        }
        Ok(results)
    }

    fn one(&self) -> Result<Source, Failure> {
        let invalid = |what: String| Failure::new(Reason::InvalidSpec, what);
        let text = match (&self.source, &self.source_json) {
            (Some(path), _) => {
                std::fs::read_to_string(path).map_err(|error| invalid(format!("{}: {error}", path.display())))?
            }
            (None, Some(text)) => text.clone(),
            (None, None) => {
                return Err(invalid("name a source with --source-json or --source, or a file with -f".into()));
            }
        };
        serde_json::from_str(&text).map_err(|error| invalid(format!("the source is not valid: {error}")))
    }
}

async fn resolve(origins: &Origins, source: &Source, access: &Access) -> Outcome {
    // What cannot be laid out need not be asked for.
    let resolved = match crate::agent::layout::key(source) {
        Ok(_) => origins.resolve(source, access).await,
        Err(failure) => Err(failure),
    };
    match resolved {
        Ok(listing) => {
            let pin = listing.pin();
            let message = format!("{} is {} files, {}", listing.origin, pin.files, human(pin.bytes));
            Outcome { pin: Some(pin), ..Outcome::success(Reason::Resolved, message) }
        }
        Err(failure) => Outcome::failure(failure.reason, failure.message),
    }
}
