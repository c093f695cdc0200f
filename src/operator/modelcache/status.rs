//! What is to be said about a cache? Runs on success and on failure.

use super::model::{Model, VolumeModel};
use super::observe::Observed;
use super::plan::{Wanted, WantedVolume};
use super::resolution::{Resolution, ResolutionState};
use crate::api::condition::{self, ConditionType, Statement, Truth, find, is_true};
use crate::api::model_cache::{ModelCacheStatus, NodeProblem, ReplicaCounts, SourceStatus, VolumeStatus};
use crate::api::model_cache_replica::AttemptStage;
use crate::api::{FailureClass, ModelCache, ModelCacheReplica, Reason, quantity};
use crate::operator::error::Error;
use crate::operator::job::Problem;
use crate::operator::placement::{NodeState, node_state};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

/// Problem nodes listed per volume at most.
const PROBLEMS: usize = 10;

/// Everything the status is made of.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The cache.
    pub cache: &'a ModelCache,
    /// What is there.
    pub observed: &'a Observed,
    /// What the spec means.
    pub model: &'a Model,
    /// What the sources resolved to.
    pub resolutions: &'a [Resolution],
    /// What is wanted.
    pub wanted: &'a Wanted,
    /// What went wrong while writing.
    pub error: Option<&'a Error>,
}

/// The status.
pub fn status(facts: &Facts, now: Timestamp) -> ModelCacheStatus {
    let previous = facts.cache.status.clone().unwrap_or_default();
    let volumes: Vec<VolumeStatus> = facts
        .model
        .volumes
        .iter()
        .zip(&facts.wanted.volumes)
        .map(|(model, wanted)| volume_status(facts, model, wanted))
        .collect();
    let total = total(&volumes);
    let statements = statements(facts, total, &volumes);
    let generation = facts.cache.metadata.generation;
    let bytes: i64 = volumes.iter().filter_map(|it| it.bytes).sum();
    ModelCacheStatus {
        // Moves only on success: a reader then knows that the rest of the status is about this spec.
        observed_generation: if facts.error.is_none() { generation } else { previous.observed_generation },
        conditions: condition::merge(
            &previous.conditions,
            &statements,
            generation,
            &Time(crate::operator::retry::whole_seconds(now)),
        ),
        nodes: Some(format!("{}/{}", total.ready, total.desired)),
        size: (bytes > 0).then(|| quantity::human(u64::try_from(bytes).unwrap_or(0))),
        sources: facts.resolutions.iter().map(source_status).collect(),
        volumes,
    }
}

fn source_status(resolution: &Resolution) -> SourceStatus {
    let signed = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
    let pin = match &resolution.state {
        ResolutionState::Pinned(pin) => Some(pin),
        _ => None,
    };
    SourceStatus {
        name: resolution.source.name.clone(),
        spec_hash: Some(resolution.spec_hash.clone()),
        revision: pin.map(|it| it.revision.clone()),
        files: pin.map(|it| signed(it.files)),
        bytes: pin.map(|it| signed(it.bytes)),
        digest: pin.map(|it| it.digest.clone()),
        attempt: (resolution.attempt > 0).then(|| signed(resolution.attempt)),
        failure: resolution.failure.clone().filter(|_| pin.is_none()),
    }
}

fn volume_status(facts: &Facts, model: &VolumeModel, wanted: &WantedVolume) -> VolumeStatus {
    let mut counts =
        ReplicaCounts { desired: i32::try_from(wanted.replicas.len()).unwrap_or(i32::MAX), ..ReplicaCounts::default() };
    let mut problems = vec![];
    for name in &wanted.replicas {
        let Some(replica) = facts.observed.replicas.iter().find(|it| it.name_any() == *name) else { continue };
        let stage = replica.status.as_ref().and_then(|it| it.attempt.as_ref()).map(|it| it.stage);
        let unreachable = node_of(facts, replica) == Some(NodeState::NotReady);
        let ready = holds_wanted(replica, wanted);
        let failed = !ready && replica.status.as_ref().is_some_and(|it| it.failure.is_some());
        counts.unreachable += i32::from(unreachable);
        counts.ready += i32::from(ready && !unreachable);
        counts.failed += i32::from(failed && !unreachable);
        counts.warming +=
            i32::from(!ready && !unreachable && matches!(stage, Some(AttemptStage::WarmUp | AttemptStage::Prepare)));
        if unreachable || failed || !ready {
            problems.extend(problem_of(replica, unreachable));
        }
    }
    // The worst first: what a person must mend, then by node.
    problems.sort_by_key(|it: &NodeProblem| (it.reason.class() != FailureClass::User, it.node.clone()));
    problems.truncate(PROBLEMS);
    VolumeStatus {
        name: model.spec.name.clone(),
        claim_name: model.claim_name.clone(),
        mount_path: model.spec.effective_mount_path(),
        plan: wanted.plan.as_ref().map(|it| it.hash.clone()),
        bytes: wanted.plan.as_ref().map(|it| it.bytes),
        replicas: counts,
        problems,
    }
}

fn node_of(facts: &Facts, replica: &ModelCacheReplica) -> Option<NodeState> {
    let node = replica.spec.node.as_ref()?;
    let found = facts.observed.nodes.iter().find(|it| it.uid().as_deref() == Some(node.uid.as_str()));
    Some(found.map_or(NodeState::NotReady, |it| node_state(it)))
}

/// Evidence, not a latch: what the copy holds is what is wanted, in the claim that is there.
fn holds_wanted(replica: &ModelCacheReplica, wanted: &WantedVolume) -> bool {
    let holds = replica.status.as_ref().and_then(|it| it.holds.as_ref());
    let ready = replica.status.as_ref().is_some_and(|it| is_true(&it.conditions, ConditionType::Ready));
    ready
        && holds
            .zip(wanted.plan.as_ref())
            .is_some_and(|(holds, plan)| holds.plan == plan.hash && holds.claim_uid == replica.spec.claim_uid)
}

fn problem_of(replica: &ModelCacheReplica, unreachable: bool) -> Option<NodeProblem> {
    let node = replica.spec.node.as_ref().map(|it| it.name.clone()).unwrap_or_default();
    if unreachable {
        let message = "the node does not report to the API server".to_owned();
        return Some(NodeProblem { node, reason: Reason::NodeNotReady, message });
    }
    let status = replica.status.as_ref()?;
    if let Some(failure) = &status.failure {
        return Some(NodeProblem {
            node,
            reason: failure.reason,
            message: condition::truncate(&failure.message, 1000),
        });
    }
    let ready = find(&status.conditions, ConditionType::Ready)?;
    let reason = serde_json::from_value(serde_json::Value::String(ready.reason.clone())).ok()?;
    let under_way = matches!(
        reason,
        Reason::Warming | Reason::Preparing | Reason::Queued | Reason::Resolving | Reason::Warmed | Reason::Pending
    );
    (!under_way).then(|| NodeProblem { node, reason, message: condition::truncate(&ready.message, 1000) })
}

fn total(volumes: &[VolumeStatus]) -> ReplicaCounts {
    volumes.iter().map(|it| it.replicas).fold(ReplicaCounts::default(), |a, b| ReplicaCounts {
        desired: a.desired + b.desired,
        ready: a.ready + b.ready,
        warming: a.warming + b.warming,
        failed: a.failed + b.failed,
        unreachable: a.unreachable + b.unreachable,
    })
}

fn statements(facts: &Facts, total: ReplicaCounts, volumes: &[VolumeStatus]) -> Vec<Statement> {
    let storage = storage(facts);
    let resolved = resolved(facts);
    let warm = warm(facts, total, volumes);
    let blocking = [&storage, &resolved, &warm].into_iter().find(|it| it.status != Truth::True);
    let under_way = total.warming > 0
        || facts.resolutions.iter().any(|it| matches!(it.state, ResolutionState::Running(_) | ResolutionState::Due));
    let ready = summary(facts, blocking, total);
    let stalled = blocking.filter(|it| it.reason.class() == FailureClass::User && !under_way);
    let mut statements = vec![ready];
    if let Some(stalled) = stalled {
        statements.push(Statement::new(ConditionType::Stalled, Truth::True, stalled.reason, stalled.message.clone()));
    } else if let Some(blocking) = blocking.filter(|_| !facts.cache.spec.suspended()) {
        statements.push(Statement::new(
            ConditionType::Reconciling,
            Truth::True,
            blocking.reason,
            blocking.message.clone(),
        ));
    }
    statements.extend([resolved, storage, warm]);
    statements
}

fn summary(facts: &Facts, blocking: Option<&Statement>, total: ReplicaCounts) -> Statement {
    let ready = |status, reason, message: String| Statement::new(ConditionType::Ready, status, reason, message);
    if let Some(error) = facts.error {
        let class = error.class();
        let reason = if class == crate::operator::error::ErrorClass::Permission {
            Reason::MissingPermission
        } else {
            Reason::InternalError
        };
        return ready(Truth::False, reason, error.to_string());
    }
    match blocking {
        None => {
            let unreachable = if total.unreachable > 0 {
                format!("; {} on nodes that do not answer", total.unreachable)
            } else {
                String::new()
            };
            ready(
                Truth::True,
                Reason::Warmed,
                format!("{} of {} copies are complete and verified{unreachable}", total.ready, total.desired),
            )
        }
        Some(_) if facts.cache.spec.suspended() => {
            ready(Truth::False, Reason::Suspended, "`spec.suspend` is true: nothing new is started".into())
        }
        Some(blocking) => ready(Truth::False, blocking.reason, blocking.message.clone()),
    }
}

fn storage(facts: &Facts) -> Statement {
    let problems = facts.model.volumes.iter().zip(&facts.wanted.volumes).filter_map(|(model, wanted)| {
        let placed = model.place.as_ref().err();
        placed.or(wanted.problem.as_ref()).or(model.pending.as_ref()).map(|it| (model, it))
    });
    // What a person must mend comes first.
    match problems.min_by_key(|(_, it)| it.reason.class() != FailureClass::User) {
        Some((model, problem)) => {
            let message = format!("volume `{}`: {}", model.spec.name, problem.message);
            Statement::new(ConditionType::StorageReady, Truth::False, problem.reason, message)
        }
        None => {
            Statement::new(ConditionType::StorageReady, Truth::True, Reason::Provisioned, "every volume has its claim")
        }
    }
}

fn resolved(facts: &Facts) -> Statement {
    let open: Vec<&Resolution> =
        facts.resolutions.iter().filter(|it| !matches!(it.state, ResolutionState::Pinned(_))).collect();
    let message = |it: &Resolution, text: &str| format!("source `{}`: {text}", it.source.name);
    let failed = open.iter().filter_map(|it| it.failure.as_ref().map(|failure| (*it, failure)));
    if let Some((it, failure)) = failed.min_by_key(|(_, failure)| failure.reason.class() != FailureClass::User) {
        return Statement::new(ConditionType::Resolved, Truth::False, failure.reason, message(it, &failure.message));
    }
    let waiting = open.iter().find_map(|it| match &it.state {
        ResolutionState::Running(Some(Problem { reason, message })) => Some((*it, *reason, message.clone())),
        _ => None,
    });
    if let Some((it, reason, text)) = waiting {
        return Statement::new(ConditionType::Resolved, Truth::False, reason, message(it, &text));
    }
    match open.first() {
        Some(it) => Statement::new(
            ConditionType::Resolved,
            Truth::False,
            Reason::Resolving,
            message(it, "its origin is being asked"),
        ),
        None => Statement::new(ConditionType::Resolved, Truth::True, Reason::Resolved, "every source has a pin"),
    }
}

fn warm(facts: &Facts, total: ReplicaCounts, volumes: &[VolumeStatus]) -> Statement {
    let (ready, reachable) = (total.ready, total.desired - total.unreachable);
    let statement = |status, reason, message: String| Statement::new(ConditionType::Warm, status, reason, message);
    if ready >= reachable && ready > 0 {
        return statement(
            Truth::True,
            Reason::Warmed,
            format!("{ready} of {} copies hold the content wanted", total.desired),
        );
    }
    let problem = volumes.iter().flat_map(|it| &it.problems).find(|it| it.reason != Reason::NodeNotReady || ready == 0);
    match problem {
        Some(it) => {
            let place = if it.node.is_empty() { "the shared copy".to_owned() } else { format!("node `{}`", it.node) };
            let more = if total.failed > 1 { format!(" (and {} more)", total.failed - 1) } else { String::new() };
            statement(
                Truth::False,
                it.reason,
                format!("{ready} of {} copies are ready; {place}: {}{more}", total.desired, it.message),
            )
        }
        None if total.desired == 0 => statement(Truth::False, Reason::Pending, "no copy is wanted yet".into()),
        None => {
            let reason =
                if facts.wanted.volumes.iter().all(|it| it.plan.is_none()) { Reason::Pending } else { Reason::Warming };
            statement(
                Truth::False,
                reason,
                format!("{ready} of {} copies are ready, {} are being made", total.desired, total.warming),
            )
        }
    }
}

/// The first word on a cache that has never been looked at.
pub fn first_status(cache: &ModelCache, now: Timestamp) -> ModelCacheStatus {
    let message = "this cache has not been looked at yet";
    let said = [
        Statement::new(ConditionType::Ready, Truth::Unknown, Reason::Pending, message),
        Statement::new(ConditionType::Reconciling, Truth::True, Reason::Pending, message),
    ];
    ModelCacheStatus {
        observed_generation: cache.metadata.generation,
        conditions: condition::merge(
            &[],
            &said,
            cache.metadata.generation,
            &Time(crate::operator::retry::whole_seconds(now)),
        ),
        ..ModelCacheStatus::default()
    }
}
