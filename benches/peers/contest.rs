//! How do programs take turns at the same work, and what comes of it?

use crate::Trouble;
use crate::nginx::Nginx;
use crate::program::Program;
use crate::run::{self, Run};
use crate::scenario::Bench;
use crate::scratch::{emptied, sizes};
use crate::spread::Spread;
use std::path::PathBuf;

/// Programs that do the same work in turns. The first one is ours.
pub struct Contest<'a> {
    pub bench: &'a Bench<'a>,
    /// What its lines are headed with while it runs.
    pub name: &'static str,
    pub repo: &'static str,
    pub programs: Vec<Program>,
    /// Where the files go.
    pub directory: PathBuf,
    /// Emptied before each run, and what was fetched is looked at after it.
    pub fresh: bool,
    pub server: &'a Nginx,
}

/// All runs of one program.
pub struct Row {
    pub program: Program,
    pub runs: Vec<Run>,
    /// How runs ended that came to nothing and were run again: not in the figures.
    pub failed: Vec<Trouble>,
}

/// How often in a row a program of others may fail or hang in one round.
const TRIES: usize = 3;

impl Contest<'_> {
    /// All rounds.
    pub fn run(&self) -> Result<Vec<Row>, Trouble> {
        let rounds = self.bench.arguments.rounds;
        let rows = turns(self.name, rounds, &self.programs, |at| self.once(&self.programs[at]))?;
        if self.fresh {
            emptied(&self.directory)?;
        }
        Ok(rows)
    }

    fn once(&self, program: &Program) -> Result<Run, Trouble> {
        if self.fresh {
            emptied(&self.directory)?;
        }
        // What others have yet to write to the disk would be written in this run's time.
        rustix::fs::sync();
        let run = run::start(self.bench, program, self.repo, &self.directory, self.server, "")?;
        let run = run.end()?.finished(program)?;
        if self.fresh {
            self.complete(program)?;
        }
        Ok(run)
    }

    /// Every file is there. Whether its bytes are right is what some programs do not know.
    fn complete(&self, program: &Program) -> Result<(), Trouble> {
        let mut there = sizes(&self.directory);
        for wanted in self.bench.origin.sizes(self.repo) {
            let at = there.iter().position(|it| *it == wanted);
            let at =
                at.ok_or_else(|| format!("{} says done, and a file of {wanted} bytes is missing", program.name))?;
            there.swap_remove(at);
        }
        Ok(())
    }
}

/// All rounds of programs, by what the one of a number does once.
pub fn turns(
    name: &str,
    rounds: u32,
    programs: &[Program],
    once: impl Fn(usize) -> Result<Run, Trouble>,
) -> Result<Vec<Row>, Trouble> {
    let mut rows: Vec<Row> =
        programs.iter().map(|program| Row { program: *program, runs: vec![], failed: vec![] }).collect();
    for round in 0..rounds {
        for at in order(rows.len(), round as usize) {
            let run = until_done(name, &mut rows[at], at == 0, || once(at))?;
            let (program, megabytes) = (rows[at].program.name, run.peak_memory / 1_000_000);
            let (seconds, processor, requests) = (run.seconds, run.processor_seconds, run.requests());
            println!(
                "{name} {}/{rounds}  {seconds:7.3} s {processor:7.3} s of processors {megabytes:5} MB {requests:5} requests \
                 {:3} connections  {program}",
                round + 1,
                run.served.connections
            );
            rows[at].runs.push(run);
        }
    }
    Ok(rows)
}

/// One run that succeeds. Ours succeeds at once, or nothing is worth measuring.
fn until_done(name: &str, row: &mut Row, ours: bool, once: impl Fn() -> Result<Run, Trouble>) -> Result<Run, Trouble> {
    for _ in 1..TRIES {
        match once() {
            Err(trouble) if !ours => {
                println!("{name} again: {trouble}");
                row.failed.push(trouble);
            }
            done => return done,
        }
    }
    once()
}

/// Who runs when: everybody once a round, each round begins with the next one.
pub fn order(programs: usize, round: usize) -> Vec<usize> {
    (0..programs).map(|at| (at + round) % programs).collect()
}

impl Row {
    /// Seconds of each round.
    pub fn seconds(&self) -> Vec<f64> {
        self.runs.iter().map(|it| it.seconds).collect()
    }

    /// How many times as long as ours it took.
    pub fn ratio(&self, ours: &Self) -> Spread {
        Spread::of_ratios(&self.seconds(), &ours.seconds())
    }

    /// The most memory of all rounds, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.runs.iter().map(|it| it.peak_memory).max().unwrap_or_default()
    }
}
