//! How is said what happens? Lines and a progress bar on standard error, results on standard output.

#![expect(clippy::print_stdout, reason = "this is where the agent prints")]

use crate::agent::prefetch::report::Report;
use crate::agent::verify::finding::{Finding, Note};
use crate::api::quantity::human;
use crate::contract::exit_code;
use crate::contract::outcome::Outcome;
use crate::contract::progress::Progress;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(5);
/// How often the bar moves.
const BAR: Duration = Duration::from_millis(200);

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// A JSON array with one object for each volume or source.
    Json,
}

/// The result for one volume or source.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Name of the cache, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// Name of the volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Name of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Everything that is damaged. Verify.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<Finding>,
    /// What is not damaged, and worth a word. Verify.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// Where lines and results go.
#[derive(Clone, Debug)]
pub struct Output {
    format: Format,
    bar: Option<ProgressBar>,
}

impl Done {
    /// A result of nothing in particular.
    pub fn of(outcome: Outcome) -> Self {
        Self { cache: None, volume: None, source: None, outcome, damage: vec![], notes: vec![] }
    }
}

impl Output {
    /// With a bar where standard error is a terminal.
    pub fn new(format: Format) -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::no_length);
        Self { format, bar }
    }

    /// A line for people.
    pub fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Shows how far the work is, for as long as it is awaited.
    pub async fn follow<T>(&self, report: &Report, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut tick = tokio::time::interval(if self.bar.is_some() { BAR } else { LINE });
        tick.tick().await;
        let mut before = Progress::default();
        loop {
            tokio::select! {
                done = &mut work => {
                    if let Some(bar) = &self.bar {
                        bar.finish_and_clear();
                    }
                    return done;
                }
                _ = tick.tick() => {
                    let now = report.progress();
                    match &self.bar {
                        Some(bar) => draw(bar, &now),
                        None if now != before => self.line(&line(&now)),
                        None => {}
                    }
                    before = now;
                }
            }
        }
    }

    /// Prints the results, and gives the exit code of the first one that failed.
    pub fn finish(&self, results: &[Done]) -> ExitCode {
        match self.format {
            Format::Json => println!("{}", serde_json::to_string_pretty(results).unwrap_or_default()),
            Format::Text => results.iter().for_each(|done| println!("{}", text(done))),
        }
        let failed = results.iter().map(|done| &done.outcome).find(|outcome| !outcome.succeeded);
        ExitCode::from(failed.map_or(exit_code::SUCCESS, |outcome| exit_code::of(outcome.reason)))
    }
}

fn text(done: &Done) -> String {
    let names = [&done.cache, &done.volume, &done.source];
    let place: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
    let place = if place.is_empty() { String::new() } else { format!("{}: ", place.join("/")) };
    let pin = done.outcome.pin.as_ref();
    let pin =
        pin.map(|pin| format!(" [{}, {} files, {}]", pin.revision, pin.files, human(pin.bytes))).unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    lines.extend(done.notes.iter().map(|it| format!("note {}: {}", it.path, it.detail)));
    lines.extend(done.damage.iter().map(|it| format!("damaged {it} [source {}, {:?}]", it.source, it.kind)));
    lines.push(format!("{place}{}: {}{pin}", done.outcome.reason, done.outcome.message));
    lines.join("\n")
}

/// Prints something else than outcomes: text for people, or a document.
pub fn print(format: Format, text: &str, document: &impl Serialize) {
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(document).unwrap_or_default()),
        Format::Text => print!("{text}"),
    }
}

fn line(progress: &Progress) -> String {
    let of = |total: Option<u64>, show: fn(u64) -> String| total.map_or_else(|| "?".to_owned(), show);
    format!(
        "{} of {} files, {} of {}, {}/s",
        progress.files_done,
        of(progress.files_total, |it| it.to_string()),
        human(progress.bytes_done),
        of(progress.bytes_total, human),
        human(progress.bytes_per_second)
    )
}

fn draw(bar: &ProgressBar, progress: &Progress) {
    if let Some(total) = progress.bytes_total.filter(|_| bar.length().is_none()) {
        bar.set_length(total);
        let template = "{bar:30} {bytes}/{total_bytes} {msg} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
    }
    bar.set_position(progress.bytes_done);
    let files = progress.files_total.map(|total| format!("{}/{total} files", progress.files_done)).unwrap_or_default();
    bar.set_message(format!("{files} {}/s", human(progress.bytes_per_second)));
}
