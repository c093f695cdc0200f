//! Which volumes do the commands that only look take?

use crate::agent::failure::Failure;
use crate::agent::inspect::places::{self, Place};
use crate::api::Reason;
use clap::Args;
use std::path::PathBuf;

/// What to look at: the volumes of a ModelCache in a file, all volumes below a directory, or one.
#[derive(Args, Clone, Debug)]
pub struct LookAt {
    /// A file with one ModelCache or more, whose volumes are looked at.
    #[arg(short = 'f', long = "file", value_name = "YAML", requires = "volumes_dir")]
    file: Option<PathBuf>,

    /// Directory that has a directory for each volume. Without --file, all below it that hold a cache.
    #[arg(long, value_name = "DIR", required_unless_present = "volume")]
    volumes_dir: Option<PathBuf>,

    /// One volume, where it is mounted; it may be read-only.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "volumes_dir"])]
    volume: Option<PathBuf>,
}

impl LookAt {
    /// The volumes.
    pub fn places(&self) -> Result<Vec<Place>, Failure> {
        match (&self.file, &self.volumes_dir, &self.volume) {
            (Some(file), Some(volumes), _) => places::of_file(file, volumes),
            (None, Some(volumes), _) => places::below(volumes),
            (_, None, Some(volume)) => Ok(vec![places::one(volume)]),
            (_, None, None) => Err(Failure::new(Reason::InvalidSpec, "name a volume, or a directory of volumes")),
        }
    }
}
