//! Which columns has each table?

use super::age;
use super::paint::{Paint, Tone};
use super::progress::{Amount, CacheProgress, CopyProgress};
use super::table::{Cell, table};
use crate::api::condition::find;
use crate::api::quantity::human;
use crate::api::{ConditionType, ModelCache, ModelCacheBackup};
use jiff::Timestamp;
use kube::ResourceExt;

/// How much a table shows.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// A column with the namespace.
    pub namespaces: bool,
    /// More columns.
    pub wide: bool,
    /// Colours, or none.
    pub paint: Paint,
    /// The time.
    pub now: Timestamp,
}

impl Look {
    /// The table with the columns that are wanted: `None` is one that is not.
    fn table(self, columns: &[Option<&str>], rows: Vec<Vec<Option<Cell>>>) -> String {
        let heading: Vec<&str> = columns.iter().flatten().copied().collect();
        let rows: Vec<Vec<Cell>> = rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
        table(&heading, &rows, self.paint)
    }

    fn namespace<T>(self, value: T) -> Option<T> {
        self.namespaces.then_some(value)
    }

    fn wide<T>(self, value: T) -> Option<T> {
        self.wide.then_some(value)
    }
}

fn tone(ready: bool, bad: bool) -> Tone {
    match (ready, bad) {
        (true, _) => Tone::Good,
        (false, true) => Tone::Bad,
        (false, false) => Tone::Busy,
    }
}

fn percent(amount: &Amount) -> String {
    amount.percent.map(|it| format!("{it}%")).unwrap_or_default()
}

fn rate(amount: &Amount) -> String {
    if amount.bytes_per_second > 0 { format!("{}/s", human(amount.bytes_per_second)) } else { String::new() }
}

fn left(amount: &Amount) -> String {
    amount.seconds_left.map(age::left).unwrap_or_default()
}

/// How far caches are, and below it what is wrong with them.
pub fn status(caches: &[CacheProgress], look: Look) -> String {
    let columns = [
        look.namespace("NAMESPACE"),
        Some("CACHE"),
        Some("STATE"),
        Some("NODES"),
        Some("DONE"),
        Some("RATE"),
        Some("ETA"),
        Some("PROBLEMS"),
        look.wide("SIZE"),
        look.wide("MESSAGE"),
    ];
    let rows = caches.iter().map(|it| {
        let bad = it.stalled || !it.problems.is_empty();
        vec![
            look.namespace(Cell::from(&it.namespace)),
            Some(Cell::from(&it.name)),
            Some(Cell::new(&it.reason, tone(it.ready, bad))),
            Some(Cell::from(&it.nodes)),
            Some(percent(&it.amount).into()),
            Some(rate(&it.amount).into()),
            Some(left(&it.amount).into()),
            Some(if it.problems.is_empty() {
                Cell::from("")
            } else {
                Cell::new(it.problems.len().to_string(), Tone::Bad)
            }),
            look.wide(it.size.clone().unwrap_or_default().into()),
            look.wide(Cell::from(&it.message)),
        ]
    });
    let mut text = look.table(&columns, rows.collect());
    let problems = caches.iter().flat_map(|cache| cache.problems.iter().map(move |problem| (cache, problem)));
    let problems: Vec<String> = problems
        .map(|(cache, problem)| {
            let place = look.namespace(format!("{}/", cache.namespace)).unwrap_or_default();
            let reason = look.paint.paint(Tone::Bad, &problem.reason.to_string());
            format!("{place}{}: {}: {reason}: {}\n", cache.name, problem.of, plain(&problem.message))
        })
        .collect();
    if !problems.is_empty() {
        text.push('\n');
        text.push_str(&problems.concat());
    }
    text
}

/// How far a cache is, in a line.
pub fn line(row: &CacheProgress) -> String {
    let nodes = if row.nodes.is_empty() { String::new() } else { format!("{} nodes", row.nodes) };
    let problems = match row.problems.len() {
        0 => String::new(),
        1 => "1 problem".to_owned(),
        more => format!("{more} problems"),
    };
    joined(&[&row.reason, &nodes, &percent(&row.amount), &rate(&row.amount), &eta(&row.amount), &problems])
}

/// How far a copy is, in a line.
pub fn copy_line(row: &CopyProgress) -> String {
    joined(&[&row.reason, &percent(&row.amount), &rate(&row.amount), &eta(&row.amount)])
}

fn eta(amount: &Amount) -> String {
    amount.seconds_left.map(|it| format!("{} left", age::left(it))).unwrap_or_default()
}

fn joined(parts: &[&str]) -> String {
    parts.iter().filter(|it| !it.is_empty()).copied().collect::<Vec<_>>().join("  ")
}

/// A text of the cluster's in a line of ours: nothing in it moves the cursor.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What each node holds.
pub fn nodes(copies: &[CopyProgress], look: Look) -> String {
    let columns = [
        look.namespace("NAMESPACE"),
        Some("NODE"),
        Some("CACHE"),
        Some("VOLUME"),
        Some("STATE"),
        Some("DONE"),
        Some("RATE"),
        Some("ETA"),
        look.wide("ATTEMPT"),
        look.wide("CHECKED"),
        look.wide("MESSAGE"),
    ];
    let rows = copies.iter().map(|it| {
        vec![
            look.namespace(Cell::from(&it.namespace)),
            Some(Cell::from(it.node.clone().unwrap_or_else(|| "(shared)".into()))),
            Some(Cell::from(&it.cache)),
            Some(Cell::from(&it.volume)),
            Some(Cell::new(&it.reason, tone(it.ready, false))),
            Some(percent(&it.amount).into()),
            Some(rate(&it.amount).into()),
            Some(left(&it.amount).into()),
            look.wide(it.attempt.map(|it| it.to_string()).unwrap_or_default().into()),
            look.wide(age::of_text(it.checked.as_deref(), look.now).into()),
            look.wide(Cell::from(&it.message)),
        ]
    });
    look.table(&columns, rows.collect())
}

/// Caches, as kubectl lists them.
pub fn caches(caches: &[ModelCache], look: Look) -> String {
    let columns = [
        look.namespace("NAMESPACE"),
        Some("NAME"),
        Some("READY"),
        Some("REASON"),
        Some("NODES"),
        Some("SIZE"),
        Some("AGE"),
        look.wide("REVISION"),
        look.wide("MESSAGE"),
    ];
    let rows = caches.iter().map(|cache| {
        let status = cache.status.clone().unwrap_or_default();
        let ready = find(&status.conditions, ConditionType::Ready);
        let stalled = find(&status.conditions, ConditionType::Stalled).is_some();
        let said = ready.map_or("", |it| it.status.as_str());
        vec![
            look.namespace(cache.namespace().unwrap_or_default().into()),
            Some(cache.name_any().into()),
            Some(Cell::new(said, tone(said == "True", stalled))),
            Some(ready.map_or("", |it| it.reason.as_str()).into()),
            Some(status.nodes.clone().unwrap_or_default().into()),
            Some(status.size.clone().unwrap_or_default().into()),
            Some(age::of(cache.metadata.creation_timestamp.as_ref(), look.now).into()),
            look.wide(status.sources.first().and_then(|it| it.revision.clone()).unwrap_or_default().into()),
            look.wide(ready.map_or("", |it| it.message.as_str()).into()),
        ]
    });
    look.table(&columns, rows.collect())
}

/// Backups, the newest last.
pub fn backups(backups: &[ModelCacheBackup], look: Look) -> String {
    let columns = [
        look.namespace("NAMESPACE"),
        Some("NAME"),
        Some("CACHE"),
        Some("STATE"),
        Some("SNAPSHOT"),
        Some("FILES"),
        Some("SIZE"),
        Some("NEW"),
        Some("AGE"),
        look.wide("PINNED"),
        look.wide("KEPT"),
        look.wide("MESSAGE"),
    ];
    let rows = backups.iter().map(|backup| {
        let status = backup.status.clone().unwrap_or_default();
        let ready = find(&status.conditions, ConditionType::Ready);
        let bad = find(&status.conditions, ConditionType::Stalled).is_some() || status.failure.is_some();
        let state = match (&status.removed_time, ready) {
            (Some(_), _) => Cell::from("Removed"),
            (None, Some(it)) => Cell::new(&it.reason, tone(it.status == "True", bad)),
            (None, None) => Cell::new("Pending", Tone::Busy),
        };
        vec![
            look.namespace(backup.namespace().unwrap_or_default().into()),
            Some(backup.name_any().into()),
            Some(Cell::from(&backup.spec.cache)),
            Some(state),
            Some(status.snapshot.clone().unwrap_or_default().into()),
            Some(status.files.map(|it| it.to_string()).unwrap_or_default().into()),
            Some(status.size.clone().unwrap_or_default().into()),
            Some(status.new_size.clone().unwrap_or_default().into()),
            Some(age::of(backup.metadata.creation_timestamp.as_ref(), look.now).into()),
            look.wide(if backup.spec.pin == Some(true) { "yes" } else { "" }.into()),
            look.wide(status.kept.clone().unwrap_or_default().into()),
            look.wide(ready.map_or("", |it| it.message.as_str()).into()),
        ]
    });
    look.table(&columns, rows.collect())
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
