//! Two large files to a disk, with everything on it at the end.

use super::{Bench, Outcome, ratios, size};
use crate::Trouble;
use crate::contest::Contest;
use crate::program::{CP_SYNC, HF_SYNC, OURS_SYNC};
use std::time::Duration;

pub fn run(bench: &Bench<'_>) -> Result<Outcome, Trouble> {
    let title = format!("{} to disk with sync", size(2, bench.origin.file_size));
    bench.origin.use_server(&bench.origin.fast, Duration::ZERO);
    let contest = Contest {
        bench,
        name: "disk",
        repo: "two",
        programs: vec![OURS_SYNC, HF_SYNC, CP_SYNC],
        directory: bench.scratch.disk.join("target"),
        fresh: true,
        server: &bench.origin.fast,
    };
    let rows = contest.run()?;
    let goals = ratios(&title, &rows, &[(HF_SYNC, 2.3), (CP_SYNC, 0.75)]);
    let what = "The bytes are in the server's memory, the target is on the disk; `sync -f` belongs to each run.";
    Ok(Outcome { title, what: what.to_owned(), rows, goals, remarks: vec![] })
}
