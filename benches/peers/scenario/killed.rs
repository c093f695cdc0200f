//! Killed in the middle and run again: how much is fetched twice?

use super::{Bench, Goal, Outcome, size};
use crate::Trouble;
use crate::contest::order;
use crate::program::{HF, OURS, Program};
use crate::run;
use crate::scratch::{emptied, sizes};
use crate::spread::Spread;
use std::time::Duration;

pub fn run(bench: &Bench<'_>) -> Result<Outcome, Trouble> {
    let title = format!("kill -9 at 50 % of {}, run again", size(2, bench.origin.file_size));
    bench.origin.use_server(&bench.origin.fast, Duration::ZERO);
    let programs = [OURS, HF];
    let mut sent: Vec<Vec<f64>> = vec![vec![]; programs.len()];
    let mut before: Vec<Vec<f64>> = vec![vec![]; programs.len()];
    for round in 0..bench.arguments.rounds {
        for at in order(programs.len(), round as usize) {
            let (first, share) = once(bench, &programs[at])?;
            println!(
                "killed {}/{}  {share:.3} of the size sent  {}",
                round + 1,
                bench.arguments.rounds,
                programs[at].name
            );
            sent[at].push(share);
            before[at].push(first);
        }
    }
    let goals = vec![Goal::at_most(&title, "bytes sent / size", Spread::of(sent[0].iter().copied()), 1.03, "")];
    let of = |shares: &[f64]| Spread::of(shares.iter().copied());
    let remarks = programs.iter().zip(before.iter().zip(&sent)).map(|(program, (before, sent))| {
        let (name, before, sent) = (program.name, of(before), of(sent));
        format!("{name}: the server sent {before} of the size until the kill, {sent} times the size in both runs.")
    });
    let what = "To the disk. The kill comes when half of the bytes have come over the loopback; bytes are what nginx handed to \
                the kernel, in both runs, so that what was still in the sockets counts as sent.";
    let remarks = remarks.collect();
    Ok(Outcome { title, what: what.to_owned(), rows: vec![], goals, remarks })
}

/// Bytes sent in the first run, and in both, in sizes.
fn once(bench: &Bench<'_>, program: &Program) -> Result<(f64, f64), Trouble> {
    let directory = bench.scratch.disk.join("target");
    emptied(&directory)?;
    rustix::fs::sync();
    let wanted = bench.origin.sizes("two");
    let size: u64 = wanted.iter().sum();
    let mut running = run::start(bench, program, "two", &directory, &bench.origin.fast, "")?;
    if !running.kill_after(size / 2)? {
        return Err(format!("{} was done before it could be killed", program.name));
    }
    let first = running.end()?;
    let second = run::start(bench, program, "two", &directory, &bench.origin.fast, "")?;
    let second = second.end()?.finished(program)?;
    let there = sizes(&directory).into_iter().filter(|it| wanted.contains(it)).count();
    emptied(&directory)?;
    if there < wanted.len() {
        return Err(format!("{} says done, and files are missing", program.name));
    }
    let share = |bytes: u64| bytes as f64 / size as f64;
    Ok((share(first.bytes()), share(first.bytes() + second.bytes())))
}
