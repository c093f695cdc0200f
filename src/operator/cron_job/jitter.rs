//! When does a scheduled backup begin? The schedule, moved by a part of the jitter that is fixed for each cache.
//!
//! Where the time moves past midnight, the days of the week move with it. Days of a month cannot: there the window ends at
//! midnight.

use crate::api::name::short_hash;
use std::collections::BTreeSet;
use std::time::Duration;

/// Minutes of a day.
const DAY: u64 = 24 * 60;
/// Names of the days of the week, as cron has them.
const NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A schedule that cannot be moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`backup.jitter` must come with a schedule whose minute and hour are plain numbers, such as `0 2 * * *`, not `{0}`"
)]
pub struct NotMovable(pub String);

/// Five fields of cron, moved by at most the jitter: by how much follows from the seed. The result is written as Kubernetes
/// reads it, which knows Sunday as 0 only.
///
/// # Errors
/// When there is a jitter, and minute and hour are not plain numbers.
pub fn moved(cron: &str, jitter: Duration, seed: &str) -> Result<String, NotMovable> {
    let not_movable = || NotMovable(cron.to_owned());
    let [minute, hour, day, month, weekday] = cron.split(' ').collect::<Vec<_>>()[..] else {
        return Err(not_movable());
    };
    let window = (jitter.as_secs() / 60).min(DAY - 1);
    if window == 0 {
        let weekday =
            if weekday.contains('7') { turned(weekday, 0).ok_or_else(not_movable)? } else { weekday.to_owned() };
        return Ok(format!("{minute} {hour} {day} {month} {weekday}"));
    }
    let number = |text: &str, below: u64| text.parse::<u64>().ok().filter(|it| *it < below).ok_or_else(not_movable);
    let start = number(hour, 24)? * 60 + number(minute, 60)?;
    let any_day = day == "*" && month == "*";
    let window = if any_day { window } else { window.min(DAY - 1 - start) };
    let hash = u64::from_str_radix(&short_hash(&[seed, "backup"]), 16).unwrap_or(0);
    let at = start + hash % (window + 1);
    let weekday = match weekday {
        "*" => weekday.to_owned(),
        days => turned(days, at / DAY).ok_or_else(not_movable)?,
    };
    Ok(format!("{} {} {day} {month} {weekday}", at % 60, at % DAY / 60))
}

/// Days of the week, so many days later, as a list of numbers.
fn turned(days: &str, by: u64) -> Option<String> {
    let mut turned = BTreeSet::new();
    for part in days.split(',') {
        let (range, step) = part.split_once('/').map_or((part, Some(1)), |(range, step)| (range, step.parse().ok()));
        let step = step.filter(|it: &usize| *it > 0)?;
        let (first, last) = match (range, range.split_once('-')) {
            ("*", _) => (0, 6),
            (_, Some((first, last))) => (number(first)?, number(last)?),
            // `2/3` is from Tuesday on.
            (one, None) if part.contains('/') => (number(one)?, 6),
            (one, None) => (number(one)?, number(one)?),
        };
        turned.extend((first..=last).step_by(step).map(|it| (it + by) % 7));
    }
    let list: Vec<String> = turned.iter().map(u64::to_string).collect();
    (!list.is_empty()).then(|| list.join(","))
}

fn number(day: &str) -> Option<u64> {
    let named = NAMES.iter().position(|it| day.eq_ignore_ascii_case(it)).and_then(|it| u64::try_from(it).ok());
    named.or_else(|| day.parse().ok()).filter(|it| *it <= 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::schedule::Schedule;
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::*;

    fn minutes(it: u64) -> Duration {
        Duration::from_secs(it * 60)
    }

    #[test]
    fn without_jitter_a_schedule_stays_what_it_is_but_for_a_sunday_that_kubernetes_does_not_know() {
        for (cron, expected) in [
            ("*/5 * * * *", "*/5 * * * *"),
            ("0 2 * * mon-fri", "0 2 * * mon-fri"),
            ("0 2 * * 7", "0 2 * * 0"),
            ("0 2 * * 5-7", "0 2 * * 0,5,6"),
        ] {
            assert_eq!(moved(cron, Duration::ZERO, "x").unwrap(), expected);
            assert_eq!(moved(cron, Duration::from_secs(59), "x").unwrap(), expected);
        }
    }

    #[test]
    fn what_has_no_one_minute_and_hour_is_not_moved() {
        for cron in ["*/5 * * * *", "0 2,14 * * *", "0 * * * *", "0-3 2 * * *"] {
            let error = moved(cron, minutes(30), "x").unwrap_err();
            assert!(error.to_string().contains("must come with a schedule whose minute and hour are plain numbers"));
        }
    }

    #[test]
    fn past_midnight_the_days_of_the_week_move_along() {
        // The seeds were looked for: the one moves by little, the other far.
        for seed in (0..200).map(|it| it.to_string()) {
            let text = moved("50 23 * * 1,6", minutes(60), &seed).unwrap();
            let fields: Vec<&str> = text.split(' ').collect();
            match fields[1] {
                "23" => assert_eq!(fields[4], "1,6"),
                "0" => assert_eq!(fields[4], "0,2"),
                _ => panic!("{text}"),
            }
            let monthly = moved("50 23 1 * *", minutes(60), &seed).unwrap();
            assert!(monthly.split(' ').nth(1) == Some("23"), "a month's days cannot move: {monthly}");
        }
    }

    #[test]
    fn every_minute_of_the_window_is_somebodys() {
        let all: BTreeSet<String> =
            (0..4000).map(|it| moved("30 1 * * *", minutes(90), &format!("uid-{it}")).unwrap()).collect();
        assert_eq!(all.len(), 91);
        let day: BTreeSet<String> =
            (0..40_000).map(|it| moved("30 1 * * *", minutes(9999), &format!("{it}")).unwrap()).collect();
        assert_eq!(day.len(), 1440);
    }

    proptest! {
        #[test]
        fn every_run_is_moved_by_the_same_time_within_the_jitter(
            minute in 0_u64..60, hour in 0_u64..24, window in 1_u64..1440, seed in "[a-f0-9]{8}",
            weekday in prop::sample::select(vec!["*", "1", "sun", "mon-fri", "6,7", "*/2", "0-6/3"]),
            day in prop::sample::select(vec!["*", "15", "*/7"]),
            from in 1_750_000_000_i64..1_850_000_000,
        ) {
            // With both given, cron takes either: their union cannot be moved along as one.
            prop_assume!(weekday == "*" || day == "*");
            let cron = format!("{minute} {hour} {day} * {weekday}");
            let text = moved(&cron, minutes(window), &seed).unwrap();
            let (plain, shifted) = (Schedule::parse(&cron, None).unwrap(), Schedule::parse(&text, None).unwrap());
            let first = plain.next_after(Timestamp::from_second(from).unwrap()).unwrap();
            let after = shifted.next_after(first - SignedDuration::from_secs(1)).unwrap();
            let by = after.duration_since(first).as_mins();
            prop_assert!((0..=i64::try_from(window).unwrap()).contains(&by), "{cron} became {text}: {by} minutes");
            let second = plain.next_after(first).unwrap();
            let later = shifted.next_after(second - SignedDuration::from_secs(1)).unwrap();
            prop_assert_eq!(later.duration_since(second).as_mins(), by);
        }
    }
}
