//! What is said about a cache: one truth for people, and the kstatus contract for tools.

use super::*;
use crate::api::model_cache_replica::PlanRef;
use crate::operator::modelcache::build::copies::{
    Copy, Kstatus,
    Kstatus::{Current, Failed, InProgress},
    kstatus, said, with_copies,
};
use crate::operator::modelcache::build::fixtures::{
    JobEnd, cache, claim, foreign_claim, node_object, pass, pin, resolve_job, second, shared_cache, silent_node,
    stored_plan,
};
use crate::operator::modelcache::build::transcript::tell_status;
use serde_json::json;

/// Two nodes, the claim, and a plan.
fn pinned() -> Observed {
    Observed::empty().with_nodes(&["a", "b"]).with_claim(claim("models")).with_config_map(stored_plan(
        &cache(),
        "models",
        &[(0, pin("a"))],
        1,
    ))
}

fn two(copies: &[Copy]) -> Observed {
    with_copies(&cache(), pinned(), copies)
}

fn unpinned() -> Observed {
    Observed::empty().with_nodes(&["a", "b"]).with_claim(claim("models"))
}

fn ready_of(cache: &ModelCache) -> (String, String, String) {
    let ready = find(&cache.status.as_ref().unwrap().conditions, ConditionType::Ready).unwrap();
    (ready.status.clone(), ready.reason.clone(), ready.message.clone())
}

#[test]
fn every_state_says_its_reason_what_to_do_and_what_tools_should_make_of_it() {
    let silent = || {
        let mut observed = pinned();
        observed.nodes = vec![std::sync::Arc::new(node_object("a")), std::sync::Arc::new(silent_node("b"))];
        observed
    };
    let all_silent = || {
        let mut observed = pinned();
        observed.nodes = ["a", "b"].map(|it| std::sync::Arc::new(silent_node(it))).to_vec();
        observed
    };
    let mut suspended = cache();
    suspended.spec.suspend = Some(true);
    let mut unbound = claim("models");
    unbound.status = None;
    let mut foreign_environment = k8s_openapi::api::core::v1::ConfigMap::default();
    foreign_environment.metadata.name = Some("studio-env".into());
    let failed = |reason| resolve_job(&cache(), 0, 1, JobEnd::Failed(reason));
    let asked = |reason| unpinned().with_resolve_job(failed(reason));
    let holds = [Copy::Holds, Copy::Holds];
    let cases = vec![
        ("all copies are there", cache(), two(&holds), Current, "Warmed", "2 of 2 copies"),
        (
            "one node is silent",
            cache(),
            with_copies(&cache(), silent(), &holds),
            Current,
            "Warmed",
            "1 on nodes that do not answer",
        ),
        (
            "every node is silent",
            cache(),
            with_copies(&cache(), all_silent(), &holds),
            InProgress,
            "NodeNotReady",
            "does not report",
        ),
        (
            "one copy is being made",
            cache(),
            two(&[Copy::Holds, Copy::Working]),
            InProgress,
            "Warming",
            "1 of 2 copies are ready, 1 are being made",
        ),
        ("one copy is queued", cache(), two(&[Copy::Working, Copy::Queued]), InProgress, "Warming", "0 of 2"),
        (
            "a copy failed for now",
            cache(),
            two(&[Copy::Holds, Copy::Failed(Reason::Unreachable)]),
            InProgress,
            "Unreachable",
            "node `b`: the copy says",
        ),
        (
            "a copy failed for good",
            cache(),
            two(&[Copy::Holds, Copy::Failed(Reason::InsufficientSpace)]),
            Failed,
            "InsufficientSpace",
            "node `b`",
        ),
        (
            "the retry of one that failed for good runs",
            cache(),
            two(&[Copy::Holds, Copy::RetryOf(Reason::InsufficientSpace)]),
            Failed,
            "InsufficientSpace",
            "node `b`",
        ),
        (
            "one failed for good beside one at work",
            cache(),
            two(&[Copy::Working, Copy::Failed(Reason::InsufficientSpace)]),
            InProgress,
            "InsufficientSpace",
            "node `b`",
        ),
        (
            "a copy holds something else",
            cache(),
            two(&[Copy::Holds, Copy::HoldsOther]),
            InProgress,
            "Warming",
            "1 of 2",
        ),
        (
            "a node is cordoned",
            cache(),
            two(&[Copy::Holds, Copy::Waits(Reason::NodeCordoned)]),
            InProgress,
            "NodeCordoned",
            "node `b`",
        ),
        ("the origin is asked", cache(), unpinned(), InProgress, "Resolving", "`sana`"),
        ("the origin is silent", cache(), asked(Reason::Unreachable), InProgress, "Unreachable", "source `sana`"),
        ("the token is refused", cache(), asked(Reason::Unauthorized), Failed, "Unauthorized", "source `sana`"),
        (
            "the token is refused and the claim waits for its first pod",
            cache(),
            {
                let mut it = asked(Reason::Unauthorized);
                it.claims.clear();
                it.with_claim(unbound.clone())
            },
            Failed,
            "Unauthorized",
            "source `sana`",
        ),
        (
            "the hub is silent and the claim waits for its first pod",
            cache(),
            {
                let mut it = asked(Reason::Unreachable);
                it.claims.clear();
                it.with_claim(unbound.clone())
            },
            InProgress,
            "Unreachable",
            "source `sana`",
        ),
        (
            "the claim waits",
            cache(),
            {
                let mut it = unpinned();
                it.claims.clear();
                it.with_claim(unbound.clone())
            },
            InProgress,
            "VolumePending",
            "not bound",
        ),
        (
            "no pool",
            cache(),
            {
                let mut it = pinned();
                it.pools.clear();
                it
            },
            Failed,
            "PoolNotFound",
            "an administrator makes pools",
        ),
        (
            "no pool while the origin is still asked",
            cache(),
            {
                let mut it = unpinned();
                it.pools.clear();
                it
            },
            InProgress,
            "PoolNotFound",
            "an administrator makes pools",
        ),
        (
            "no node",
            cache(),
            Observed::empty().with_nodes(&[]).with_claim(claim("models")),
            InProgress,
            "NoMatchingNodes",
            "one that joins is warmed",
        ),
        (
            "a foreign claim",
            cache(),
            pinned().with_claim(foreign_claim("studio-models")),
            Failed,
            "ClaimConflict",
            "rename this cache",
        ),
        (
            "a foreign environment",
            cache(),
            two(&holds).with_config_map(foreign_environment),
            Failed,
            "ClaimConflict",
            "delete it, or rename",
        ),
        (
            "suspended before anything was done",
            suspended.clone(),
            unpinned(),
            InProgress,
            "Suspended",
            "`spec.suspend`",
        ),
        ("suspended when all was done", suspended, two(&holds), Current, "Warmed", "2 of 2"),
    ];
    for (what, cache, observed, expected, reason, says) in cases {
        let cache = said(cache, &observed);
        let (status, is, message) = ready_of(&cache);
        assert_eq!((kstatus(&cache), is.as_str()), (expected, reason), "{what}: {message}");
        assert_eq!(status == "True", expected == Current, "{what}");
        assert!(message.contains(says), "{what}: {message}");
    }
}

#[test]
fn before_the_first_look_it_is_in_progress_and_unknown() {
    let mut cache = cache();
    cache.status = Some(first_status(&cache, second(0)));
    assert_eq!((kstatus(&cache), ready_of(&cache).0.as_str()), (Kstatus::InProgress, "Unknown"));
}

#[test]
fn ready_does_not_outlive_a_change_of_the_spec() {
    let mut cache = said(cache(), &two(&[Copy::Holds, Copy::Holds]));
    assert_eq!(kstatus(&cache), Kstatus::Current);
    cache.metadata.generation = Some(4);
    cache.spec.sources[0].hugging_face.as_mut().unwrap().revision = Some("v2".into());
    assert_eq!(kstatus(&cache), Kstatus::InProgress, "before it was looked at");
    let observed = two(&[Copy::Holds, Copy::Holds]);
    let cache = said(cache, &observed);
    assert_eq!((kstatus(&cache), ready_of(&cache).1.as_str()), (Kstatus::InProgress, "Resolving"));
    assert!(
        is_true(&cache.status.as_ref().unwrap().conditions, ConditionType::Warm),
        "the old content is still served"
    );
}

#[test]
fn a_claim_that_was_lost_takes_ready_with_it() {
    let mut observed = two(&[Copy::Holds, Copy::Holds]);
    observed.claims.clear();
    assert_eq!(ready_of(&said(cache(), &observed)).1, "VolumePending");
    let mut another = claim("models");
    another.metadata.uid = Some("another-uid".into());
    let mut observed = two(&[Copy::Holds, Copy::Holds]).with_claim(another);
    for replica in &mut observed.replicas {
        replica.spec.claim_uid = Some("another-uid".into());
    }
    assert_eq!(ready_of(&said(cache(), &observed)).1, "Warming");
}

#[test]
fn a_volume_whose_nodes_are_all_silent_is_not_made_good_by_another_volume() {
    let mut cache = cache();
    let shared = json!({"name": "assets", "shared": {"size": "20Gi"}});
    cache.spec.volumes.push(serde_json::from_value(shared).unwrap());
    cache.spec.sources[0].volume = Some("models".into());
    let observed = Observed::empty()
        .with_nodes(&[])
        .with_node(silent_node("a"))
        .with_claim(claim("models"))
        .with_claim(claim("assets"))
        .with_config_map(stored_plan(&cache, "models", &[(0, pin("a"))], 1));
    let observed = observed.with_pool(crate::operator::modelcache::build::fixtures::pool());
    let observed = with_copies(&cache, observed, &[Copy::Holds, Copy::Holds]);
    let cache = said(cache, &observed);
    assert_eq!(ready_of(&cache).1, "NodeNotReady", "{}", tell_status(cache.status.as_ref().unwrap()));
}

#[test]
fn an_error_keeps_the_observed_generation_back_and_names_the_missing_permission() {
    let observed = two(&[Copy::Holds, Copy::Holds]);
    let mut cache = said(cache(), &observed);
    cache.metadata.generation = Some(9);
    for (code, word, reason) in [
        (403, "Forbidden", "MissingPermission"),
        (409, "Conflict", "Pending"),
        (422, "Invalid", "InternalError"),
        (500, "InternalError", "InternalError"),
    ] {
        let answer = kube::core::Status {
            code,
            reason: word.into(),
            message: "jobs.batch is forbidden".into(),
            ..kube::core::Status::default()
        };
        let source = Box::new(kube::Error::Api(Box::new(answer)));
        let error = Error::Write { what: "Job team/x".into(), source };
        let pass = pass(&cache, &observed, second(0));
        let facts = pass.facts(&cache, &observed, Some(&error));
        let mut after = cache.clone();
        after.status = Some(status(&facts, second(1)));
        let (ready, is, message) = ready_of(&after);
        assert_eq!((ready.as_str(), is.as_str(), kstatus(&after)), ("False", reason, Kstatus::InProgress));
        assert!(message.contains("Job team/x") && message.contains("jobs.batch is forbidden"), "{message}");
        assert_eq!(after.status.unwrap().observed_generation, Some(3));
    }
    assert_eq!(said(cache, &observed).status.unwrap().observed_generation, Some(9));
}

#[test]
fn at_most_ten_problems_are_listed_worst_first_and_silent_nodes_last() {
    let names: Vec<String> = (10..40).map(|it| format!("n{it}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut observed = Observed::empty().with_nodes(&names).with_claim(claim("models")).with_config_map(stored_plan(
        &cache(),
        "models",
        &[(0, pin("a"))],
        1,
    ));
    let mut copies = vec![Copy::Holds; 20];
    copies.extend([Copy::Waits(Reason::NodeCordoned); 5]);
    copies.extend([Copy::Failed(Reason::Unreachable); 3]);
    copies.extend([Copy::Failed(Reason::InsufficientSpace); 2]);
    for node in observed.nodes.iter_mut().take(20) {
        *node = std::sync::Arc::new(silent_node(&node.name_any()));
    }
    let status = said(cache(), &with_copies(&cache(), observed, &copies)).status.unwrap();
    insta::assert_snapshot!(tell_status(&status));
}

#[test]
fn a_plan_that_is_too_large_says_so_and_what_to_do() {
    let mut cache = shared_cache();
    cache.spec.volumes[0].shared.as_mut().unwrap().size.0 = "1Mi".into();
    let observed = Observed::empty().with_claim(claim("models")).with_config_map(stored_plan(
        &cache,
        "models",
        &[(0, pin("a"))],
        1,
    ));
    let cache = said(cache, &observed);
    let reference: Option<PlanRef> = pass(&cache, &observed, second(0)).wanted.children.replicas[0].0.spec.plan.clone();
    assert_eq!(reference, None, "nothing is fetched that cannot fit");
    assert_eq!(kstatus(&cache), Kstatus::Failed);
    insta::assert_snapshot!(ready_of(&cache).2, @"volume `models`: the sources of volume `models` are 1.0 GiB, more than its size of 1.0 MiB: raise `size`, or leave files out with `exclude`");
}

#[test]
fn a_cache_names_the_label_of_its_nodes_where_nodes_are_labelled_and_nowhere_else() {
    let said = |cache: &ModelCache, labels_nodes: bool| {
        let mut observed = pinned();
        observed.labels_nodes = labels_nodes;
        let pass = pass(cache, &observed, second(0));
        crate::operator::modelcache::build::fixtures::status_of(cache, &observed, &pass, second(0)).node_label
    };
    assert_eq!(said(&cache(), false), None);
    assert_eq!(said(&cache(), true).as_deref(), Some("cached.modelcache.dev/team.studio"));
    assert_eq!(said(&shared_cache(), true), None, "no node holds a shared volume");
}
