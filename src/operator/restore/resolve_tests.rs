//! What a restore means, and what is refused with a reason.

use super::*;
use crate::operator::modelcache::build::fixtures::{cache, shared_cache};
use serde_json::{Value, json};

fn restore(spec: &Value) -> ModelCacheRestore {
    serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheRestore",
        "metadata": {"name": "back", "namespace": "ns"}, "spec": spec
    }))
    .unwrap()
}

fn backup(status: &Value) -> ModelCacheBackup {
    serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheBackup",
        "metadata": {"name": "nightly", "namespace": "ns"}, "spec": {"cache": "studio"}, "status": status
    }))
    .unwrap()
}

fn backed_up(mut cache: ModelCache) -> ModelCache {
    cache.spec.backup = Some(serde_json::from_value(json!({"destination": {"s3": {"bucket": "backups"}}})).unwrap());
    cache
}

#[test]
fn a_backup_of_the_cluster_is_restored_to_its_own_cache_by_its_snapshot() {
    let (cache, backup) =
        (backed_up(shared_cache()), backup(&json!({"attempt": {"number": 1, "stage": "Done"}, "snapshot": "3f9c"})));
    let named = Named { backup: Some(&backup), source: Some(&cache), target: Some(&cache) };
    let wanted = wanted(&restore(&json!({"from": {"backup": "nightly"}})), named).unwrap();
    assert_eq!(wanted.which, Which::Snapshot("3f9c".into()));
    assert_eq!(wanted.of, ("ns".into(), "studio".into()));
    assert_eq!(wanted.onto.claims(), ["studio-models"]);
    assert!(wanted.per_node.is_empty());
}

#[test]
fn from_a_location_nothing_of_the_cluster_is_needed_but_where_to() {
    let location = json!({"location": {
        "destination": {"s3": {"bucket": "backups"}}, "namespace": "gone", "cache": "old", "snapshot": "abcd1234"
    }});
    let cache = shared_cache();
    let named = Named { target: Some(&cache), ..Named::default() };
    let wanted = wanted(&restore(&json!({"from": location, "to": {"cache": "studio"}})), named).unwrap();
    assert_eq!(wanted.of, ("gone".into(), "old".into()));
    assert_eq!(wanted.which, Which::Snapshot("abcd1234".into()));
    assert!(wanted.backup.destination.s3.is_some());
}

#[test]
fn from_a_location_to_a_claim_no_cache_is_needed_at_all() {
    let spec = json!({
        "from": {"location": {"destination": {"s3": {"bucket": "backups"}}, "namespace": "gone", "cache": "old"}},
        "to": {"claim": {"claimName": "nas"}}
    });
    let wanted = wanted(&restore(&spec), Named::default()).unwrap();
    assert_eq!((wanted.of, wanted.which), (("gone".into(), "old".into()), Which::Latest));
    assert_eq!((wanted.onto.claims(), wanted.bare), (vec!["nas".to_owned()], true));
    assert_eq!((wanted.cache.name_any(), wanted.cache.namespace().as_deref()), ("old".into(), Some("ns")));
}

#[test]
fn to_a_claim_the_volumes_are_those_that_were_backed_up() {
    let cache = backed_up(cache());
    let named = Named { source: Some(&cache), ..Named::default() };
    let spec = json!({
        "from": {"latest": {"cache": "studio", "asOf": "2026-11-20T18:00:00Z"}}, "to": {"claim": {"claimName": "nas", "path": "old"}}
    });
    let wanted = wanted(&restore(&spec), named).unwrap();
    assert_eq!(wanted.which, Which::AsOf("2026-11-20T18:00:00Z".into()));
    assert_eq!(wanted.onto.claims(), ["nas"]);
}

#[test]
fn per_node_volumes_are_pinned_and_no_claim_of_theirs_is_written_to() {
    let mut mixed = backed_up(cache());
    let latest = restore(&json!({"from": {"latest": {"cache": "studio"}}}));
    let understood =
        |cache: &ModelCache| wanted(&latest, Named { backup: None, source: Some(cache), target: Some(cache) }).unwrap();
    let only = understood(&mixed);
    assert_eq!((only.per_node.as_slice(), only.onto.claims()), (&["models".to_owned()][..], vec![]));
    let assets = json!({"name": "assets", "shared": {"size": "1Gi"}});
    mixed.spec.volumes.push(serde_json::from_value(assets).unwrap());
    let both = understood(&mixed);
    assert_eq!(
        (both.per_node.as_slice(), both.onto.claims()),
        (&["models".to_owned()][..], vec!["studio-assets".into()])
    );
}

#[test]
fn what_cannot_be_restored_says_why() {
    let (shared, per_node) = (backed_up(shared_cache()), backed_up(cache()));
    let failed = backup(&json!({"attempt": {"number": 1, "stage": "Done"}}));
    let removed = backup(&json!({
        "attempt": {"number": 1, "stage": "Done"}, "snapshot": "3f9c", "removedTime": "2026-11-21T02:00:07Z"
    }));
    let running = backup(&json!({"attempt": {"number": 1, "stage": "Running"}}));
    let from_backup = || restore(&json!({"from": {"backup": "nightly"}}));
    let latest = || restore(&json!({"from": {"latest": {"cache": "studio"}}}));
    let some_files = || restore(&json!({"from": {"latest": {"cache": "studio"}}, "include": ["*.json"]}));
    let of = |cache| Named { backup: None, source: Some(cache), target: Some(cache) };
    let plain = shared_cache();
    for (restore, named, reason, words) in [
        (from_backup(), Named::default(), Reason::NotFound, "no ModelCacheBackup `nightly`"),
        (from_backup(), Named { backup: Some(&failed), ..of(&shared) }, Reason::NotFound, "failed"),
        (from_backup(), Named { backup: Some(&running), ..of(&shared) }, Reason::Pending, "has not ended"),
        (
            from_backup(),
            Named { backup: Some(&removed), ..of(&shared) },
            Reason::NotFound,
            "`retention` has removed it",
        ),
        (latest(), Named::default(), Reason::NotFound, "`from.location`"),
        (latest(), of(&plain), Reason::InvalidSpec, "has no `spec.backup`"),
        (some_files(), of(&per_node), Reason::InvalidSpec, "is per node"),
        (latest(), Named { target: None, ..of(&shared) }, Reason::NotFound, "make it first"),
    ] {
        let problem = wanted(&restore, named).unwrap_err();
        assert_eq!(problem.reason, reason, "{}", problem.message);
        assert!(problem.message.contains(words), "{}", problem.message);
    }
}
