//! What is known of a cache, on one page?

use super::age;
use super::paint::{Paint, Tone};
use super::progress::CacheProgress;
use super::table::{Cell, table};
use super::tables::{Look, nodes, plain};
use crate::api::ModelCache;
use crate::api::quantity::human;
use crate::plugin::render::progress::CopyProgress;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use std::fmt::Write as _;

/// Events that are shown at most.
const EVENTS: usize = 10;

/// What is known of a cache.
pub fn describe(
    cache: &ModelCache,
    progress: &CacheProgress,
    copies: &[CopyProgress],
    events: &[Event],
    paint: Paint,
    now: Timestamp,
) -> String {
    let status = cache.status.clone().unwrap_or_default();
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{:<13}{}", format!("{key}:"), plain(value));
        }
    };
    line("Name", &progress.name);
    line("Namespace", &progress.namespace);
    line("Age", &age::of(cache.metadata.creation_timestamp.as_ref(), now));
    line("State", &progress.reason);
    line("Message", &progress.message);
    line("Nodes", &progress.nodes);
    line("Done", &progress.amount.percent.map(|it| format!("{it}%")).unwrap_or_default());
    line("Size", progress.size.as_deref().unwrap_or_default());
    line("Suspended", if cache.spec.suspended() { "yes" } else { "" });
    if let Some(backup) = &status.backup {
        line("Last backup", backup.last_good_time.as_deref().unwrap_or("none"));
        line("Next backup", backup.next.as_deref().unwrap_or_default());
    }
    if let Some(cleanup) = &status.cleanup {
        line("Last cleaned", cleanup.last_success.as_deref().unwrap_or("never"));
        line("Next clean-up", cleanup.next.as_deref().unwrap_or_default());
    }
    let mut section = |name: &str, body: String| {
        let _ = write!(text, "\n{}\n{body}", paint.paint(Tone::Heading, name));
    };
    let volumes = status.volumes.iter().map(|it| {
        let counts = &it.replicas;
        let bytes = it.bytes.and_then(|it| u64::try_from(it).ok()).map(human).unwrap_or_default();
        let copies = format!("{}/{}", counts.ready, counts.desired);
        vec![Cell::from(&it.name), Cell::from(&it.claim_name), Cell::from(&it.mount_path), copies.into(), bytes.into()]
    });
    let volumes: Vec<_> = volumes.collect();
    section("Volumes", table(&["NAME", "CLAIM", "MOUNTED AT", "COPIES", "SIZE"], &volumes, paint));
    let sources: Vec<Vec<Cell>> = status
        .sources
        .iter()
        .map(|it| {
            let bytes = it.bytes.and_then(|it| u64::try_from(it).ok()).map(human).unwrap_or_default();
            vec![
                Cell::from(&it.name),
                it.revision.clone().unwrap_or_default().into(),
                it.files.map(|it| it.to_string()).unwrap_or_default().into(),
                bytes.into(),
                it.available.clone().unwrap_or_default().into(),
            ]
        })
        .collect();
    section("Sources", table(&["NAME", "REVISION", "FILES", "SIZE", "NEWER"], &sources, paint));
    let look = Look { namespaces: false, wide: true, paint, now };
    section("Copies", nodes(copies, look));
    let conditions: Vec<Vec<Cell>> = status
        .conditions
        .iter()
        .map(|it| {
            let since = age::since(it.last_transition_time.0, now);
            vec![
                Cell::from(&it.type_),
                Cell::from(&it.status),
                Cell::from(&it.reason),
                since.into(),
                Cell::from(&it.message),
            ]
        })
        .collect();
    section("Conditions", table(&["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"], &conditions, paint));
    if !progress.problems.is_empty() {
        let problems = progress.problems.iter().map(|it| format!("{}: {}: {}\n", it.of, it.reason, plain(&it.message)));
        section("Problems", problems.collect());
    }
    let events = newest(events);
    if !events.is_empty() {
        let rows: Vec<Vec<Cell>> = events
            .iter()
            .map(|it| {
                let tone = if it.type_.as_deref() == Some("Warning") { Tone::Bad } else { Tone::Plain };
                let ago = happened(it).map(|it| age::since(it, now)).unwrap_or_default();
                let reason = Cell::new(it.reason.clone().unwrap_or_default(), tone);
                vec![ago.into(), reason, it.message.clone().unwrap_or_default().into()]
            })
            .collect();
        section("Events", table(&["AGO", "REASON", "MESSAGE"], &rows, paint));
    }
    text
}

/// The last Events, the newest last.
fn newest(events: &[Event]) -> Vec<&Event> {
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|it| happened(it));
    events.split_off(events.len().saturating_sub(EVENTS))
}

/// When an Event last happened. Those of the newer API have their time elsewhere than those of the older.
fn happened(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|it| it.last_observed_time.as_ref()).map(|it| it.0);
    let last = event.last_timestamp.as_ref().map(|it| it.0);
    let first = event.event_time.as_ref().map(|it| it.0);
    series.or(last).or(first).or_else(|| event.metadata.creation_timestamp.as_ref().map(|it| it.0))
}

#[cfg(test)]
#[path = "describe_tests.rs"]
mod tests;
