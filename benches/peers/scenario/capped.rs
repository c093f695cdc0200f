//! One large file from a server that gives each connection only so much: who uses several?

use super::{Bench, Outcome, ratios, size};
use crate::Trouble;
use crate::contest::Contest;
use crate::origin::PACE;
use crate::program::{ARIA2, ARIA2_TUNED, CURL, HF, HF_TRANSFER, OURS};
use std::time::Duration;

pub fn run(bench: &Bench<'_>) -> Result<Outcome, Trouble> {
    let title = format!("{}, {} MB/s per connection", size(1, bench.origin.file_size), PACE / 1_000_000);
    bench.origin.use_server(&bench.origin.paced, Duration::ZERO);
    let contest = Contest {
        bench,
        name: "capped",
        repo: "one",
        programs: vec![OURS, HF, CURL, HF_TRANSFER, ARIA2, ARIA2_TUNED],
        directory: bench.scratch.memory.join("target"),
        fresh: true,
        server: &bench.origin.paced,
    };
    let rows = contest.run()?;
    let goals = ratios(&title, &rows, &[(HF, 13.0), (CURL, 13.0), (ARIA2, 3.0), (ARIA2_TUNED, 0.95)]);
    let what = format!(
        "TCP itself paces each connection (`SO_MAX_PACING_RATE` on the server's sockets). With 16 connections the file cannot \
         come in less than {:.2} s.",
        bench.origin.file_size as f64 / (16 * PACE) as f64
    );
    Ok(Outcome { title, what, rows, goals, remarks: vec![] })
}
