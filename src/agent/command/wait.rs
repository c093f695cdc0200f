//! `wait`: returns when the content is complete.

use super::options::Say;
use super::output::{Done, Output};
use super::prefetch::told_to_stop;
use crate::agent::failure::Failure;
use crate::agent::local;
use crate::agent::wait::{Awaited, wait};
use crate::api::Reason;
use crate::contract::outcome::Outcome;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Options of `wait`.
#[derive(Args, Debug)]
pub struct Wait {
    /// Work without a cluster: a file with one ModelCache or more, of which every volume is waited for.
    #[arg(short = 'f', long = "file", value_name = "YAML", requires = "volumes_dir", conflicts_with = "volumes")]
    file: Option<PathBuf>,

    /// Directory that has a directory for each volume. Only with --file.
    #[arg(long, value_name = "DIR")]
    volumes_dir: Option<PathBuf>,

    /// Where the volume is mounted; it may be read-only. Several are waited for one after the other.
    #[arg(long = "volume", value_name = "DIR", required_unless_present = "file", requires = "cache")]
    volumes: Vec<PathBuf>,

    /// Name of the ModelCache.
    #[arg(long, value_name = "NAME")]
    cache: Option<String>,

    /// Content hash of the plan to wait for. [default: any plan that is complete]
    #[arg(long, value_name = "HASH")]
    plan_hash: Option<String>,

    /// How long to wait, such as 90s, 30m or 2h. [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// Name of the node, for what is said.
    #[arg(long, value_name = "NAME", env = "MODELCACHE_NODE")]
    node: Option<String>,

    #[command(flatten)]
    say: Say,
}

impl Wait {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let output = self.say.output();
        // The first process of a container is not ended by a signal that it does not handle.
        let ended = tokio::select! {
            results = self.results(&output) => results,
            () = told_to_stop(&output) => Err(Failure::new(Reason::Evicted, "the wait was told to end")),
        };
        let results = match ended {
            Ok(results) => results,
            Err(failure) => vec![Done::of(Outcome::failure(failure.reason, failure.message))],
        };
        // The kubelet shows one: that which failed, else the last.
        let failed = results.iter().find(|it| !it.outcome.succeeded);
        if let Some(one) = failed.or(results.last()) {
            self.say.leave(&one.outcome);
        }
        output.finish(&results)
    }

    async fn results(&self, output: &Output) -> Result<Vec<Done>, Failure> {
        if let (Some(cache), false) = (&self.cache, self.volumes.is_empty()) {
            let mut results = Vec::new();
            for volume in &self.volumes {
                let outcome = self.one(output, volume, cache).await;
                results.push(Done { cache: Some(cache.clone()), ..Done::of(outcome) });
            }
            return Ok(results);
        }
        let (Some(file), Some(volumes)) = (&self.file, &self.volumes_dir) else {
            return Err(Failure::new(Reason::InvalidSpec, "name a volume and a cache, or a file with -f"));
        };
        let mut results = Vec::new();
        for cache in local::read(file)? {
            let name = cache.metadata.name.unwrap_or_default();
            for volume in &cache.spec.volumes {
                let outcome = self.one(output, &volumes.join(&volume.name), &name).await;
                results.push(Done {
                    cache: Some(name.clone()),
                    volume: Some(volume.name.clone()),
                    ..Done::of(outcome)
                });
            }
        }
        Ok(results)
    }

    async fn one(&self, output: &Output, volume: &Path, cache: &str) -> Outcome {
        let say = |line: String| output.line(&line);
        let awaited = Awaited { volume, cache, plan: self.plan_hash.as_deref(), node: self.node.as_deref() };
        match wait(awaited, self.timeout, &say).await {
            Ok(hash) => {
                let message = format!("plan {hash:.12} of cache `{cache}` is complete on {}", volume.display());
                Outcome::success(Reason::Warmed, message)
            }
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
