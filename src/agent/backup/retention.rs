//! Which snapshots stay, and why? A pure function of the rules, the snapshots and the time.
//!
//! The rules are those of `restic forget` (<https://restic.readthedocs.io/en/stable/060_forget.html>): each keeps the newest
//! snapshot of so many hours, days, ISO weeks, months or years that have one; what any rule keeps, stays. Three things
//! are stricter here. Failed snapshots fill no place and are never among the last good ones. Snapshots of the
//! future (a clock that jumped) stay and fill no place either. The repeated hour of a day with 25 hours is an hour
//! of its own.

use super::retention_why::{Gone, Why};
use crate::agent::failure::Failure;
use crate::api::backup::Retention;
use crate::api::{Reason, duration};
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};
use std::collections::HashSet;
use std::time::Duration;

/// What to keep. Without a single rule everything stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The newest snapshots.
    pub keep_last: u32,
    /// Hours with a snapshot.
    pub keep_hourly: u32,
    /// Days with a snapshot.
    pub keep_daily: u32,
    /// ISO weeks (Monday to Sunday) with a snapshot.
    pub keep_weekly: u32,
    /// Months with a snapshot.
    pub keep_monthly: u32,
    /// Years with a snapshot.
    pub keep_yearly: u32,
    /// All that are at most this much older than the newest good one. Not than now: after a pause nothing goes.
    pub keep_within: Option<Duration>,
    /// Good snapshots that stay, whatever the rules say. Zero means one.
    pub min_good: u32,
    /// The share that may go at once, in percent of all. `None`: half of them, or ten when that is more.
    pub max_delete_percent: Option<u32>,
}

/// One snapshot, as far as its keeping depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Name, unique.
    pub id: String,
    /// When it was made.
    pub time: Timestamp,
    /// Whether it covers all that it should.
    pub good: bool,
    /// Whether somebody asked that it stays.
    pub pinned: bool,
}

/// What becomes of one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The snapshot.
    pub candidate: Candidate,
    /// Every reason to keep it, or the one to remove it.
    pub ruling: Result<Vec<Why>, Gone>,
}

impl Verdict {
    /// Whether it stays.
    pub fn is_kept(&self) -> bool {
        self.ruling.is_ok()
    }

    /// The reasons as a person reads them.
    pub fn reasons(&self) -> String {
        match &self.ruling {
            Ok(reasons) => reasons.iter().map(Why::to_string).collect::<Vec<_>>().join(", "),
            Err(reason) => reason.to_string(),
        }
    }
}

/// What becomes of all of them, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rulings {
    /// One for each snapshot.
    pub verdicts: Vec<Verdict>,
    /// Why nothing may be removed before somebody agrees.
    pub breaker: Option<Breaker>,
}

/// More would go than may go at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{remove} of {all} snapshots would go, more than {allowed} may go at once: look at the plan with --dry-run, then repeat \
     with --acknowledge, or change the retention"
)]
pub struct Breaker {
    /// Snapshots that would go.
    pub remove: usize,
    /// Snapshots that may go.
    pub allowed: usize,
    /// Snapshots there are.
    pub all: usize,
}

impl Rulings {
    /// What goes.
    pub fn removed(&self) -> impl Iterator<Item = &Candidate> {
        self.verdicts.iter().filter(|it| !it.is_kept()).map(|it| &it.candidate)
    }

    /// What stays.
    pub fn kept(&self) -> impl Iterator<Item = &Candidate> {
        self.verdicts.iter().filter(|it| it.is_kept()).map(|it| &it.candidate)
    }
}

/// How far the clocks of a store and of those who back up into it may be apart, and still be right. A store's times also have
/// no parts of a second: what was made just now is always a little ahead of them.
const SKEW: Duration = Duration::from_secs(600);

/// Rules on every snapshot. The calendar is that of `zone`; what was made later than minutes after `now` is of the future.
pub fn rule(policy: &Policy, candidates: &[Candidate], zone: &TimeZone, now: Timestamp) -> Rulings {
    let now = now.checked_add(SKEW).unwrap_or(Timestamp::MAX);
    let mut sorted: Vec<Candidate> = candidates.to_vec();
    sorted.sort_by(|a, b| (b.time, &b.id).cmp(&(a.time, &a.id)));
    let mut reasons: Vec<Vec<Why>> = sorted.iter().map(|it| special(it, now)).collect();
    let places: Vec<usize> = (0..sorted.len()).filter(|at| sorted[*at].good && sorted[*at].time <= now).collect();
    if policy.is_empty() {
        for it in &mut reasons {
            it.push(Why::NoRules);
        }
    }
    for (rule, count) in policy.calendar() {
        for (at, why) in newest_of_each(&rule, count, &places, &sorted, zone) {
            reasons[at].push(why);
        }
    }
    if let (Some(within), Some(newest)) = (policy.keep_within, places.first()) {
        let since = sorted[*newest].time.checked_sub(within).unwrap_or(Timestamp::MIN);
        for at in 0..sorted.len() {
            if sorted[at].time >= since && sorted[at].time <= now {
                reasons[at].push(Why::Within);
            }
        }
    }
    for at in places.iter().take(policy.min_good.max(1) as usize) {
        reasons[*at].push(Why::LastGood);
    }
    // A failed run that is newer than every good one may hold the only bytes of what changed since.
    let newest_good = places.first().map(|at| sorted[*at].time);
    for (at, candidate) in sorted.iter().enumerate() {
        if !candidate.good && newest_good.is_none_or(|good| candidate.time > good) {
            reasons[at].push(Why::NewerThanGood);
        }
    }
    let verdicts: Vec<Verdict> = sorted
        .into_iter()
        .zip(reasons)
        .map(|(candidate, reasons)| {
            let gone = if candidate.good { Gone::NoRule } else { Gone::Failed };
            Verdict { ruling: if reasons.is_empty() { Err(gone) } else { Ok(reasons) }, candidate }
        })
        .collect();
    let breaker = policy.breaker(verdicts.iter().filter(|it| !it.is_kept()).count(), verdicts.len());
    Rulings { verdicts, breaker }
}

fn special(candidate: &Candidate, now: Timestamp) -> Vec<Why> {
    let pinned = candidate.pinned.then_some(Why::Pinned);
    let future = (candidate.time > now).then_some(Why::Future);
    pinned.into_iter().chain(future).collect()
}

/// A span of the calendar, or the place in the line for `keepLast`.
#[derive(PartialEq, Eq, Hash)]
enum Span {
    Place(usize),
    Hour(Date, i8, Offset),
    Day(Date),
    Week(i16, i8),
    Month(i16, i8),
    Year(i16),
}

/// The newest of each of the last `count` spans. Where there are fewer spans, the oldest snapshot stays too: it is to
/// become the one of the span that is still missing.
fn newest_of_each(
    rule: &Why,
    count: u32,
    places: &[usize],
    sorted: &[Candidate],
    zone: &TimeZone,
) -> Vec<(usize, Why)> {
    // A set, not the span before: where clocks go back over midnight a day comes twice.
    let (mut left, mut seen, mut kept) = (count, HashSet::new(), Vec::new());
    for (nth, at) in places.iter().enumerate() {
        if left == 0 {
            break;
        }
        if seen.insert(span(rule, nth, &sorted[*at].time.to_zoned(zone.clone()))) {
            kept.push((*at, rule.clone()));
            left -= 1;
        } else if nth + 1 == places.len() {
            kept.push((*at, Why::Oldest(Box::new(rule.clone()))));
        }
    }
    kept
}

fn span(rule: &Why, nth: usize, time: &Zoned) -> Span {
    let date = time.date();
    match rule {
        Why::Hourly => Span::Hour(date, time.hour(), time.offset()),
        Why::Daily => Span::Day(date),
        Why::Weekly => Span::Week(date.iso_week_date().year(), date.iso_week_date().week()),
        Why::Monthly => Span::Month(date.year(), date.month()),
        Why::Yearly => Span::Year(date.year()),
        _ => Span::Place(nth),
    }
}

impl Policy {
    /// The rules of a spec.
    ///
    /// # Errors
    /// `InvalidSpec` when `keepWithin` is no duration.
    pub fn of(spec: &Retention) -> Result<Self, Failure> {
        let count = |it: Option<i32>| it.and_then(|it| u32::try_from(it).ok()).unwrap_or_default();
        let within = spec.keep_within.as_deref().map(duration::parse).transpose();
        Ok(Self {
            keep_last: count(spec.keep_last),
            keep_hourly: count(spec.keep_hourly),
            keep_daily: count(spec.keep_daily),
            keep_weekly: count(spec.keep_weekly),
            keep_monthly: count(spec.keep_monthly),
            keep_yearly: count(spec.keep_yearly),
            keep_within: within.map_err(|error| Failure::new(Reason::InvalidSpec, format!("keepWithin: {error}")))?,
            min_good: count(spec.min_good),
            max_delete_percent: spec.max_delete_percent.map(|it| u32::try_from(it).unwrap_or_default()),
        })
    }

    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.keep_within.is_none() && self.calendar().iter().all(|(_, count)| *count == 0)
    }

    fn calendar(&self) -> [(Why, u32); 6] {
        [
            (Why::Last, self.keep_last),
            (Why::Hourly, self.keep_hourly),
            (Why::Daily, self.keep_daily),
            (Why::Weekly, self.keep_weekly),
            (Why::Monthly, self.keep_monthly),
            (Why::Yearly, self.keep_yearly),
        ]
    }

    /// One may always go: with few snapshots one is a large share, and nothing would ever be removed again.
    fn breaker(&self, remove: usize, all: usize) -> Option<Breaker> {
        let share = |percent: u32| all.saturating_mul(percent.min(100) as usize) / 100;
        let allowed = match self.max_delete_percent {
            Some(percent) => share(percent).max(1),
            None => share(50).max(10),
        };
        (remove > allowed).then_some(Breaker { remove, allowed, all })
    }
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
