//! `ls`: which sources are on the volumes, and which files has one?

use super::look_at::LookAt;
use super::output::{Done, Format, Output, print};
use super::table::{Side, table};
use crate::agent::failure::Failure;
use crate::agent::inspect::catalogue::{self, Listed, State};
use crate::api::Reason;
use crate::api::quantity::human;
use crate::contract::outcome::Outcome;
use clap::Args;
use std::fmt::Write;
use std::process::ExitCode;

/// Options of `ls`.
#[derive(Args, Debug)]
pub struct Ls {
    /// A source, whose files are listed.
    source: Option<String>,

    #[command(flatten)]
    look_at: LookAt,

    /// How to print the result.
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

impl Ls {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.list() {
            Ok(listed) => {
                let text = if self.source.is_some() { files(&listed) } else { sources(&listed) };
                print(self.output, &text, &listed);
                ExitCode::SUCCESS
            }
            Err(failure) => {
                Output::new(self.output).finish(&[Done::of(Outcome::failure(failure.reason, failure.message))])
            }
        }
    }

    fn list(&self) -> Result<Vec<Listed>, Failure> {
        let mut listed = Vec::new();
        for place in self.look_at.places()? {
            listed.extend(catalogue::of(&place, self.source.as_deref())?);
        }
        match &self.source {
            Some(source) if listed.is_empty() => {
                let message =
                    format!("there is no source `{source}` here: `modelcache ls` without a name lists them all");
                Err(Failure::new(Reason::InvalidSpec, message))
            }
            _ => Ok(listed),
        }
    }
}

fn sources(listed: &[Listed]) -> String {
    let heading = ["CACHE", "SOURCE", "STATE", "REVISION", "FILES", "SIZE", "SINCE", "PATH"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(listed.iter().map(|it| {
        vec![
            it.cache.clone(),
            it.source.clone(),
            state(it.state).to_owned(),
            it.revision.as_deref().map_or_else(|| "-".to_owned(), |it| format!("{it:.12}")),
            it.file_count.to_string(),
            human(it.bytes),
            it.since.clone().unwrap_or_else(|| "-".to_owned()),
            it.path.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }));
    let [left, right] = [Side::Left, Side::Right];
    table(&[left, left, left, left, right, right, left, left], &rows)
}

fn files(listed: &[Listed]) -> String {
    let mut text = String::new();
    for it in listed {
        let Listed { cache, volume, source, .. } = it;
        _ = writeln!(text, "{cache}/{volume}/{source}: {}, {} files", state(it.state), it.file_count);
        let mut rows = vec![["SIZE", "SHA-256", "PATH"].map(str::to_owned).to_vec()];
        rows.extend(it.files.iter().map(|it| vec![human(it.size), it.sha256.clone(), it.path.clone()]));
        text.push_str(&table(&[Side::Right, Side::Left, Side::Left], &rows));
    }
    text
}

fn state(state: State) -> &'static str {
    match state {
        State::Complete => "complete",
        State::Damaged => "damaged",
        State::Partial => "partial",
        State::Expired => "expired",
        State::Absent => "absent",
    }
}
