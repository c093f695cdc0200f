//! What a pass wants, in words: for snapshots that a person can review.

use super::persistent_volume::recorded_nodes;
use crate::api::ModelCacheStatus;
use crate::api::annotation;
use crate::contract::plan::{FILE, Plan};
use crate::operator::cluster::{Children, Removal};
use crate::operator::modelcache::resolution::sequence;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use serde::Serialize;
use std::fmt::Write;

/// Every write that changes something, one per line.
pub(crate) fn tell(children: &Children) -> String {
    let Children { persistent_volumes, rebound, claims, grown, config_maps, replicas, cron_jobs, jobs, removals } =
        children;
    let mut lines = vec![];
    for (wanted, _) in persistent_volumes.iter().filter(|(wanted, found)| differs(wanted, found.as_ref())) {
        let nodes: Vec<String> = recorded_nodes(wanted).into_iter().map(|it| it.name).collect();
        lines.push(format!("apply PersistentVolume {} for nodes [{}]", wanted.name_any(), nodes.join(", ")));
    }
    lines.extend(rebound.iter().map(|it| format!("unbind PersistentVolume {}", it.name_any())));
    lines.extend(claims.iter().map(|it| format!("create PersistentVolumeClaim {}", it.name_any())));
    lines.extend(grown.iter().map(|(it, size)| format!("grow PersistentVolumeClaim {} to {}", it.name_any(), size.0)));
    for (wanted, _) in config_maps.iter().filter(|(wanted, found)| differs(wanted, found.as_ref())) {
        lines.push(format!("apply ConfigMap {}{}", wanted.name_any(), contents(wanted)));
    }
    for (wanted, _) in replicas.iter().filter(|(wanted, found)| differs(wanted, found.as_ref())) {
        let spec = &wanted.spec;
        let node = spec.node.as_ref().map_or("the shared volume", |it| it.name.as_str());
        let plan = spec.plan.as_ref().map_or("no plan yet", |it| it.config_map.as_str());
        let claim = spec.claim_uid.as_deref().unwrap_or("no claim yet");
        lines.push(format!("apply ModelCacheReplica {} on {node}: {plan}, {claim}", wanted.name_any()));
    }
    for (wanted, _) in cron_jobs.iter().filter(|(wanted, found)| differs(wanted, found.as_ref())) {
        lines.push(format!("apply CronJob {}", wanted.name_any()));
    }
    lines.extend(jobs.iter().map(|it| format!("create Job {}", it.name_any())));
    lines.extend(removals.iter().map(|it| format!("delete {}", name_of(it))));
    lines.join("\n")
}

/// Whether a write would change something: everything wanted must be in what was found.
fn differs<K: Serialize>(wanted: &K, found: Option<&K>) -> bool {
    fn within(wanted: &serde_json::Value, found: &serde_json::Value) -> bool {
        match (wanted, found) {
            (serde_json::Value::Object(wanted), serde_json::Value::Object(found)) => {
                wanted.iter().all(|(key, it)| found.get(key).is_some_and(|found| within(it, found)))
            }
            _ => wanted == found,
        }
    }
    let json = |it: &K| serde_json::to_value(it).unwrap();
    !found.is_some_and(|found| within(&json(wanted), &json(found)))
}

/// Kind and name of what is deleted.
pub(crate) fn name_of(removal: &Removal) -> String {
    match removal {
        Removal::Job(it) => format!("Job {}", it.name_any()),
        Removal::CronJob(it) => format!("CronJob {}", it.name_any()),
        Removal::Backup(it) => format!("ModelCacheBackup {}", it.name_any()),
        Removal::Replica(it) => format!("ModelCacheReplica {}", it.name_any()),
        Removal::ConfigMap(it) => format!("ConfigMap {}", it.name_any()),
        Removal::Claim(it) => format!("PersistentVolumeClaim {}", it.name_any()),
        Removal::PersistentVolume(it) => format!("PersistentVolume {}", it.name_any()),
    }
}

fn contents(config_map: &ConfigMap) -> String {
    if !config_map.annotations().contains_key(annotation::SEQUENCE) {
        return String::new();
    }
    let text = config_map.data.as_ref().and_then(|it| it.get(FILE)).unwrap();
    let sources = Plan::parse(text).unwrap().sources;
    let pins: Vec<String> =
        sources.iter().map(|it| format!("{}@{}", it.source.name, it.pin.revision.split_at(4).0)).collect();
    format!(" #{}: [{}]", sequence(config_map), pins.join(", "))
}

/// The conditions and the counts of a status, one per line.
pub(crate) fn tell_status(status: &ModelCacheStatus) -> String {
    let mut text = String::new();
    for it in &status.conditions {
        writeln!(text, "{}={} {}: {}", it.type_, it.status, it.reason, it.message).unwrap();
    }
    for it in &status.volumes {
        let counts = it.replicas;
        writeln!(
            text,
            "volume {}: {} desired, {} ready, {} warming, {} failed, {} unreachable",
            it.name, counts.desired, counts.ready, counts.warming, counts.failed, counts.unreachable
        )
        .unwrap();
        for problem in &it.problems {
            writeln!(text, "  {} {}: {}", problem.node, problem.reason, problem.message).unwrap();
        }
    }
    text
}
