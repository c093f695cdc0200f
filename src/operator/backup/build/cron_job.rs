//! The CronJob of a cache's scheduled backups. It fires while the operator is down, too.

use super::place::Place;
use super::pod;
use crate::api::backup::Backup;
use crate::api::{JobRole, ModelCache, Reason, duration, name};
use crate::contract::exit_code;
use crate::operator::modelcache::build::metadata;
use crate::operator::options::Settings;
use crate::operator::pod::{AgentJob, CONTAINER, agent_job};
use k8s_openapi::api::batch::v1::{
    CronJob, CronJobSpec, JobTemplateSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

/// Finished Jobs that Kubernetes keeps. We remove each once it is recorded; these are for an operator that is down.
const UNRECORDED: i32 = 20;
/// Pods that a run may fail with before it has failed.
const TRIES: i32 = 2;
/// Below this the controller, which looks every ten seconds, may miss a run
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#starting-deadline>).
const SHORTEST_DEADLINE: u64 = 60;

/// What is not tried again at once: a person must mend it.
const FINAL: [Reason; 9] = [
    Reason::InvalidSpec,
    Reason::Unauthorized,
    Reason::Gated,
    Reason::NotFound,
    Reason::SecretNotFound,
    Reason::NoFiles,
    Reason::InsufficientSpace,
    Reason::DeadlineExceeded,
    Reason::ForeignBackup,
];

/// The CronJob. `schedule` is moved by the jitter already.
pub fn cron_job(
    cache: &ModelCache,
    backup: &Backup,
    schedule: &str,
    place: &Place,
    pinned: &[String],
    settings: &Settings,
) -> CronJob {
    let name = name::backup(&cache.name_any());
    let common = pod::agent_job(cache, backup, name.clone(), place, pinned);
    let template = cache.spec.effective_pod_template();
    let job = agent_job(AgentJob { name: name.clone(), ..common }, JobRole::Backup, &template, settings);
    let mut spec = job.spec.unwrap_or_default();
    spec.backoff_limit = Some(TRIES);
    spec.pod_failure_policy = Some(failure_policy());
    let deadline = duration::parse(backup.effective_starting_deadline()).map_or(3600, |it| it.as_secs());
    CronJob {
        metadata: metadata(cache, name, None, true),
        spec: Some(CronJobSpec {
            schedule: schedule.to_owned(),
            // Without one Kubernetes takes the time zone of the control plane's machine.
            time_zone: Some(cache.spec.time_zone.clone().unwrap_or_else(|| "Etc/UTC".into())),
            concurrency_policy: Some("Forbid".into()),
            starting_deadline_seconds: i64::try_from(deadline.max(SHORTEST_DEADLINE)).ok(),
            suspend: Some(cache.spec.suspended() || backup.suspended() || place.nowhere),
            successful_jobs_history_limit: Some(UNRECORDED),
            failed_jobs_history_limit: Some(UNRECORDED),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta { labels: job.metadata.labels, ..ObjectMeta::default() }),
                spec: Some(spec),
            },
        }),
        status: None,
    }
}

/// An eviction does not count, and what a person must mend is not tried again before the next run.
fn failure_policy() -> PodFailurePolicy {
    let mut codes: Vec<i32> = FINAL.iter().map(|it| i32::from(exit_code::of(*it))).collect();
    codes.sort_unstable();
    codes.dedup();
    let codes = PodFailurePolicyOnExitCodesRequirement {
        container_name: Some(CONTAINER.into()),
        operator: "In".into(),
        values: codes.into_iter().filter(|it| *it != i32::from(exit_code::FAILURE)).collect(),
    };
    let disrupted = PodFailurePolicyOnPodConditionsPattern { type_: "DisruptionTarget".into(), status: "True".into() };
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "Ignore".into(),
                on_exit_codes: None,
                on_pod_conditions: Some(vec![disrupted]),
            },
            PodFailurePolicyRule { action: "FailJob".into(), on_exit_codes: Some(codes), on_pod_conditions: None },
        ],
    }
}
