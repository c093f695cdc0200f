//! `crds`: prints the `CustomResourceDefinition`s.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use crate::api::crds;
use crate::contract::exit_code;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `crds`.
#[derive(Args, Debug)]
pub struct Crds {
    /// Write a file for each into this directory instead of printing them.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

impl Crds {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        for (file, document) in crds::all() {
            let yaml = match serde_saphyr::to_string(&document) {
                Ok(yaml) => yaml,
                Err(error) => return failed(&format!("{file}: {error}")),
            };
            let Some(directory) = &self.write else {
                println!("---\n{}", yaml.trim_end());
                continue;
            };
            let path = directory.join(&file);
            if let Err(error) = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, &yaml)) {
                return failed(&format!("{}: {error}", path.display()));
            }
        }
        ExitCode::SUCCESS
    }
}

fn failed(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(exit_code::FAILURE)
}
