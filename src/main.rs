//! Parses, and leaves the rest to the commands.

mod cli;

use clap::Parser;
use modelcache::plugin;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything connects: one TLS provider in the whole binary. An error means that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    let called = Path::new(&called).file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    if called == plugin::COMPLETION_NAME {
        return cli::complete(arguments);
    }
    if plugin::NAMES.contains(&called.as_str()) {
        return cli::plugin(arguments);
    }
    cli::Cli::parse().run()
}
