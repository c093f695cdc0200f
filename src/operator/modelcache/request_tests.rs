//! What is asked of a cache now is done by Jobs that begin after it was asked.

use super::*;
use crate::api::{ModelCacheReplica, Reason};
use crate::operator::modelcache::build::fixtures::{
    JobEnd, cache, claim, pass, pin, resolve_job, second, stored_plan, with_status,
};
use serde_json::json;

fn asked(mut cache: ModelCache, text: &str) -> ModelCache {
    cache.annotations_mut().insert(Deed::Warm.annotation().into(), text.into());
    cache
}

fn handled(cache: &ModelCache) -> Option<String> {
    cache.status.as_ref().and_then(|it| it.last_handled_request.clone())
}

fn failures(cache: &ModelCache) -> Option<i64> {
    cache.status.as_ref()?.sources[0].failure.as_ref().map(|it| it.count)
}

#[test]
fn a_request_that_comes_while_an_origin_is_asked_is_open_until_a_job_that_began_after_it() {
    let observed = |attempt, end| Observed::empty().with_resolve_job(resolve_job(&cache(), 0, attempt, end));
    let failed = || JobEnd::Failed(Reason::Unauthorized);
    let before = with_status(cache(), &observed(1, JobEnd::Running), second(0));
    let during = with_status(asked(before, "one"), &observed(1, JobEnd::Running), second(1));
    assert_eq!(handled(&during), None, "that attempt may fail for what was mended since");
    let decided = pass(&during, &observed(1, failed()), second(2));
    assert_eq!(decided.resolutions[0].state, ResolutionState::Due, "no pause");
    assert!(decided.wanted.children.jobs[0].name_any().ends_with("-r2"));
    let again = with_status(during, &observed(1, failed()), second(2));
    assert_eq!(
        (handled(&again).as_deref(), failures(&again)),
        (Some("one"), Some(0)),
        "as if it had not failed before"
    );
    let over = pass(&again, &observed(2, failed()), second(3));
    assert!(matches!(over.resolutions[0].state, ResolutionState::Later(_)), "it was done once");
    assert_eq!(failures(&with_status(again, &observed(2, failed()), second(3))), Some(1));
}

#[test]
fn a_source_that_was_asked_is_not_asked_again_because_another_is_still_to_be() {
    let mut two = cache();
    two.spec.sources.truncate(1);
    let other = json!({"name": "other", "volume": two.spec.volumes[0].name, "huggingFace": {"repo": "org/other"}});
    two.spec.sources.push(serde_json::from_value(other).unwrap());
    let (slow, failed) = (|| resolve_job(&two, 0, 1, JobEnd::Running), JobEnd::Failed(Reason::Unauthorized));
    let observed = Observed::empty().with_resolve_job(slow()).with_resolve_job(resolve_job(&two, 1, 1, failed));
    let before = with_status(two.clone(), &observed, second(0));
    let during = asked(before, "one");
    assert!(pass(&during, &observed, second(1)).wanted.children.jobs[0].name_any().ends_with("-r2"));
    let during = with_status(during, &observed, second(1));
    assert_eq!(handled(&during), None, "the other one runs since before");
    let second_failure = resolve_job(&two, 1, 2, JobEnd::Failed(Reason::Unauthorized));
    let observed = Observed::empty().with_resolve_job(slow()).with_resolve_job(second_failure);
    assert!(pass(&during, &observed, second(2)).wanted.children.jobs.is_empty(), "no storm while the request is open");
}

#[test]
fn a_request_during_the_rollout_of_an_update_asks_the_origins_once_that_is_over() {
    let mut cache = cache();
    cache.spec.refresh = serde_json::from_value(json!({"policy": "Update", "schedule": "0 5 * * *"})).unwrap();
    let stored = || Observed::empty().with_config_map(stored_plan(&cache, "models", &[(0, pin("a"))], 1));
    let known = with_status(cache.clone(), &stored(), second(0));
    let spec = json!({"cache": "studio", "volume": "models", "claimName": "c",
        "plan": {"configMap": "p", "hash": "h", "files": 1, "bytes": 1}});
    let copy: ModelCacheReplica = serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheReplica", "metadata": {"name": "other"}, "spec": spec
    }))
    .unwrap();
    let during = with_status(asked(known, "one"), &stored().with_replica(copy), second(1));
    assert_eq!(handled(&during), None);
    let jobs = pass(&during, &stored(), second(2)).wanted.children.jobs;
    assert_eq!(jobs.len(), 1, "the origin is asked");
    assert_eq!(handled(&with_status(during, &stored(), second(2))).as_deref(), Some("one"));
}

#[test]
fn what_cannot_have_moved_is_handled_at_once() {
    let stored = Observed::empty().with_config_map(stored_plan(&cache(), "models", &[(0, pin("a"))], 1));
    let known = with_status(cache(), &stored, second(0));
    assert_eq!(handled(&with_status(asked(known, "one"), &stored, second(1))).as_deref(), Some("one"));
}

#[test]
fn a_reset_is_handled_once_every_copy_that_it_is_about_has_answered_or_refused() {
    let mut cache = cache();
    cache.annotations_mut().insert(Deed::Reset.annotation().into(), "one nodes=a,b".into());
    let plan = stored_plan(&cache, "models", &[(0, pin("a"))], 1);
    let mut observed = Observed::empty().with_nodes(&["a", "b", "c"]).with_claim(claim("models")).with_config_map(plan);
    let wanted = pass(&cache, &observed, second(0)).wanted.children.replicas;
    observed.replicas = wanted.into_iter().map(|(wanted, _)| wanted).collect();
    assert_eq!(observed.replicas.len(), 3);
    let handled = |observed: &Observed| {
        with_status(cache.clone(), observed, second(1)).status.unwrap().last_handled_reset_request
    };
    for (node, time, expected) in
        [("a", Some("t"), None), ("b", None, None), ("b", Some("t"), Some("one nodes=a,b".to_owned()))]
    {
        let reset = json!({"requestedReset": {"request": "one nodes=a,b", "attempt": 0, "time": time}});
        let of_node = |it: &&mut ModelCacheReplica| it.spec.node.as_ref().is_some_and(|it| it.name == node);
        let copy = observed.replicas.iter_mut().find(of_node).unwrap();
        copy.status = serde_json::from_value(reset).unwrap();
        assert_eq!(handled(&observed), expected, "{node} {time:?}");
    }
}
