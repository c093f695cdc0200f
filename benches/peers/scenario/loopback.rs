//! Two large files, as fast as it goes: what does a program itself cost?

use super::{Bench, Outcome, ratios, size};
use crate::Trouble;
use crate::contest::Contest;
use crate::program::{ARIA2, ARIA2_TUNED, CP, CURL, CURL_Z, CURL_Z_SHA256, HF, HF_TRANSFER, OURS};
use std::time::Duration;

pub fn run(bench: &Bench<'_>) -> Result<Outcome, Trouble> {
    let title = format!("{}, loopback, tmpfs", size(2, bench.origin.file_size));
    bench.origin.use_server(&bench.origin.fast, Duration::ZERO);
    let contest = Contest {
        bench,
        name: "loopback",
        repo: "two",
        programs: vec![OURS, HF, HF_TRANSFER, CURL, CURL_Z, CURL_Z_SHA256, ARIA2, ARIA2_TUNED, CP],
        directory: bench.scratch.memory.join("target"),
        fresh: true,
        server: &bench.origin.fast,
    };
    let rows = contest.run()?;
    let goals = ratios(&title, &rows, &[(HF, 1.8), (CURL_Z_SHA256, 1.15), (HF_TRANSFER, 1.5), (CURL_Z, 0.65)]);
    let what =
        "The network is the loopback and the target a tmpfs, so that what is measured is the program's own work.";
    Ok(Outcome { title, what: what.to_owned(), rows, goals, remarks: vec![] })
}
