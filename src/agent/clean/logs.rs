//! What is to be done with a log and its rotated files? Pure.

use super::found::{Found, split};
use super::rotated::{Aside, Name, read};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a rotated file must have been quiet before it is compressed, in nanoseconds: a minute.
const QUIET: i128 = 60 * 1_000_000_000;

/// A log and what was made of it.
#[allow(clippy::struct_field_names, reason = "it is the log")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The log itself, if it is there.
    pub log: Option<Found>,
    /// When it was begun, in seconds since 1970, if the file system says so.
    pub born: Option<i64>,
    /// Rotated files.
    pub rotated: Vec<Rotated>,
    /// What a killed run left.
    pub aside: Vec<(Aside, i64, Found)>,
}

/// A rotated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The file.
    pub found: Found,
    /// When it was rotated, in seconds since 1970.
    pub time: i64,
    /// Whether it is compressed.
    pub compressed: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A log of this size is rotated.
    pub max_size: Option<u64>,
    /// A log of this age is rotated.
    pub max_age: Option<Duration>,
    /// Rotated files that stay.
    pub keep: Option<u64>,
    /// What was not written to for this long goes.
    pub delete_after: Option<Duration>,
    /// Whether rotated files are compressed.
    pub compress: bool,
    /// Whether the newest rotated file is not, yet.
    pub delay: bool,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Rotate the log, and why.
    pub rotate: Option<String>,
    /// What goes, and why.
    pub delete: Vec<(Found, String)>,
    /// What is compressed, and when it was rotated.
    pub compress: Vec<(Found, i64)>,
    /// Whether the log, once rotated, is compressed at once.
    pub compress_new: bool,
}

/// The path of the log that a file is, or was made of.
pub fn log_of(path: &[u8]) -> Vec<u8> {
    let (directory, name) = split(path);
    let log = match read(name) {
        Name::Rotated { log, .. } | Name::Aside { log, .. } => log,
        Name::Other => name,
    };
    beside(directory, log)
}

/// The path of a name in a directory.
pub fn beside(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// Files by the log that they are or were made of.
pub fn group(files: Vec<Found>) -> BTreeMap<Vec<u8>, Log> {
    let mut logs: BTreeMap<Vec<u8>, Log> = BTreeMap::new();
    for found in files {
        let log = logs.entry(log_of(&found.path)).or_default();
        match read(split(&found.path).1) {
            Name::Rotated { time, compressed, .. } => log.rotated.push(Rotated { found, time, compressed }),
            Name::Aside { time, what, .. } => log.aside.push((what, time, found)),
            Name::Other => log.log = Some(found),
        }
    }
    logs
}

/// What is to be done with a log.
pub fn steps(log: &Log, wanted: &Wanted, now: i128) -> Steps {
    let mut steps = Steps::default();
    let nanoseconds = |it: Duration| i128::try_from(it.as_nanos()).unwrap_or(i128::MAX);
    let stale =
        |found: &Found| wanted.delete_after.is_some_and(|after| now.saturating_sub(found.written) > nanoseconds(after));
    let old =
        |after: Option<Duration>| format!("not written to for more than {}", after.map_or_else(String::new, words));

    let mut generations: Vec<&Rotated> = log.rotated.iter().collect();
    generations.sort_by_key(|it| (std::cmp::Reverse(it.time), it.compressed));
    if let Some(found) = &log.log {
        if found.size > 0 && stale(found) {
            steps.delete.push((found.clone(), old(wanted.delete_after)));
        } else {
            steps.rotate = due(log, found, &generations, wanted, now);
        }
    }
    let quiet = |found: &Found| now.saturating_sub(found.written) >= QUIET;
    steps.compress_new = wanted.compress && !wanted.delay && log.log.as_ref().is_some_and(quiet);

    let new = u64::from(steps.rotate.is_some());
    for (rank, it) in (new..).zip(generations) {
        if wanted.keep.is_some_and(|keep| rank >= keep) {
            let keep = wanted.keep.unwrap_or_default();
            steps.delete.push((it.found.clone(), format!("more than {keep} rotated files of this log")));
        } else if stale(&it.found) {
            steps.delete.push((it.found.clone(), old(wanted.delete_after)));
        } else if wanted.compress && !it.compressed && !(wanted.delay && rank == 0) && quiet(&it.found) {
            steps.compress.push((it.found.clone(), it.time));
        }
    }
    steps
}

fn due(log: &Log, found: &Found, generations: &[&Rotated], wanted: &Wanted, now: i128) -> Option<String> {
    if found.size == 0 {
        return None;
    }
    if let Some(limit) = wanted.max_size.filter(|limit| found.size >= *limit) {
        return Some(format!("has reached {}", crate::api::quantity::human(limit)));
    }
    let limit = wanted.max_age?;
    let begun = generations.iter().map(|it| it.time).chain(log.born).max();
    // Where nobody knows when it began, the first rotation begins the count.
    let age = begun.map_or(i128::MAX, |begun| now.saturating_sub(i128::from(begun) * 1_000_000_000));
    let limit_reached = age >= i128::try_from(limit.as_nanos()).unwrap_or(i128::MAX);
    limit_reached.then(|| format!("was begun more than {} ago", words(limit)))
}

/// A duration as people write it.
pub fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(24 * 3600, "d"), (3600, "h"), (60, "m")];
    let unit = units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
