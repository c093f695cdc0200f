//! What is somebody else's is not taken; what a cache may not use is said.

use crate::manifests::{cache, cache_with, hugging_face, pool};
use crate::runner::Scenario;
use crate::scenario;
use crate::shared::tolerant;
use crate::wait::until;
use crate::world::{SOON, World};
use modelcache::api::condition::ConditionType;
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_pool_that_does_not_admit_the_namespace_or_is_not_there_is_said),
        scenario!(a_claim_of_the_wanted_name_that_is_somebody_elses_is_a_conflict_and_stays_as_it_is),
        scenario!(two_caches_whose_names_join_to_one_claim_conflict_by_name),
        scenario!(a_pool_that_is_reserved_up_refuses_the_younger_cache_until_the_older_goes),
        scenario!(a_quota_that_refuses_the_pod_is_said_and_heals),
    ]
}

async fn a_pool_that_does_not_admit_the_namespace_or_is_not_there_is_said(world: Arc<World>) {
    world.namespace("outsider");
    world.apply(&pool("closed", ", namespaces: {names: [insiders], selector: {matchLabels: {team: insiders}}}"));
    world.apply(&cache("outsider", "one", "closed", "10Mi", &[], ""));
    world.apply(&cache("outsider", "two", "nowhere", "10Mi", &[], ""));
    assert!(world.reason("outsider", "one", ConditionType::Ready, "PoolForbidden").await.contains("closed"));
    assert!(world.reason("outsider", "two", ConditionType::Ready, "PoolNotFound").await.contains("nowhere"));
    // The pool's administrator lets the namespace in; a pool that was missing is made.
    world.kubectl(&[
        "patch",
        "ncpool",
        "closed",
        "--type=merge",
        "-p",
        r#"{"spec":{"namespaces":{"names":["outsider"]}}}"#,
    ]);
    world.apply(&pool("nowhere", ""));
    world.ready("outsider", "one").await;
    world.ready("outsider", "two").await;
}

async fn a_claim_of_the_wanted_name_that_is_somebody_elses_is_a_conflict_and_stays_as_it_is(world: Arc<World>) {
    world.namespace("claims");
    world.apply("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: mine-models, namespace: claims, labels: {app: database}}\nspec: {accessModes: [ReadWriteOnce], storageClassName: standard, resources: {requests: {storage: 1Mi}}}\n");
    let before = world.kubectl(&[
        "-n",
        "claims",
        "get",
        "pvc",
        "mine-models",
        "-o",
        "jsonpath={.metadata.uid}{.metadata.labels}",
    ]);
    world.apply(&tolerant(&cache_with(
        "claims",
        "mine",
        "[{name: models, shared: {size: 10Mi}}]",
        &[],
        "  deletionPolicy: Delete\n",
    )));
    assert!(world.reason("claims", "mine", ConditionType::Stalled, "ClaimConflict").await.contains("mine-models"));
    world.kubectl(&["-n", "claims", "delete", "mcache", "mine", "--wait=false"]);
    world.cache_gone("claims", "mine").await;
    let after = world.kubectl(&[
        "-n",
        "claims",
        "get",
        "pvc",
        "mine-models",
        "-o",
        "jsonpath={.metadata.uid}{.metadata.labels}",
    ]);
    assert_eq!(before, after);
}

async fn two_caches_whose_names_join_to_one_claim_conflict_by_name(world: Arc<World>) {
    world.namespace("joined");
    world.apply(&tolerant(&cache_with("joined", "a-b", "[{name: c, shared: {size: 10Mi}}]", &[], "")));
    world.ready("joined", "a-b").await;
    world.apply(&tolerant(&cache_with("joined", "a", "[{name: b-c, shared: {size: 10Mi}}]", &[], "")));
    let message = world.reason("joined", "a", ConditionType::Stalled, "ClaimConflict").await;
    assert!(message.contains("a-b-c") && message.contains("`a-b`"), "{message}");
}

async fn a_pool_that_is_reserved_up_refuses_the_younger_cache_until_the_older_goes(world: Arc<World>) {
    world.namespace("reserved");
    world.apply(&pool("tight", "").replace("capacity: 100Gi", "capacity: 150Mi"));
    world.apply(&cache("reserved", "older", "tight", "100Mi", &[], "  deletionPolicy: Delete\n"));
    world.ready("reserved", "older").await;
    world.apply(&cache("reserved", "younger", "tight", "100Mi", &[], ""));
    let message = world.reason("reserved", "younger", ConditionType::Stalled, "InsufficientSpace").await;
    assert!(message.contains("50.0 MiB of 150.0 MiB"), "{message}");
    world.kubectl(&["-n", "reserved", "delete", "mcache", "older", "--wait=false"]);
    world.ready("reserved", "younger").await;
}

async fn a_quota_that_refuses_the_pod_is_said_and_heals(world: Arc<World>) {
    world.namespace("quota");
    let hub = world.hub();
    world.apply(
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none, namespace: quota}\nspec: {hard: {pods: \"0\"}}\n",
    );
    // A quota refuses nothing before its controller has seen it.
    until("the quota to be in force", SOON, || async {
        let path = "jsonpath={.status.hard.pods}";
        let hard = world.kubectl(&["-n", "quota", "get", "resourcequota", "none", "-o", path]);
        if hard == "0" { Ok(()) } else { Err(format!("pods: `{hard}`")) }
    })
    .await;
    world.apply(
        &(pool("quota", "")
            + &cache("quota", "tiny", "quota", "100Mi", &[hugging_face("tiny", &hub.url, "demo/tiny-llm", "")], "")),
    );
    let message = world.reason("quota", "tiny", ConditionType::Resolved, "PodRejected").await;
    assert!(message.contains("quota"), "{message}");
    world.kubectl(&["-n", "quota", "delete", "resourcequota", "none"]);
    // The Job controller backs off between its own tries.
    world.ready("quota", "tiny").await;
}
