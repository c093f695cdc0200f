//! Parses, and leaves the rest to the commands.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything connects: one TLS provider in the whole binary. An error means that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::Cli::parse().run()
}
