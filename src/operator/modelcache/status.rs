//! What is to be said about a cache? Runs on success and on failure.

use super::model::{Model, VolumeModel};
use super::observe::Observed;
use super::plan::{Wanted, WantedVolume};
use super::resolution::{Resolution, ResolutionState};
use crate::api::condition::{self, ConditionType, Statement, Truth, find, is_true};
use crate::api::model_cache::{Failure, ModelCacheStatus, NodeProblem, ReplicaCounts, SourceStatus, VolumeStatus};
use crate::api::model_cache_replica::AttemptStage;
use crate::api::{FailureClass, ModelCache, ModelCacheReplica, Reason, quantity};
use crate::operator::error::{Error, ErrorClass};
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
    let bytes = volumes.iter().filter_map(|it| it.bytes).fold(0_i64, i64::saturating_add);
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
        // What an origin calls a revision is its own affair; the schema bounds it.
        revision: pin.map(|it| condition::truncate(&it.revision, 512)),
        files: pin.map(|it| signed(it.files)),
        bytes: pin.map(|it| signed(it.bytes)),
        digest: pin.map(|it| condition::truncate(&it.digest, 64)),
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
        let unreachable = node_of(facts, replica) == Some(NodeState::NotReady);
        let ready = holds_wanted(replica, wanted);
        let failed = !ready && replica.status.as_ref().is_some_and(|it| it.failure.is_some());
        counts.unreachable += i32::from(unreachable);
        counts.ready += i32::from(ready && !unreachable);
        counts.failed += i32::from(failed && !unreachable);
        counts.warming += i32::from(!ready && !unreachable && at_work(replica));
        if unreachable || !ready {
            problems.extend(problem_of(replica, unreachable));
        }
    }
    problems.sort_by_key(|it: &(Severity, NodeProblem)| (it.0, it.1.node.clone()));
    problems.truncate(PROBLEMS);
    VolumeStatus {
        name: model.spec.name.clone(),
        claim_name: model.claim_name.clone(),
        mount_path: model.spec.effective_mount_path(),
        plan: wanted.plan.as_ref().map(|it| it.hash.clone()),
        bytes: wanted.plan.as_ref().map(|it| it.bytes),
        replicas: counts,
        problems: problems.into_iter().map(|(_, problem)| problem).collect(),
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

/// How bad the state of a copy is: the worst is listed first, and speaks for the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    /// A person must mend it.
    Stalled,
    /// It failed, and is tried again.
    Failed,
    /// It waits for something.
    Waits,
    /// Its node does not answer: nothing is known, and nobody is kept waiting for it.
    Unreachable,
}

impl Severity {
    fn of(problem: &NodeProblem, failed: bool) -> Self {
        match problem.reason {
            Reason::NodeNotReady => Self::Unreachable,
            it if it.class() == FailureClass::User => Self::Stalled,
            _ if failed => Self::Failed,
            _ => Self::Waits,
        }
    }
}

fn problem_of(replica: &ModelCacheReplica, unreachable: bool) -> Option<(Severity, NodeProblem)> {
    let node = replica.spec.node.as_ref().map(|it| it.name.clone()).unwrap_or_default();
    let problem = |reason, message: &str, failed| {
        let problem = NodeProblem { node, reason, message: condition::truncate(message, 1000) };
        Some((Severity::of(&problem, failed), problem))
    };
    if unreachable {
        return problem(Reason::NodeNotReady, "the node does not report to the API server", false);
    }
    let status = replica.status.as_ref()?;
    if let Some(failure) = &status.failure {
        return problem(failure.reason, &failure.message, true);
    }
    let ready = find(&status.conditions, ConditionType::Ready)?;
    let reason = serde_json::from_value(serde_json::Value::String(ready.reason.clone())).ok()?;
    let under_way = matches!(
        reason,
        Reason::Warming | Reason::Preparing | Reason::Queued | Reason::Resolving | Reason::Warmed | Reason::Pending
    );
    if under_way { None } else { problem(reason, &ready.message, false) }
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
    let blocking =
        [&storage, &resolved, &warm].into_iter().filter(|it| it.status != Truth::True).min_by_key(|it| weight(it));
    let ready = summary(facts, blocking, total);
    let statement = |type_, it: &Statement| Statement::new(type_, Truth::True, it.reason, it.message.clone());
    let state = if facts.error.is_some() {
        // Tried again, whatever else is wrong.
        Some(statement(ConditionType::Reconciling, &ready))
    } else {
        blocking.and_then(|it| match it.reason.class() {
            FailureClass::User if !moves(facts) => Some(statement(ConditionType::Stalled, it)),
            _ if facts.cache.spec.suspended() => None,
            _ => Some(statement(ConditionType::Reconciling, it)),
        })
    };
    [ready].into_iter().chain(state).chain([resolved, storage, warm]).collect()
}

/// What speaks for the cache when several things are not as they should be: what a person must mend, then what went wrong,
/// then what is only waited for. (A claim that binds with its first pod waits for the sources, not they for it.)
fn weight(statement: &Statement) -> u8 {
    match statement.reason {
        it if it.class() == FailureClass::User => 0,
        Reason::VolumePending
        | Reason::Resolving
        | Reason::Warming
        | Reason::Preparing
        | Reason::Queued
        | Reason::Pending => 2,
        _ => 1,
    }
}

/// Whether anything is under way that may end well by itself. The slow retry of what a person must mend is not, and a
/// pause before a retry is: else the cache would go from Stalled to Reconciling and back with every try.
fn moves(facts: &Facts) -> bool {
    let hopeful = |failure: Option<&Failure>| failure.is_none_or(|it| it.reason.class() != FailureClass::User);
    let open = |it: &Resolution| !matches!(it.state, ResolutionState::Pinned(_));
    let asking = facts.resolutions.iter().any(|it| open(it) && hopeful(it.failure.as_ref()));
    let warming = facts.observed.replicas.iter().any(|it| {
        let failure = it.status.as_ref().and_then(|it| it.failure.as_ref());
        at_work(it) && hopeful(failure) && node_of(facts, it) != Some(NodeState::NotReady)
    });
    (asking && !facts.cache.spec.suspended()) || warming
}

fn at_work(replica: &ModelCacheReplica) -> bool {
    let stage = replica.status.as_ref().and_then(|it| it.attempt.as_ref()).map(|it| it.stage);
    matches!(stage, Some(AttemptStage::WarmUp | AttemptStage::Prepare))
}

fn summary(facts: &Facts, blocking: Option<&Statement>, total: ReplicaCounts) -> Statement {
    let ready = |status, reason, message: String| Statement::new(ConditionType::Ready, status, reason, message);
    if let Some(error) = facts.error {
        let reason = match error.class() {
            ErrorClass::Permission => Reason::MissingPermission,
            // Somebody else wrote first: looked at again at once.
            ErrorClass::Conflict => Reason::Pending,
            ErrorClass::Rejected | ErrorClass::Transient => Reason::InternalError,
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
        let problem = placed.or(wanted.problem.as_ref()).or(model.pending.as_ref())?;
        Some((problem.reason, format!("volume `{}`: {}", model.spec.name, problem.message)))
    });
    let conflict = facts.wanted.conflict.iter().map(|it| (it.reason, it.message.clone()));
    // What a person must mend comes first.
    match problems.chain(conflict).min_by_key(|(reason, _)| reason.class() != FailureClass::User) {
        Some((reason, message)) => Statement::new(ConditionType::StorageReady, Truth::False, reason, message),
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
    let ready = total.ready;
    let statement = |status, reason, message: String| Statement::new(ConditionType::Warm, status, reason, message);
    // Every volume for itself: what is ready on one is no comfort to the pods of another.
    let complete = |it: &ReplicaCounts| it.desired == 0 || (it.ready > 0 && it.ready >= it.desired - it.unreachable);
    if ready > 0 && volumes.iter().all(|it| complete(&it.replicas)) {
        return statement(
            Truth::True,
            Reason::Warmed,
            format!("{ready} of {} copies hold the content wanted", total.desired),
        );
    }
    let incomplete = volumes.iter().filter(|it| !complete(&it.replicas));
    let problem = incomplete
        .flat_map(|volume| volume.problems.iter().map(|it| (volume.replicas.ready, it)))
        .filter(|(ready, it)| it.reason != Reason::NodeNotReady || *ready == 0)
        .map(|(_, it)| it)
        .min_by_key(|it| it.reason.class() != FailureClass::User);
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

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "status_property_tests.rs"]
mod properties;
