//! A first backup of a model and its logs: everything is read, everything is written.

use super::keeping::Keeping;
use super::{Bench, Outcome, ratios};
use crate::Trouble;
use crate::data::Data;
use crate::keep::{OURS, RESTIC, TAR_GZ, TAR_ZSTD, TAR_ZSTD_SYNC};
use std::cell::RefCell;
use std::collections::BTreeMap;

pub fn run(bench: &Bench<'_>) -> Result<Outcome, Trouble> {
    let data = Data::model(&Keeping::directory(bench), bench.origin.file_size)?;
    let title = format!("full backup of {}", super::weights_and_text(bench));
    let keeping = Keeping::new(bench, "backup", data);
    let keepers = [OURS, RESTIC, TAR_GZ, TAR_ZSTD, TAR_ZSTD_SYNC];
    let kept = RefCell::new(BTreeMap::new());
    let rows = keeping.turns(
        &keepers,
        |it| it.backup,
        |it| {
            let run = keeping.first_backup(it)?;
            kept.borrow_mut().insert(it.backup.name, keeping.kept(it));
            keeping.restore(it)?;
            keeping.clear(it)?;
            Ok(run)
        },
    )?;
    let goals = ratios(&title, &rows, &[(RESTIC.backup, 5.0), (TAR_GZ.backup, 20.0), (TAR_ZSTD.backup, 0.8)]);
    let kept = kept.into_inner();
    let of_all = keeping.data.bytes as f64 / 1e6;
    let remark = |it: &crate::keep::Keeper| {
        let megabytes = kept.get(it.backup.name).copied().unwrap_or_default() as f64 / 1e6;
        format!("{}: {megabytes:.0} MB kept of {of_all:.0} MB.", it.backup.name)
    };
    let remarks = keepers.iter().map(remark).collect();
    keeping.end()?;
    let what = "To an empty place on the same disk; the files are in the page cache for all. After each run the backup is \
                restored, and every byte compared.";
    Ok(Outcome { title, what: what.to_owned(), rows, goals, remarks })
}
