//! What is said about a cache: one truth for people, and the kstatus contract for tools.

use super::*;
use crate::api::model_cache_replica::{Attempt, Holding, PlanRef};
use crate::operator::modelcache::build::fixtures::{
    JobEnd, cache, claim, foreign_claim, node_object, pass, pin, resolve_job, second, shared_cache, silent_node,
    status_of, stored_plan,
};
use crate::operator::modelcache::build::transcript::tell_status;
use crate::operator::replica::slots::NoSlot;
use crate::operator::replica::step::{Recording, Step};
use proptest::prelude::*;
use serde_json::json;

/// What a tool that knows kstatus makes of an object
/// (<https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/status/core.go>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kstatus {
    Current,
    InProgress,
    Failed,
}

fn kstatus(cache: &ModelCache) -> Kstatus {
    let status = cache.status.as_ref().unwrap();
    if status.observed_generation.is_some() && status.observed_generation != cache.metadata.generation {
        return Kstatus::InProgress;
    }
    for condition in status.conditions.iter().filter(|it| it.status == "True") {
        match condition.type_.as_str() {
            "Reconciling" => return Kstatus::InProgress,
            "Stalled" => return Kstatus::Failed,
            _ => {}
        }
    }
    let ready = find(&status.conditions, ConditionType::Ready).map(|it| it.status.as_str());
    if ready == Some("True") { Kstatus::Current } else { Kstatus::InProgress }
}

/// How a copy is.
#[derive(Clone, Copy, Debug)]
enum Copy {
    New,
    Working,
    Holds,
    HoldsOther,
    Failed(Reason),
    RetryOf(Reason),
    Waits(Reason),
    Queued,
}

/// A Replica of which its own reconcile has said this.
fn saying(mut replica: ModelCacheReplica, copy: Copy) -> ModelCacheReplica {
    let plan = replica.spec.plan.as_ref().map(|it| it.hash.clone());
    let attempt = |stage| Attempt { number: 1, stage, plan: plan.clone(), claim_uid: replica.spec.claim_uid.clone() };
    let holds = |plan: Option<String>| {
        let claim_uid = replica.spec.claim_uid.clone();
        plan.map(|plan| Holding { plan, claim_uid, files: 3, bytes: 9, fetched_bytes: 9 })
    };
    let failed = |reason: Reason| {
        crate::operator::retry::next_failure(None, reason, format!("the copy says {reason}"), second(0))
    };
    let watch = Step::Watch { stage: AttemptStage::WarmUp, problem: None, pod_ip: None };
    let record = |holds, failure| Step::Record(Recording { attempt: attempt(AttemptStage::Done), holds, failure });
    let mut steps = vec![];
    let mut no_slot = None;
    match copy {
        Copy::New => {}
        Copy::Working => {
            steps.push(Step::Record(Recording { attempt: attempt(AttemptStage::WarmUp), holds: None, failure: None }));
            steps.push(watch);
        }
        Copy::Holds => steps.push(record(holds(plan.clone()), None)),
        Copy::HoldsOther => steps.push(record(holds(Some("other".into())), None)),
        Copy::Failed(reason) => steps.push(record(None, Some(failed(reason)))),
        Copy::RetryOf(reason) => {
            let failure = Some(failed(reason));
            steps.push(Step::Record(Recording { attempt: attempt(AttemptStage::WarmUp), holds: None, failure }));
            steps.push(watch);
        }
        Copy::Waits(reason) => {
            steps.push(Step::Wait(Problem::new(reason, format!("the copy waits for {reason}")), None))
        }
        Copy::Queued => {
            no_slot = Some(NoSlot::Cache(1));
            steps.push(Step::AskForSlot(attempt(AttemptStage::WarmUp)));
        }
    }
    for step in steps {
        let status = crate::operator::replica::status::status(
            &replica,
            Some(NodeState::Ready),
            &step,
            no_slot.as_ref(),
            None,
            second(0),
        );
        replica.status = Some(status);
    }
    replica
}

/// A cluster in which the Replicas that are wanted say these things, in the order of their nodes.
fn with_copies(cache: &ModelCache, mut observed: Observed, copies: &[Copy]) -> Observed {
    let replicas = pass(cache, &observed, second(0)).wanted.children.replicas;
    let copies = copies.iter().chain(std::iter::repeat(&Copy::New));
    observed.replicas = replicas.into_iter().zip(copies).map(|((it, _), copy)| saying(it, *copy)).collect();
    observed
}

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

fn said(mut cache: ModelCache, observed: &Observed) -> ModelCache {
    cache.status = Some(status_of(&cache, observed, &pass(&cache, observed, second(0)), second(0)));
    cache
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
    use Kstatus::{Current, Failed, InProgress};
    for (what, cache, observed, expected, reason, says) in [
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
    ] {
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
        let facts = Facts {
            cache: &cache,
            observed: &observed,
            model: &pass.model,
            resolutions: &pass.resolutions,
            wanted: &pass.wanted,
            error: Some(&error),
        };
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
fn the_status_stays_small_with_five_hundred_nodes_and_thirty_two_sources_and_long_words() {
    let mut cache = cache();
    let source = cache.spec.sources[0].clone();
    cache.spec.sources = (0..32)
        .map(|index| {
            let mut source = source.clone();
            source.name = format!("source-{index}");
            source
        })
        .collect();
    let names: Vec<String> = (0..500).map(|it| format!("node-{it}.{}", "x".repeat(200))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let long = crate::contract::plan::Pin { revision: "é".repeat(4000), digest: "d".repeat(900), ..pin("a") };
    let mut observed = Observed::empty().with_nodes(&names).with_claim(claim("models")).with_config_map(stored_plan(
        &cache,
        "models",
        &[(0, long)],
        1,
    ));
    observed = with_copies(&cache, observed, &[Copy::Failed(Reason::Unreachable); 500]);
    for replica in &mut observed.replicas {
        replica.status.as_mut().unwrap().failure.as_mut().unwrap().message = "é".repeat(2000);
    }
    let status = said(cache, &observed).status.unwrap();
    let size = serde_json::to_string(&status).unwrap().len();
    assert!(size < 40_000, "{size} bytes");
    assert_eq!(status.volumes[0].replicas.failed, 500);
    let revision = status.sources[0].revision.as_ref().unwrap();
    assert!(revision.chars().count() <= 512 && status.sources[0].digest.as_ref().unwrap().chars().count() <= 64);
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

fn copy() -> impl Strategy<Value = Copy> {
    prop_oneof![
        Just(Copy::New),
        Just(Copy::Working),
        Just(Copy::Holds),
        Just(Copy::HoldsOther),
        Just(Copy::Queued),
        Just(Copy::Failed(Reason::Unreachable)),
        Just(Copy::Failed(Reason::InsufficientSpace)),
        Just(Copy::RetryOf(Reason::InsufficientSpace)),
        Just(Copy::RetryOf(Reason::OutOfMemory)),
        Just(Copy::Waits(Reason::NodeCordoned)),
        Just(Copy::Waits(Reason::Suspended)),
    ]
}

prop_compose! {
    fn observation()(
        copies in prop::collection::vec((copy(), any::<bool>()), 0..5),
        plan in prop::option::of(Just(())),
        job in 0_u8..7,
        bound in 0_u8..3,
        pool in prop::bool::weighted(0.9),
    ) -> Observed {
        let mut observed = Observed::empty().with_nodes(&[]);
        for (index, (_, silent)) in copies.iter().enumerate() {
            let name = format!("n{index}");
            observed = observed.with_node(if *silent { silent_node(&name) } else { node_object(&name) });
        }
        if plan.is_some() {
            observed = observed.with_config_map(stored_plan(&cache(), "models", &[(0, pin("a"))], 1));
        }
        match bound {
            0 => {}
            1 => observed = observed.with_claim(claim("models")),
            _ => observed = observed.with_claim(foreign_claim("studio-models")),
        }
        let copies: Vec<Copy> = copies.into_iter().map(|(copy, _)| copy).collect();
        observed = with_copies(&cache(), observed, &copies);
        if !pool {
            observed.pools.clear();
        }
        let end = match job {
            0 => JobEnd::Running,
            1 => JobEnd::Ending,
            2 => JobEnd::Silent,
            3 => JobEnd::Pinned(pin("b")),
            4 => JobEnd::Failed(Reason::Unauthorized),
            5 => JobEnd::Failed(Reason::Evicted),
            _ => return observed,
        };
        observed.with_resolve_job(resolve_job(&cache(), 0, 1, end))
    }
}

proptest! {
    #[test]
    fn looking_again_at_the_same_cluster_says_the_same_and_so_writes_nothing(
        observed in observation(), suspended in any::<bool>(), later in 0_i64..100_000
    ) {
        let mut cache = cache();
        cache.spec.suspend = Some(suspended);
        let cache = said(cache, &observed);
        let again = status_of(&cache, &observed, &pass(&cache, &observed, second(later)), second(later));
        prop_assert_eq!(Some(&again), cache.status.as_ref());
    }

    #[test]
    fn what_is_said_is_never_contradictory(observed in observation(), suspended in any::<bool>()) {
        let mut cache = cache();
        cache.spec.suspend = Some(suspended);
        let cache = said(cache, &observed);
        let status = cache.status.as_ref().unwrap();
        let is = |type_| is_true(&status.conditions, type_);
        prop_assert!(!(is(ConditionType::Reconciling) && is(ConditionType::Stalled)));
        let all = is(ConditionType::StorageReady) && is(ConditionType::Resolved) && is(ConditionType::Warm);
        prop_assert_eq!(is(ConditionType::Ready), all);
        prop_assert_eq!(kstatus(&cache) == Kstatus::Current, all);
        prop_assert!(suspended || all || is(ConditionType::Reconciling) || is(ConditionType::Stalled));
        prop_assert!(status.conditions.iter().all(|it| !it.message.is_empty()));
        let counts = status.volumes[0].replicas;
        prop_assert!(counts.ready + counts.unreachable <= counts.desired);
        prop_assert!(counts.ready + counts.warming + counts.unreachable <= counts.desired);
        prop_assert!(status.volumes[0].problems.len() <= PROBLEMS);
    }
}
