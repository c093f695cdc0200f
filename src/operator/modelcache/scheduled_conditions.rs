//! What do the schedules of a cache make true? `Verified` and `UpToDate`, each only while its policy is set.
//!
//! Neither holds up `Ready`: a check that could not be made says nothing against what is there.

use super::refresh::Freshness;
use super::resolution::Resolution;
use super::status::Facts;
use crate::api::condition::{ConditionType, Statement, Truth};
use crate::api::model_cache::Failure;
use crate::api::scheduled_run::{RunSummary, ScheduledRun, Verification, VerificationSummary};
use crate::api::timetable::RefreshPolicy;
use crate::api::{ModelCacheReplica, Reason};
use kube::ResourceExt;

/// The statements.
pub(super) fn statements(facts: &Facts) -> Vec<Statement> {
    let spec = &facts.cache.spec;
    let invalid = |type_| {
        let error = facts.timetable.as_ref().err()?;
        Some(Statement::new(type_, Truth::Unknown, Reason::InvalidSpec, error.to_string()))
    };
    let verified = spec.verify.is_some().then(|| invalid(ConditionType::Verified).unwrap_or_else(|| verified(facts)));
    let asks = spec.refresh_policy() != RefreshPolicy::Never;
    let up_to_date = asks.then(|| invalid(ConditionType::UpToDate).unwrap_or_else(|| up_to_date(facts)));
    verified.into_iter().chain(up_to_date).collect()
}

/// The copies that are wanted, and what is known of their checks.
fn copies<'a>(facts: &'a Facts) -> impl Iterator<Item = (&'a ModelCacheReplica, Option<&'a Verification>)> {
    let names = facts.wanted.volumes.iter().flat_map(|it| &it.replicas);
    let found = names.filter_map(|name| facts.observed.replicas.iter().find(|it| it.name_any() == *name));
    found.map(|it| (it, it.status.as_ref().and_then(|it| it.verification.as_ref())))
}

fn runs(verification: &Verification) -> impl Iterator<Item = &ScheduledRun> {
    verification.quick.iter().chain(&verification.deep)
}

fn place(replica: &ModelCacheReplica) -> String {
    let volume = &replica.spec.volume;
    replica.spec.node.as_ref().map_or_else(
        || format!("the shared copy of volume `{volume}`"),
        |it| format!("volume `{volume}` on node `{}`", it.name),
    )
}

fn verified(facts: &Facts) -> Statement {
    let said = |status, reason, message| Statement::new(ConditionType::Verified, status, reason, message);
    let total = copies(facts).count();
    let mut damaged: Vec<_> =
        copies(facts).filter_map(|(it, known)| Some((place(it), known?.damage.as_ref()?))).collect();
    damaged.sort_by(|(a, _), (b, _)| a.cmp(b));
    if let Some((place, damage)) = damaged.first() {
        let files = damaged.iter().map(|(_, it)| it.files).fold(0, i64::saturating_add);
        let message = format!(
            "{} of {total} copies are damaged (files: {files}) and being repaired; {place}: {}",
            damaged.len(),
            damage.message
        );
        return said(Truth::False, Reason::Damaged, message);
    }
    let failure = |known: &Verification| -> Option<Failure> { runs(known).find_map(|it| it.failure.clone()) };
    let mut failed: Vec<_> = copies(facts).filter_map(|(it, known)| Some((place(it), failure(known?)?))).collect();
    failed.sort_by(|(a, _), (b, _)| a.cmp(b));
    if let Some((place, failure)) = failed.first() {
        let more = if failed.len() > 1 { format!(" (and {} more)", failed.len() - 1) } else { String::new() };
        let message = format!("{place} could not be checked{more}: {}", failure.message);
        return said(Truth::Unknown, failure.reason, message);
    }
    let whole = copies(facts).filter(|(_, it)| it.is_some_and(|it| runs(it).any(|it| it.last_success.is_some())));
    match whole.count() {
        0 => said(Truth::Unknown, Reason::Pending, "no copy has been checked yet: see `status.verification`".into()),
        whole => {
            let message = format!("{whole} of {total} copies were found as they were published, when last checked");
            said(Truth::True, Reason::Verified, message)
        }
    }
}

fn up_to_date(facts: &Facts) -> Statement {
    let said = |status, reason, message| Statement::new(ConditionType::UpToDate, status, reason, message);
    let followed: Vec<(&Resolution, &Freshness)> =
        facts.resolutions.iter().zip(facts.freshness).filter(|(_, it)| it.followed).collect();
    let failure = |it: &Freshness| it.run.as_ref().and_then(|it| it.failure.clone());
    let more = |count: usize| if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
    let moved: Vec<_> = followed.iter().filter(|(_, it)| it.available.is_some()).collect();
    if let Some((resolution, fresh)) = moved.first() {
        let (pinned, available) = (pinned(resolution), fresh.available.as_deref().unwrap_or_default());
        let failure = failure(fresh);
        let what = format!(
            "source `{}` is pinned to {pinned}, and its origin has {available}{}",
            resolution.source.name,
            more(moved.len())
        );
        let next = match (&failure, facts.cache.spec.refresh_policy()) {
            (Some(failure), _) => failure.message.clone(),
            (None, RefreshPolicy::Update) => "it is taken when its origin is next asked".into(),
            (None, _) => "change the source's spec or set `refresh.policy` to Update to take it".into(),
        };
        let reason = failure.map_or(Reason::Outdated, |it| it.reason);
        return said(Truth::False, reason, format!("{what}: {next}"));
    }
    let failed: Vec<_> = followed.iter().filter_map(|(it, fresh)| Some((it, failure(fresh)?))).collect();
    if let Some((resolution, failure)) = failed.first() {
        let message = format!(
            "source `{}`{}: {}; what is there stays",
            resolution.source.name,
            more(failed.len()),
            failure.message
        );
        return said(Truth::Unknown, failure.reason, message);
    }
    let open = |it: &Freshness| it.run.as_ref().is_none_or(|it| it.last_success.is_none());
    if followed.iter().any(|(_, it)| open(it)) || facts.resolutions.iter().any(|it| !it.is_pinned()) {
        let message = "not every origin has been asked again yet: see `status.sources`";
        return said(Truth::Unknown, Reason::Pending, message.into());
    }
    let message = if followed.is_empty() {
        "every source names what cannot move"
    } else {
        "what is pinned is what the origins had, when last asked"
    };
    said(Truth::True, Reason::UpToDate, message.into())
}

fn pinned(resolution: &Resolution) -> &str {
    match &resolution.state {
        super::resolution::ResolutionState::Pinned(pin) => &pin.revision,
        _ => "nothing",
    }
}

/// When the copies are checked, and when they last were: the earliest next run, and the success that is the longest ago.
pub(super) fn summary(facts: &Facts) -> Option<VerificationSummary> {
    facts.cache.spec.verify.as_ref()?;
    let of = |pick: fn(&Verification) -> Option<&ScheduledRun>| {
        let runs: Vec<&ScheduledRun> = copies(facts).filter_map(|(_, known)| pick(known?)).collect();
        let next = runs.iter().map(|it| it.next.clone()).min()?;
        let last_success = runs.iter().filter_map(|it| it.last_success.clone()).min();
        Some(RunSummary { next, last_success })
    };
    let summary = VerificationSummary { quick: of(|it| it.quick.as_ref()), deep: of(|it| it.deep.as_ref()) };
    (summary != VerificationSummary::default()).then_some(summary)
}

#[cfg(test)]
#[path = "scheduled_conditions_tests.rs"]
mod tests;
