//! What is written for a schedule of clean-ups, and what is left alone.

use super::*;
use crate::operator::cluster::Removal;
use crate::operator::modelcache::build::fixtures::{cache, claim, settings, shared_cache};
use serde_json::{Value, json};

const CLEANUP: &str = "30 3 * * 7";

/// A cache with logs on one shared volume, models with a cache rule on another, and its claims.
fn studio(more: &Value) -> (ModelCache, Observed) {
    let mut cache = shared_cache();
    cache.spec.volumes = serde_json::from_value(json!([
        {"name": "models", "shared": {"size": "20Gi"}}, {"name": "logs", "shared": {"size": "1Gi"}}
    ]))
    .unwrap();
    let mut cleanup = json!({"schedule": CLEANUP, "rules": [
        {"name": "old", "volume": "models", "cache": {}},
        {"name": "logs", "volume": "logs", "paths": ["**/*.log"], "rotate": {"maxSize": "100Mi", "keep": 7}}
    ]});
    cleanup.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    cache.spec.cleanup = serde_json::from_value(cleanup).unwrap();
    let mounted = |volume: &str, mode: &str| {
        let mut claim = claim(volume);
        claim.spec = serde_json::from_value(json!({"accessModes": [mode]})).unwrap();
        claim
    };
    let observed = Observed::empty();
    (cache, observed.with_claim(mounted("models", "ReadWriteMany")).with_claim(mounted("logs", "ReadWriteMany")))
}

fn planned(cache: &ModelCache, observed: &Observed) -> (Option<Planned>, Children) {
    let mut children = Children::default();
    let planned = plan(cache, observed, &settings(), &mut children);
    (planned, children)
}

#[test]
fn a_cron_job_cleans_what_many_nodes_can_write_to_and_all_who_clean_read_one_document() {
    let (mut cache, observed) = studio(&json!({}));
    cache.spec.time_zone = Some("Europe/Istanbul".into());
    let (planned, children) = planned(&cache, &observed);
    let planned = planned.unwrap();
    assert_eq!((planned.by_cron_job, planned.by_operator), (vec!["logs".to_owned()], vec!["models".to_owned()]));
    assert!(children.config_maps[0].0.data.as_ref().unwrap()["cache.yaml"].contains(r#""name":"old""#));
    insta::assert_yaml_snapshot!(children.cron_jobs[0].0);
}

#[test]
fn a_cache_on_nodes_has_a_document_and_no_cron_job() {
    let mut cache = cache();
    let cleanup = json!({"schedule": CLEANUP, "rules": [{"name": "old", "cache": {}}]});
    cache.spec.cleanup = serde_json::from_value(cleanup).unwrap();
    let (planned, children) = planned(&cache, &Observed::empty());
    assert_eq!(planned.unwrap().by_operator, ["models"]);
    assert!(children.cron_jobs.is_empty() && children.config_maps.len() == 1);
}

#[test]
fn nothing_begins_while_it_is_suspended_or_a_restore_writes_there() {
    let suspended = |cache: &ModelCache, observed: &Observed| {
        let (_, children) = planned(cache, observed);
        children.cron_jobs[0].0.spec.as_ref().unwrap().suspend
    };
    let (cache, mut observed) = studio(&json!({}));
    assert_eq!(suspended(&cache, &observed), Some(false));
    observed.restored_claims.insert("studio-models".into());
    assert_eq!(suspended(&cache, &observed), Some(false), "another volume");
    observed.restored_claims.insert("studio-logs".into());
    assert_eq!(suspended(&cache, &observed), Some(true));
    let (mut cache, observed) = studio(&json!({"suspend": true}));
    assert_eq!(suspended(&cache, &observed), Some(true));
    cache.spec.cleanup.as_mut().unwrap().suspend = None;
    cache.spec.suspend = Some(true);
    assert_eq!(suspended(&cache, &observed), Some(true));
}

#[test]
fn what_is_no_longer_asked_for_goes_and_one_of_somebody_else_stays() {
    let (asked, observed) = studio(&json!({}));
    let (_, children) = planned(&asked, &observed);
    let (cron_job, config_map) = (children.cron_jobs[0].0.clone(), children.config_maps[0].0.clone());
    let there = |mark: bool| {
        let (_, mut observed) = studio(&json!({}));
        observed.config_maps = vec![config_map.clone()];
        observed.cron_jobs = vec![cron_job.clone()];
        if !mark {
            observed.cron_jobs[0].metadata.labels = None;
        }
        observed
    };
    let (none, children) = planned(&shared_cache(), &there(true));
    assert!(none.is_none() && children.removals.len() == 2);
    let mut only_models = asked.clone();
    only_models.spec.cleanup.as_mut().unwrap().rules.truncate(1);
    let (_, children) = planned(&only_models, &there(true));
    assert!(matches!(&children.removals[..], [Removal::CronJob(_)]), "{:?}", children.removals);
    let (conflict, children) = planned(&asked, &there(false));
    assert_eq!(conflict.unwrap().problem.unwrap().reason, Reason::ClaimConflict);
    assert!(children.cron_jobs.is_empty() && children.config_maps.is_empty() && children.removals.is_empty());
}

#[test]
fn a_schedule_that_never_comes_says_why_and_leaves_alone_what_is_there() {
    let (cache, mut observed) = studio(&json!({"schedule": "0 2 30 2 *"}));
    let (good, _) = studio(&json!({}));
    observed.cron_jobs = planned(&good, &observed).1.cron_jobs.into_iter().map(|it| it.0).collect();
    let (plan, children) = planned(&cache, &observed);
    let problem = plan.unwrap().problem.unwrap();
    assert_eq!(problem.reason, Reason::InvalidSpec);
    assert!(problem.message.starts_with("spec.cleanup.schedule: "), "{}", problem.message);
    assert!(children.cron_jobs.is_empty() && children.removals.is_empty());
}

#[test]
fn without_a_schedule_there_is_a_document_for_who_asks_and_nothing_else() {
    let (mut cache, observed) = studio(&json!({}));
    cache.spec.cleanup.as_mut().unwrap().schedule = None;
    let (planned, children) = planned(&cache, &observed);
    assert!(planned.is_none() && children.cron_jobs.is_empty() && children.removals.is_empty());
    assert!(children.config_maps[0].0.data.as_ref().unwrap()["cache.yaml"].contains(r#""name":"old""#));
}
