//! Four large files to a disk in a container with little memory: who gets to the end?

use super::{Bench, Goal, Outcome, size};
use crate::Trouble;
use crate::cgroup::Cgroup;
use crate::program::{HF, OURS, Program};
use crate::run::{self, Run};
use crate::scratch::{emptied, sizes};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

const LIMIT: u64 = 128 << 20;
/// It ends or it does not: more rounds would say no more.
const MOST_ROUNDS: u32 = 3;

pub fn run(bench: &Bench<'_>) -> Result<Outcome, Trouble> {
    let title = format!("memory limit 128 MiB, {} to disk", size(4, bench.origin.file_size));
    bench.origin.use_server(&bench.origin.fast, Duration::ZERO);
    let rounds = bench.arguments.rounds.min(MOST_ROUNDS);
    let (mut remarks, mut finished) = (vec![], 0);
    for round in 0..rounds {
        for program in [OURS, HF] {
            let (fate, done) = once(bench, &program)?;
            println!("memory {}/{rounds}  {}: {fate}", round + 1, program.name);
            remarks.push(format!("{}, round {}: {fate}.", program.name, round + 1));
            finished += u32::from(done && program.name == OURS.name);
        }
    }
    let goals = vec![Goal {
        scenario: title.clone(),
        against: "–".to_owned(),
        promise: "finishes".to_owned(),
        figure: format!("{finished} of {rounds} times"),
        met: finished == rounds,
    }];
    let what =
        "A control group of its own for each run. Its limit counts the page cache of what is written, as in a pod.";
    Ok(Outcome { title, what: what.to_owned(), rows: vec![], goals, remarks })
}

/// What became of it, and whether all of it is there.
fn once(bench: &Bench<'_>, program: &Program) -> Result<(String, bool), Trouble> {
    let directory = bench.scratch.disk.join("target");
    emptied(&directory)?;
    rustix::fs::sync();
    let cgroup = Cgroup::new(LIMIT)?;
    let enter = format!("echo $$ > '{}' && ", cgroup.processes().display());
    let run = run::start(bench, program, "four", &directory, &bench.origin.fast, &enter)?.end()?;
    let wanted = bench.origin.sizes("four");
    let there = sizes(&directory).into_iter().filter(|it| wanted.contains(it)).count();
    emptied(&directory)?;
    let Run { seconds, status, said, peak_memory, .. } = &run;
    let megabytes = *peak_memory as f64 / 1e6;
    let killed = cgroup.out_of_memory();
    let fate = if status.success() && there >= wanted.len() {
        format!("finished in {seconds:.1} s, with {megabytes:.0} MB of its own at most")
    } else if killed > 0 {
        format!("killed by the kernel after {seconds:.1} s, out of memory")
    } else {
        let end = status.signal().map_or_else(|| status.to_string(), |it| format!("signal {it}"));
        format!("failed after {seconds:.1} s ({end}): {}", said.trim().lines().last().unwrap_or_default())
    };
    Ok((fate, status.success() && there >= wanted.len()))
}
