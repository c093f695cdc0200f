//! When runs come: once for what was missed, apart from each other, and never for a past that had no schedule.

use super::*;
use crate::api::Reason;
use crate::operator::modelcache::build::fixtures::settings;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn daily() -> Times {
    Times::parse("0 4 * * *", Some("Europe/Istanbul")).unwrap()
}

fn run(next: &str) -> ScheduledRun {
    ScheduledRun { schedule: daily().text().into(), next: next.into(), ..ScheduledRun::default() }
}

fn due(run: Option<&ScheduledRun>, now: &str) -> Due {
    Plan { times: &daily(), spread: None }.due(run, &settings().retry, at(now))
}

#[test]
fn a_schedule_that_was_just_written_is_first_due_at_its_next_time() {
    let now = "2026-11-21T12:00:00Z";
    assert_eq!(due(None, now), Due::Remember(run("2026-11-22T01:00:00Z")));
    let other = ScheduledRun {
        schedule: "* * * * * UTC".into(),
        next: "2026-11-21T11:59:00Z".into(),
        last_success: Some("2026-11-21T11:58:00Z".into()),
        failure: None,
    };
    let kept = ScheduledRun { last_success: other.last_success.clone(), ..run("2026-11-22T01:00:00Z") };
    assert_eq!(due(Some(&other), now), Due::Remember(kept), "what was done stays known");
    let torn = ScheduledRun { next: "soon".into(), ..run("") };
    assert_eq!(due(Some(&torn), now), Due::Remember(run("2026-11-22T01:00:00Z")));
}

#[test]
fn a_run_is_due_at_its_time_and_once_for_everything_that_was_missed() {
    let remembered = run("2026-11-22T01:00:00Z");
    assert_eq!(due(Some(&remembered), "2026-11-22T00:59:59Z"), Due::At(at("2026-11-22T01:00:00Z")));
    assert_eq!(due(Some(&remembered), "2026-11-22T01:00:00Z"), Due::Now);
    let much_later = "2026-12-24T18:00:00Z";
    assert_eq!(due(Some(&remembered), much_later), Due::Now);
    let times = daily();
    let after = Plan { times: &times, spread: None }.succeeded(at(much_later));
    assert_eq!(due(Some(&after), much_later), Due::At(at("2026-12-25T01:00:00Z")));
}

#[test]
fn a_clock_that_was_set_back_does_not_put_a_run_off_for_as_long() {
    let remembered = run("2030-01-01T01:00:00Z");
    assert_eq!(due(Some(&remembered), "2026-11-21T12:00:00Z"), Due::Remember(run("2026-11-22T01:00:00Z")));
}

#[test]
fn a_run_that_failed_is_tried_again_after_its_pause() {
    let now = at("2026-11-22T01:00:00Z");
    let before = run("2026-11-22T01:00:00Z");
    let again = failed(Some(&before), failure(Some(&before), Reason::NoEvidence, "x".into(), now));
    let Due::At(time) = due(Some(&again), "2026-11-22T01:00:01Z") else { panic!("a pause") };
    assert!(time > now && time <= now.checked_add(Duration::from_secs(13)).unwrap(), "{time}");
    assert_eq!(due(Some(&again), &time.to_string()), Due::Now);
    let twice = failure(Some(&again), Reason::NoEvidence, "x".into(), now);
    assert_eq!(twice.count, 2);
}

#[test]
fn what_has_passed_wakes_nobody_and_no_sleep_is_longer_than_an_hour() {
    let now = at("2026-11-22T01:00:00Z");
    let after = |seconds: i64| Timestamp::from_second(now.as_second() + seconds).unwrap();
    assert_eq!(sleep([after(-5), after(0)].into_iter(), now), None);
    assert_eq!(sleep([after(9), after(30), after(-5)].into_iter(), now), Some(Duration::from_millis(9100)));
    assert_eq!(sleep([after(1 << 32)].into_iter(), now), Some(LONGEST_SLEEP));
}

proptest! {
    #[test]
    fn every_copy_has_one_run_a_period_however_the_runs_are_spread(
        seed in "[a-z]{1,8}",
        cron in prop::sample::select(vec!["* * * * *", "*/7 * * * *", "0 4 * * *", "0 4 * * 1-5", "30 2 1 * *"]),
        start in 1_700_000_000_i64..1_900_000_000,
    ) {
        let times = Times::parse(cron, Some("Europe/Berlin")).unwrap();
        let plan = Plan { times: &times, spread: Some(&seed) };
        let mut now = Timestamp::from_second(start).unwrap();
        for _ in 0..20 {
            let next = plan.next(now);
            prop_assert!(next > now);
            let slot = times.last_until(next).unwrap();
            let (moved, between) = (next.duration_since(slot), times.next_after(slot).unwrap().duration_since(slot));
            prop_assert!(moved.as_secs() <= 3600 && moved.as_secs() * 4 <= between.as_secs());
            let following = plan.next(next);
            prop_assert_eq!(times.last_until(following), times.next_after(slot), "no time is left out, none comes twice");
            now = next;
        }
    }
}
