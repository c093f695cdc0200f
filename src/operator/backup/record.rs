//! Which scheduled runs are there? Each Job of a cache's CronJob gets one ModelCacheBackup, named from the time it was due.
//!
//! The name is the same whoever records the run and however often: a restart or a second operator makes no duplicate.

use super::history::is_record;
use crate::api::{JobRole, ModelCacheBackup, ModelCacheBackupSpec, annotation, label, name};
use crate::operator::error::Error;
use crate::operator::runtime::Context;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes the record of a scheduled run.
pub async fn reconcile(job: Arc<PartialObjectMeta<Job>>, context: Arc<Context>) -> Result<Action, Error> {
    let cluster = &context.cluster;
    let namespace = job.namespace().unwrap_or_default();
    // The watch may be behind: a Job that was recorded and removed is not recorded again.
    let found = cluster.get(&cluster.namespaced::<Job>(&namespace), &job.name_any()).await?;
    let Some((cache, due)) = found.filter(|it| it.uid() == job.uid()).as_ref().and_then(scheduled) else {
        return Ok(Action::await_change());
    };
    let api = cluster.namespaced::<ModelCacheBackup>(&namespace);
    let plain = name::scheduled_backup(&cache, due);
    let wanted = match cluster.get(&api, &plain).await? {
        Some(found) if is_record(&found) => return Ok(Action::await_change()),
        // Somebody made one of this name by hand.
        Some(_) => format!("{plain}-{}", name::short_hash(&[&plain, "scheduled"])),
        None => plain,
    };
    cluster.create(&api, &record(&namespace, &cache, &wanted, due)).await?;
    Ok(Action::await_change())
}

/// The cache and the time of a Job that a cache's CronJob has made.
pub fn scheduled(job: &Job) -> Option<(String, Timestamp)> {
    let cache = job.labels().get(label::CACHE)?;
    let role = job.labels().get(label::JOB).is_some_and(|it| it == JobRole::Backup.as_str());
    let cron_job = name::backup(cache);
    let owned = job.owner_references().iter().any(|it| it.kind == "CronJob" && it.name == cron_job);
    let due = job.annotations().get(annotation::CRON_JOB_SCHEDULED)?.parse().ok()?;
    (role && owned).then(|| (cache.clone(), due))
}

/// The record. It belongs to nobody: no deletion of anything else takes it along.
fn record(namespace: &str, cache: &str, name: &str, due: Timestamp) -> ModelCacheBackup {
    let labels = [(label::CACHE, cache), (label::MANAGED_BY, label::MANAGER)];
    ModelCacheBackup {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
            annotations: Some(BTreeMap::from([(annotation::SCHEDULED.to_owned(), due.to_string())])),
            ..ObjectMeta::default()
        },
        spec: ModelCacheBackupSpec { cache: cache.to_owned(), content: None, volumes: vec![], pin: None },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(owner: &str, annotation: &str) -> Job {
        serde_json::from_value(json!({"metadata": {
            "labels": {"modelcache.dev/cache": "studio", "modelcache.dev/job": "backup"},
            "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": annotation},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": owner, "uid": "u"}]
        }}))
        .unwrap()
    }

    #[test]
    fn a_run_is_named_from_the_time_it_was_due_in_whatever_zone_that_is_written() {
        let (cache, due) = scheduled(&job("studio-backup", "2026-11-21T05:30:00+03:00")).unwrap();
        assert_eq!(name::scheduled_backup(&cache, due), "studio-202611210230");
        insta::assert_yaml_snapshot!(record("ns", &cache, "studio-202611210230", due));
    }

    #[test]
    fn a_job_of_somebody_else_is_no_run_of_ours() {
        assert!(scheduled(&job("other", "2026-11-21T05:30:00+03:00")).is_none());
        assert!(scheduled(&job("studio-backup", "yesterday")).is_none());
    }
}
