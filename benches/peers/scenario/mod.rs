//! Which work is done, by whom, and what must come of it?

mod backup;
mod capped;
mod disk;
mod keeping;
mod killed;
mod loopback;
mod many;
mod memory;
mod restore;
mod small;
mod unchanged;
mod verify;

use crate::Trouble;
use crate::arguments::Arguments;
use crate::contest::Row;
use crate::origin::Origin;
use crate::packages::Python;
use crate::program::Program;
use crate::scratch::Scratch;
use crate::spread::Spread;
use std::path::Path;

/// What scenarios work with.
pub struct Bench<'a> {
    pub arguments: &'a Arguments,
    pub scratch: &'a Scratch,
    pub origin: &'a Origin,
    pub python: &'a Python,
    pub restic: &'a Path,
}

/// What came of a scenario.
pub struct Outcome {
    pub title: String,
    /// What is done, where.
    pub what: String,
    pub rows: Vec<Row>,
    pub goals: Vec<Goal>,
    /// What else was seen.
    pub remarks: Vec<String>,
}

/// A figure that was promised.
pub struct Goal {
    pub scenario: String,
    pub against: String,
    /// The promise in words: `≥ 1.80 ×`.
    pub promise: String,
    /// The figure in words.
    pub figure: String,
    pub met: bool,
}

type Scenario = fn(&Bench<'_>) -> Result<Outcome, Trouble>;

/// All of them, in the order in which they run.
pub const ALL: [(&str, Scenario); 11] = [
    ("loopback", loopback::run),
    ("capped", capped::run),
    ("disk", disk::run),
    ("small", small::run),
    ("killed", killed::run),
    ("verify", verify::run),
    ("memory", memory::run),
    ("backup", backup::run),
    ("unchanged", unchanged::run),
    ("restore", restore::run),
    ("many", many::run),
];

/// Most megabytes that a run of ours may keep in memory: what it is called, what its name has in it, and how many.
const MOST_MEMORY: [(&str, &[&str], f64); 2] = [
    ("peak memory, 16 connections", &["modelcache prefetch"], 32.0),
    ("peak memory, backup and restore", &["modelcache backup", "modelcache restore"], 64.0),
];

impl Goal {
    /// Ours does it so many times as fast. What is printed is what is judged: two decimals.
    pub fn at_least(scenario: &str, against: &str, ratio: Spread, least: f64) -> Self {
        Self {
            scenario: scenario.to_owned(),
            against: against.to_owned(),
            promise: format!("≥ {least:.2} ×"),
            figure: format!("{ratio} ×"),
            met: (ratio.median * 100.0).round() >= (least * 100.0).round(),
        }
    }

    /// A figure that may not be larger.
    pub fn at_most(scenario: &str, against: &str, figure: Spread, most: f64, unit: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            against: against.to_owned(),
            promise: format!("≤ {most:.2}{unit}"),
            figure: format!("{figure}{unit}"),
            met: (figure.median * 100.0).round() <= (most * 100.0).round(),
        }
    }
}

/// The goals of a contest: programs that ours is to be so many times as fast as.
fn ratios(scenario: &str, rows: &[Row], goals: &[(Program, f64)]) -> Vec<Goal> {
    goals
        .iter()
        .map(|(program, least)| {
            let row = rows.iter().find(|it| it.program.name == program.name).expect("it took part");
            Goal::at_least(scenario, program.name, row.ratio(&rows[0]), *least)
        })
        .collect()
}

/// All goals: those of each scenario, and the memory of ours over all of them.
pub fn goals(results: &[Outcome]) -> Vec<Goal> {
    let mut goals: Vec<Goal> = vec![];
    let per_scenario = results.iter().flat_map(|it| &it.goals);
    goals.extend(per_scenario.map(|it| Goal {
        scenario: it.scenario.clone(),
        against: it.against.clone(),
        promise: it.promise.clone(),
        figure: it.figure.clone(),
        met: it.met,
    }));
    for (scenario, names, promised) in MOST_MEMORY {
        let ours = results.iter().filter_map(|it| it.rows.first());
        let these = ours.filter(|it| names.iter().any(|name| it.program.name.contains(name)));
        let Some(most) = these.map(|it| it.peak_memory() as f64 / 1e6).max_by(f64::total_cmp) else { continue };
        goals.push(Goal {
            scenario: scenario.to_owned(),
            against: "the largest of all runs".to_owned(),
            promise: format!("≤ {promised:.0} MB"),
            figure: format!("{most:.1} MB"),
            met: most <= promised,
        });
    }
    goals
}

/// What [`crate::data::Data::model`] makes.
fn weights_and_text(bench: &Bench<'_>) -> String {
    let mebibytes = bench.origin.file_size >> 20;
    let weights = if mebibytes >= 1024 { format!("{} GiB", mebibytes >> 10) } else { format!("{mebibytes} MiB") };
    format!("{weights} of weights and {} MiB of text", mebibytes * 200 / 1024)
}

/// `2 × 1 GiB`, `2 × 128 MiB`.
fn size(count: u32, bytes: u64) -> String {
    if bytes >= 1 << 30 { format!("{count} × {} GiB", bytes >> 30) } else { format!("{count} × {} MiB", bytes >> 20) }
}
