//! How is a Job of ours doing, and what did it say at its end?
//!
//! Read from the Job's and its pod's own conditions. "Complete" without evidence is a failure. Evidence counts from the moment
//! our container has ended, or its pod when that holds a claim: the kubelet and the Job controller need another second each.

use crate::api::Reason;
use crate::contract::outcome::Outcome;
use crate::operator::pod::CONTAINER;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};

/// How a Job is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum JobState {
    /// Marked for deletion; its pods may still write.
    Ending,
    /// Not over yet.
    Running {
        /// What keeps it from starting, if anything is known to.
        problem: Option<Problem>,
        /// Address of its pod, once it runs.
        pod_ip: Option<String>,
    },
    /// Over, with evidence: nothing of it writes any more, though the Job itself may not say so yet.
    Succeeded(Box<Outcome>),
    /// Over, without.
    Failed(Problem),
}

/// A reason and what to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Why.
    pub reason: Reason,
    /// What happened and what to do.
    pub message: String,
}

impl Problem {
    /// A problem.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// A Job, its pods, and the latest warning Event about it when it has no pod (a quota or Pod Security refused it: the Job
/// controller says so nowhere else).
#[derive(Clone, Debug, Default)]
pub struct ObservedJob {
    /// The Job.
    pub job: Job,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// Message of the latest warning Event about the Job or its pod.
    pub warning: Option<String>,
}

impl ObservedJob {
    /// Name of the Job.
    pub fn name(&self) -> &str {
        self.job.metadata.name.as_deref().unwrap_or_default()
    }

    /// How it is doing.
    pub fn state(&self) -> JobState {
        if self.job.metadata.deletion_timestamp.is_some() {
            return JobState::Ending;
        }
        let newest = self.pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|it| it.0));
        let finished = self.finished();
        match (finished, newest) {
            (Some(complete), Some(pod)) => ended(complete, pod, self.job_failure()),
            (Some(_), None) => JobState::Failed(self.job_failure().unwrap_or_else(|| {
                Problem::new(Reason::NoEvidence, "the pod is gone and left no evidence of what it did")
            })),
            (None, Some(pod)) => {
                let status = pod.status.clone().unwrap_or_default();
                if let Some(outcome) = evidence(pod, &status) {
                    return JobState::Succeeded(Box::new(outcome));
                }
                let pod_ip = status.pod_ip.clone().filter(|_| status.phase.as_deref() == Some("Running"));
                JobState::Running { problem: waiting(&status, self.warning.as_deref()), pod_ip }
            }
            (None, None) => JobState::Running {
                problem: self
                    .warning
                    .as_ref()
                    .map(|message| Problem::new(Reason::PodRejected, format!("the pod was not admitted: {message}"))),
                pod_ip: None,
            },
        }
    }

    /// What the agent said at its end, whether it succeeded or not.
    pub fn said(&self) -> Option<Outcome> {
        let newest = self.pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|it| it.0))?;
        Outcome::parse(terminated(newest.status.as_ref()?)?.message.as_deref()?).ok()
    }

    fn condition(&self, type_: &str) -> Option<(&str, &str)> {
        let conditions = self.job.status.as_ref().and_then(|it| it.conditions.as_ref());
        conditions
            .into_iter()
            .flatten()
            .find(|it| it.type_ == type_ && it.status == "True")
            .map(|it| (it.reason.as_deref().unwrap_or_default(), it.message.as_deref().unwrap_or_default()))
    }

    fn finished(&self) -> Option<bool> {
        if self.condition("Complete").is_some() {
            return Some(true);
        }
        self.condition("Failed").map(|_| false)
    }

    fn job_failure(&self) -> Option<Problem> {
        let (reason, message) = self.condition("Failed")?;
        (reason == "DeadlineExceeded").then(|| Problem::new(Reason::DeadlineExceeded, message))
    }
}

/// Our container: a service mesh may have put others beside it.
fn container(status: &PodStatus) -> Option<&ContainerStatus> {
    status.container_statuses.iter().flatten().find(|it| it.name == CONTAINER)
}

fn terminated(status: &PodStatus) -> Option<&ContainerStateTerminated> {
    container(status)?.state.as_ref()?.terminated.as_ref()
}

/// What our container said when it ended well. Only success is read this early: why something failed, the Job may know better.
///
/// A pod that mounts a claim holds it until its own phase says that it is over: were it counted as done before, its node could
/// go meanwhile, and nobody could delete the claim.
fn evidence(pod: &Pod, status: &PodStatus) -> Option<Outcome> {
    let volumes = pod.spec.iter().flat_map(|it| it.volumes.iter().flatten());
    let holds_claim = volumes.map(|it| &it.persistent_volume_claim).any(Option::is_some);
    if holds_claim && status.phase.as_deref() != Some("Succeeded") {
        return None;
    }
    let terminated = terminated(status).filter(|it| it.exit_code == 0)?;
    Outcome::parse(terminated.message.as_deref()?).ok().filter(|it| it.succeeded)
}

/// A Job that is over: what its pod said, else what is known of how it ended.
fn ended(complete: bool, pod: &Pod, job_failure: Option<Problem>) -> JobState {
    let status = pod.status.clone().unwrap_or_default();
    let terminated = terminated(&status);
    let said = terminated.and_then(|it| it.message.as_deref()).and_then(|text| Outcome::parse(text).ok());
    match said {
        Some(outcome) if outcome.succeeded && complete => return JobState::Succeeded(Box::new(outcome)),
        // An agent that is told to end cannot know why: the Job does.
        Some(outcome) if !outcome.succeeded => {
            let said = Problem::new(outcome.reason, outcome.message);
            return JobState::Failed(job_failure.filter(|_| outcome.reason == Reason::Evicted).unwrap_or(said));
        }
        _ => {}
    }
    if let Some(problem) = job_failure {
        return JobState::Failed(problem);
    }
    if let Some(problem) = disrupted(&status) {
        return JobState::Failed(problem);
    }
    let Some(terminated) = terminated else {
        let message = status.message.unwrap_or_else(|| "the pod ended without having run".into());
        return JobState::Failed(Problem::new(Reason::NoEvidence, message));
    };
    if terminated.reason.as_deref() == Some("OOMKilled") {
        let message = "the pod used more memory than its limit: raise `podTemplate.resources.limits.memory`";
        return JobState::Failed(Problem::new(Reason::OutOfMemory, message));
    }
    let tail = terminated.message.as_deref().unwrap_or_default().trim();
    let message =
        format!("the pod ended with exit code {} and no evidence of what it did {tail}", terminated.exit_code);
    JobState::Failed(Problem::new(Reason::NoEvidence, message.trim_end()))
}

fn disrupted(status: &PodStatus) -> Option<Problem> {
    let target = status.conditions.iter().flatten().find(|it| it.type_ == "DisruptionTarget" && it.status == "True");
    let evicted =
        matches!(status.reason.as_deref(), Some("Evicted" | "Preempting" | "Terminated" | "NodeLost" | "NodeShutdown"));
    if target.is_none() && !evicted {
        return None;
    }
    let message = target.and_then(|it| it.message.clone()).or_else(|| status.message.clone()).unwrap_or_default();
    Some(Problem::new(Reason::Evicted, format!("the pod was evicted: {message}")))
}

/// What keeps a pod from starting.
fn waiting(status: &PodStatus, warning: Option<&str>) -> Option<Problem> {
    let unscheduled = status.conditions.iter().flatten().find(|it| it.type_ == "PodScheduled" && it.status == "False");
    if let Some(condition) = unscheduled {
        let message = condition.message.clone().unwrap_or_default();
        let lower = message.to_lowercase();
        let claim = lower.contains("persistentvolumeclaim") || lower.contains("persistent volume");
        let reason = if claim { Reason::VolumePending } else { Reason::Unschedulable };
        // The scheduler's words: `persistentvolumeclaim "x" not found`.
        let missing = claim && lower.contains("not found");
        let advice = if missing { ": create the claim in this namespace, or correct its name" } else { "" };
        return Some(Problem::new(
            reason,
            format!("{}{advice}", if missing { message.trim_end_matches('.') } else { &message }),
        ));
    }
    let waiting = container(status).and_then(|it| it.state.as_ref()).and_then(|it| it.waiting.as_ref())?;
    let message = waiting.message.clone().unwrap_or_default();
    match waiting.reason.as_deref() {
        Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull") => {
            Some(Problem::new(Reason::ImagePullFailed, message))
        }
        Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
            Some(Problem::new(Reason::PodRejected, message))
        }
        _ => warning.map(|message| Problem::new(Reason::VolumePending, message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
    use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStateWaiting, PodCondition};
    use serde_json::json;

    fn job(condition: Option<(&str, &str)>) -> Job {
        let conditions = condition.map(|(type_, reason)| {
            vec![JobCondition {
                type_: type_.into(),
                status: "True".into(),
                reason: Some(reason.into()),
                ..JobCondition::default()
            }]
        });
        Job { status: Some(JobStatus { conditions, ..JobStatus::default() }), ..Job::default() }
    }

    fn ended_pod(reason: &str, exit_code: i32, message: Option<String>) -> Pod {
        let terminated = ContainerStateTerminated {
            reason: Some(reason.into()),
            exit_code,
            message,
            ..ContainerStateTerminated::default()
        };
        pod(ContainerState { terminated: Some(terminated), ..ContainerState::default() })
    }

    fn pod(state: ContainerState) -> Pod {
        let container = ContainerStatus { name: CONTAINER.into(), state: Some(state), ..ContainerStatus::default() };
        let beside = ContainerStatus { name: "a-mesh-proxy".into(), ..ContainerStatus::default() };
        Pod {
            status: Some(PodStatus { container_statuses: Some(vec![beside, container]), ..PodStatus::default() }),
            ..Pod::default()
        }
    }

    fn observed(job: Job, pod: Option<Pod>) -> ObservedJob {
        ObservedJob { job, pods: pod.into_iter().collect(), warning: None }
    }

    fn failure(state: JobState) -> Reason {
        match state {
            JobState::Failed(problem) => problem.reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_complete_job_without_evidence_is_a_failed_attempt() {
        let silent = observed(job(Some(("Complete", ""))), Some(ended_pod("Completed", 0, None)));
        assert_eq!(failure(silent.state()), Reason::NoEvidence);
        let gone = observed(job(Some(("Complete", ""))), None);
        assert_eq!(failure(gone.state()), Reason::NoEvidence);
        let garbage = observed(job(Some(("Complete", ""))), Some(ended_pod("Completed", 0, Some("ok!".into()))));
        assert_eq!(failure(garbage.state()), Reason::NoEvidence);
    }

    #[test]
    fn evidence_of_success_needs_a_job_that_completed() {
        let said = Outcome::success(Reason::Warmed, "done").to_json();
        let complete = observed(job(Some(("Complete", ""))), Some(ended_pod("Completed", 0, Some(said.clone()))));
        assert!(matches!(complete.state(), JobState::Succeeded(_)));
        let failed = observed(job(Some(("Failed", "BackoffLimitExceeded"))), Some(ended_pod("Error", 1, Some(said))));
        assert_eq!(failure(failed.state()), Reason::NoEvidence);
    }

    #[test]
    fn evidence_counts_as_soon_as_the_container_has_ended_and_anything_else_waits_for_the_job() {
        let success = || Some(Outcome::success(Reason::Warmed, "done").to_json());
        let failure = Some(Outcome::failure(Reason::Unauthorized, "refused").to_json());
        let running = |code, message| observed(job(None), Some(ended_pod("Completed", code, message))).state();
        assert!(matches!(running(0, success()), JobState::Succeeded(_)));
        for (code, message) in [(1, success()), (10, failure), (0, None), (0, Some("ok!".into()))] {
            assert!(matches!(running(code, message.clone()), JobState::Running { .. }), "{code} {message:?}");
        }
        let mut holding = observed(job(None), Some(ended_pod("Completed", 0, success())));
        let claim = json!({"containers": [], "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": "models"}}]});
        holding.pods[0].spec = serde_json::from_value(claim).unwrap();
        assert!(matches!(holding.state(), JobState::Running { .. }), "the pod still holds the claim");
        holding.pods[0].status.as_mut().unwrap().phase = Some("Succeeded".into());
        assert!(matches!(holding.state(), JobState::Succeeded(_)));
        let mut ending = observed(job(None), Some(ended_pod("Completed", 0, success())));
        ending.job.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(ending.state(), JobState::Ending);
    }

    #[test]
    fn a_failure_carries_what_the_agent_said_else_how_the_pod_ended() {
        let said = Outcome::failure(Reason::Unauthorized, "refused").to_json();
        let cases = [
            (
                observed(job(Some(("Failed", "BackoffLimitExceeded"))), Some(ended_pod("Error", 10, Some(said)))),
                Reason::Unauthorized,
            ),
            (
                observed(job(Some(("Failed", "BackoffLimitExceeded"))), Some(ended_pod("OOMKilled", 137, None))),
                Reason::OutOfMemory,
            ),
            (
                observed(job(Some(("Failed", "DeadlineExceeded"))), Some(ended_pod("Error", 143, None))),
                Reason::DeadlineExceeded,
            ),
            (observed(job(Some(("Failed", "DeadlineExceeded"))), None), Reason::DeadlineExceeded),
        ];
        for (observed, expected) in cases {
            assert_eq!(failure(observed.state()), expected);
        }
    }

    #[test]
    fn an_evicted_pod_is_a_disruption() {
        let mut evicted = ended_pod("Error", 137, None);
        if let Some(status) = evicted.status.as_mut() {
            status.reason = Some("Evicted".into());
        }
        assert_eq!(
            failure(observed(job(Some(("Failed", "BackoffLimitExceeded"))), Some(evicted)).state()),
            Reason::Evicted
        );
    }

    #[test]
    fn a_pod_that_cannot_start_says_why() {
        let image = pod(ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some("ImagePullBackOff".into()),
                message: Some("no such image".into()),
            }),
            ..ContainerState::default()
        });
        let unscheduled = |message: &str| Pod {
            status: Some(PodStatus {
                conditions: Some(vec![PodCondition {
                    type_: "PodScheduled".into(),
                    status: "False".into(),
                    message: Some(message.into()),
                    ..PodCondition::default()
                }]),
                ..PodStatus::default()
            }),
            ..Pod::default()
        };
        for (pod, expected) in [
            (image, Reason::ImagePullFailed),
            (unscheduled("0/2 nodes are available: 2 had untolerated taint"), Reason::Unschedulable),
            (unscheduled("0/1 nodes are available: persistentvolumeclaim \"old\" not found."), Reason::VolumePending),
            (unscheduled("pod has unbound immediate PersistentVolumeClaims"), Reason::VolumePending),
        ] {
            match observed(job(None), Some(pod)).state() {
                JobState::Running { problem: Some(problem), .. } => assert_eq!(problem.reason, expected),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_job_without_a_pod_says_what_refused_it() {
        let observed = ObservedJob { warning: Some("exceeded quota: pods".into()), ..observed(job(None), None) };
        match observed.state() {
            JobState::Running { problem: Some(problem), .. } => assert_eq!(problem.reason, Reason::PodRejected),
            other => panic!("{other:?}"),
        }
    }
}
