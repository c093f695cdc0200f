//! What may be asked for on the command line?

use crate::scenario;
use clap::Parser;
use std::path::{Path, PathBuf};

/// Runs modelcache against the programs that people use today, in turns, and writes the ratios.
#[derive(Parser)]
#[command(name = "make bench ARGS=")]
pub struct Arguments {
    /// Scenarios: loopback, capped, disk, small, killed, verify, memory, backup, unchanged, restore, many. [default: all]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(scenario::ALL.map(|(name, _)| name)))]
    pub scenarios: Vec<String>,

    /// How often each program runs, in turns with the others.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,

    /// Files of 128 MiB instead of 1 GiB, a tenth of the many small ones: a look, not a result. Start-up weighs more in it.
    #[arg(long)]
    pub small: bool,

    /// Directory on a tmpfs, for the server's files and for targets without a disk.
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub tmpfs: PathBuf,

    /// Directory on a disk.
    #[arg(long, value_name = "DIR", default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub disk: PathBuf,

    /// Where to write the page. [default: docs/benchmarks.md after a full run, target/benchmarks.md after any other]
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,

    /// What cargo says to a benchmark, and not to a test.
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Arguments {
    /// Whether a scenario is to run.
    pub fn wants(&self, name: &str) -> bool {
        self.scenarios.is_empty() || self.scenarios.iter().any(|it| it == name)
    }

    /// Bytes of one large file.
    pub fn file_size(&self) -> u64 {
        if self.small { 128 << 20 } else { 1 << 30 }
    }

    /// Whether the numbers are the ones to publish.
    pub fn is_full(&self) -> bool {
        !self.small && self.rounds >= 5 && self.scenarios.is_empty()
    }

    /// Where the page goes.
    pub fn page(&self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let usual = if self.is_full() { "docs/benchmarks.md" } else { "target/benchmarks.md" };
        self.page.clone().unwrap_or_else(|| root.join(usual))
    }
}
