//! `restore-trash`: what did clean-ups throw away, and back with it.

use super::look_at::LookAt;
use super::output::{Done, Format, Output, print};
use super::table::{Side, table};
use crate::agent::clean::restore::{Restored, restore};
use crate::agent::clean::trash::{self, Entry};
use crate::agent::failure::Failure;
use crate::agent::inspect::places::Place;
use crate::agent::layout::safe_path::Root;
use crate::api::Reason;
use crate::api::quantity::human;
use crate::contract::exit_code;
use crate::contract::outcome::Outcome;
use clap::Args;
use serde::Serialize;
use std::fmt::Write;
use std::process::ExitCode;

/// Options of `restore-trash`.
#[derive(Args, Debug)]
pub struct RestoreTrash {
    #[command(flatten)]
    look_at: LookAt,

    /// Say what is in the trash.
    #[arg(long, conflicts_with = "what")]
    list: bool,

    /// What to put back: the name of an entry of the trash, or the path of a file or directory, relative to its volume.
    #[arg(value_name = "ID|PATH", required_unless_present = "list")]
    what: Option<String>,

    /// How to print the result.
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// The trash of a volume.
#[derive(Serialize)]
struct Listed {
    volume: String,
    entries: Vec<Entry>,
}

/// What came back on a volume.
#[derive(Serialize)]
struct Back {
    volume: String,
    #[serde(flatten)]
    restored: Restored,
}

impl RestoreTrash {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let done = self.look_at.places().and_then(|places| match &self.what {
            Some(what) => self.restore(&places, what),
            None => self.show(&places),
        });
        done.unwrap_or_else(|failure| {
            Output::new(self.output).finish(&[Done::of(Outcome::failure(failure.reason, failure.message))])
        })
    }

    fn show(&self, places: &[Place]) -> Result<ExitCode, Failure> {
        let mut all = Vec::new();
        for place in places {
            all.push(Listed { volume: place.name.clone(), entries: trash::entries(&Root::open(&place.path)?)? });
        }
        let mut rows = vec![["DISK", "FILES", "VOLUME", "ID", "WHY"].map(str::to_owned).to_vec()];
        for (volume, entry) in all.iter().flat_map(|it| it.entries.iter().map(|entry| (&it.volume, entry))) {
            let Entry { id, note, amount } = entry;
            let cells =
                [human(amount.disk_bytes), amount.files.to_string(), volume.clone(), id.clone(), note.why.clone()];
            rows.push(cells.to_vec());
        }
        let text = if rows.len() == 1 {
            "the trash is empty\n".to_owned()
        } else {
            table(&[Side::Right, Side::Right, Side::Left, Side::Left, Side::Left], &rows)
        };
        print(self.output, &text, &all);
        Ok(ExitCode::from(exit_code::SUCCESS))
    }

    fn restore(&self, places: &[Place], what: &str) -> Result<ExitCode, Failure> {
        let (mut all, mut missing) = (Vec::new(), None);
        for place in places {
            match restore(&Root::open(&place.path)?, what.trim_end_matches('/')) {
                Ok(restored) => all.push(Back { volume: place.name.clone(), restored }),
                Err(failure) if failure.reason == Reason::NotFound => missing = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        if let Some(failure) = missing.filter(|_| all.is_empty()) {
            return Err(failure);
        }
        let mut text = String::new();
        for Back { volume, restored } in &all {
            _ = writeln!(text, "{volume}: {} files, {} are back", restored.files, human(restored.bytes));
            for path in &restored.taken {
                _ = writeln!(text, "  {path} stays in the trash: something is in its place; move that away first");
            }
        }
        print(self.output, &text, &all);
        let taken = all.iter().any(|it| !it.restored.taken.is_empty());
        Ok(ExitCode::from(if taken { exit_code::FAILURE } else { exit_code::SUCCESS }))
    }
}
