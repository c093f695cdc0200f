//! A first backup of many small files: what does a file cost?

use super::keeping::Keeping;
use super::{Bench, Outcome, ratios};
use crate::Trouble;
use crate::data::Data;
use crate::keep::{OURS, RESTIC};

pub fn run(bench: &Bench<'_>) -> Result<Outcome, Trouble> {
    let (count, shown) = if bench.arguments.small { (10_000, "10,000") } else { (100_000, "100,000") };
    let data = Data::small(&Keeping::directory(bench), count)?;
    let title = format!("full backup of {shown} small files");
    let megabytes = data.bytes as f64 / 1e6;
    let keeping = Keeping::new(bench, "many", data);
    let rows = keeping.turns(
        &[OURS, RESTIC],
        |it| it.backup,
        |it| {
            let run = keeping.first_backup(it)?;
            keeping.restore(it)?;
            keeping.clear(it)?;
            Ok(run)
        },
    )?;
    keeping.end()?;
    let goals = ratios(&title, &rows, &[(RESTIC.backup, 2.0)]);
    let what = format!(
        "{megabytes:.0} MB, three texts of 200 to 1,700 bytes for each picture of 2,000 to 8,000, no two alike; in the page \
         cache. After each run the backup is restored, and every byte compared."
    );
    Ok(Outcome { title, what, rows, goals, remarks: vec![] })
}
