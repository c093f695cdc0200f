//! `wait`: returns when the content is complete.

use super::options::Say;
use super::output::{Done, Output};
use crate::agent::failure::Failure;
use crate::agent::local;
use crate::agent::wait::wait;
use crate::api::Reason;
use crate::contract::outcome::Outcome;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Options of `wait`.
#[derive(Args, Debug)]
pub struct Wait {
    /// Work without a cluster: a file with one ModelCache or more, of which every volume is waited for.
    #[arg(short = 'f', long = "file", value_name = "YAML", requires = "volumes_dir", conflicts_with = "volume")]
    file: Option<PathBuf>,

    /// Directory that has a directory for each volume. Only with --file.
    #[arg(long, value_name = "DIR")]
    volumes_dir: Option<PathBuf>,

    /// Where the volume is mounted; it may be read-only.
    #[arg(long, value_name = "DIR", required_unless_present = "file", requires = "cache")]
    volume: Option<PathBuf>,

    /// Name of the ModelCache.
    #[arg(long, value_name = "NAME")]
    cache: Option<String>,

    /// Content hash of the plan to wait for. [default: any plan that is complete]
    #[arg(long, value_name = "HASH")]
    plan_hash: Option<String>,

    /// How long to wait, such as 90s, 30m or 2h. [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    say: Say,
}

impl Wait {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let output = self.say.output();
        let results = match self.results(&output).await {
            Ok(results) => results,
            Err(failure) => vec![Done::of(Outcome::failure(failure.reason, failure.message))],
        };
        if let [one] = results.as_slice() {
            self.say.leave(&one.outcome);
        }
        output.finish(&results)
    }

    async fn results(&self, output: &Output) -> Result<Vec<Done>, Failure> {
        if let (Some(volume), Some(cache)) = (&self.volume, &self.cache) {
            let outcome = self.one(output, volume.clone(), cache).await;
            return Ok(vec![Done { cache: Some(cache.clone()), ..Done::of(outcome) }]);
        }
        let (Some(file), Some(volumes)) = (&self.file, &self.volumes_dir) else {
            return Err(Failure::new(Reason::InvalidSpec, "name a volume and a cache, or a file with -f"));
        };
        let mut results = Vec::new();
        for cache in local::read(file)? {
            let name = cache.metadata.name.unwrap_or_default();
            for volume in &cache.spec.volumes {
                let outcome = self.one(output, volumes.join(&volume.name), &name).await;
                results.push(Done {
                    cache: Some(name.clone()),
                    volume: Some(volume.name.clone()),
                    ..Done::of(outcome)
                });
            }
        }
        Ok(results)
    }

    async fn one(&self, output: &Output, volume: PathBuf, cache: &str) -> Outcome {
        let say = |line: String| output.line(&line);
        match wait(&volume, cache, self.plan_hash.as_deref(), self.timeout, &say).await {
            Ok(hash) => Outcome::success(Reason::Warmed, format!("plan {hash:.12} is complete")),
            Err(failure) => Outcome::failure(failure.reason, failure.message),
        }
    }
}

/// `90s`, `30m`, `2h`, `1d`, or seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match text.strip_prefix(digits) {
        Some("" | "s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 86400,
        _ => return Err("must be a time such as 90s, 30m or 2h".to_owned()),
    };
    let count: u64 = digits.parse().map_err(|_| "must be a time such as 90s, 30m or 2h".to_owned())?;
    Ok(Duration::from_secs(count.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(duration("90").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("2h").unwrap(), Duration::from_secs(7200));
        for wrong in ["", "h", "1w", "-1s", "1.5h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
