//! `materialize`: makes trees without symbolic links of what is on the volumes.

use super::output::{Done, Format, Output};
use crate::agent::failure::Failure;
use crate::agent::layout;
use crate::agent::layout::manifest::Manifest;
use crate::agent::layout::safe_path::Root;
use crate::agent::local;
use crate::agent::materialize::{Made, Materialize as Work};
use crate::api::quantity::human;
use crate::api::source::Source;
use crate::api::volume::Volume;
use crate::api::{ModelCache, Reason};
use crate::contract::outcome::Outcome;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `materialize`.
#[derive(Args, Debug)]
pub struct Materialize {
    /// A file with one ModelCache or more.
    #[arg(short = 'f', long = "file", value_name = "YAML")]
    file: PathBuf,

    /// Directory that has a directory for each volume.
    #[arg(long, value_name = "DIR")]
    volumes_dir: PathBuf,

    /// Only this source. [default: all]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// Directory that gets a directory for each source. It is made when it is missing.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// Copy even where hard links could be made. Readers that write need it: a hard link is the cache's own file.
    #[arg(long)]
    copy: bool,

    /// How to print the result.
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

impl Materialize {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let output = Output::new(self.output);
        let results = match self.results() {
            Ok(results) => results,
            Err(failure) => vec![Done::of(Outcome::failure(failure.reason, failure.message))],
        };
        output.finish(&results)
    }

    fn results(&self) -> Result<Vec<Done>, Failure> {
        let mut results = Vec::new();
        for cache in local::read(&self.file)? {
            for source in &cache.spec.sources {
                let Some(volume) = cache.spec.volume_of(source) else { continue };
                if self.source.as_ref().is_some_and(|only| *only != source.name) {
                    continue;
                }
                let outcome = match self.one(&cache, volume, source) {
                    Ok(made) => Outcome::success(Reason::Warmed, told(&made)),
                    Err(failure) => Outcome::failure(failure.reason, failure.message),
                };
                results.push(Done {
                    cache: cache.metadata.name.clone(),
                    volume: Some(volume.name.clone()),
                    source: Some(source.name.clone()),
                    ..Done::of(outcome)
                });
            }
        }
        if results.is_empty() {
            let message = match &self.source {
                Some(name) => format!("{} has no source `{name}`", self.file.display()),
                None => format!("{} has no sources", self.file.display()),
            };
            return Err(Failure::new(Reason::InvalidSpec, message));
        }
        Ok(results)
    }

    fn one(&self, cache: &ModelCache, volume: &Volume, source: &Source) -> Result<Made, Failure> {
        let name = cache.metadata.name.as_deref().unwrap_or_default();
        let path = self.volumes_dir.join(&volume.name);
        let manifest = Manifest::read(&Root::open(&path)?, name, &source.name)?;
        let key = layout::key(source)?;
        let Some(manifest) = manifest.filter(|it| it.layout == key) else {
            let message = format!("source `{}` is not complete on {}: run prefetch", source.name, path.display());
            return Err(Failure::new(Reason::Damaged, message));
        };
        Work { volume: &path, cache: name, manifest: &manifest, to: &self.to, copy: self.copy }.run()
    }
}

fn told(made: &Made) -> String {
    let Made { files, linked, copied_bytes, unchanged } = made;
    if *unchanged {
        return format!("{files} files are there already");
    }
    format!("{files} files: {linked} links, {} copied", human(*copied_bytes))
}
