//! Which conditions does a cache have? From the facts and the counts to one statement a condition, and `Ready` to sum up.

use super::resolution::{Resolution, ResolutionState};
use super::scheduled_conditions;
use super::status::{Facts, at_work, node_of};
use crate::api::condition::{ConditionType, Statement, Truth};
use crate::api::model_cache::{Failure, ReplicaCounts, VolumeStatus};
use crate::api::{FailureClass, Reason};
use crate::operator::job::Problem;
use crate::operator::placement::NodeState;

/// The statements.
pub(super) fn statements(facts: &Facts, total: ReplicaCounts, volumes: &[VolumeStatus]) -> Vec<Statement> {
    let storage = storage(facts);
    let resolved = resolved(facts);
    let warm = warm(facts, total, volumes);
    let invalid = facts.timetable.as_ref().err();
    let invalid =
        invalid.map(|it| Statement::new(ConditionType::Ready, Truth::False, Reason::InvalidSpec, it.to_string()));
    let all = invalid.iter().chain([&storage, &resolved, &warm]);
    let blocking = all.filter(|it| it.status != Truth::True).min_by_key(|it| weight(it));
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
    let scheduled = scheduled_conditions::statements(facts);
    [ready].into_iter().chain(state).chain([resolved, storage, warm]).chain(scheduled).collect()
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

fn summary(facts: &Facts, blocking: Option<&Statement>, total: ReplicaCounts) -> Statement {
    let ready = |status, reason, message: String| Statement::new(ConditionType::Ready, status, reason, message);
    if let Some(error) = facts.error {
        return ready(Truth::False, error.reason(), error.to_string());
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
