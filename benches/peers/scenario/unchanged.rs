//! A backup of what has not changed since the last one: the one that runs every night.

use super::keeping::Keeping;
use super::{Bench, Outcome, ratios};
use crate::Trouble;
use crate::data::Data;
use crate::keep::{OURS, RESTIC};

pub fn run(bench: &Bench<'_>) -> Result<Outcome, Trouble> {
    let data = Data::model(&Keeping::directory(bench), bench.origin.file_size)?;
    let title = format!("unchanged backup of {}", super::weights_and_text(bench));
    let keeping = Keeping::new(bench, "unchanged", data);
    let keepers = [OURS, RESTIC];
    for keeper in &keepers {
        keeping.first_backup(keeper)?;
    }
    let rows = keeping.turns(&keepers, |it| it.backup, |it| keeping.backup(it))?;
    for keeper in &keepers {
        keeping.restore(keeper)?;
    }
    keeping.end()?;
    let goals = ratios(&title, &rows, &[(RESTIC.backup, 5.0)]);
    let what = "Each program has backed the files up before. The last backup is restored, and every byte compared.";
    Ok(Outcome { title, what: what.to_owned(), rows, goals, remarks: vec![] })
}
