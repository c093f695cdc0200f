//! How do we compare with the programs that people use today? Same work, same server, same disk, in turns: `make bench`.
//!
//! Everything is local: a hub that speaks the real protocol, nginx for the bytes, both on the loopback. The programs run as
//! people run them; what each is given is a line of shell in `program.rs`. Results go to `docs/benchmarks.md`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a program of the developer's; a panic ends it, and what it started"
)]

#[path = "../../tests/support/hub/mod.rs"]
mod hub;

mod arguments;
mod cgroup;
mod contest;
mod data;
mod keep;
mod machine;
mod nginx;
mod origin;
mod packages;
mod page;
mod program;
mod run;
mod scenario;
mod scratch;
mod self_test;
mod spread;
mod stop;

use arguments::Arguments;
use clap::Parser;
use std::process::ExitCode;

/// What went wrong, in words.
type Trouble = String;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.bench {
        // `cargo test --all-targets` starts benchmarks without `--bench`: minutes of load have no place there.
        self_test::run();
        return ExitCode::SUCCESS;
    }
    let guard = stop::on_signals();
    let done = work(&arguments);
    drop(guard);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("bench: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn work(arguments: &Arguments) -> Result<(), Trouble> {
    let python = packages::install()?;
    let restic = packages::restic()?;
    let scratch = scratch::Scratch::new(arguments)?;
    let origin = origin::Origin::start(&scratch, arguments.file_size(), &python)?;
    let machine = machine::describe(&scratch, &origin, &python, &restic);
    println!("{machine}");
    let bench = scenario::Bench { arguments, scratch: &scratch, origin: &origin, python: &python, restic: &restic };
    let mut results = vec![];
    for (name, scenario) in scenario::ALL {
        if arguments.wants(name) {
            let result = scenario(&bench).map_err(|trouble| format!("{name}: {trouble}"))?;
            println!("{}", page::section(&result));
            results.push(result);
        }
    }
    let goals = scenario::goals(&results);
    println!("{}", page::goals(&goals));
    let path = arguments.page();
    std::fs::write(&path, page::whole(arguments, &machine, &results, &goals))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    println!("Written: {}", path.display());
    Ok(())
}
