//! Metrics: what the page says is what is printed, and a series goes with its object.

use super::*;
use crate::api::{ModelCache, ModelCacheReplica, NodeCachePool};
use crate::operator::runtime::Seen;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{Lookup, store};
use kube::runtime::watcher::Event;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Objects as the watches see them, and what is measured.
struct World {
    metrics: Metrics,
    caches: Writer<ModelCache>,
    replicas: Writer<ModelCacheReplica>,
    pools: Writer<NodeCachePool>,
}

fn put<K: Lookup<DynamicType = ()> + Clone + 'static>(writer: &mut Writer<K>, object: K) {
    writer.apply_watcher_event(&Event::Apply(object));
}

impl World {
    fn new() -> Self {
        let ((caches, cache_writer), (replicas, replica_writer), (pools, pool_writer)) = (store(), store(), store());
        let metrics = Metrics::default();
        metrics.leads(Sources {
            caches: Seen::from_iter([caches]),
            replicas: Seen::from_iter([replicas]),
            pools: Seen::from_iter([pools]),
            scope: crate::operator::scope::Scope::default(),
        });
        Self { metrics, caches: cache_writer, replicas: replica_writer, pools: pool_writer }
    }

    /// Lines of the series, without those that only describe them.
    fn series(&self) -> Vec<String> {
        let text = self.metrics.encode();
        text.lines().filter(|it| !it.starts_with('#')).map(str::to_owned).collect()
    }

    fn value(&self, series: &str) -> Option<String> {
        self.series().iter().find_map(|it| it.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned))
    }
}

/// With every policy, and everything said that can be.
fn cache(name: &str) -> ModelCache {
    let condition = |type_: &str, status: &str, reason: &str| json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-11-21T00:00:00Z"});
    let volume = |name: &str| {
        json!({"name": name, "claimName": name, "mountPath": "/m", "bytes": 1000,
            "replicas": {"desired": 3, "ready": 1, "warming": 1, "failed": 1, "unreachable": 0}})
    };
    serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache",
        "metadata": {"name": name, "namespace": "team", "uid": name},
        "spec": {
            "volumes": [
                {"name": "a", "perNode": {"pool": "gpu", "size": "4Ki"}},
                {"name": "b", "perNode": {"pool": "gpu", "size": "4Ki"}}
            ],
            "verify": {"quick": "0 4 * * *", "deep": "0 4 * * 0"},
            "backup": {"schedule": "0 2 * * *", "destination": {"volume": {"claimName": "nas"}}},
            "cleanup": {"schedule": "0 3 * * *", "rules": []}
        },
        "status": {
            "conditions": [
                condition("Ready", "False", "NotFound"), condition("Stalled", "True", "NotFound"),
                condition("Resolved", "False", "NotFound"), condition("Verified", "True", "Verified"),
                condition("UpToDate", "Unknown", "Pending"), condition("BackedUp", "False", "Unreachable"),
                condition("Clean", "True", "Cleaned")
            ],
            "verification": {
                "quick": {"next": "2026-11-22T04:00:00Z", "lastSuccess": "2026-11-21T04:00:00Z"},
                "deep": {"next": "2026-11-22T04:00:00Z", "lastSuccess": "2026-11-15T04:00:00Z"}
            },
            "backup": {"next": "2026-11-22T02:00:00Z", "lastGoodTime": "2026-11-20T02:05:00Z"},
            "cleanup": {"next": "2026-11-22T03:00:00Z", "lastSuccess": "2026-11-21T03:01:00Z"},
            "volumes": [volume("a"), volume("b")]
        }
    }))
    .unwrap()
}

fn replica(cache: &str, name: &str, status: &serde_json::Value) -> ModelCacheReplica {
    serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheReplica",
        "metadata": {"name": name, "namespace": "team", "uid": name},
        "spec": {"cache": cache, "volume": "a", "claimName": "a"}, "status": status
    }))
    .unwrap()
}

fn pool() -> NodeCachePool {
    serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "NodeCachePool", "metadata": {"name": "gpu"},
        "spec": {"gpu": "NVIDIA", "path": "/mnt/nvme", "capacity": "10Ki"}, "status": {"nodes": 4}
    }))
    .unwrap()
}

/// A world in which every family has a series.
fn everything() -> World {
    let mut world = World::new();
    put(&mut world.caches, cache("studio"));
    put(&mut world.pools, pool());
    let moving = json!({"progress": {"percent": "40%", "bytesDone": 400, "bytesTotal": 1000, "bytesPerSecond": 50}});
    put(&mut world.replicas, replica("studio", "moving", &moving));
    let damage = json!({"files": 1, "message": "x", "time": "2026-11-21T04:00:00Z"});
    put(&mut world.replicas, replica("studio", "damaged", &json!({"verification": {"damage": damage}})));
    let queued = json!([{"type": "Ready", "status": "False", "reason": "Queued", "message": "", "lastTransitionTime": "2026-11-21T00:00:00Z"}]);
    put(&mut world.replicas, replica("studio", "queued", &json!({"conditions": queued})));
    let metrics = &world.metrics;
    metrics.begun("modelcache");
    metrics.reconciled("modelcache", Duration::from_millis(3), Some(ErrorClass::Transient));
    metrics.watch("nodes", false);
    metrics.told(&[Note::warning(Reason::NotFound, "Resolve", "no such repository")]);
    metrics.checked(AttemptStage::DeepVerify, Found::Whole);
    metrics.refreshed(Answer::Moved);
    let holds = json!({"plan": "x", "files": 1, "bytes": 1000, "fetchedBytes": 700});
    metrics.warmed("team", "studio", Some(&serde_json::from_value(holds).unwrap()), false);
    metrics.warmed("team", "studio", None, true);
    metrics.warmed("team", "studio", None, false);
    metrics.backup_ended("team", "studio", true);
    metrics.restore_ended("team", "studio", false);
    metrics.cleaned("team", "studio", true, 512);
    world
}

#[test]
fn the_numbers_are_what_the_objects_say() {
    let world = everything();
    let of = r#"{namespace="team",cache="studio""#;
    let expected = [
        (format!(r#"modelcache_condition{of},condition="Ready"}}"#), "0.0"),
        (format!(r#"modelcache_condition{of},condition="Verified"}}"#), "1.0"),
        (format!(r#"modelcache_condition{of},condition="UpToDate"}}"#), "-1.0"),
        (format!(r#"modelcache_stalled{of},reason="NotFound"}}"#), "1.0"),
        (format!("modelcache_suspended{of}}}"), "0.0"),
        (format!("modelcache_replicas_desired{of}}}"), "6.0"),
        (format!(r#"modelcache_replicas{of},state="ready"}}"#), "2.0"),
        (format!(r#"modelcache_replicas{of},state="queued"}}"#), "1.0"),
        (format!("modelcache_content_bytes{of}}}"), "2000.0"),
        (format!("modelcache_warm_up_remaining_bytes{of}}}"), "600.0"),
        (format!("modelcache_warm_up_bytes_per_second{of}}}"), "50.0"),
        (format!("modelcache_damaged_replicas{of}}}"), "1.0"),
        (format!("modelcache_backup_last_success_timestamp_seconds{of}}}"), "1795140300.0"),
        (format!(r#"modelcache_schedule_next_timestamp_seconds{of},work="backup"}}"#), "1795312800.0"),
        (format!(r#"modelcache_warm_up_runs_total{of},result="succeeded"}}"#), "1"),
        (format!(r#"modelcache_warm_up_runs_total{of},result="failed"}}"#), "1"),
        (format!("modelcache_fetched_bytes_total{of}}}"), "700"),
        (format!(r#"modelcache_restore_runs_total{of},result="failed"}}"#), "1"),
        (format!("modelcache_clean_freed_bytes_total{of}}}"), "512"),
        (r#"modelcache_job_failures_total{work="Resolve",reason="NotFound"}"#.to_owned(), "1"),
        (r#"modelcache_reconciles_running{controller="modelcache"}"#.to_owned(), "0"),
        (r#"modelcache_pool_nodes{pool="gpu"}"#.to_owned(), "4.0"),
        (r#"modelcache_pool_capacity_bytes{pool="gpu"}"#.to_owned(), "10240.0"),
        (r#"modelcache_pool_reserved_bytes{pool="gpu"}"#.to_owned(), "8192.0"),
        ("modelcache_leader".to_owned(), "1"),
    ];
    for (series, value) in expected {
        assert_eq!(world.value(&series).as_deref(), Some(value), "{series}: {:#?}", world.series());
    }
}

#[test]
fn a_cache_that_goes_takes_its_series_along_and_one_of_its_name_begins_anew() {
    let mut world = everything();
    let about = |world: &World| world.series().into_iter().filter(|it| it.contains("studio")).count();
    assert!(about(&world) > 20);
    world.caches.apply_watcher_event(&Event::Delete(cache("studio")));
    assert_eq!(about(&world), 0, "{:#?}", world.series());
    put(&mut world.caches, cache("studio"));
    let warm_ups = r#"modelcache_warm_up_runs_total{namespace="team",cache="studio",result="succeeded"}"#;
    assert_eq!(world.value(warm_ups).as_deref(), Some("0"));
    world.pools.apply_watcher_event(&Event::Delete(pool()));
    assert!(!world.series().iter().any(|it| it.contains("pool=")));
}

#[test]
fn what_a_suspended_cache_holds_back_is_not_late() {
    let mut world = World::new();
    let mut suspended = cache("studio");
    suspended.spec.suspend = Some(true);
    put(&mut world.caches, suspended);
    assert!(!world.series().iter().any(|it| it.contains("schedule_next")), "{:#?}", world.series());
    assert_eq!(world.value(r#"modelcache_suspended{namespace="team",cache="studio"}"#).as_deref(), Some("1.0"));
}

#[test]
fn a_process_that_waits_for_the_lease_says_nothing_of_objects() {
    let metrics = Metrics::default();
    let text = metrics.encode();
    assert!(text.contains("modelcache_leader 0\n"), "{text}");
    assert!(!text.contains("namespace="), "{text}");
}

/// Bounded: 1,000 caches with every policy and a copy under way are 35,000 series, and a few MiB of text that live for a scrape.
#[test]
fn a_cache_with_every_policy_has_at_most_35_series_and_one_without_at_most_14() {
    let mut world = World::new();
    for number in 0..1000 {
        put(&mut world.caches, cache(&format!("studio-{number}")));
        let moving =
            json!({"progress": {"percent": "40%", "bytesDone": 400, "bytesTotal": 1000, "bytesPerSecond": 50}});
        put(&mut world.replicas, replica(&format!("studio-{number}"), &format!("copy-{number}"), &moving));
    }
    let series = world.series().into_iter().filter(|it| it.contains("studio-")).count();
    let bytes = world.metrics.encode().len();
    println!("1,000 caches: {series} series, {bytes} bytes of text");
    assert!(series <= 35_000, "{series}");
    assert!(bytes < 5 << 20, "{bytes}");
    let mut world = World::new();
    let mut plain = cache("studio");
    (plain.spec.verify, plain.spec.backup, plain.spec.cleanup) = (None, None, None);
    let status = plain.status.as_mut().unwrap();
    (status.verification, status.backup, status.cleanup) = (None, None, None);
    status.conditions.retain(|it| it.type_ == "Ready");
    put(&mut world.caches, plain);
    let series = world.series().into_iter().filter(|it| it.contains("studio")).count();
    assert!(series <= 14, "{series}: {:#?}", world.series());
}

/// Name, type, labels and meaning of each family that is printed.
fn printed(text: &str) -> BTreeMap<String, (String, String, String)> {
    let (mut help, mut types) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some((name, said)) = line.strip_prefix("# HELP ").and_then(|it| it.split_once(' ')) {
            help.insert(name.to_owned(), said.trim_end_matches('.').to_owned());
        }
        if let Some((name, type_)) = line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' ')) {
            types.insert(name.to_owned(), type_.to_owned());
        }
    }
    let families = types.into_iter().map(|(family, type_)| {
        let suffix = match type_.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let name = format!("{family}{suffix}");
        let of_it = |line: &&str| {
            let rest = line.strip_prefix(&name);
            rest.is_some_and(|it| it.starts_with(['{', ' ']) || (type_ == "histogram" && it.starts_with("_count")))
        };
        let lines: Vec<&str> = text.lines().filter(of_it).collect();
        assert!(!lines.is_empty(), "{name} has no series here: give it one in `everything`");
        let labels: BTreeSet<&str> = lines.iter().flat_map(|it| labels(it)).collect();
        let labels = labels.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
        (name, (type_.clone(), labels, help[&family].clone()))
    });
    families.collect()
}

fn labels(line: &str) -> Vec<&str> {
    let inside = line.split_once('{').and_then(|(_, it)| it.rsplit_once('}')).map_or("", |(it, _)| it);
    inside.split(',').filter_map(|it| it.split_once('=')).map(|(name, _)| name).collect()
}

#[test]
fn the_table_of_metrics_is_what_is_printed() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/observability.md")).unwrap();
    let told: Vec<&str> = page.lines().filter(|it| it.starts_with("| `modelcache_")).collect();
    let printed = printed(&everything().metrics.encode());
    let rows =
        printed.iter().map(|(name, (type_, labels, help))| format!("| `{name}` | {type_} | {labels} | {help}. |"));
    let rows: Vec<String> = rows.collect();
    assert!(told == rows, "docs/observability.md should have these rows:\n{}", rows.join("\n"));
}
