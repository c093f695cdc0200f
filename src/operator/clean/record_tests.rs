//! That every run of the CronJob is recorded once, and what people are told of it.

use super::*;
use crate::operator::modelcache::build::fixtures::second;
use serde_json::{Value, json};

/// A Job of the CronJob that ended at this second.
fn job(name: &str, end: i64, outcome: &Outcome) -> ObservedJob {
    let condition = if outcome.succeeded { "Complete" } else { "Failed" };
    let time = second(end).to_string();
    let status = json!({"conditions": [
        {"type": "SuccessCriteriaMet", "status": "True", "lastTransitionTime": time},
        {"type": condition, "status": "True", "lastTransitionTime": time}
    ]});
    let state = json!({"terminated": {"exitCode": 0, "message": outcome.to_json()}});
    let container =
        json!({"name": "modelcache", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    let of = |value: Value| serde_json::from_value(value).unwrap();
    ObservedJob {
        job: serde_json::from_value(json!({"metadata": {"name": name, "uid": name}, "status": status})).unwrap(),
        pods: vec![of(json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [container]}}))],
        warning: None,
    }
}

fn good(freed: u64) -> Outcome {
    let mut outcome = Outcome::success(Reason::Cleaned, "clean");
    outcome.clean = Some(Cleaned { rules: 2, freed_bytes: freed, ..Cleaned::default() });
    outcome
}

fn bad(reason: Reason, freed: u64) -> Outcome {
    Outcome { succeeded: false, reason, message: "no".into(), ..good(freed) }
}

#[test]
fn every_run_is_recorded_once_in_the_order_of_their_ends() {
    let jobs = [job("c", 30, &good(3)), job("a", 10, &bad(Reason::DeletionRefused, 1)), job("b", 20, &good(2))];
    let all = ended(None, &jobs);
    assert_eq!(all.iter().map(|it| it.job.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let first = with(CronJobRuns::default(), &all[0]);
    assert_eq!(first.failure.as_ref().map(|it| (it.reason, it.count)), Some((Reason::DeletionRefused, 1)));
    assert_eq!((first.last_success.clone(), first.did.as_ref().map(|it| it.freed_bytes)), (None, Some(1)));
    let last = all.iter().fold(CronJobRuns::default(), with);
    assert_eq!((last.last.as_deref(), last.failure.clone()), (Some("c"), None));
    assert_eq!(last.last_success, last.last_time);
    assert!(ended(Some(&last), &jobs).is_empty(), "none is counted twice");
    assert_eq!(ended(Some(&first), &jobs).len(), 2);
}

#[test]
fn a_job_that_may_be_tried_again_has_not_ended() {
    let mut tried = job("a", 10, &bad(Reason::NoEvidence, 0));
    tried.job.status = None;
    assert!(ended(None, &[tried]).is_empty());
}

#[test]
fn a_job_goes_once_it_is_recorded_and_its_cron_job_has_seen_its_end() {
    let mut observed =
        Observed { clean_jobs: vec![job("a", 10, &good(0)), job("b", 20, &good(0))], ..Observed::empty() };
    let names = |it: Vec<Removal>| -> Vec<String> {
        let name = |it: Removal| if let Removal::Job(it) = it { it.name_any() } else { panic!("{it:?}") };
        it.into_iter().map(name).collect()
    };
    assert!(recorded(None, &observed, "studio-clean").is_empty());
    let runs = ended(None, &observed.clean_jobs[..1]).iter().fold(CronJobRuns::default(), with);
    assert_eq!(names(recorded(Some(&runs), &observed, "studio-clean")), ["a"]);
    let cron_job = json!({"metadata": {"name": "studio-clean"}, "status": {"active": [{"uid": "a"}]}});
    observed.cron_jobs = vec![serde_json::from_value(cron_job).unwrap()];
    assert!(recorded(Some(&runs), &observed, "studio-clean").is_empty());
}

#[test]
fn good_news_is_what_was_removed_and_who_gave_way_is_no_news() {
    let of = |outcome: &Outcome| note(&ended(None, &[job("a", 10, outcome)])[0]);
    assert_eq!(of(&good(0)), None);
    assert_eq!(of(&good(2048)).unwrap().message, "Job `a`: 0 deleted, 2.0 KiB freed, 0 B more free than before");
    assert_eq!(of(&bad(Reason::Superseded, 0)), None);
    assert!(of(&bad(Reason::DeletionRefused, 0)).unwrap().warning);
    let silent = Outcome::success(Reason::Cleaned, "ok");
    assert_eq!(of(&silent).unwrap().reason, Reason::NoEvidence);
}
