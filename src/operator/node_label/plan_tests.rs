//! The promises of a node's labels: there while the copy is complete, gone when it is not, and nobody else's.

use super::*;
use crate::operator::modelcache::build::fixtures::{cache, shared_cache};
use proptest::prelude::*;
use serde_json::{Value, json};

const KEY: &str = "cached.modelcache.dev/team.studio";
const NODE: &str = "node-uid";

/// A cache of this name with these per-node volumes, and a shared one beside them.
fn with_volumes(name: &str, volumes: &[&str]) -> ModelCache {
    let mut cache = cache();
    cache.metadata.name = Some(name.into());
    let shared = json!({"name": "outputs", "shared": {"size": "1Gi"}});
    let local = volumes.iter().map(|it| json!({"name": it, "perNode": {"pool": "gpu", "size": "1Gi"}}));
    cache.spec.volumes = serde_json::from_value(local.chain([shared]).collect()).unwrap();
    cache
}

/// A copy on a node: what is wanted, what it holds, and what its condition `Ready` says.
fn replica(cache: &str, volume: &str, node: &str, wanted: &str, holds: Option<&str>, ready: &str) -> ModelCacheReplica {
    let mut status = json!({"conditions": [{
        "type": "Ready", "status": ready, "reason": "Warmed", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"
    }]});
    if let Some(plan) = holds {
        status["holds"] = json!({"plan": plan, "files": 3, "bytes": 9, "fetchedBytes": 9});
    }
    serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheReplica",
        "metadata": {"name": format!("{cache}-{volume}-{node}"), "namespace": "team"},
        "spec": {
            "cache": cache, "volume": volume, "claimName": format!("{cache}-{volume}"),
            "node": {"name": "node-1", "uid": node, "hostname": "node-1", "pool": "gpu"},
            "plan": {"configMap": "plan", "hash": wanted, "files": 3, "bytes": 9}
        },
        "status": status
    }))
    .unwrap()
}

fn complete(cache: &str, volume: &str) -> ModelCacheReplica {
    replica(cache, volume, NODE, "a", Some("a"), "True")
}

fn decided(labels: &[(&str, &str)], caches: Vec<ModelCache>, replicas: Vec<ModelCacheReplica>) -> Value {
    decided_by(&Ours::new(Scope::default()), labels, caches, replicas)
}

/// What an operator decides that answers for these.
fn decided_by(
    ours: &Ours,
    labels: &[(&str, &str)],
    caches: Vec<ModelCache>,
    replicas: Vec<ModelCacheReplica>,
) -> Value {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let (caches, replicas): (Vec<_>, Vec<_>) =
        (caches.into_iter().map(Arc::new).collect(), replicas.into_iter().map(Arc::new).collect());
    json!(change(NODE, &labels, &caches, &replicas, ours))
}

#[test]
fn a_node_has_the_label_while_its_copy_is_complete_and_what_is_not_known_changes_nothing() {
    let deleted = |mut it: ModelCacheReplica| {
        it.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        it
    };
    let without_status = |mut it: ModelCacheReplica| {
        it.status = None;
        it
    };
    let (set, kept, off) = (json!({KEY: "true"}), json!({}), json!({KEY: null}));
    for (what, copies, without, with) in [
        ("is complete", vec![complete("studio", "models")], &set, &kept),
        ("is being made", vec![replica("studio", "models", NODE, "a", None, "False")], &kept, &off),
        ("is of an earlier plan", vec![replica("studio", "models", NODE, "b", Some("a"), "True")], &kept, &off),
        ("is damaged", vec![replica("studio", "models", NODE, "a", Some("a"), "False")], &kept, &off),
        (
            "is on a node that does not report",
            vec![replica("studio", "models", NODE, "a", Some("a"), "Unknown")],
            &kept,
            &kept,
        ),
        ("was never looked at", vec![replica("studio", "models", NODE, "a", None, "Unknown")], &kept, &off),
        ("has no status", vec![without_status(complete("studio", "models"))], &kept, &off),
        ("is being removed", vec![deleted(complete("studio", "models"))], &kept, &off),
        ("is not there", vec![], &kept, &off),
        ("is another cache's", vec![complete("other", "models")], &kept, &off),
        ("is another node's", vec![replica("studio", "models", "rebuilt", "a", Some("a"), "True")], &kept, &off),
    ] {
        let cache = || vec![with_volumes("studio", &["models"])];
        assert_eq!(decided(&[], cache(), copies.clone()), *without, "a copy that {what}, on a node without the label");
        assert_eq!(decided(&[(KEY, "true")], cache(), copies), *with, "a copy that {what}, on a node with the label");
    }
}

#[test]
fn all_per_node_volumes_count_and_shared_ones_do_not() {
    let cache = || vec![with_volumes("studio", &["models", "voices"])];
    let models = || complete("studio", "models");
    let voices = |ready: &str| replica("studio", "voices", NODE, "v", Some("v"), ready);
    assert_eq!(decided(&[], cache(), vec![models()]), json!({}), "one of two");
    assert_eq!(decided(&[], cache(), vec![models(), voices("True")]), json!({KEY: "true"}));
    assert_eq!(decided(&[(KEY, "true")], cache(), vec![models(), voices("Unknown")]), json!({}));
    assert_eq!(decided(&[(KEY, "true")], cache(), vec![models(), voices("False")]), json!({KEY: null}));
    assert_eq!(decided(&[(KEY, "true")], vec![shared_cache()], vec![]), json!({KEY: null}), "nothing is on nodes");
    assert_eq!(key(&shared_cache()), None);
    assert_eq!(key(&with_volumes("studio", &["models"])).as_deref(), Some(KEY));
}

#[test]
fn a_cache_that_is_being_deleted_or_is_gone_leaves_no_label_and_a_suspended_one_keeps_that_of_a_complete_copy() {
    let (mut deleted, mut suspended) = (with_volumes("studio", &["models"]), with_volumes("studio", &["models"]));
    deleted.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    suspended.spec.suspend = Some(true);
    let labelled = [(KEY, "true")];
    assert_eq!(decided(&labelled, vec![deleted], vec![complete("studio", "models")]), json!({KEY: null}));
    assert_eq!(decided(&labelled, vec![], vec![complete("studio", "models")]), json!({KEY: null}));
    assert_eq!(decided(&labelled, vec![suspended.clone()], vec![complete("studio", "models")]), json!({}));
    let outdated = replica("studio", "models", NODE, "b", Some("a"), "False");
    assert_eq!(decided(&labelled, vec![suspended], vec![outdated]), json!({KEY: null}));
}

#[test]
fn labels_of_others_are_left_and_a_value_of_ours_that_somebody_changed_is_mended() {
    let others = [
        ("kubernetes.io/hostname", "node-1"),
        ("modelcache.dev/cache", "studio"),
        ("cached.modelcache.dev.example/x", "true"),
    ];
    assert_eq!(decided(&others, vec![], vec![]), json!({}));
    let cache = || vec![with_volumes("studio", &["models"])];
    let changed = decided(&[(KEY, "no")], cache(), vec![complete("studio", "models")]);
    assert_eq!(changed, json!({KEY: "true"}));
    let stale = decided(
        &[(KEY, "true"), ("cached.modelcache.dev/team.gone", "true"), ("cached.modelcache.dev/x", "")],
        cache(),
        vec![complete("studio", "models")],
    );
    assert_eq!(stale, json!({"cached.modelcache.dev/team.gone": null, "cached.modelcache.dev/x": null}));
}

#[test]
fn an_operator_of_some_namespaces_takes_off_no_label_that_another_may_have_set() {
    let long = "c".repeat(63);
    let cut = name::node_label("team", &long);
    let stale = [
        ("cached.modelcache.dev/team.gone", "true"),
        ("cached.modelcache.dev/other.gone", "true"),
        ("cached.modelcache.dev/teams.gone", "true"),
        ("cached.modelcache.dev/x", "true"),
        (cut.as_str(), "true"),
    ];
    let mut ours = Ours::new(Scope::parse("team,studio").unwrap());
    // Whose cut one it is, is not known before its cache was seen; and then it stays known when the cache is gone.
    assert_eq!(decided_by(&ours, &stale, vec![], vec![]), json!({"cached.modelcache.dev/team.gone": null}));
    ours.see(&[Arc::new(with_volumes(&long, &["models"])), Arc::new(with_volumes("studio", &["models"]))]);
    let expected = json!({"cached.modelcache.dev/team.gone": null, cut.as_str(): null});
    assert_eq!(decided_by(&ours, &stale, vec![], vec![]), expected);
    // It sets its own as any other does.
    let cache = || vec![with_volumes(&long, &["models"])];
    assert_eq!(decided_by(&ours, &[], cache(), vec![complete(&long, "models")]), json!({cut.as_str(): "true"}));
    assert_eq!(decided_by(&ours, &[(&cut, "true")], cache(), vec![complete(&long, "models")]), json!({}));
}

proptest! {
    #[test]
    fn what_was_changed_needs_no_further_change(
        copies in proptest::collection::vec((0..3_usize, 0..2_usize, 0..3_usize, any::<bool>()), 0..8),
        labels in proptest::collection::btree_set(0..4_usize, 0..4),
    ) {
        let names = ["a", "b", "c", "gone"];
        let caches: Vec<_> =
            names[..3].iter().map(|it| Arc::new(with_volumes(it, &["models", "voices"]))).collect();
        let replicas: Vec<_> = copies
            .iter()
            .map(|(cache, volume, ready, met)| {
                let (volume, ready) = (["models", "voices"][*volume], ["True", "False", "Unknown"][*ready]);
                Arc::new(replica(names[*cache], volume, NODE, "a", met.then_some("a"), ready))
            })
            .collect();
        let mut labels: BTreeMap<String, String> =
            labels.iter().map(|it| (name::node_label("team", names[*it]), "true".to_owned())).collect();
        labels.insert("zone".into(), "a".into());
        let change_of = |labels: &BTreeMap<String, String>| change(NODE, labels, &caches, &replicas, &Ours::new(Scope::default()));
        for (key, value) in change_of(&labels) {
            match value {
                Some(value) => labels.insert(key, value.to_owned()),
                None => labels.remove(&key),
            };
        }
        prop_assert!(change_of(&labels).is_empty(), "{labels:?}");
        prop_assert_eq!(labels.get("zone").map(String::as_str), Some("a"));
        prop_assert!(!labels.contains_key(&name::node_label("team", "gone")));
    }
}
