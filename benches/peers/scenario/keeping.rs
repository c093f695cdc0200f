//! How does a program that keeps files take its turn? Everything that it reads is in the page cache, everything that others
//! wrote is on the disk, and what it brings back is compared byte for byte.

use super::Bench;
use crate::Trouble;
use crate::contest::{Row, turns};
use crate::data::{Data, tree};
use crate::keep::Keeper;
use crate::program::Program;
use crate::run::{self, Run};
use crate::scratch::{emptied, sizes};
use std::path::PathBuf;

/// Files to keep, and places to keep them at, on one disk.
pub struct Keeping<'a> {
    bench: &'a Bench<'a>,
    name: &'static str,
    pub data: Data,
}

impl<'a> Keeping<'a> {
    /// Nothing is kept yet.
    pub fn new(bench: &'a Bench<'a>, name: &'static str, data: Data) -> Self {
        Self { bench, name, data }
    }

    /// Where the files to keep are made.
    pub fn directory(bench: &Bench<'_>) -> PathBuf {
        bench.scratch.disk.join("data")
    }

    /// All rounds of what programs do with what is kept by them.
    pub fn turns(
        &self,
        keepers: &[Keeper],
        program: impl Fn(&Keeper) -> Program,
        once: impl Fn(&Keeper) -> Result<Run, Trouble>,
    ) -> Result<Vec<Row>, Trouble> {
        let programs: Vec<Program> = keepers.iter().map(program).collect();
        turns(self.name, self.bench.arguments.rounds, &programs, |at| once(&keepers[at]))
    }

    /// A backup into an empty place.
    pub fn first_backup(&self, keeper: &Keeper) -> Result<Run, Trouble> {
        emptied(&self.place(keeper))?;
        if let Some(before) = &keeper.before {
            self.run(keeper, before)?;
        }
        self.backup(keeper)
    }

    /// A backup into a place as it is.
    pub fn backup(&self, keeper: &Keeper) -> Result<Run, Trouble> {
        tree(&self.data.files)?;
        self.run(keeper, &keeper.backup)
    }

    /// A restore into an empty directory, which must then have the very same files. They are removed again.
    pub fn restore(&self, keeper: &Keeper) -> Result<Run, Trouble> {
        let back = self.place(keeper).join("back");
        emptied(&back.join("files"))?;
        tree(&self.place(keeper))?;
        let run = self.run(keeper, &keeper.restore)?;
        self.data.compare(&back.join("files"), keeper.restore.name)?;
        emptied(&back)?;
        Ok(run)
    }

    /// Bytes that a keeper's place takes.
    pub fn kept(&self, keeper: &Keeper) -> u64 {
        sizes(&self.place(keeper)).iter().sum()
    }

    /// Removes what a keeper has.
    pub fn clear(&self, keeper: &Keeper) -> Result<(), Trouble> {
        emptied(&self.place(keeper))
    }

    /// Removes everything.
    pub fn end(self) -> Result<(), Trouble> {
        emptied(&self.bench.scratch.disk.join("kept"))?;
        emptied(&Self::directory(self.bench))
    }

    fn place(&self, keeper: &Keeper) -> PathBuf {
        self.bench.scratch.disk.join("kept").join(keeper.place)
    }

    fn run(&self, keeper: &Keeper, program: &Program) -> Result<Run, Trouble> {
        // What others have yet to write to the disk would be written in this run's time.
        rustix::fs::sync();
        run::start(self.bench, program, "", &self.place(keeper), &self.bench.origin.fast, "")?.end()?.finished(program)
    }
}
