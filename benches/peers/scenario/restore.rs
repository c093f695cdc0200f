//! Everything back into an empty directory.

use super::keeping::Keeping;
use super::{Bench, Outcome, ratios};
use crate::Trouble;
use crate::data::Data;
use crate::keep::{OURS, RESTIC, TAR_ZSTD, TAR_ZSTD_SYNC};

pub fn run(bench: &Bench<'_>) -> Result<Outcome, Trouble> {
    let data = Data::model(&Keeping::directory(bench), bench.origin.file_size)?;
    let title = format!("restore of {}", super::weights_and_text(bench));
    let keeping = Keeping::new(bench, "restore", data);
    for keeper in &[OURS, RESTIC, TAR_ZSTD] {
        keeping.first_backup(keeper)?;
    }
    let keepers = [OURS, RESTIC, TAR_ZSTD, TAR_ZSTD_SYNC];
    let rows = keeping.turns(&keepers, |it| it.restore, |it| keeping.restore(it))?;
    keeping.end()?;
    let goals = ratios(&title, &rows, &[(RESTIC.restore, 3.0), (TAR_ZSTD.restore, 0.6)]);
    let what = "From the same disk; the backup is in the page cache for all. After each run every byte is compared.";
    Ok(Outcome { title, what: what.to_owned(), rows, goals, remarks: vec![] })
}
