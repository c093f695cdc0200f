//! What is scheduled for the backups of a cache, where it runs, and what is left alone.

use super::*;
use crate::operator::modelcache::build::copies::{Copy, with_copies};
use crate::operator::modelcache::build::fixtures::{cache, pin, settings, shared_cache, stored_plan};
use serde_json::{Value, json};

fn with(mut cache: ModelCache, backup: Value) -> ModelCache {
    cache.spec.backup = Some(serde_json::from_value(backup).unwrap());
    cache
}

fn destination() -> Value {
    json!({"prefix": "studio", "s3": {
        "bucket": "backups", "endpoint": "https://minio.example:9000",
        "accessKeyIdSecretRef": {"name": "minio", "key": "id"},
        "secretAccessKeySecretRef": {"name": "minio", "key": "secret"}
    }})
}

fn planned(cache: &ModelCache, observed: &Observed) -> (Planned, Children) {
    let mut children = Children::default();
    let planned = plan(cache, observed, &settings(), &mut children).unwrap();
    (planned, children)
}

fn on_nodes(cache: &ModelCache, copies: &[Copy]) -> Observed {
    let plan = stored_plan(cache, "models", &[(0, pin("a"))], 1);
    with_copies(cache, Observed::empty().with_nodes(&["a", "b", "c"]).with_config_map(plan), copies)
}

#[test]
fn a_scheduled_backup_of_a_per_node_volume_runs_where_the_copy_is_complete() {
    let cache = with(
        cache(),
        json!({
            "schedule": "0 2 * * *", "startingDeadline": "30m", "destination": destination(),
            "encryption": {"keySecretRef": {"name": "age", "key": "key"}}, "retention": {"keepLast": 3}
        }),
    );
    let observed = on_nodes(&cache, &[Copy::Holds, Copy::Working, Copy::Holds]);
    let (planned, children) = planned(&cache, &observed);
    assert_eq!(planned.schedule.as_deref(), Some("0 2 * * *"));
    assert!(!planned.nowhere);
    insta::assert_yaml_snapshot!(children.cron_jobs[0].0);
    insta::assert_yaml_snapshot!(children.config_maps[0].0);
}

#[test]
fn a_scheduled_backup_of_a_shared_volume_to_a_claim() {
    let cache = with(
        shared_cache(),
        json!({"schedule": "15 3 * * 1", "suspend": true, "destination": {"volume": {"claimName": "nas", "path": "backups"}}}),
    );
    let (_, children) = planned(&cache, &Observed::empty());
    insta::assert_yaml_snapshot!(children.cron_jobs[0].0.spec);
}

#[test]
fn a_scheduled_backup_begins_where_a_claim_is_mounted_and_that_is_looked_up_shortly_before() {
    let mut cache = with(shared_cache(), json!({"schedule": "0 2 * * *", "destination": destination()}));
    cache.spec.time_zone = Some("Europe/Istanbul".into());
    let mut observed = Observed::empty();
    assert_eq!(planned(&cache, &observed).0.look_again("2026-11-21T00:00:00Z".parse().unwrap()), None);
    observed.beside.insert("studio-models".into(), Beside::Node("node-7".into()));
    let (planned, children) = planned(&cache, &observed);
    let pod = children.cron_jobs[0].0.spec.clone().unwrap().job_template.spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.affinity.unwrap().node_affinity, Some(crate::operator::placement::beside("node-7")));
    let look = |now: &str| planned.look_again(now.parse().unwrap()).unwrap().to_string();
    assert_eq!(look("2026-11-21T00:00:00Z"), "2026-11-21T22:59:30Z");
    assert_eq!(look("2026-11-21T22:59:29Z"), "2026-11-21T22:59:30Z");
    assert_eq!(look("2026-11-21T22:59:31Z"), "2026-11-22T22:59:30Z");
}

#[test]
fn nothing_is_begun_before_a_copy_is_complete() {
    let cache = with(cache(), json!({"schedule": "0 2 * * *", "destination": destination()}));
    let (planned, children) = planned(&cache, &on_nodes(&cache, &[Copy::Working]));
    assert!(planned.nowhere);
    assert_eq!(children.cron_jobs[0].0.spec.as_ref().and_then(|it| it.suspend), Some(true));
}

#[test]
fn the_same_is_planned_twice() {
    let cache = with(cache(), json!({"schedule": "0 2 * * *", "jitter": "1h", "destination": destination()}));
    let observed = on_nodes(&cache, &[Copy::Holds, Copy::Holds, Copy::Holds]);
    let told = |it: &Children| serde_json::to_string(&it.cron_jobs[0].0).unwrap();
    assert_eq!(told(&planned(&cache, &observed).1), told(&planned(&cache, &observed).1));
}

#[test]
fn what_cannot_be_scheduled_says_why_and_leaves_alone_what_is_there() {
    for (backup, expected) in [
        (json!({"schedule": "0 2 30 2 *"}), "spec.backup.schedule: "),
        (json!({"schedule": "*/5 * * * *", "jitter": "10m"}), "plain numbers"),
    ] {
        let mut backup = backup;
        backup["destination"] = destination();
        let cache = with(cache(), backup);
        let (planned, children) = planned(&cache, &Observed::empty());
        let problem = planned.problem.unwrap();
        assert_eq!(problem.reason, Reason::InvalidSpec);
        assert!(problem.message.contains(expected), "{}", problem.message);
        assert!(children.cron_jobs.is_empty() && children.removals.is_empty());
    }
}

#[test]
fn a_cron_job_that_is_no_longer_asked_for_goes_and_one_of_somebody_else_stays() {
    let asked = with(shared_cache(), json!({"schedule": "0 2 * * *", "destination": destination()}));
    let (_, children) = planned(&asked, &Observed::empty());
    let (cron_job, config_map) = (children.cron_jobs[0].0.clone(), children.config_maps[0].0.clone());
    let there = |mark: bool| {
        let mut observed = Observed::empty().with_config_map(config_map.clone());
        let mut cron_job = cron_job.clone();
        if !mark {
            cron_job.metadata.labels = None;
        }
        observed.cron_jobs = vec![cron_job];
        observed
    };
    let mut children = Children::default();
    assert_eq!(plan(&shared_cache(), &there(true), &settings(), &mut children), None);
    assert_eq!(children.removals.len(), 2);
    let (planned, children) = planned(&asked, &there(false));
    assert_eq!(planned.problem.unwrap().reason, Reason::ClaimConflict);
    assert!(children.cron_jobs.is_empty());
}

#[test]
fn a_job_of_a_backup_that_was_made_by_hand_has_a_document_of_its_own() {
    let cache = with(shared_cache(), json!({"destination": destination(), "content": "Auto"}));
    let object: crate::api::ModelCacheBackup = serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheBackup",
        "metadata": {"name": "before-the-upgrade", "namespace": "ns", "uid": "backup-uid"},
        "spec": {"cache": "studio", "content": "Full"}
    }))
    .unwrap();
    let own = super::super::build::job::settings_of(&object, cache.spec.backup.as_ref().unwrap());
    let place = place(&cache, &own, &std::iter::empty(), &std::iter::empty());
    let (config_map, job) =
        super::super::build::job::job(&object, 2, &cache, &own, &place, &["3f9c".to_owned()], &settings());
    insta::assert_yaml_snapshot!(job);
    assert!(config_map.data.unwrap()["cache.yaml"].contains(r#""content":"Full""#));
    assert_eq!(config_map.metadata.name, job.metadata.name);
}
