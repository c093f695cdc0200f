//! How is it told? One page of Markdown.

use crate::arguments::Arguments;
use crate::contest::Row;
use crate::machine::Machine;
use crate::scenario::{Goal, Outcome};
use crate::spread::Spread;
use std::fmt::Write;

const METHOD: &str = include_str!("page/method.md");
/// Further columns, and the rule below them.
const NETWORK: (&str, &str) = (" Requests | To the hub | Connections | MB sent |", "---|---|---|---|");
/// By hand: what limits where a promise is missed, and what was tried.
const LIMITS: &str = include_str!("page/limits.md");

/// The page.
pub fn whole(arguments: &Arguments, machine: &Machine, results: &[Outcome], promised: &[Goal]) -> String {
    let mut page = format!("# Benchmarks\n\n{METHOD}- {} rounds.\n", arguments.rounds);
    if !arguments.is_full() {
        let _ = writeln!(page, "\n**A partial or small run: a look, not a result.**");
    }
    let _ = write!(page, "\n## Machine\n\n{machine}\n## Promises\n\n{}", goals(promised));
    let misses: Vec<&Goal> = promised.iter().filter(|it| !it.met).collect();
    if !misses.is_empty() {
        let _ = writeln!(page, "\nMissed:\n");
        for goal in misses {
            let Goal { scenario, against, promise, figure, .. } = goal;
            let _ = writeln!(page, "- {scenario}, {against}: {figure}, and {promise} was promised.");
        }
    }
    let _ = write!(page, "{}{LIMITS}", if LIMITS.is_empty() { "" } else { "\n" });
    let _ = writeln!(page, "\n## Runs");
    for result in results {
        let _ = write!(page, "\n{}", section(result));
    }
    let _ = write!(page, "\n## What each program runs, and what it checks\n\n{}", programs(results));
    page
}

/// What was promised, and what came of it.
pub fn goals(goals: &[Goal]) -> String {
    let mut table = "| Scenario | Against | Promised | Measured | |\n|---|---|---|---|---|\n".to_owned();
    for Goal { scenario, against, promise, figure, met } in goals {
        let judged = if *met { "met" } else { "**missed**" };
        let _ = writeln!(table, "| {scenario} | {against} | {promise} | {figure} | {judged} |");
    }
    table
}

/// One scenario.
pub fn section(result: &Outcome) -> String {
    let mut text = format!("### {}\n\n{}\n\n", result.title, result.what);
    if let Some(ours) = result.rows.first() {
        // Who asks nobody for anything has no columns for it.
        let network = result.rows.iter().flat_map(|it| &it.runs).any(|it| it.requests() > 0);
        let (columns, rule) = if network { NETWORK } else { ("", "") };
        let _ = writeln!(text, "| Program | Seconds | Times as long as ours | Of processors | Peak memory |{columns}");
        let _ = writeln!(text, "|---|---|---|---|---|{rule}");
        for row in &result.rows {
            let _ = writeln!(text, "{}", line(row, ours, network));
        }
    }
    for remark in &result.remarks {
        let _ = writeln!(text, "- {remark}");
    }
    for trouble in result.rows.iter().flat_map(|it| &it.failed) {
        let _ = writeln!(text, "- Run again, and not in the figures: {trouble}.");
    }
    text
}

fn line(row: &Row, ours: &Row, network: bool) -> String {
    let of = |what: &dyn Fn(&crate::run::Run) -> f64| Spread::of(row.runs.iter().map(what)).median;
    let line = format!(
        "| {} | {} | {} | {:.2} s | {:.0} MB |",
        row.program.name,
        Spread::of(row.seconds()),
        row.ratio(ours),
        of(&|run| run.processor_seconds),
        row.peak_memory() as f64 / 1e6,
    );
    if !network {
        return line;
    }
    format!(
        "{line} {} | {} | {} | {:.0} |",
        of(&|run| run.requests() as f64),
        of(&|run| run.hub_requests as f64),
        of(&|run| run.served.connections as f64),
        of(&|run| run.bytes() as f64 / 1e6),
    )
}

fn programs(results: &[Outcome]) -> String {
    let mut table = "| Program | Command | Knows at the end |\n|---|---|---|\n".to_owned();
    let mut told = vec![];
    for row in results.iter().flat_map(|it| &it.rows) {
        let program = row.program;
        if !told.contains(&program.name) {
            told.push(program.name);
            let script = program.script.replace('|', "\\|");
            let _ = writeln!(table, "| {} | `{script}` | {} |", program.name, program.checks);
        }
    }
    table
}
