//! `snapshots`: which backups are there?

use super::options::{Network, Say};
use super::output::{Done, print};
use super::repository::Which;
use super::table::{Side, table};
use crate::agent::backup::repository::snapshot::Snapshot;
use crate::agent::failure::Failure;
use crate::agent::local;
use crate::api::quantity::human;
use crate::contract::outcome::Outcome;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `snapshots`.
#[derive(Args, Debug)]
pub struct Snapshots {
    /// A file with one ModelCache or more. Not needed with --from.
    #[arg(short = 'f', long = "file", value_name = "YAML")]
    file: Option<PathBuf>,

    #[command(flatten)]
    repository: Which,

    #[command(flatten)]
    network: Network,

    #[command(flatten)]
    say: Say,
}

impl Snapshots {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        match self.found().await {
            Ok(found) => {
                print(self.say.output, &text(&found), &found);
                ExitCode::SUCCESS
            }
            Err(failure) => self.say.output().finish(&[Done::of(Outcome::failure(failure.reason, failure.message))]),
        }
    }

    async fn found(&self) -> Result<Vec<Snapshot>, Failure> {
        let origins = self.network.origins()?;
        let secrets = Some(self.network.secrets_dir.as_path()).filter(|it| it.is_dir());
        let caches = match &self.file {
            Some(file) => local::read(file)?.into_iter().map(Some).collect(),
            None => vec![None],
        };
        let mut found = Vec::new();
        for cache in caches {
            found.extend(self.repository.open(cache.as_ref(), &origins, secrets).await?.snapshots().await?);
        }
        Ok(found)
    }
}

fn text(found: &[Snapshot]) -> String {
    if found.is_empty() {
        return "no snapshot\n".to_owned();
    }
    let heading = ["CACHE", "ID", "TIME", "FILES", "SIZE", "NEW", "NOT COVERED"].map(str::to_owned).to_vec();
    let row = |it: &Snapshot| {
        vec![
            format!("{}/{}", it.namespace, it.cache),
            it.id.clone(),
            it.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            it.files.to_string(),
            human(it.bytes),
            human(it.new_bytes),
            it.not_covered().files.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(heading).chain(found.iter().map(row)).collect();
    let (left, right) = (Side::Left, Side::Right);
    table(&[left, left, left, right, right, right, right], &rows)
}
