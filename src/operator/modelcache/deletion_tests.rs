//! The promises of a deletion: nothing is lost that was to be kept, nothing waits for ever.

use super::*;
use crate::api::annotation;
use crate::operator::modelcache::build::fixtures::{
    JobEnd, cache, claim, foreign_claim, node_object, pass, pin, resolve_job, second, shared_cache, silent_node,
    stored_plan,
};
use crate::operator::modelcache::build::transcript::name_of;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

const GRACE: Duration = Duration::from_secs(60);

fn deleted(mut cache: ModelCache, policy: DeletionPolicy) -> ModelCache {
    cache.spec.deletion_policy = Some(policy);
    cache.metadata.deletion_timestamp = Some(Time(second(0)));
    cache
}

fn ending<K: Resource>(mut object: K) -> K {
    object.meta_mut().deletion_timestamp = Some(Time(second(0)));
    object
}

/// The step, in words.
fn tell(cache: &ModelCache, observed: &Observed, now: i64) -> String {
    match next_step(cache, observed, GRACE, second(now)) {
        DeletionStep::InUse(note) => format!("in use: {}", note.message),
        DeletionStep::Remove(removals) => {
            format!("remove {}", removals.iter().map(name_of).collect::<Vec<_>>().join(", "))
        }
        DeletionStep::Bury(volumes) => {
            format!("bury {}", volumes.iter().map(ResourceExt::name_any).collect::<Vec<_>>().join(", "))
        }
        DeletionStep::Wait(note) => format!("wait: {}", note.message),
        DeletionStep::Done(None) => "done".into(),
        DeletionStep::Done(Some(note)) => format!("done: {}", note.message),
    }
}

/// Everything that a cache with one per-node volume leaves on one node.
fn everything(node: Node) -> Observed {
    let plan = stored_plan(&cache(), "models", &[(0, pin("a"))], 1);
    let observed = Observed::empty().with_nodes(&[]).with_node(node).with_claim(claim("models")).with_config_map(plan);
    let children = pass(&cache(), &observed, second(0)).wanted.children;
    let replica = children.replicas[0].0.clone();
    let prepare = prepare_job(&replica.name_any(), "a");
    observed
        .with_replica(replica)
        .with_volume(children.persistent_volumes[0].0.clone())
        .with_resolve_job(resolve_job(&cache(), 0, 1, JobEnd::Running))
        .with_node_job(prepare)
}

fn prepare_job(replica: &str, hostname: &str) -> Job {
    let mut job: Job =
        serde_json::from_value(json!({"metadata": {"name": "prepare", "labels": {label::REPLICA: replica}}})).unwrap();
    let affinity =
        json!({"template": {"spec": {"containers": [], "affinity": {"nodeAffinity": placement::pinned_to(hostname)}}}});
    job.spec = Some(serde_json::from_value(affinity).unwrap());
    job
}

fn pod(claim: &str) -> MountingPod {
    serde_json::from_value(json!({
        "metadata": {"name": "server"},
        "spec": {"containers": [], "nodeName": "a", "volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": claim}}]},
        "status": {"phase": "Running"}
    }))
    .unwrap()
}

fn buried(observed: &mut Observed) {
    for volume in &mut observed.persistent_volumes {
        volume.metadata.labels.get_or_insert_default().insert(label::TOMBSTONE.into(), "true".into());
    }
}

#[test]
fn with_delete_work_stops_first_then_claims_and_plans_go_then_the_data_then_the_object() {
    let cache = deleted(cache(), DeletionPolicy::Delete);
    let mut observed = everything(node_object("a"));
    let mut transcript = vec![tell(&cache, &observed, 1)];
    observed.replicas = observed.replicas.into_iter().map(ending).collect();
    observed.node_jobs = observed.node_jobs.into_iter().map(ending).collect();
    observed.resolve_jobs.clear();
    transcript.push(tell(&cache, &observed, 1));
    observed.replicas.clear();
    observed.node_jobs.clear();
    transcript.push(tell(&cache, &observed, 1));
    observed.config_maps.clear();
    observed.claims = observed.claims.into_iter().map(|(name, claim)| (name, ending(claim))).collect();
    transcript.push(tell(&cache, &observed, 1));
    observed.claims.clear();
    transcript.push(tell(&cache, &observed, 1));
    buried(&mut observed);
    transcript.push(tell(&cache, &observed, 1));
    observed.persistent_volumes.clear();
    transcript.push(tell(&cache, &observed, 1));
    insta::assert_snapshot!(transcript.join("\n"));
}

#[test]
fn with_retain_work_stops_and_claims_plans_and_volumes_stay() {
    let cache = deleted(cache(), DeletionPolicy::Retain);
    let mut observed = everything(node_object("a"));
    assert!(tell(&cache, &observed, 1).starts_with("remove ModelCacheReplica"));
    observed.replicas.clear();
    observed.node_jobs.clear();
    observed.resolve_jobs.clear();
    assert_eq!(tell(&cache, &observed, 1), "done");
}

#[test]
fn what_is_kept_when_nothing_is_said_is_the_data() {
    let mut cache = deleted(cache(), DeletionPolicy::Retain);
    cache.spec.deletion_policy = None;
    let observed = Observed::empty().with_claim(claim("models"));
    assert_eq!(tell(&cache, &observed, 1), "done");
}

#[test]
fn a_claim_that_is_not_ours_is_never_deleted_whatever_its_labels_say() {
    let mut existing = shared_cache();
    existing.spec.volumes =
        serde_json::from_value(json!([{"name": "models", "existingClaim": {"claimName": "studio-models"}}])).unwrap();
    let existing = deleted(existing, DeletionPolicy::Delete);
    let shared = deleted(shared_cache(), DeletionPolicy::Delete);
    let mut of_another = claim("models");
    of_another.metadata.labels.as_mut().unwrap().insert(label::CACHE.into(), "another".into());
    for (what, cache, claim) in [
        ("existing", &existing, foreign_claim("studio-models")),
        ("existing, and made by an earlier cache of this name", &existing, claim("models")),
        ("foreign", &shared, foreign_claim("studio-models")),
        ("another cache's", &shared, of_another),
    ] {
        assert_eq!(tell(cache, &Observed::empty().with_claim(claim), 1), "done", "{what}");
    }
    assert_eq!(
        tell(&shared, &Observed::empty().with_claim(claim("models")), 1),
        "remove PersistentVolumeClaim studio-models"
    );
}

#[test]
fn the_volume_behind_an_existing_claim_and_one_of_a_predecessor_of_the_namespace_keep_their_data() {
    let volume = everything(node_object("a")).persistent_volumes.remove(0);
    let mut existing = shared_cache();
    existing.spec.volumes =
        serde_json::from_value(json!([{"name": "models", "existingClaim": {"claimName": "studio-models"}}])).unwrap();
    let behind = Observed::empty().with_volume(volume.clone());
    assert_eq!(tell(&deleted(existing, DeletionPolicy::Delete), &behind, 1), "done");
    let mut made_again = Observed::empty().with_volume(volume.clone());
    made_again.namespace_uid = "another-uid".into();
    let cache = deleted(cache(), DeletionPolicy::Delete);
    assert_eq!(tell(&cache, &made_again, 1), "done");
    assert!(tell(&cache, &Observed::empty().with_volume(volume), 1).starts_with("bury"));
}

#[test]
fn the_claim_of_a_volume_that_left_the_spec_is_still_ours() {
    let cache = deleted(cache(), DeletionPolicy::Delete);
    let observed = || Observed::empty().with_claim(claim("former"));
    assert_eq!(tell(&cache, &observed(), 1), "remove PersistentVolumeClaim studio-former");
    assert!(tell(&cache, &observed().with_pod(pod("studio-former")), 1).starts_with("in use"));
}

#[test]
fn a_pod_that_mounts_a_claim_of_ours_holds_the_deletion_up_and_is_named() {
    for policy in [DeletionPolicy::Delete, DeletionPolicy::Retain] {
        let cache = deleted(cache(), policy);
        let observed = everything(node_object("a")).with_pod(pod("studio-models"));
        let expected = "in use: deletion waits: pod `server` mounts PersistentVolumeClaim `studio-models`";
        assert_eq!(tell(&cache, &observed, 1), expected);
        assert_eq!(tell(&cache, &observed, 100_000), expected, "however long it takes");
    }
}

#[test]
fn pods_that_are_over_ours_or_of_another_claim_do_not_count() {
    let phase = |phase: &str| {
        let mut pod = pod("studio-models");
        pod.status.phase = Some(phase.into());
        pod
    };
    let mut ours = pod("studio-models");
    ours.metadata.labels = Some([(label::MANAGED_BY.to_owned(), label::MANAGER.to_owned())].into());
    for pod in [phase("Succeeded"), phase("Failed"), ours, pod("other")] {
        let observed = Observed::empty().with_claim(claim("models")).with_pod(pod);
        assert_eq!(tell(&deleted(cache(), DeletionPolicy::Retain), &observed, 1), "done");
    }
    let mut existing = shared_cache();
    existing.spec.volumes =
        serde_json::from_value(json!([{"name": "models", "existingClaim": {"claimName": "theirs"}}])).unwrap();
    let observed = Observed::empty().with_claim(foreign_claim("theirs")).with_pod(pod("theirs"));
    assert_eq!(tell(&deleted(existing, DeletionPolicy::Delete), &observed, 1), "done", "nothing is done to it");
}

#[test]
fn a_missing_pool_does_not_hold_a_deletion_up() {
    let cache = deleted(cache(), DeletionPolicy::Delete);
    let mut observed = everything(node_object("a"));
    observed.pools.clear();
    assert!(tell(&cache, &observed, 1).starts_with("remove ModelCacheReplica"));
    let observed = Observed::empty();
    assert_eq!(tell(&cache, &observed, 1), "done");
}

#[test]
fn a_dead_node_holds_a_deletion_up_only_until_the_grace_is_over_at_every_step() {
    let delete = deleted(cache(), DeletionPolicy::Delete);
    let retain = deleted(cache(), DeletionPolicy::Retain);
    let stuck = |node: Node| {
        let mut observed = everything(node);
        observed.replicas = observed.replicas.into_iter().map(ending).collect();
        observed.node_jobs = observed.node_jobs.into_iter().map(ending).collect();
        observed.resolve_jobs.clear();
        observed.claims = observed.claims.into_iter().map(|(name, claim)| (name, ending(claim))).collect();
        observed.config_maps.clear();
        observed.with_pod(ending(pod("studio-models")))
    };
    let mut gone = stuck(silent_node("a"));
    gone.nodes.clear();
    for observed in [stuck(silent_node("a")), gone] {
        assert!(tell(&retain, &observed, 59).starts_with("in use"));
        assert_eq!(tell(&retain, &observed, 60), "done");
        assert!(tell(&delete, &observed, 60).starts_with("bury"));
    }
    let alive = stuck(node_object("a"));
    assert!(tell(&retain, &alive, 100_000).starts_with("in use"), "a pod on a node that answers will end");
    let mut work = stuck(node_object("a"));
    work.pods.clear();
    assert!(
        tell(&retain, &work, 100_000).starts_with("wait: work is being stopped"),
        "a writer on a node that answers will end"
    );
}

#[test]
fn the_data_on_nodes_that_do_not_answer_is_left_to_the_tombstone_once_the_others_are_done() {
    let cache = deleted(cache(), DeletionPolicy::Delete);
    let with = |nodes: Vec<Node>| {
        let listed = Observed::empty().with_nodes(&["a", "b"]);
        let volume = pass(&cache, &listed, second(0)).wanted.children.persistent_volumes.remove(0).0;
        let mut observed = nodes.into_iter().fold(Observed::empty(), Observed::with_node).with_volume(volume);
        buried(&mut observed);
        observed
    };
    let one_silent = with(vec![node_object("a"), silent_node("b")]);
    assert_eq!(tell(&cache, &one_silent, 100_000), "wait: the data is being removed from nodes a, b");
    let silent = with(vec![silent_node("a"), silent_node("b")]);
    assert_eq!(tell(&cache, &silent, 59), "wait: the data is being removed from nodes a, b");
    assert_eq!(tell(&cache, &silent, 60), "done: nodes a, b do not answer: their data is removed when they return");
    let mut nobody = with(vec![]);
    nobody.persistent_volumes[0].metadata.annotations = Some([(annotation::NODES.to_owned(), "[]".to_owned())].into());
    assert!(tell(&cache, &nobody, 100_000).starts_with("wait"), "the tombstone itself goes next");
}

#[test]
fn a_cache_is_in_use_while_a_pod_of_somebody_else_mounts_a_claim_of_ours_and_it_is_said_only_where_it_is_tracked() {
    let said = |observed: &Observed| {
        let pass = pass(&cache(), observed, second(0));
        crate::operator::modelcache::build::fixtures::status_of(&cache(), observed, &pass, second(0)).in_use
    };
    let mut observed = Observed::empty().with_claim(claim("models"));
    observed.pods = vec![pod("studio-models").into()];
    assert_eq!(said(&observed), None);
    observed.tracks_use = true;
    assert_eq!(said(&observed), Some(true));
    let mut over = pod("studio-models");
    over.status.phase = Some("Succeeded".into());
    let mut ours = pod("studio-models");
    ours.metadata.labels = Some([(label::MANAGED_BY.to_owned(), label::MANAGER.to_owned())].into());
    observed.pods = vec![over.into(), ours.into(), pod("another-models").into()];
    assert_eq!(said(&observed), Some(false));
}
