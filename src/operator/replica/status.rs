//! What is to be said about a Replica?

use super::slots::NoSlot;
use super::step::{Recording, Step};
use crate::api::condition::{self, ConditionType, Statement, Truth};
use crate::api::model_cache_replica::{AttemptStage, ModelCacheReplica, ModelCacheReplicaStatus, ReplicaProgress};
use crate::api::quantity::signed;
use crate::api::scheduled_run::Verification;
use crate::api::{FailureClass, Reason, quantity};
use crate::contract::progress::Progress;
use crate::operator::job::Problem;
use crate::operator::placement::NodeState;
use crate::operator::retry::whole_seconds;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The status after a step.
pub fn status(
    replica: &ModelCacheReplica,
    node: Option<NodeState>,
    step: &Step,
    no_slot: Option<&NoSlot>,
    progress: Option<&Progress>,
    now: Timestamp,
) -> ModelCacheReplicaStatus {
    let mut next = replica.status.clone().unwrap_or_default();
    if let Step::Record(Recording { attempt, holds, failure }) = step {
        next.attempt = Some(attempt.clone());
        next.failure.clone_from(failure);
        if let Some(holds) = holds {
            next.holds = Some(holds.clone());
            // Every hash was checked as it was written: what had been damaged is no more.
            if let Some(verification) = next.verification.as_mut() {
                verification.damage = None;
            }
        }
    }
    if let Step::RecordChecks(attempt, checks) = step {
        next.attempt = attempt.clone().or(next.attempt);
        next.verification = Some(checks.as_ref().clone()).filter(|it| *it != Verification::default());
        next.holds = next.holds.filter(|_| checks.damage.is_none());
    }
    if let Step::RecordCleaning(attempt, cleaning) = step {
        next.attempt = attempt.clone().or(next.attempt);
        next.cleanup = cleaning.as_deref().cloned();
    }
    if let Step::RecordRequested(attempt, requested) = step {
        next.attempt = attempt.clone().or(next.attempt);
        next.requested_cleanup = Some(requested.as_ref().clone());
    }
    if let Step::RefuseReset(reset) = step {
        next.requested_reset = Some(reset.as_ref().clone());
    }
    let at_work =
        matches!(step, Step::Watch { stage: AttemptStage::WarmUp, .. } | Step::CreateWarmUpJob | Step::StopJob);
    next.progress = match progress {
        Some(progress) if at_work => Some(progress_of(progress)),
        _ => next.progress.filter(|_| at_work),
    };
    let statements = statements(replica, &next, node, step, no_slot);
    let generation = replica.metadata.generation;
    next.observed_generation = generation;
    next.conditions = condition::merge(&next.conditions, &statements, generation, &Time(whole_seconds(now)));
    next
}

fn progress_of(progress: &Progress) -> ReplicaProgress {
    let percent =
        progress.bytes_total.filter(|total| *total > 0).map(|total| progress.bytes_done.min(total) * 100 / total);
    ReplicaProgress {
        percent: percent.map_or_else(|| "unknown".to_owned(), |it| format!("{it}%")),
        bytes_done: signed(progress.bytes_done),
        bytes_total: progress.bytes_total.map_or(-1, signed),
        bytes_per_second: signed(progress.bytes_per_second),
    }
}

fn statements(
    replica: &ModelCacheReplica,
    next: &ModelCacheReplicaStatus,
    node: Option<NodeState>,
    step: &Step,
    no_slot: Option<&NoSlot>,
) -> Vec<Statement> {
    if let Some(holds) = next.holds.as_ref().filter(|it| replica.spec.is_met_by(it)) {
        let bytes = quantity::human(u64::try_from(holds.bytes).unwrap_or(0));
        let message = format!("{} files, {bytes}, every hash verified", holds.files);
        return match node {
            Some(NodeState::Ready | NodeState::Cordoned) => {
                vec![Statement::new(ConditionType::Ready, Truth::True, Reason::Warmed, message)]
            }
            // What the node held when it last answered is no evidence of what it holds now.
            _ => vec![Statement::new(
                ConditionType::Ready,
                Truth::Unknown,
                Reason::NodeNotReady,
                "the node does not report to the API server",
            )],
        };
    }
    let (problem, moving) = not_ready(next, step, no_slot);
    let problem = damaged(next, problem);
    // The slow retry of what a person must mend is no sign that it was mended: no going from Stalled to Reconciling and back.
    let stalled = problem.reason.class() == FailureClass::User;
    let mut statements =
        vec![Statement::new(ConditionType::Ready, Truth::False, problem.reason, problem.message.clone())];
    if stalled {
        statements.push(Statement::new(ConditionType::Stalled, Truth::True, problem.reason, problem.message));
    } else if moving {
        statements.push(Statement::new(ConditionType::Reconciling, Truth::True, problem.reason, problem.message));
    }
    statements
}

/// Why the copy is not ready, and whether work is under way. A failure stays in view while its next attempt runs.
fn not_ready(next: &ModelCacheReplicaStatus, step: &Step, no_slot: Option<&NoSlot>) -> (Problem, bool) {
    let failed = next.failure.as_ref().map(|it| Problem::new(it.reason, it.message.clone()));
    if let Some(no_slot) = no_slot {
        return (queued(no_slot), false);
    }
    match step {
        Step::Wait(problem, _) => (problem.clone(), false),
        Step::Watch { problem: Some(problem), .. } => (problem.clone(), true),
        Step::Record(recording) if recording.attempt.stage == AttemptStage::Done && failed.is_some() => {
            (failed.unwrap_or_else(|| Problem::new(Reason::Pending, "")), false)
        }
        _ if failed.is_some() => (failed.unwrap_or_else(|| Problem::new(Reason::Pending, "")), true),
        _ => match next.attempt.as_ref().map(|it| it.stage) {
            Some(AttemptStage::Prepare) => {
                (Problem::new(Reason::Preparing, "the directory on the node is being made"), true)
            }
            Some(AttemptStage::Prepared) => {
                (Problem::new(Reason::Queued, "the directory is there; the warm-up is next"), true)
            }
            _ => (Problem::new(Reason::Warming, "the content is being put there"), true),
        },
    }
}

/// Until it is repaired, damage is why a copy is not ready; unless something keeps the repair from being done.
fn damaged(next: &ModelCacheReplicaStatus, problem: Problem) -> Problem {
    let under_way = matches!(problem.reason, Reason::Warming | Reason::Preparing | Reason::Queued | Reason::Pending);
    match next.verification.as_ref().and_then(|it| it.damage.as_ref()) {
        Some(damage) if under_way => Problem::new(Reason::Damaged, damage.message.clone()),
        _ => problem,
    }
}

fn queued(no_slot: &NoSlot) -> Problem {
    match no_slot {
        NoSlot::Cache(limit) => Problem::new(
            Reason::Queued,
            format!("waits: `rollout.maxParallel` allows {limit} warm-ups of this cache at once"),
        ),
        NoSlot::Restore => Problem::new(Reason::Queued, "waits: a restore writes to the volume"),
        NoSlot::Pool(limit) => Problem::new(Reason::Queued, format!("waits: the pool allows {limit} warm-ups at once")),
        NoSlot::Failures(limit) => Problem::new(
            Reason::TooManyFailures,
            format!("waits: more copies failed than `rollout.maxFailures` allows ({limit})"),
        ),
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
