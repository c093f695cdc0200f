//! What a cache says about its clean-ups, and that time alone changes none of it.

use super::*;
use crate::api::cleaning::Cleaning;
use crate::api::model_cache_replica::{ModelCacheReplicaStatus, ReplicaNode};
use crate::api::scheduled_run::ScheduledRun;
use crate::api::timetable::Times;
use crate::operator::clean::record::Ended;
use crate::operator::job::Problem;
use crate::operator::modelcache::build::fixtures::{cache, second, volume};
use crate::operator::modelcache::build::replica::replica;
use crate::operator::retry::next_failure;

fn planned() -> Planned {
    Planned {
        times: Times::parse("0 2 * * *", None).ok(),
        by_cron_job: vec!["logs".into()],
        by_operator: vec!["models".into()],
        ..Planned::default()
    }
}

fn copy(node: &str, last: Option<&str>, failure: Option<Reason>) -> ModelCacheReplica {
    let cache = cache();
    let on = ReplicaNode { name: node.into(), uid: node.into(), hostname: node.into(), pool: "gpu".into() };
    let mut replica = replica(&cache, node, &volume(&cache), Some(on), None);
    let run = ScheduledRun {
        next: "1970-01-02T02:10:00Z".into(),
        last_success: last.map(str::to_owned),
        failure: failure.map(|it| next_failure(None, it, "what happened", second(0))),
        ..ScheduledRun::default()
    };
    let did = last.map(|_| CleanedUp { freed_bytes: 2048, gained_bytes: 1024, ..CleanedUp::default() });
    let cleanup = Some(Cleaning { run, did });
    replica.status = Some(ModelCacheReplicaStatus { cleanup, ..ModelCacheReplicaStatus::default() });
    replica
}

fn run(end: i64, problem: Option<Reason>) -> Ended {
    let did = CleanedUp { freed_bytes: 100, gained_bytes: 50, time: second(end).to_string(), ..CleanedUp::default() };
    let problem = problem.map(|it| Problem::new(it, "it did not work"));
    Ended { job: format!("job-{end}"), time: second(end), problem, did: Some(did) }
}

fn with(mut cache: ModelCache, summary: CleanupSummary) -> ModelCache {
    cache.status.get_or_insert_default().cleanup = Some(summary);
    cache
}

#[test]
fn before_the_first_run_nothing_is_claimed() {
    let (known, said) = summary(&cache(), &[&copy("a", None, None)], &planned(), second(0));
    assert_eq!((said.status, said.reason), (Truth::Unknown, Reason::Pending));
    assert_eq!(said.message, "no clean-up has ended yet; the next is due 1970-01-01T02:00:00Z");
    assert_eq!((known.last_success, known.freed_bytes), (None, None));
}

#[test]
fn success_says_how_many_when_and_how_much_was_really_gained() {
    let planned = Planned { ended: vec![run(100, None)], ..planned() };
    let (a, b) = (copy("a", Some("1970-01-01T00:00:50Z"), None), copy("b", None, None));
    let (known, said) = summary(&cache(), &[&a, &b], &planned, second(200));
    assert_eq!((said.status, said.reason), (Truth::True, Reason::Cleaned));
    assert_eq!(
        said.message,
        "2 of 3 places were cleaned, the last one 1970-01-01T00:01:40Z: 2.1 KiB freed, 1.0 KiB more free than before; the next \
         is due 1970-01-01T02:00:00Z"
    );
    assert_eq!(known.last_success.as_deref(), Some("1970-01-01T00:00:50Z"), "the one that is the longest ago");
    assert_eq!((known.freed_bytes, known.gained_bytes), (Some(2148), Some(1074)));
}

#[test]
fn time_alone_changes_nothing_and_the_end_of_a_run_says_when_the_next_is_due() {
    let day = 86_400;
    let ended = Planned { ended: vec![run(100, None)], ..planned() };
    let (first, said) = summary(&cache(), &[], &ended, second(200));
    let known = with(cache(), first.clone());
    assert_eq!(summary(&known, &[], &planned(), second(9 * day)), (first, said));
    let ended = Planned { ended: vec![run(9 * day, None)], ..planned() };
    let (later, _) = summary(&known, &[], &ended, second(9 * day));
    assert_eq!(later.next.as_deref(), Some("1970-01-10T02:00:00Z"));
}

#[test]
fn a_failure_anywhere_is_false_with_its_place_and_the_last_success_there() {
    let (good, bad) = (copy("a", Some("1970-01-01T00:00:50Z"), None), copy("b", None, Some(Reason::DeletionRefused)));
    let planned_ = Planned { ended: vec![run(100, Some(Reason::VolumeError))], ..planned() };
    let (known, said) = summary(&cache(), &[&good, &bad], &planned_, second(200));
    assert_eq!((said.status, said.reason), (Truth::False, Reason::DeletionRefused));
    assert!(
        said.message
            .starts_with("volume `models` on node `b`: what happened (and 1 more); the last success there: none yet"),
        "{}",
        said.message
    );
    let cache = with(cache(), known);
    let ended = Planned { ended: vec![run(300, None)], ..planned() };
    let (_, said) = summary(&cache, &[&good], &ended, second(400));
    assert_eq!(said.status, Truth::True, "{}", said.message);
}

#[test]
fn who_gave_way_has_not_failed() {
    let copy = copy("a", Some("1970-01-01T00:00:50Z"), Some(Reason::Superseded));
    let (_, said) = summary(&cache(), &[&copy], &planned(), second(0));
    assert_eq!(said.status, Truth::True);
    assert!(said.message.contains("volume `models` on node `a`: what happened"), "{}", said.message);
}

#[test]
fn what_cannot_be_followed_and_what_is_suspended_is_said() {
    let problem = Some(Problem::new(Reason::ClaimConflict, "somebody else's"));
    let (_, said) = summary(&cache(), &[], &Planned { problem, ..planned() }, second(0));
    assert_eq!((said.status, said.reason), (Truth::False, Reason::ClaimConflict));
    let suspended = Planned { suspended: true, ended: vec![run(100, None)], ..planned() };
    let (known, said) = summary(&cache(), &[&copy("a", None, None)], &suspended, second(200));
    assert!(said.message.ends_with("; suspended: no further one begins"), "{}", said.message);
    assert_eq!((known.next, known.cron_job.unwrap().next), (None, None));
}
