//! Many small files from far away: whose requests are few, and go out together?

use super::{Bench, Goal, Outcome, ratios};
use crate::Trouble;
use crate::contest::Contest;
use crate::program::{CURL_Z, HF, OURS};
use crate::spread::Spread;
use std::time::Duration;

const LATENCY: Duration = Duration::from_millis(20);

pub fn run(bench: &Bench<'_>) -> Result<Outcome, Trouble> {
    let title = "500 files of 20 KB, 20 ms latency".to_owned();
    bench.origin.use_server(&bench.origin.fast, LATENCY);
    let contest = Contest {
        bench,
        name: "small",
        repo: "small",
        programs: vec![OURS, HF, CURL_Z],
        directory: bench.scratch.memory.join("target"),
        fresh: true,
        server: &bench.origin.fast,
    };
    let rows = contest.run()?;
    let mut goals = ratios(&title, &rows, &[(HF, 7.0)]);
    let requests: Vec<Vec<f64>> =
        rows.iter().map(|row| row.runs.iter().map(|it| it.requests() as f64).collect()).collect();
    let fewer = Spread::of_ratios(&requests[1], &requests[0]);
    goals.push(Goal::at_least(&title, "hf download, requests", fewer, 2.0));
    let what = "The hub itself sends files that are not in large file storage, each answer 20 ms after its request. (curl is \
                told the list of files, which the others ask for.)";
    Ok(Outcome { title, what: what.to_owned(), rows, goals, remarks: vec![] })
}
