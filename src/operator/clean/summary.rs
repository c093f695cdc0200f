//! What does a cache say about its clean-ups? Written when one ends, and when the schedule changes: never because time passes.
//! Pure.

use super::plan::Planned;
use super::record;
use crate::api::cleaning::{CleanedUp, CleanupSummary, CronJobRuns};
use crate::api::condition::{ConditionType, Statement, Truth};
use crate::api::model_cache::Failure;
use crate::api::quantity::human;
use crate::api::{FailureClass, ModelCache, ModelCacheReplica, Reason};
use crate::operator::placement::copy_of;
use jiff::Timestamp;

/// A copy, or what the CronJob cleans.
#[derive(Debug)]
struct Part {
    place: String,
    next: Option<String>,
    last_success: Option<String>,
    failure: Option<Failure>,
    did: Option<CleanedUp>,
}

/// The summary, and the condition `Clean`. `copies` are those that are wanted.
pub fn summary(
    cache: &ModelCache,
    copies: &[&ModelCacheReplica],
    planned: &Planned,
    now: Timestamp,
) -> (CleanupSummary, Statement) {
    let before = cache.status.as_ref().and_then(|it| it.cleanup.clone()).unwrap_or_default();
    let schedule = planned.times.as_ref().map(|it| it.text().to_owned()).or_else(|| before.schedule.clone());
    let cron_job = (!planned.by_cron_job.is_empty()).then(|| cron_job(&before, schedule.as_deref(), planned, now));
    let mut parts: Vec<Part> =
        copies.iter().filter(|it| planned.by_operator.contains(&it.spec.volume)).map(|it| copy(it)).collect();
    parts.extend(cron_job.as_ref().map(|it| by_cron_job(it, planned)));
    parts.sort_by(|a, b| a.place.cmp(&b.place));
    let sum =
        |of: fn(&CleanedUp) -> i64| parts.iter().filter_map(|it| it.did.as_ref()).map(of).reduce(i64::saturating_add);
    let next = parts.iter().filter_map(|it| it.next.clone()).min().filter(|_| !planned.suspended);
    let summary = CleanupSummary {
        schedule,
        next,
        last_success: parts.iter().filter_map(|it| it.last_success.clone()).min(),
        freed_bytes: sum(|it| it.freed_bytes),
        gained_bytes: sum(|it| it.gained_bytes),
        cron_job,
    };
    let statement = statement(&summary, &parts, planned);
    (summary, statement)
}

/// What is known of the CronJob's runs, with those that ended.
fn cron_job(before: &CleanupSummary, schedule: Option<&str>, planned: &Planned, now: Timestamp) -> CronJobRuns {
    let known = before.cron_job.clone().unwrap_or_default();
    let runs = planned.ended.iter().fold(known.clone(), record::with);
    let kept = known.next.filter(|_| before.schedule.as_deref() == schedule && planned.ended.is_empty());
    let next = || planned.times.as_ref()?.next_after(now).map(|it| it.to_string());
    CronJobRuns { next: if planned.suspended { None } else { kept.or_else(next) }, ..runs }
}

fn copy(replica: &ModelCacheReplica) -> Part {
    let known = replica.status.as_ref().and_then(|it| it.cleanup.as_ref());
    let run = known.map(|it| &it.run);
    Part {
        place: copy_of(replica),
        next: run.map(|it| it.next.clone()),
        last_success: run.and_then(|it| it.last_success.clone()),
        failure: run.and_then(|it| it.failure.clone()),
        did: known.and_then(|it| it.did.clone()),
    }
}

fn by_cron_job(runs: &CronJobRuns, planned: &Planned) -> Part {
    let names: Vec<String> = planned.by_cron_job.iter().map(|it| format!("`{it}`")).collect();
    Part {
        place: format!("volumes {}", names.join(", ")),
        next: runs.next.clone(),
        last_success: runs.last_success.clone(),
        failure: runs.failure.clone(),
        did: runs.did.clone(),
    }
}

fn statement(summary: &CleanupSummary, parts: &[Part], planned: &Planned) -> Statement {
    let said = |truth, reason, message: String| Statement::new(ConditionType::Clean, truth, reason, message);
    if let Some(problem) = &planned.problem {
        return said(Truth::False, problem.reason, problem.message.clone());
    }
    let then = match (planned.suspended, &summary.next) {
        (true, _) => "; suspended: no further one begins".to_owned(),
        (false, Some(next)) => format!("; the next is due {next}"),
        (false, None) => String::new(),
    };
    // What gave way to a warm-up, or was evicted, has not failed: the next run sees to it.
    let is_failed = |it: &&Part| it.failure.as_ref().is_some_and(|it| it.reason.class() != FailureClass::Disruption);
    let mut failed = parts.iter().filter(is_failed);
    if let Some(Part { place, failure: Some(failure), last_success, .. }) = failed.next() {
        let more = failed.count();
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let last = last_success.as_ref().map_or_else(|| "none yet".to_owned(), Clone::clone);
        let message = format!("{place}: {}{more}; the last success there: {last}{then}", failure.message);
        return said(Truth::False, failure.reason, message);
    }
    let gave_way = parts.iter().find_map(|it| Some((&it.place, it.failure.as_ref()?)));
    let gave_way = gave_way.map(|(place, it)| format!("; {place}: {}", it.message)).unwrap_or_default();
    let done = parts.iter().filter(|it| it.last_success.is_some()).count();
    if done == 0 {
        return said(Truth::Unknown, Reason::Pending, format!("no clean-up has ended yet{gave_way}{then}"));
    }
    let last = parts.iter().filter_map(|it| it.last_success.as_deref()).max().unwrap_or_default();
    let bytes = |it: Option<i64>| human(it.and_then(|it| u64::try_from(it).ok()).unwrap_or(0));
    let (freed, gained) = (bytes(summary.freed_bytes), bytes(summary.gained_bytes));
    let message = format!(
        "{done} of {} places were cleaned, the last one {last}: {freed} freed, {gained} more free than before{gave_way}{then}",
        parts.len()
    );
    said(Truth::True, Reason::Cleaned, message)
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
