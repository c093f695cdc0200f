//! What retention promises: tables against `restic forget` as it is documented, and what holds for all inputs.

use super::*;
use crate::api::schedule::zone;
use jiff::ToSpan;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn good(time: Timestamp) -> Candidate {
    Candidate { id: time.to_string(), time, good: true, pinned: false }
}

fn all_good(times: &[&str]) -> Vec<Candidate> {
    times.iter().map(|it| good(at(it))).collect()
}

fn never() -> Timestamp {
    at("2199-01-01T00:00:00Z")
}

/// What stays, oldest first.
fn kept(policy: &Policy, candidates: &[Candidate], zone_name: &str) -> Vec<String> {
    let rulings = rule(policy, candidates, &zone(Some(zone_name)).unwrap(), never());
    let mut kept: Vec<String> = rulings.kept().map(|it| it.id.clone()).collect();
    kept.reverse();
    kept
}

fn reasons(policy: &Policy, candidates: &[Candidate], now: Timestamp) -> Vec<(String, String)> {
    let rulings = rule(policy, candidates, &TimeZone::UTC, now);
    rulings.verdicts.iter().map(|it| (it.candidate.id.clone(), it.reasons())).collect()
}

/// The example of restic's manual: one snapshot on each of twelve Sundays.
fn sundays() -> Vec<Candidate> {
    let first = at("2019-09-01T11:00:00Z");
    (0..12).map(|week| good(first + (week * 7 * 24).hours())).collect()
}

#[test]
fn four_daily_of_twelve_sundays_are_the_last_four_as_restics_manual_says() {
    let policy = Policy { keep_daily: 4, ..Policy::default() };
    let expected = ["2019-10-27T11:00:00Z", "2019-11-03T11:00:00Z", "2019-11-10T11:00:00Z", "2019-11-17T11:00:00Z"];
    assert_eq!(kept(&policy, &sundays(), "UTC"), expected);
}

#[test]
fn a_hundred_years_of_days_leave_what_restics_manual_says() {
    let first = jiff::civil::date(1924, 1, 1);
    let days: Vec<Candidate> = (0..36_525)
        .map(|day| good(first.checked_add(day.days()).unwrap().at(11, 0, 0, 0).in_tz("UTC").unwrap().timestamp()))
        .collect();
    let policy =
        Policy { keep_daily: 7, keep_weekly: 5, keep_monthly: 12, keep_yearly: 75, min_good: 1, ..Policy::default() };
    let rulings = rule(&policy, &days, &TimeZone::UTC, never());
    let with = |why: &Why| {
        let has = |it: &&Verdict| it.ruling.as_ref().is_ok_and(|all| all.contains(why));
        rulings.verdicts.iter().filter(has).count()
    };
    for (why, count) in [(Why::Daily, 7), (Why::Weekly, 5), (Why::Monthly, 12), (Why::Yearly, 75)] {
        assert_eq!(with(&why), count, "{why}");
    }
    // 31 December 2023 is a Sunday: the newest of its day, week, month and year at once.
    assert_eq!(rulings.kept().count(), 7 + 4 + 11 + 74);
    assert_eq!(rulings.verdicts[0].reasons(), "daily, weekly, monthly, yearly, among the last good ones");
}

#[test]
fn each_rule_keeps_the_newest_of_its_span_and_the_oldest_while_places_are_left() {
    let times = [
        "2026-01-01T10:00:00Z",
        "2026-01-01T10:40:00Z",
        "2026-01-04T23:59:59Z", // Sunday, ISO week 1
        "2026-01-05T00:00:00Z", // Monday, ISO week 2
        "2026-02-01T12:00:00Z",
        "2026-02-01T12:30:00Z",
    ];
    let table: [(Policy, &[usize]); 9] = [
        (Policy { keep_last: 2, ..Policy::default() }, &[4, 5]),
        (Policy { keep_hourly: 2, ..Policy::default() }, &[3, 5]),
        (Policy { keep_hourly: 9, ..Policy::default() }, &[0, 1, 2, 3, 5]),
        (Policy { keep_daily: 3, ..Policy::default() }, &[2, 3, 5]),
        (Policy { keep_weekly: 2, ..Policy::default() }, &[3, 5]),
        (Policy { keep_weekly: 3, ..Policy::default() }, &[2, 3, 5]),
        (Policy { keep_monthly: 1, ..Policy::default() }, &[5]),
        (Policy { keep_monthly: 2, ..Policy::default() }, &[3, 5]),
        (Policy { keep_yearly: 2, ..Policy::default() }, &[0, 5]),
    ];
    for (policy, expected) in table {
        let expected: Vec<&str> = expected.iter().map(|at| times[*at]).collect();
        assert_eq!(kept(&policy, &all_good(&times), "UTC"), expected, "{policy:?}");
    }
}

#[test]
fn the_calendar_is_that_of_the_time_zone() {
    // 22:30 in UTC is the next day in Istanbul.
    let times = ["2026-03-01T20:30:00Z", "2026-03-01T22:30:00Z"];
    let policy = Policy { keep_daily: 1, ..Policy::default() };
    assert_eq!(kept(&policy, &all_good(&times), "UTC"), times[1..]);
    let policy = Policy { keep_daily: 2, ..Policy::default() };
    assert_eq!(kept(&policy, &all_good(&times), "Europe/Istanbul"), times);
    let monthly = Policy { keep_monthly: 2, ..Policy::default() };
    let months = ["2026-03-01T20:30:00Z", "2026-03-31T20:30:00Z", "2026-03-31T21:30:00Z"];
    assert_eq!(kept(&monthly, &all_good(&months), "Europe/Istanbul"), months[1..]);
}

#[test]
fn days_of_23_and_25_hours_are_days_and_the_repeated_hour_is_two() {
    // Berlin: 02:30 comes twice on 25 October 2026, and never on 29 March 2026.
    let twice = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"];
    assert_eq!(kept(&Policy { keep_hourly: 2, ..Policy::default() }, &all_good(&twice), "Europe/Berlin"), twice);
    assert_eq!(kept(&Policy { keep_daily: 1, ..Policy::default() }, &all_good(&twice), "Europe/Berlin"), twice[1..]);
    let spring = ["2026-03-28T23:30:00Z", "2026-03-29T00:30:00Z", "2026-03-29T21:59:00Z", "2026-03-29T22:00:00Z"];
    let daily = Policy { keep_daily: 2, ..Policy::default() };
    assert_eq!(kept(&daily, &all_good(&spring), "Europe/Berlin"), spring[2..]);
    // St. John's of 2010 set its clocks back at 00:01: 7 November came, went, and came again.
    let again = ["2010-11-07T02:30:30Z", "2010-11-07T03:00:00Z", "2010-11-07T04:00:00Z", "2010-11-06T12:00:00Z"];
    assert_eq!(kept(&Policy { keep_daily: 2, ..Policy::default() }, &all_good(&again), "America/St_Johns").len(), 2);
}

#[test]
fn within_counts_from_the_newest_good_one_so_that_a_long_pause_removes_nothing() {
    let times = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T00:00:01Z", "2026-01-04T00:00:00Z"];
    let policy = Policy { keep_within: Some(Duration::from_secs(2 * 24 * 3600)), ..Policy::default() };
    assert_eq!(kept(&policy, &all_good(&times), "UTC"), times[1..]);
}

#[test]
fn without_a_rule_everything_stays() {
    for policy in [Policy::default(), Policy { min_good: 5, max_delete_percent: Some(1), ..Policy::default() }] {
        assert!(policy.is_empty());
        assert_eq!(kept(&policy, &sundays(), "UTC").len(), 12);
    }
}

#[test]
fn failed_ones_fill_no_place_and_go_once_a_newer_one_is_good() {
    let mut runs = all_good(&["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]);
    runs[1].good = false;
    runs[2].good = false;
    let policy = Policy { keep_last: 1, ..Policy::default() };
    let said = reasons(&policy, &runs, never());
    assert_eq!(said[0].1, "incomplete, but newer than every good one");
    assert_eq!(said[1].1, "incomplete, but newer than every good one");
    assert_eq!(said[2].1, "among the last, among the last good ones");
    runs.extend(all_good(&["2026-01-04T00:00:00Z"]));
    let said = reasons(&policy, &runs, never());
    assert_eq!(said.iter().filter(|it| it.1 == "incomplete, and a newer one is good").count(), 2);
    assert_eq!(said[3].1, "no rule keeps it");
}

#[test]
fn min_good_beats_the_rules_and_pins_beat_everything() {
    let mut runs = sundays();
    runs[0].pinned = true;
    let said = reasons(&Policy { keep_last: 1, min_good: 3, ..Policy::default() }, &runs, never());
    let stays: Vec<&str> = said.iter().filter(|it| it.1 != "no rule keeps it").map(|it| it.1.as_str()).collect();
    assert_eq!(
        stays,
        ["among the last, among the last good ones", "among the last good ones", "among the last good ones", "pinned"]
    );
}

#[test]
fn snapshots_of_the_future_stay_and_take_no_ones_place() {
    let mut runs = sundays();
    runs.extend((0..5).map(|day| good(at("2099-01-01T00:00:00Z") + (day * 24).hours())));
    let policy = Policy { keep_last: 3, keep_within: Some(Duration::from_secs(3600)), ..Policy::default() };
    let rulings = rule(&policy, &runs, &TimeZone::UTC, at("2019-12-01T00:00:00Z"));
    assert_eq!(rulings.kept().count(), 5 + 3);
    assert_eq!(rulings.verdicts[0].reasons(), "made in the future: a clock is wrong");
}

#[test]
fn a_snapshot_made_by_a_clock_that_is_a_little_ahead_of_the_stores_is_the_newest_and_not_of_the_future() {
    let now = at("2019-12-01T12:00:00Z");
    let runs = [good(at("2019-12-01T12:00:00.9Z")), good(at("2019-11-30T12:00:00Z"))];
    let said = reasons(&Policy { keep_last: 1, min_good: 1, ..Policy::default() }, &runs, now);
    assert_eq!(said[0].1, "among the last, among the last good ones");
    assert_eq!(said[1].1, "no rule keeps it");
}

#[test]
fn the_breaker_stops_a_mass_deletion_and_lets_daily_work_pass() {
    let some = |count: i64| -> Vec<Candidate> {
        (0..count).map(|day| good(at("2026-01-01T00:00:00Z") + (day * 24).hours())).collect()
    };
    let tripped = |policy: &Policy, count: i64| rule(policy, &some(count), &TimeZone::UTC, never()).breaker;
    let last =
        |keep_last: u32, max_delete_percent: Option<u32>| Policy { keep_last, max_delete_percent, ..Policy::default() };
    assert_eq!(tripped(&last(1, Some(10)), 2), None, "one may always go");
    assert_eq!(tripped(&last(1, Some(10)), 3), Some(Breaker { remove: 2, allowed: 1, all: 3 }));
    assert_eq!(tripped(&last(1, Some(100)), 300), None);
    assert_eq!(tripped(&last(1, None), 11), None);
    assert_eq!(tripped(&last(1, None), 12), Some(Breaker { remove: 11, allowed: 10, all: 12 }));
    assert_eq!(tripped(&last(50, None), 100), None);
    assert!(tripped(&last(49, None), 100).unwrap().to_string().starts_with("51 of 100 snapshots would go"));
}

fn policy() -> impl Strategy<Value = Policy> {
    let within = prop_oneof![Just(None), (1_u64..400_000).prop_map(|it| Some(Duration::from_secs(it)))];
    (prop::array::uniform6(0_u32..4), within, 0_u32..5).prop_map(|(keep, keep_within, min_good)| Policy {
        keep_last: keep[0],
        keep_hourly: keep[1],
        keep_daily: keep[2],
        keep_weekly: keep[3],
        keep_monthly: keep[4],
        keep_yearly: keep[5],
        keep_within,
        min_good,
        max_delete_percent: None,
    })
}

/// Around the end of October, where Berlin has a day of 25 hours; some share a second, some are of the future.
fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (0_i64..90 * 24, 0_i64..3, prop::bool::weighted(0.8), prop::bool::weighted(0.1));
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let candidate = |(index, (hour, minute, good, pinned)): (usize, (i64, i64, bool, bool))| Candidate {
            id: format!("{index:02}"),
            time: at("2026-09-15T00:00:00Z") + hour.hours() + (minute * 20).minutes(),
            good,
            pinned,
        };
        all.into_iter().enumerate().map(candidate).collect()
    })
}

fn ids(rulings: &Rulings) -> Vec<String> {
    rulings.kept().map(|it| it.id.clone()).collect()
}

fn berlin(policy: &Policy, runs: &[Candidate]) -> Rulings {
    // The last days of the candidates are after this.
    rule(policy, runs, &zone(Some("Europe/Berlin")).unwrap(), at("2026-12-05T00:00:00Z"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_last_good_ones_are_never_removed(policy in policy(), runs in candidates()) {
        let rulings = berlin(&policy, &runs);
        let all = runs.iter().filter(|it| it.good).count();
        let left = rulings.kept().filter(|it| it.good).count();
        prop_assert!(left >= all.min(policy.min_good.max(1) as usize));
        // And they are the newest of those whose time can be believed.
        let newest = runs.iter().filter(|it| it.good && it.time <= at("2026-12-05T00:00:00Z")).max_by_key(|it| (it.time, &it.id));
        prop_assert!(newest.is_none_or(|it| rulings.kept().any(|kept| kept.id == it.id)));
    }

    #[test]
    fn what_stayed_once_stays_when_asked_again(policy in policy(), runs in candidates()) {
        let once = berlin(&policy, &runs);
        let left: Vec<Candidate> = once.kept().cloned().collect();
        let twice = berlin(&policy, &left);
        prop_assert_eq!(ids(&once), ids(&twice));
        prop_assert!(twice.breaker.is_none());
    }

    #[test]
    fn to_keep_more_keeps_all_of_that_and_more(
        policy in policy(), more in prop::array::uniform7(0_u32..3), runs in candidates(), longer in 0_u64..400_000,
    ) {
        prop_assume!(!policy.is_empty());
        let larger = Policy {
            keep_last: policy.keep_last + more[0],
            keep_hourly: policy.keep_hourly + more[1],
            keep_daily: policy.keep_daily + more[2],
            keep_weekly: policy.keep_weekly + more[3],
            keep_monthly: policy.keep_monthly + more[4],
            keep_yearly: policy.keep_yearly + more[5],
            keep_within: policy.keep_within.map(|it| it + Duration::from_secs(longer)),
            min_good: policy.min_good + more[6],
            max_delete_percent: None,
        };
        let (few, many) = (ids(&berlin(&policy, &runs)), ids(&berlin(&larger, &runs)));
        prop_assert!(few.iter().all(|it| many.contains(it)));
    }

    #[test]
    fn the_order_of_the_input_decides_nothing(policy in policy(), runs in candidates(), turn in 0_usize..40) {
        let mut other = runs.clone();
        other.reverse();
        let length = other.len().max(1);
        other.rotate_left(turn % length);
        prop_assert_eq!(berlin(&policy, &runs), berlin(&policy, &other));
    }

    #[test]
    fn each_snapshot_gets_one_verdict_with_a_reason(policy in policy(), runs in candidates()) {
        let rulings = berlin(&policy, &runs);
        prop_assert_eq!(rulings.verdicts.len(), runs.len());
        prop_assert!(rulings.verdicts.iter().all(|it| !it.reasons().is_empty()));
        prop_assert!(rulings.removed().all(|it| !it.pinned));
    }

    #[test]
    fn a_clock_that_was_set_back_removes_nothing_that_is_now_of_the_future(policy in policy(), runs in candidates()) {
        let back = at("2026-10-01T00:00:00Z");
        let rulings = rule(&policy, &runs, &zone(Some("Europe/Berlin")).unwrap(), back);
        prop_assert!(rulings.removed().all(|it| it.time <= back));
    }
}
