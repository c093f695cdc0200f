//! Are all bytes on the volume still right? Everything is in the page cache: what is measured is the hashing.

use super::{Bench, Outcome, ratios, size};
use crate::Trouble;
use crate::contest::Contest;
use crate::program::{HF_VERIFY, OURS, OURS_VERIFY};
use crate::run;
use crate::scratch::emptied;
use std::time::Duration;

pub fn run(bench: &Bench<'_>) -> Result<Outcome, Trouble> {
    let title = format!("deep verify, {}", size(4, bench.origin.file_size));
    bench.origin.use_server(&bench.origin.fast, Duration::ZERO);
    let directory = bench.scratch.memory.join("target");
    emptied(&directory)?;
    run::start(bench, &OURS, "four", &directory, &bench.origin.fast, "")?.end()?.finished(&OURS)?;
    let contest = Contest {
        bench,
        name: "verify",
        repo: "four",
        programs: vec![OURS_VERIFY, HF_VERIFY],
        directory: directory.clone(),
        fresh: false,
        server: &bench.origin.fast,
    };
    let rows = contest.run()?;
    emptied(&directory)?;
    let goals = ratios(&title, &rows, &[(HF_VERIFY, 1.8)]);
    let what = "Both look at the same volume, on a tmpfs, as `modelcache prefetch` has left it.";
    Ok(Outcome { title, what: what.to_owned(), rows, goals, remarks: vec![] })
}
