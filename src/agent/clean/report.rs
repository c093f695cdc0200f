//! What did a rule do, what did it leave alone, and why?

use super::super::failure::Failure;
use super::hand::Refusal;
use crate::api::Reason;
use crate::api::quantity::human;
use serde::Serialize;
use std::fmt::Write;

/// Deeds of one rule that are kept by name; then their number.
const NAMED: usize = 1000;
/// Deeds of one rule that people are shown; all that are named of a dry run.
const SHOWN: usize = 20;

/// What was done to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// It is gone.
    Deleted,
    /// It is in the trash.
    Trashed,
    /// It has another name, and a new log took its place.
    Rotated,
    /// It was copied and emptied.
    Cut,
    /// It is compressed.
    Compressed,
    /// Its mode or owner is what it should be.
    Mended,
    /// A revision is gone, whole.
    RevisionRemoved,
    /// An empty directory is gone.
    DirectoryRemoved,
    /// What a killed run had begun is done, or undone.
    Finished,
}

/// One deed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deed {
    /// What was done.
    pub what: What,
    /// To what.
    pub path: String,
    /// Why.
    pub why: String,
    /// Bytes on the disk that it concerns.
    pub bytes: u64,
}

/// What a rule did. In a dry run: what it would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleReport {
    /// Name of the rule.
    pub rule: String,
    /// Files that it means; revisions and leftovers of a cache.
    pub matched: u64,
    /// Their bytes on the disk.
    pub matched_bytes: u64,
    /// Files deleted, at once or into the trash.
    pub deleted: u64,
    /// Logs rotated.
    pub rotated: u64,
    /// Files compressed.
    pub compressed: u64,
    /// Files and directories whose mode or owner was mended.
    pub mended: u64,
    /// Bytes on the disk that nothing names any more.
    pub freed_bytes: u64,
    /// Bytes on the disk that went to the trash.
    pub trashed_bytes: u64,
    /// What was done, one by one; at most a thousand.
    pub deeds: Vec<Deed>,
    /// How many more there were.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_deeds: u64,
    /// What would have been deleted, of a rule that was refused because it is too much; at most a thousand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Deed>,
    /// What was left alone, and what else is worth a word.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Files that somebody else was at work on: the next run sees them.
    #[serde(skip_serializing_if = "is_zero")]
    pub changed: u64,
    /// Why the rule was not carried out, or not wholly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<RuleFailure>,
}

/// Why a rule was not carried out wholly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleFailure {
    /// The reason, from the closed list.
    pub reason: Reason,
    /// What happened and what to do.
    pub message: String,
    /// Files that failed.
    pub count: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl RuleReport {
    /// The report of a rule that has done nothing yet.
    pub fn of(rule: &str) -> Self {
        Self { rule: rule.to_owned(), ..Self::default() }
    }

    /// Something was done.
    pub fn did(&mut self, what: What, path: String, why: impl Into<String>, bytes: u64) {
        match what {
            What::Deleted | What::RevisionRemoved => {
                self.deleted += 1;
                self.freed_bytes += bytes;
            }
            What::Trashed => {
                self.deleted += 1;
                self.trashed_bytes += bytes;
            }
            What::Rotated | What::Cut => self.rotated += 1,
            What::Compressed => {
                self.compressed += 1;
                self.freed_bytes += bytes;
            }
            What::Mended => self.mended += 1,
            What::DirectoryRemoved | What::Finished => {}
        }
        if self.deeds.len() < NAMED {
            self.deeds.push(Deed { what, path, why: why.into(), bytes });
        } else {
            self.more_deeds += 1;
        }
    }

    /// Something was not done.
    pub fn refused(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::Changed(_) => self.changed += 1,
            Refusal::System { .. } => self.fail(Reason::VolumeError, refusal.to_string()),
        }
    }

    /// Something failed; the first failure is told, the others are counted.
    pub fn fail(&mut self, reason: Reason, message: String) {
        match &mut self.failure {
            Some(failure) => failure.count += 1,
            None => self.failure = Some(RuleFailure { reason, message, count: 1 }),
        }
    }

    /// The rule failed.
    pub fn failed(&mut self, failure: Failure) {
        self.fail(failure.reason, failure.message);
    }

    /// Something worth a word.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Whether nothing was done.
    pub fn is_nothing(&self) -> bool {
        self.deeds.is_empty()
    }

    /// The report for people.
    pub fn text(&self, dry_run: bool) -> String {
        let mut text = format!("rule {}: {}", self.rule, self.summary(dry_run));
        let shown = if dry_run { NAMED } else { SHOWN };
        for deed in self.deeds.iter().take(shown) {
            let Deed { what, path, why, bytes } = deed;
            _ = write!(text, "\n  {} {path}: {why} ({})", words(*what), human(*bytes));
        }
        let more = self.more_deeds + self.deeds.len().saturating_sub(shown) as u64;
        if more > 0 {
            _ = write!(text, "\n  and {more} more");
        }
        for Deed { path, why, bytes, .. } in self.refused.iter().take(shown) {
            _ = write!(text, "\n  not deleted: {path}: {why} ({})", human(*bytes));
        }
        for note in &self.notes {
            _ = write!(text, "\n  note: {note}");
        }
        if self.changed > 0 {
            _ = write!(text, "\n  note: {} files changed meanwhile and were left to the next run", self.changed);
        }
        if let Some(RuleFailure { reason, message, count }) = &self.failure {
            let others = if *count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
            _ = write!(text, "\n  {reason}: {message}{others}");
        }
        text
    }

    /// The report in one line.
    pub fn summary(&self, dry_run: bool) -> String {
        let counted = [
            (self.rotated, "rotated"),
            (self.compressed, "compressed"),
            (self.deleted, "deleted"),
            (self.mended, "mended"),
        ];
        let done: Vec<String> =
            counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let done = if done.is_empty() { "nothing to do".to_owned() } else { done.join(", ") };
        let would = if dry_run && !self.is_nothing() { "would be: " } else { "" };
        let trash = if self.trashed_bytes > 0 {
            format!(", {} to the trash", human(self.trashed_bytes))
        } else {
            String::new()
        };
        format!("{would}{done} of {} files; {} freed{trash}", self.matched, human(self.freed_bytes))
    }
}

/// What was done, in words.
pub fn words(what: What) -> &'static str {
    match what {
        What::Deleted => "deleted",
        What::Trashed => "to the trash:",
        What::Rotated => "rotated",
        What::Cut => "copied and emptied",
        What::Compressed => "compressed",
        What::Mended => "mended",
        What::RevisionRemoved => "removed revision",
        What::DirectoryRemoved => "removed empty directory",
        What::Finished => "finished what a killed run began:",
    }
}
