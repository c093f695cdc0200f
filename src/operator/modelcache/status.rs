//! What is to be said about a cache? Runs on success and on failure.

use super::conditions::statements;
use super::deletion;
use super::model::{Model, VolumeModel};
use super::observe::Observed;
use super::plan::{Wanted, WantedVolume};
use super::refresh::{Freshness, acts_on_request};
use super::resolution::{Resolution, ResolutionState, request};
use super::scheduled_conditions;
use crate::api::cleaning::CleanupSummary;
use crate::api::condition::{self, ConditionType, Statement, Truth, find, is_true, reason_of};
use crate::api::model_cache::{ModelCacheStatus, NodeProblem, ReplicaCounts, SourceStatus, VolumeStatus};
use crate::api::model_cache_replica::AttemptStage;
use crate::api::quantity::signed;
use crate::api::request::Deed;
use crate::api::timetable::{InvalidTimetable, Timetable};
use crate::api::{FailureClass, ModelCache, ModelCacheReplica, ModelCacheReplicaStatus, Reason, quantity};
use crate::operator::backup::summary::summary;
use crate::operator::clean;
use crate::operator::error::Error;
use crate::operator::node_label::plan as node_label;
use crate::operator::placement::{NodeState, node_state};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
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
    /// The schedules; or why they cannot be followed.
    pub timetable: &'a Result<Timetable, InvalidTimetable>,
    /// What is known of the sources' freshness.
    pub freshness: &'a [Freshness],
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
    let mut statements = statements(facts, total, &volumes);
    let backup =
        facts.wanted.backup.as_ref().map(|planned| summary(facts.cache, &facts.observed.backups, planned, now));
    let (backup, backed_up) = backup.unzip();
    statements.extend(backed_up);
    let (cleanup, clean) = facts.wanted.clean.as_ref().map(|it| cleaned(facts, it, now)).unzip();
    statements.extend(clean);
    let generation = facts.cache.metadata.generation;
    let bytes = volumes.iter().filter_map(|it| it.bytes).fold(0_i64, i64::saturating_add);
    ModelCacheStatus {
        // Moves only on success: a reader then knows that the rest of the status is about this spec.
        observed_generation: if facts.error.is_none() { generation } else { previous.observed_generation },
        last_handled_request: request(facts.cache).filter(|_| all_asked(facts)).or(previous.last_handled_request),
        last_handled_verify_request: answered(facts, Deed::Verify, checked).or(previous.last_handled_verify_request),
        last_handled_clean_request: answered(facts, Deed::Clean, cleaned_as_asked)
            .or(previous.last_handled_clean_request),
        last_handled_reset_request: answered(facts, Deed::Reset, reset).or(previous.last_handled_reset_request),
        conditions: condition::merge(
            &previous.conditions,
            &statements,
            generation,
            &Time(crate::operator::retry::whole_seconds(now)),
        ),
        nodes: Some(format!("{}/{}", total.ready, total.desired)),
        size: (bytes > 0).then(|| quantity::human(u64::try_from(bytes).unwrap_or(0))),
        verification: scheduled_conditions::summary(facts),
        backup,
        cleanup,
        in_use: facts.observed.tracks_use.then(|| deletion::in_use(facts.cache, facts.observed)),
        node_label: node_label::key(facts.cache).filter(|_| facts.observed.labels_nodes),
        sources: facts
            .resolutions
            .iter()
            .zip(facts.freshness)
            .map(|(it, fresh)| source_status(facts, it, fresh))
            .collect(),
        volumes,
    }
}

/// Whether the origin of every source was asked for what is asked of the cache now, or need not be.
fn all_asked(facts: &Facts) -> bool {
    let mut sources = facts.resolutions.iter().zip(facts.freshness);
    facts.error.is_none() && sources.all(|(it, fresh)| it.request.is_none() || acts_on_request(it, fresh))
}

/// What is asked for, where every copy that it is about has answered: `answer` says to which request a copy last did.
fn answered(facts: &Facts, deed: Deed, answer: fn(&ModelCacheReplicaStatus) -> Option<&String>) -> Option<String> {
    let annotations = facts.cache.annotations();
    let asked = deed.asked(annotations)?;
    let done = |name: &String| {
        let found = facts.observed.replicas.iter().find(|it| it.name_any() == *name);
        found.is_some_and(|it| {
            let node = it.spec.node.as_ref().map(|it| it.name.as_str());
            let of_it = deed.asked_of(annotations, &facts.cache.spec, &it.spec.volume, node);
            of_it.is_none() || it.status.as_ref().and_then(answer) == Some(&asked)
        })
    };
    facts.wanted.volumes.iter().flat_map(|it| &it.replicas).all(done).then_some(asked)
}

fn checked(status: &ModelCacheReplicaStatus) -> Option<&String> {
    status.verification.as_ref()?.requested.as_ref().map(|it| &it.request)
}

fn cleaned_as_asked(status: &ModelCacheReplicaStatus) -> Option<&String> {
    status.requested_cleanup.as_ref().filter(|it| it.time.is_some()).map(|it| &it.request)
}

fn reset(status: &ModelCacheReplicaStatus) -> Option<&String> {
    status.requested_reset.as_ref().filter(|it| it.time.is_some()).map(|it| &it.request)
}

fn cleaned(facts: &Facts, planned: &clean::plan::Planned, now: Timestamp) -> (CleanupSummary, Statement) {
    let names = facts.wanted.volumes.iter().flat_map(|it| &it.replicas);
    let copies = names.filter_map(|name| facts.observed.replicas.iter().find(|it| it.name_any() == *name));
    clean::summary::summary(facts.cache, &copies.collect::<Vec<_>>(), planned, now)
}

fn source_status(facts: &Facts, resolution: &Resolution, fresh: &Freshness) -> SourceStatus {
    // What an origin answered is recorded only when what follows from it was written: else it is read again.
    let before = facts.cache.status.iter().flat_map(|it| &it.sources);
    let before = before.filter(|it| it.spec_hash.as_ref() == Some(&resolution.spec_hash));
    let kept = before.into_iter().find(|it| facts.error.is_some() && it.name == resolution.source.name);
    let (available, asked, refresh) = match kept {
        Some(kept) => (kept.available.clone(), kept.asked, kept.refresh.clone()),
        None => (fresh.available.clone(), (fresh.asked > 0).then(|| signed(fresh.asked)), fresh.run.clone()),
    };
    let pin = match &resolution.state {
        ResolutionState::Pinned(pin) => Some(pin),
        _ => None,
    };
    let acted = resolution.request.clone().filter(|_| facts.error.is_none() && acts_on_request(resolution, fresh));
    let known = facts.cache.status.iter().flat_map(|it| &it.sources).find(|it| it.name == resolution.source.name);
    let known = known.filter(|it| it.spec_hash.as_ref() == Some(&resolution.spec_hash));
    SourceStatus {
        name: resolution.source.name.clone(),
        spec_hash: Some(resolution.spec_hash.clone()),
        // What an origin calls a revision is its own affair; the schema bounds it.
        revision: pin.map(|it| condition::truncate(&it.revision, 512)),
        files: pin.map(|it| signed(it.files)),
        bytes: pin.map(|it| signed(it.bytes)),
        digest: pin.map(|it| condition::truncate(&it.digest, 64)),
        attempt: (resolution.attempt > 0).then(|| signed(resolution.attempt)),
        available,
        asked,
        last_handled_request: acted.or_else(|| known.and_then(|it| it.last_handled_request.clone())),
        refresh,
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
        let failed = !ready && failures(replica) > 0;
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

/// The state of a copy's node; nothing for a shared volume.
pub(super) fn node_of(facts: &Facts, replica: &ModelCacheReplica) -> Option<NodeState> {
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
            .is_some_and(|(holds, plan)| holds.plan == plan.hash && replica.spec.is_met_by(holds))
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
    let reason = reason_of(ready)?;
    let under_way = matches!(
        reason,
        Reason::Warming | Reason::Preparing | Reason::Queued | Reason::Resolving | Reason::Warmed | Reason::Pending
    );
    if under_way { None } else { problem(reason, &ready.message, false) }
}

/// Failures in a row that count: an eviction does not.
fn failures(replica: &ModelCacheReplica) -> i64 {
    replica.status.as_ref().and_then(|it| it.failure.as_ref()).map_or(0, |it| it.count)
}

/// Whether an attempt is at work on a copy.
pub(super) fn at_work(replica: &ModelCacheReplica) -> bool {
    let stage = replica.status.as_ref().and_then(|it| it.attempt.as_ref()).map(|it| it.stage);
    matches!(stage, Some(AttemptStage::WarmUp | AttemptStage::Prepare))
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

/// The word on a cache whose surroundings could not be read. The rest of the status stays as it was.
pub fn unread_status(cache: &ModelCache, error: &Error, now: Timestamp) -> ModelCacheStatus {
    let previous = cache.status.clone().unwrap_or_default();
    let reason = error.reason();
    let said = [
        Statement::new(ConditionType::Ready, Truth::False, reason, error.to_string()),
        Statement::new(ConditionType::Reconciling, Truth::True, reason, error.to_string()),
    ];
    let now = Time(crate::operator::retry::whole_seconds(now));
    let mut conditions = condition::merge(&previous.conditions, &said, cache.metadata.generation, &now);
    let kept = |it: &Condition| !matches!(it.type_.as_str(), "Ready" | "Reconciling" | "Stalled");
    conditions.extend(previous.conditions.iter().filter(|it| kept(it)).cloned());
    ModelCacheStatus { conditions, ..previous }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "status_property_tests.rs"]
mod properties;
