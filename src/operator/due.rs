//! When is work on schedule due? Pure: what is remembered, what the spec says, and the time.
//!
//! The time of the next run is remembered, not computed from the last one: an operator that was away makes up for all that it
//! missed with one run, and a schedule that was just written does not run for what it would have done in the past.

use crate::api::model_cache::Failure;
use crate::api::name::short_hash;
use crate::api::scheduled_run::ScheduledRun;
use crate::api::timetable::Times;
use crate::operator::retry::{RetryPolicy, next_failure, whole_seconds};
use jiff::Timestamp;
use std::time::Duration;

/// The longest that a run is moved behind the schedule's time.
const MOST_SPREAD: Duration = Duration::from_secs(3600);
/// The longest sleep: a clock that was set is noticed, and timers have an end.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// A schedule, and how its runs are spread.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The schedule.
    pub times: &'a Times,
    /// Whose runs these are: moves them by a part of a quarter of the time between two runs, an hour at most, always the
    /// same. Nothing where there is nobody to keep apart.
    pub spread: Option<&'a str>,
}

/// What a schedule asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// The schedule is new, or the clock was set back: this is to be remembered.
    Remember(ScheduledRun),
    /// A run is due.
    Now,
    /// A run is due then.
    At(Timestamp),
}

impl Plan<'_> {
    /// What the schedule asks for now.
    pub fn due(&self, run: Option<&ScheduledRun>, retry: &RetryPolicy, now: Timestamp) -> Due {
        let next = self.next(now);
        let remembered = run.filter(|it| it.schedule == self.times.text());
        let recorded = remembered.and_then(|it| it.next.parse::<Timestamp>().ok()).filter(|it| *it <= next);
        let (Some(run), Some(recorded)) = (remembered, recorded) else {
            let known = run.cloned().unwrap_or_default();
            return Due::Remember(ScheduledRun { schedule: self.times.text().into(), next: next.to_string(), ..known });
        };
        let seed = self.spread.unwrap_or_default();
        let due = run.failure.as_ref().map_or(recorded, |it| recorded.max(retry.due(it, seed)));
        if due <= now { Due::Now } else { Due::At(due) }
    }

    /// The memory after a run that did all it should.
    pub fn succeeded(&self, now: Timestamp) -> ScheduledRun {
        ScheduledRun {
            schedule: self.times.text().into(),
            next: self.next(now).to_string(),
            last_success: Some(whole_seconds(now).to_string()),
            failure: None,
        }
    }

    /// The memory after a run that did not do all it should, and is left to its next time; `again` is when it is tried before
    /// that, if it is.
    pub fn gave_up(
        &self,
        run: Option<&ScheduledRun>,
        failure: Failure,
        again: Option<Timestamp>,
        now: Timestamp,
    ) -> ScheduledRun {
        let next = self.next(now);
        ScheduledRun {
            schedule: self.times.text().into(),
            next: again.map_or(next, |it| it.min(next)).to_string(),
            failure: Some(failure),
            last_success: run.and_then(|it| it.last_success.clone()),
        }
    }

    /// The time of the first run after this moment.
    fn next(&self, now: Timestamp) -> Timestamp {
        let moved = |slot: Timestamp| slot.checked_add(self.offset(slot)).unwrap_or(slot);
        let last = self.times.last_until(now).map(moved).filter(|it| *it > now);
        last.or_else(|| self.times.next_after(now).map(moved)).unwrap_or(Timestamp::MAX)
    }

    /// How far a run is moved behind its schedule's time, in whole seconds.
    fn offset(&self, slot: Timestamp) -> Duration {
        let (Some(seed), Some(following)) = (self.spread, self.times.next_after(slot)) else { return Duration::ZERO };
        let between = Duration::try_from(following.duration_since(slot)).unwrap_or_default();
        let part = u32::from_str_radix(&short_hash(&[seed, "schedule"]), 16).unwrap_or(0) % 1024;
        Duration::from_secs(((between / 4).min(MOST_SPREAD) * part / 1024).as_secs())
    }
}

/// The memory after a run that did not do all it should: it is tried again after a pause, and stays due.
pub fn failed(run: Option<&ScheduledRun>, failure: Failure) -> ScheduledRun {
    ScheduledRun { failure: Some(failure), ..run.cloned().unwrap_or_default() }
}

/// One more failure of a run.
pub fn failure(run: Option<&ScheduledRun>, reason: crate::api::Reason, message: String, now: Timestamp) -> Failure {
    next_failure(run.and_then(|it| it.failure.as_ref()), reason, message, now)
}

/// How long to sleep until the first of these times. What has passed wakes nobody: it waits for something else than time.
pub fn sleep(times: impl Iterator<Item = Timestamp>, now: Timestamp) -> Option<Duration> {
    let first = times.filter(|it| *it > now).min()?;
    Some(until(first, now).min(LONGEST_SLEEP))
}

/// How long to sleep until it is certainly this time.
pub fn until(time: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now)).unwrap_or_default() + Duration::from_millis(100)
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
