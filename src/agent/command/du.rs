//! `du`: what takes the space of the volumes?

use super::look_at::LookAt;
use super::output::{Done, Format, Output, print};
use super::table::{Side, table};
use crate::agent::failure::Failure;
use crate::agent::inspect::amount::Amount;
use crate::agent::inspect::bucket::Foreign;
use crate::agent::inspect::usage::{self, Usage};
use crate::api::quantity::human;
use crate::contract::outcome::Outcome;
use clap::Args;
use std::fmt::Write;
use std::process::ExitCode;

/// Options of `du`.
#[derive(Args, Debug)]
pub struct Du {
    #[command(flatten)]
    look_at: LookAt,

    /// How to print the result.
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

impl Du {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.count() {
            Ok(usages) => {
                let text: Vec<String> = usages.iter().map(text).collect();
                print(self.output, &text.join("\n"), &usages);
                ExitCode::SUCCESS
            }
            Err(failure) => {
                Output::new(self.output).finish(&[Done::of(Outcome::failure(failure.reason, failure.message))])
            }
        }
    }

    fn count(&self) -> Result<Vec<Usage>, Failure> {
        self.look_at.places()?.iter().map(usage::of).collect()
    }
}

fn text(usage: &Usage) -> String {
    let heading = ["DISK", "FILES", "ALSO USED", "WHAT"].map(str::to_owned).to_vec();
    let mut rows = vec![heading, row(&usage.total, None, format!("{} ({})", usage.volume, usage.path))];
    for cache in &usage.caches {
        let own = [cache.own, cache.staging, cache.trash, cache.state].into_iter().sum();
        rows.push(row(&own, Some(&cache.shared), format!("  cache {}", cache.cache)));
        for source in &cache.sources {
            rows.push(row(&source.own, Some(&source.shared), format!("    source {}", source.source)));
            for revision in &source.revisions {
                let when = if revision.current { "" } else { " (earlier)" };
                let what = format!("      {:.40}{when}", revision.revision);
                rows.push(row(&revision.own, Some(&revision.shared), what));
            }
        }
        for (amount, what) in [(cache.staging, "half fetched"), (cache.trash, "trash"), (cache.state, "manifests")] {
            push(&mut rows, &amount, format!("    {what}"));
        }
    }
    push(&mut rows, &usage.shared_by_caches, "  of more than one cache".to_owned());
    for foreign in &usage.foreign {
        push(&mut rows, &foreign.amount, format!("  {}: {}", kind(foreign.kind), foreign.path));
    }
    push(&mut rows, &usage.other, "  other files".to_owned());
    push(&mut rows, &usage.directories, "  directories".to_owned());
    push(&mut rows, &usage.trash, "  trash".to_owned());
    push(&mut rows, &usage.state, "  state of no cache".to_owned());
    let mut text = table(&[Side::Right, Side::Right, Side::Right, Side::Left], &rows);
    if !usage.reclaimable.is_empty() {
        text.push_str("\nCould go:\n");
        for it in &usage.reclaimable {
            let (bytes, what) = (human(it.amount.disk_bytes), words(&it.what));
            _ = writeln!(text, "  {bytes}  {what}: {}", it.why);
        }
    }
    for path in &usage.unreadable {
        _ = writeln!(text, "Not read, and missing from the sums: {path}");
    }
    for path in &usage.other_file_systems {
        _ = writeln!(text, "Not counted, another file system is mounted there: {path}");
    }
    text
}

fn push(rows: &mut Vec<Vec<String>>, amount: &Amount, what: String) {
    if !amount.is_nothing() {
        rows.push(row(amount, None, what));
    }
}

fn row(own: &Amount, shared: Option<&Amount>, what: String) -> Vec<String> {
    let shared = shared.filter(|it| !it.is_nothing()).map(|it| human(it.disk_bytes)).unwrap_or_default();
    vec![human(own.disk_bytes), own.files.to_string(), shared, what]
}

/// `earlierRevisions` as `earlier revisions`.
fn words(name: &str) -> String {
    name.chars()
        .flat_map(|c| c.is_ascii_uppercase().then_some(' ').into_iter().chain([c.to_ascii_lowercase()]))
        .collect()
}

fn kind(foreign: Foreign) -> &'static str {
    match foreign {
        Foreign::Repository => "another tool's repository",
        Foreign::Snapshot => "another tool's snapshot",
        Foreign::Blob => "another tool's blobs in",
        Foreign::LooseBlob => "blobs that nothing links to in",
        Foreign::Incomplete => "interrupted downloads of other tools in",
        Foreign::SharedStore => "shared blob store of the hub's clients",
        Foreign::Locks => "locks of the hub's clients",
        Foreign::Xet => "the hub client's transfer cache",
        Foreign::Other => "of other tools",
    }
}
