//! A CronJob around a Job of the agent.

use crate::api::{JobRole, ModelCache, Reason};
use crate::contract::exit_code;
use crate::operator::modelcache::build::metadata;
use crate::operator::options::Settings;
use crate::operator::pod::{AgentJob, CONTAINER, agent_job};
use k8s_openapi::api::batch::v1::{
    CronJob, CronJobSpec, JobTemplateSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::time::Duration;

/// Finished Jobs that Kubernetes keeps. We remove each once it is recorded; these are for an operator that is down.
const UNRECORDED: i32 = 20;
/// Pods that a run may fail with before it has failed.
const TRIES: i32 = 2;
/// Below this the controller, which looks every ten seconds, may miss a run
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#starting-deadline>).
const SHORTEST_DEADLINE: Duration = Duration::from_secs(60);

/// What differs between the CronJobs of a cache.
#[derive(Debug)]
pub struct Scheduled<'a> {
    /// The Job of a run, with the CronJob's name.
    pub job: AgentJob,
    /// What it does.
    pub role: JobRole,
    /// Five fields of cron, as Kubernetes reads them.
    pub schedule: &'a str,
    /// A run that could not begin for this long after its time is left out.
    pub starting_deadline: Duration,
    /// Whether nothing is to begin.
    pub suspend: bool,
    /// What is not tried again at once: a person must mend it, or the next run sees to it.
    pub final_reasons: &'a [Reason],
}

/// The CronJob.
pub fn cron_job(cache: &ModelCache, scheduled: Scheduled<'_>, settings: &Settings) -> CronJob {
    let Scheduled { job, role, schedule, starting_deadline, suspend, final_reasons } = scheduled;
    let name = job.name.clone();
    let job = agent_job(job, role, &cache.spec.effective_pod_template(), settings);
    let mut spec = job.spec.unwrap_or_default();
    spec.backoff_limit = Some(TRIES);
    spec.pod_failure_policy = Some(failure_policy(final_reasons));
    CronJob {
        metadata: metadata(cache, name, None, true),
        spec: Some(CronJobSpec {
            schedule: schedule.to_owned(),
            // Without one Kubernetes takes the time zone of the control plane's machine.
            time_zone: Some(cache.spec.time_zone.clone().unwrap_or_else(|| "Etc/UTC".into())),
            concurrency_policy: Some("Forbid".into()),
            starting_deadline_seconds: i64::try_from(starting_deadline.max(SHORTEST_DEADLINE).as_secs()).ok(),
            suspend: Some(cache.spec.suspended() || suspend),
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

/// An eviction does not count, and what is final is not tried again before the next run.
fn failure_policy(final_reasons: &[Reason]) -> PodFailurePolicy {
    let mut codes: Vec<i32> = final_reasons.iter().map(|it| i32::from(exit_code::of(*it))).collect();
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
