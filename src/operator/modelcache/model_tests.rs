//! What a spec means: places, and the typed problems that keep a volume from having one.

use super::*;
use crate::operator::modelcache::build::fixtures::{
    cache, claim, foreign_claim, node_object, pool, shared_cache, silent_node,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

fn only(cache: &ModelCache, observed: &Observed) -> VolumeModel {
    model(cache, observed).volumes.remove(0)
}

fn obstacle(cache: &ModelCache, observed: &Observed) -> Problem {
    only(cache, observed).place.unwrap_err()
}

fn nodes(volume: &VolumeModel) -> Vec<&str> {
    match &volume.place {
        Ok(Place::PerNode(place)) => place.nodes.iter().map(|it| it.name.as_str()).collect(),
        other => panic!("{other:?}"),
    }
}

fn existing_cache() -> ModelCache {
    let mut cache = shared_cache();
    cache.spec.volumes =
        serde_json::from_value(json!([{"name": "models", "existingClaim": {"claimName": "theirs"}}])).unwrap();
    cache
}

#[test]
fn nodes_that_match_pool_and_placement_hold_a_copy_whatever_their_state() {
    let mut elsewhere = node_object("d");
    elsewhere.metadata.labels.as_mut().unwrap().insert("zone".into(), "b".into());
    let mut leaving = node_object("e");
    leaving.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    let observed =
        Observed::empty().with_nodes(&["b", "a"]).with_node(silent_node("c")).with_node(elsewhere).with_node(leaving);
    assert_eq!(nodes(&only(&cache(), &observed)), ["a", "b", "c"]);
}

#[test]
fn a_volume_says_what_it_waits_for_and_what_to_do() {
    let lost = || {
        let mut claim = claim("models");
        claim.status.as_mut().unwrap().phase = Some("Lost".into());
        claim
    };
    let unbound = || {
        let mut claim = claim("models");
        claim.status = None;
        claim
    };
    let deleted = || {
        let mut claim = claim("models");
        claim.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        claim
    };
    let one = || Observed::empty().with_nodes(&["a"]);
    for (observed, reason, says) in [
        (one(), Reason::VolumePending, "is being made"),
        (one().with_claim(unbound()), Reason::VolumePending, "is not bound yet"),
        (one().with_claim(lost()), Reason::VolumePending, "delete the claim, and it is made again"),
        (one().with_claim(deleted()), Reason::VolumePending, "is being deleted"),
        (Observed::empty().with_nodes(&[]), Reason::NoMatchingNodes, "one that joins is warmed"),
    ] {
        let volume = only(&cache(), &observed);
        let pending = volume.pending.unwrap();
        assert_eq!(pending.reason, reason, "{}", pending.message);
        assert!(pending.message.contains(says), "{}", pending.message);
        assert!(volume.place.is_ok(), "a wait keeps no Replica from being made");
    }
    assert_eq!(only(&cache(), &one().with_claim(claim("models"))).pending, None);
}

#[test]
fn a_claim_that_is_being_deleted_is_not_the_one_that_is_filled() {
    let mut deleted = claim("models");
    deleted.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    let observed = Observed::empty().with_nodes(&["a"]);
    assert_eq!(only(&cache(), &Observed::empty().with_nodes(&["a"]).with_claim(deleted)).claim_uid, None);
    assert_eq!(only(&cache(), &observed.with_claim(claim("models"))).claim_uid.as_deref(), Some("claim-uid"));
}

#[test]
fn a_claim_of_somebody_else_or_of_another_cache_is_a_conflict_that_names_its_owner() {
    let mut of_another = claim("models");
    of_another.metadata.labels.as_mut().unwrap().insert(label::CACHE.into(), "studio-mo".into());
    let mut of_another_volume = claim("models");
    of_another_volume.metadata.labels.as_mut().unwrap().insert(label::VOLUME.into(), "assets".into());
    for cache in [cache(), shared_cache()] {
        for (claim, says) in [
            (foreign_claim("studio-models"), "somebody else"),
            (of_another.clone(), "ModelCache `studio-mo`"),
            (of_another_volume.clone(), "ModelCache `studio`"),
        ] {
            let problem = obstacle(&cache, &Observed::empty().with_nodes(&["a"]).with_claim(claim));
            assert_eq!(problem.reason, Reason::ClaimConflict);
            assert!(problem.message.contains(says) && problem.message.contains("rename"), "{}", problem.message);
        }
    }
}

#[test]
fn an_existing_claim_is_used_as_it_is_and_waited_for_when_it_is_not_there() {
    let missing = obstacle(&existing_cache(), &Observed::empty());
    assert_eq!(missing.reason, Reason::VolumePending);
    assert!(missing.message.contains("must be made"), "{}", missing.message);
    let volume = only(&existing_cache(), &Observed::empty().with_claim(foreign_claim("theirs")));
    assert!(matches!(volume.place, Ok(Place::Existing)));
    assert_eq!(volume.claim_uid.as_deref(), Some("foreign-uid"));
}

#[test]
fn a_pool_that_is_not_there_is_named() {
    let problem = obstacle(&cache(), &Observed::empty());
    assert_eq!(problem.reason, Reason::PoolNotFound);
    assert!(problem.message.contains("`gpu`"), "{}", problem.message);
}

#[test]
fn a_pool_admits_by_name_or_by_label_and_an_empty_admission_admits_nobody() {
    let admits = |admission: serde_json::Value, labels: &[(&str, &str)]| {
        let mut pool = pool();
        pool.spec.namespaces = serde_json::from_value(admission).unwrap();
        let mut observed = Observed::empty().with_pool(pool).with_node(node_object("a"));
        observed.namespace_labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        only(&cache(), &observed).place.map(|_| ()).map_err(|it| it.reason)
    };
    let by_label = json!({"selector": {"matchLabels": {"gpu": "yes"}}});
    assert_eq!(admits(json!({"names": ["team"]}), &[]), Ok(()));
    assert_eq!(admits(json!({"names": ["teams"]}), &[]), Err(Reason::PoolForbidden));
    assert_eq!(admits(by_label.clone(), &[("gpu", "yes")]), Ok(()));
    assert_eq!(admits(by_label, &[("gpu", "no")]), Err(Reason::PoolForbidden));
    assert_eq!(admits(json!({}), &[("gpu", "yes")]), Err(Reason::PoolForbidden));
}

#[test]
fn an_operator_of_some_namespaces_uses_no_pool_that_others_may_fill_without_its_knowledge() {
    let obstacle = |served: &str, namespaces: serde_json::Value| {
        let mut pool = pool();
        pool.spec.namespaces = serde_json::from_value(namespaces).unwrap();
        let mut observed = Observed::empty().with_pool(pool).with_node(node_object("a"));
        observed.scope = crate::operator::scope::Scope::parse(served).unwrap();
        only(&cache(), &observed).place.err().map(|it| (it.reason, it.message))
    };
    assert_eq!(obstacle("team,studio", json!({"names": ["team"]})), None);
    assert_eq!(obstacle("", json!(null)), None);
    for admits in [json!(null), json!({"names": ["team", "elsewhere"]}), json!({"names": ["team"], "selector": {}})] {
        let (reason, message) = obstacle("team,studio", admits).unwrap();
        assert_eq!(reason, Reason::PoolForbidden);
        assert!(message.contains("name none but studio, team in the pool's `spec.namespaces.names`"), "{message}");
    }
}

#[test]
fn a_volume_that_does_not_fit_the_pool_says_what_is_left_and_what_can_be_done() {
    let mut small = pool();
    small.spec.capacity.0 = "100Gi".into();
    let mut older = cache();
    older.metadata.uid = Some("older".into());
    older.metadata.creation_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    let observed = Observed::empty().with_pool(small).with_cache(older.clone()).with_cache(cache());
    let problem = obstacle(&cache(), &observed);
    assert_eq!(problem.reason, Reason::InsufficientSpace);
    insta::assert_snapshot!(problem.message, @"volume `models` wants 60.0 GiB of NodeCachePool `gpu`, which has 40.0 GiB of 100.0 GiB left: make the volume smaller, the pool's capacity larger, or delete a cache");
    assert!(only(&older, &observed).place.is_ok());
}

#[test]
fn the_data_of_an_earlier_cache_that_is_still_being_removed_is_in_the_way() {
    let name = name::persistent_volume("ns-uid", "team", "studio", "models");
    for metadata in [
        json!({"name": name, "labels": {label::TOMBSTONE: "true"}}),
        json!({"name": name, "deletionTimestamp": "2026-01-01T00:00:00Z"}),
    ] {
        let volume = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        let problem = obstacle(&cache(), &Observed::empty().with_nodes(&["a"]).with_volume(volume));
        assert_eq!(problem.reason, Reason::VolumePending);
        assert!(problem.message.contains("still being removed"), "{}", problem.message);
    }
}

#[test]
fn a_namespace_that_is_made_again_gets_other_directories_and_an_unknown_one_gets_none() {
    let place = |uid: &str| {
        let mut observed = Observed::empty().with_nodes(&["a"]);
        observed.namespace_uid = uid.into();
        only(&cache(), &observed).place.map(|it| match it {
            Place::PerNode(it) => (it.persistent_volume, it.path),
            other => panic!("{other:?}"),
        })
    };
    let (first, second) = (place("one").unwrap(), place("two").unwrap());
    assert!(first.0 != second.0 && first.1 != second.1);
    assert_eq!(place("").unwrap_err().reason, Reason::VolumePending);
}
