//! The promises of the pins: asked once, remembered by the plans, retried by number.

use super::*;
use crate::api::Reason;
use crate::operator::modelcache::build::fixtures::{
    JobEnd, cache, pin, resolve_job, second, settings, stored_plan, with_status,
};
use proptest::prelude::*;

fn only(cache: &ModelCache, observed: &Observed, now: i64) -> Resolution {
    resolutions(cache, observed, &settings().retry, second(now)).remove(0)
}

fn job(attempt: u64, end: JobEnd) -> ObservedJob {
    resolve_job(&cache(), 0, attempt, end)
}

/// The cache after its first attempt failed, as its status records it.
fn failed_once(reason: Reason) -> ModelCache {
    let observed = Observed::empty().with_nodes(&["a"]).with_resolve_job(job(1, JobEnd::Failed(reason)));
    with_status(cache(), &observed, second(0))
}

#[test]
fn a_source_that_nobody_asked_about_is_due() {
    assert_eq!(only(&cache(), &Observed::empty(), 0).state, ResolutionState::Due);
}

#[test]
fn the_pin_of_a_plan_holds_with_no_status_no_job_and_whatever_a_job_says() {
    let stored = || Observed::empty().with_config_map(stored_plan(&cache(), "models", &[(0, pin("a"))], 4));
    let lost = cache();
    let applied_again = {
        let mut cache = with_status(cache(), &stored(), second(0));
        cache.metadata.uid = Some("another-uid".into());
        cache.metadata.generation = Some(1);
        cache
    };
    let failed_before = failed_once(Reason::Unreachable);
    for cache in [lost, applied_again, failed_before] {
        for observed in [
            stored(),
            stored().with_resolve_job(job(2, JobEnd::Pinned(pin("b")))),
            stored().with_resolve_job(job(2, JobEnd::Failed(Reason::NotFound))),
        ] {
            let resolution = only(&cache, &observed, 0);
            assert_eq!(resolution.state, ResolutionState::Pinned(pin("a")), "`main` has moved, the pin has not");
            assert_eq!(resolution.failure, None);
        }
    }
}

#[test]
fn a_source_whose_spec_changed_is_asked_again_and_has_its_old_pin_back_when_the_change_is_undone() {
    let observed = Observed::empty().with_config_map(stored_plan(&cache(), "models", &[(0, pin("a"))], 4));
    let mut changed = cache();
    changed.spec.sources[0].hugging_face.as_mut().unwrap().revision = Some("v2".into());
    assert_eq!(only(&changed, &observed, 0).state, ResolutionState::Due);
    assert_eq!(only(&cache(), &observed, 0).state, ResolutionState::Pinned(pin("a")));
}

#[test]
fn the_plan_of_the_highest_sequence_is_the_memory_and_one_that_cannot_be_read_is_none() {
    let mut unreadable = stored_plan(&cache(), "models", &[(0, pin("c"))], 9);
    unreadable.data = Some([(FILE.to_owned(), r#"{"version": 7}"#.to_owned())].into());
    let observed = Observed::empty()
        .with_config_map(stored_plan(&cache(), "models", &[(0, pin("b"))], 5))
        .with_config_map(unreadable)
        .with_config_map(stored_plan(&cache(), "models", &[(0, pin("a"))], 4));
    assert_eq!(only(&cache(), &observed, 0).state, ResolutionState::Pinned(pin("b")));
}

#[test]
fn what_a_job_says_is_what_the_source_is() {
    for (end, expected) in [
        (JobEnd::Running, ResolutionState::Running(None)),
        (JobEnd::Ending, ResolutionState::Running(None)),
        (JobEnd::Pinned(pin("a")), ResolutionState::Pinned(pin("a"))),
    ] {
        let resolution = only(&cache(), &Observed::empty().with_resolve_job(job(1, end)), 0);
        assert_eq!(resolution.state, expected);
        assert_eq!(resolution.attempt, 0, "no other Job is to be made for this attempt");
    }
}

#[test]
fn a_job_of_another_spec_or_another_source_says_nothing() {
    let mut changed = cache();
    changed.spec.sources[0].hugging_face.as_mut().unwrap().revision = Some("v2".into());
    let observed = Observed::empty().with_resolve_job(job(1, JobEnd::Pinned(pin("a"))));
    assert_eq!(only(&changed, &observed, 0).state, ResolutionState::Due);
    changed.spec.sources[0].name = "other".into();
    assert_eq!(only(&changed, &observed, 0).state, ResolutionState::Due);
}

#[test]
fn a_job_that_completes_and_says_nothing_is_a_failed_attempt() {
    let resolution = only(&cache(), &Observed::empty().with_resolve_job(job(1, JobEnd::Silent)), 0);
    assert_eq!((resolution.attempt, resolution.failure.map(|it| it.reason)), (1, Some(Reason::NoEvidence)));
    assert!(matches!(resolution.state, ResolutionState::Later(_)));
}

#[test]
fn what_passes_by_itself_is_retried_soon_and_what_a_person_must_mend_slowly_and_an_eviction_soon_without_counting() {
    for (reason, not_yet, due) in
        [(Reason::Unreachable, 9, 13), (Reason::Unauthorized, 599, 751), (Reason::NotFound, 599, 751)]
    {
        let cache = failed_once(reason);
        assert!(matches!(only(&cache, &Observed::empty(), not_yet).state, ResolutionState::Later(_)), "{reason}");
        let resolution = only(&cache, &Observed::empty(), due);
        assert_eq!((resolution.state, resolution.attempt), (ResolutionState::Due, 1), "{reason}");
    }
    let evicted = only(&failed_once(Reason::Evicted), &Observed::empty(), 13);
    assert_eq!((evicted.state, evicted.failure.map(|it| it.count)), (ResolutionState::Due, Some(0)));
}

#[test]
fn a_failure_that_is_recorded_counts_once_however_long_its_job_stays() {
    let cache = failed_once(Reason::Unreachable);
    let observed = Observed::empty().with_resolve_job(job(1, JobEnd::Failed(Reason::Unreachable)));
    let resolution = only(&cache, &observed, 100_000);
    assert_eq!((resolution.attempt, resolution.recorded), (1, 1));
    assert_eq!(resolution.failure.map(|it| it.count), Some(1));
}

#[test]
fn a_lost_status_does_not_begin_again_below_the_jobs_that_are_there() {
    let observed = Observed::empty().with_resolve_job(job(7, JobEnd::Failed(Reason::Unreachable)));
    let resolution = only(&cache(), &observed, 0);
    assert_eq!((resolution.attempt, resolution.recorded), (7, 0));
}

#[test]
fn the_attempt_is_the_number_at_the_end_of_a_jobs_name() {
    for (name, expected) in [("studio-sana-1a2b3c4d-r12", 12), ("studio-sana-r1", 1), ("studio", 0), ("", 0)] {
        let mut job = ObservedJob::default();
        job.job.metadata.name = Some(name.into());
        assert_eq!(attempt_of(&job), expected, "{name}");
    }
}

fn end() -> impl Strategy<Value = Option<u8>> {
    prop::option::of(0_u8..5)
}

proptest! {
    #[test]
    fn the_next_attempt_is_never_one_that_has_a_job(ends in prop::collection::vec(end(), 1..6), recorded in any::<bool>()) {
        let mut observed = Observed::empty();
        for (index, end) in ends.iter().enumerate() {
            let end = match end {
                None => continue,
                Some(0) => JobEnd::Running,
                Some(1) => JobEnd::Ending,
                Some(2) => JobEnd::Silent,
                Some(3) => JobEnd::Failed(Reason::Unreachable),
                Some(_) => JobEnd::Failed(Reason::Evicted),
            };
            observed = observed.with_resolve_job(job(index as u64 + 1, end));
        }
        let cache = if recorded { failed_once(Reason::Unreachable) } else { cache() };
        let resolution = only(&cache, &observed, 1_000_000);
        if resolution.state == ResolutionState::Due {
            let next = resolution.attempt + 1;
            prop_assert!(observed.resolve_jobs.iter().all(|it| attempt_of(it) != next));
            prop_assert!(resolution.attempt >= resolution.recorded);
        }
    }
}
