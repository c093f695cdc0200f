//! Who is asked whether it moved, and what an answer changes.

use super::*;
use crate::api::ModelCacheReplica;
use crate::operator::modelcache::build::fixtures::{
    JobEnd, Pass, cache, ended, pass, pin, status_of, stored_plan, with_status,
};
use serde_json::json;

const BEFORE: &str = "2026-11-21T12:00:00Z";
const DUE: &str = "2026-11-22T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A cache whose source is pinned to `a…`, with a policy that has been seen.
fn known(policy: &str) -> (ModelCache, Observed) {
    let mut cache = cache();
    cache.spec.refresh = serde_json::from_value(json!({"policy": policy, "schedule": "0 5 * * *"})).unwrap();
    let observed = Observed::empty().with_config_map(stored_plan(&cache, "models", &[(0, pin("a"))], 1));
    let cache = with_status(cache, &observed, at(BEFORE));
    (cache, observed)
}

/// The pass after the Job ended so.
fn answered(cache: &ModelCache, observed: &mut Observed, end: JobEnd) -> Pass {
    let job = pass(cache, observed, at(DUE)).wanted.children.jobs.pop().expect("a Job that asks");
    observed.refresh_jobs.push(ended(ObservedJob { job, ..ObservedJob::default() }, end));
    pass(cache, observed, at(DUE))
}

#[test]
fn nobody_is_asked_before_the_time_nor_twice() {
    let (cache, mut observed) = known("Notify");
    assert!(pass(&cache, &observed, at(BEFORE)).wanted.children.jobs.is_empty());
    let running = answered(&cache, &mut observed, JobEnd::Running);
    assert!(running.wanted.children.jobs.is_empty(), "it is being asked");
}

#[test]
fn what_cannot_move_is_never_asked() {
    for (source, moves) in [
        (json!({"name": "x", "huggingFace": {"repo": "org/x", "revision": "a".repeat(40)}}), false),
        (json!({"name": "x", "huggingFace": {"repo": "org/x", "revision": "v1"}}), true),
        (json!({"name": "x", "huggingFace": {"repo": "org/x"}}), true),
        (json!({"name": "x", "http": {"url": "https://x.org/y", "sha256": "0".repeat(64)}}), false),
        (json!({"name": "x", "http": {"url": "https://x.org/y"}}), true),
        (json!({"name": "x", "whisper": {"model": "tiny"}}), false),
        (json!({"name": "x", "whisper": {"model": "tiny", "engine": "Faster"}}), true),
        (json!({"name": "x", "torchHub": {"repo": "o/n:main"}}), true),
        (json!({"name": "x", "torchHub": {"repo": format!("o/n:{}", "b".repeat(40))}}), false),
        (json!({"name": "x", "oci": {"reference": "ghcr.io/o/n:v1"}}), true),
        (json!({"name": "x", "oci": {"reference": format!("ghcr.io/o/n@sha256:{}", "0".repeat(64))}}), false),
        (json!({"name": "x", "pip": {"requirements": "a==1"}}), false),
        (json!({"name": "x", "spacy": {"model": "en_core_web_sm", "version": "3.8.0"}}), true),
    ] {
        let source: crate::api::source::Source = serde_json::from_value(source.clone()).unwrap();
        assert_eq!(source.moves(), moves, "{source:?}");
    }
    let (mut cache, _) = known("Notify");
    cache.spec.sources[0].hugging_face.as_mut().unwrap().revision = Some("a".repeat(40));
    let observed = Observed::empty().with_config_map(stored_plan(&cache, "models", &[(0, pin("a"))], 1));
    let cache = with_status(cache, &observed, at(BEFORE));
    assert!(pass(&cache, &observed, at(DUE)).wanted.children.jobs.is_empty());
}

#[test]
fn with_notify_a_newer_revision_is_said_and_the_pin_stays() {
    let (cache, mut observed) = known("Notify");
    let moved = answered(&cache, &mut observed, JobEnd::Pinned(pin("b")));
    assert_eq!(moved.resolutions[0].state, ResolutionState::Pinned(pin("a")));
    assert_eq!(moved.freshness[0].available, Some("b".repeat(40)));
    assert_eq!(moved.freshness[0].result, Some(Answer::Moved));
    let status = status_of(&cache, &observed, &moved, at(DUE));
    let said = status.conditions.iter().find(|it| it.type_ == "UpToDate").unwrap();
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", "Outdated"));
    assert!(said.message.contains(&"a".repeat(40)) && said.message.contains(&"b".repeat(40)), "{}", said.message);
    assert_eq!(status.sources[0].revision, Some("a".repeat(40)));
    // The answer is recorded: the Job goes, and nobody is asked until the next time.
    let cache = ModelCache { status: Some(status), ..cache };
    let after = pass(&cache, &observed, at(DUE));
    assert_eq!(after.wanted.children.removals.len(), 1);
    assert!(after.wanted.children.jobs.is_empty() && after.freshness[0].next > Some(at(DUE)));
}

#[test]
fn with_update_a_newer_revision_is_the_pin_unless_it_does_not_fit() {
    let (cache, mut observed) = known("Update");
    let moved = answered(&cache, &mut observed, JobEnd::Pinned(pin("b")));
    assert_eq!(moved.resolutions[0].state, ResolutionState::Pinned(pin("b")));
    assert_eq!(moved.freshness[0].available, None);
    let huge = Pin { bytes: 61 << 30, ..pin("b") };
    observed.refresh_jobs.clear();
    let refused = answered(&cache, &mut observed, JobEnd::Pinned(huge));
    assert_eq!(refused.resolutions[0].state, ResolutionState::Pinned(pin("a")));
    let status = status_of(&cache, &observed, &refused, at(DUE));
    let said = status.conditions.iter().find(|it| it.type_ == "UpToDate").unwrap();
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", "InsufficientSpace"), "{}", said.message);
}

#[test]
fn sources_of_a_volume_that_moved_together_make_one_plan() {
    for (last, expected) in [
        (JobEnd::Pinned(pin("c")), ["b", "c"]),
        (JobEnd::Pinned(pin("a")), ["b", "a"]),
        (JobEnd::Failed(Reason::Unreachable), ["b", "a"]),
    ] {
        let (mut cache, _) = known("Update");
        let other = crate::api::source::Source { name: "other".into(), ..cache.spec.sources[0].clone() };
        cache.spec.sources.push(other);
        let plan = stored_plan(&cache, "models", &[(0, pin("a")), (1, pin("a"))], 1);
        let mut observed = Observed::empty().with_config_map(plan);
        let cache = with_status(cache, &observed, at(BEFORE));
        let jobs = pass(&cache, &observed, at(DUE)).wanted.children.jobs;
        let job = |which: usize, end| ended(ObservedJob { job: jobs[which].clone(), ..ObservedJob::default() }, end);
        observed.refresh_jobs = vec![job(0, JobEnd::Pinned(pin("b"))), job(1, JobEnd::Running)];
        let first = pass(&cache, &observed, at(DUE));
        assert_eq!(first.resolutions[0].state, ResolutionState::Pinned(pin("a")), "the other's answer is awaited");
        assert_eq!((first.freshness[0].result, first.wanted.children.removals.len()), (None, 0), "the Job stays");
        observed.refresh_jobs[1] = job(1, last);
        let both = pass(&cache, &observed, at(DUE));
        let states: Vec<ResolutionState> = both.resolutions.iter().map(|it| it.state.clone()).collect();
        assert_eq!(states, expected.map(|it| ResolutionState::Pinned(pin(it))));
    }
}

#[test]
fn the_same_revision_is_up_to_date_and_a_failure_is_unknown_and_tried_again() {
    let (cache, mut observed) = known("Update");
    let current = answered(&cache, &mut observed, JobEnd::Pinned(pin("a")));
    let said = status_of(&cache, &observed, &current, at(DUE));
    let said = said.conditions.iter().find(|it| it.type_ == "UpToDate").unwrap();
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("True", "UpToDate"));
    for (end, reason) in [(JobEnd::Failed(Reason::Unauthorized), "Unauthorized"), (JobEnd::Silent, "NoEvidence")] {
        observed.refresh_jobs.clear();
        let failed = answered(&cache, &mut observed, end);
        assert_eq!(failed.resolutions[0].state, ResolutionState::Pinned(pin("a")), "old pins stay");
        let status = status_of(&cache, &observed, &failed, at(DUE));
        let said = status.conditions.iter().find(|it| it.type_ == "UpToDate").unwrap();
        assert_eq!((said.status.as_str(), said.reason.as_str()), ("Unknown", reason));
        let retried = ModelCache { status: Some(status), ..cache.clone() };
        observed.refresh_jobs.clear();
        assert!(pass(&retried, &observed, at(DUE)).wanted.children.jobs.is_empty(), "a pause first");
        let later = at(DUE).checked_add(std::time::Duration::from_secs(1000)).unwrap();
        let jobs = pass(&retried, &observed, later).wanted.children.jobs;
        assert!(jobs[0].name_any().ends_with("-u2"), "{}", jobs[0].name_any());
    }
}

#[test]
fn an_answer_is_not_recorded_when_what_follows_from_it_could_not_be_written() {
    let (cache, mut observed) = known("Update");
    let moved = answered(&cache, &mut observed, JobEnd::Pinned(pin("b")));
    let answer = kube::core::Status { code: 500, ..kube::core::Status::default() };
    let source = Box::new(kube::Error::Api(Box::new(answer)));
    let error = crate::operator::error::Error::Write { what: "ConfigMap team/x".into(), source };
    let facts = moved.facts(&cache, &observed, Some(&error));
    let status = crate::operator::modelcache::status::status(&facts, at(DUE));
    assert_eq!(status.sources[0].asked, None);
    assert_eq!(status.sources[0].refresh, cache.status.as_ref().unwrap().sources[0].refresh);
}

#[test]
fn an_update_waits_for_the_rollout_before_it_and_a_suspended_cache_asks_nobody() {
    for (policy, unfinished, suspended, asks) in [
        ("Update", false, false, true),
        ("Update", true, false, false),
        ("Notify", true, false, true),
        ("Notify", false, true, false),
        ("Update", false, true, false),
    ] {
        let (mut cache, mut observed) = known(policy);
        cache.spec.suspend = Some(suspended);
        if unfinished {
            let spec = json!({"cache": "studio", "volume": "models", "claimName": "c",
                "plan": {"configMap": "p", "hash": "h", "files": 1, "bytes": 1}});
            let copy = json!({"apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheReplica",
                "metadata": {"name": "other"}, "spec": spec});
            observed.replicas.push(serde_json::from_value::<ModelCacheReplica>(copy).unwrap());
        }
        assert_eq!(!pass(&cache, &observed, at(DUE)).wanted.children.jobs.is_empty(), asks, "{policy} {unfinished}");
    }
}

#[test]
fn an_update_does_not_wait_for_a_copy_that_only_an_update_can_mend() {
    for (reason, asks) in
        [("NotFound", true), ("ListingMismatch", true), ("ChecksumMismatch", true), ("Unreachable", false)]
    {
        let (cache, mut observed) = known("Update");
        let copy = json!({"apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheReplica", "metadata": {"name": "other"},
            "spec": {"cache": "studio", "volume": "models", "claimName": "c",
                "plan": {"configMap": "p", "hash": "h", "files": 1, "bytes": 1}},
            "status": {"failure": {"reason": reason, "message": "no", "count": 1, "time": "2026-11-21T00:00:00Z"}}});
        observed.replicas.push(serde_json::from_value::<ModelCacheReplica>(copy).unwrap());
        assert_eq!(!pass(&cache, &observed, at(DUE)).wanted.children.jobs.is_empty(), asks, "{reason}");
    }
}
