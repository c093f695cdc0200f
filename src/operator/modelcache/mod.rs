//! The reconcile of a `ModelCache`: a table of contents.

pub mod build;
mod conditions;
pub mod deletion;
pub mod model;
pub mod observe;
pub mod plan;
pub mod refresh;
pub mod resolution;
mod scheduled_conditions;
pub mod status;

use crate::api::condition::{self, ConditionType, Statement, Truth};
use crate::api::timetable::{InvalidTimetable, RefreshPolicy, Timetable};
use crate::api::{FINALIZER, ModelCache, ModelCacheStatus, Reason, label};
use crate::operator::clean;
use crate::operator::cluster::Note;
use crate::operator::due;
use crate::operator::error::Error;
use crate::operator::options::Settings;
use crate::operator::runtime::Context;
use deletion::DeletionStep;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use model::Model;
use plan::Wanted;
use refresh::Freshness;
use resolution::{Resolution, ResolutionState};
use std::sync::Arc;
use std::time::Duration;

/// Brings the children and the status of a cache to what its spec says.
///
/// # Flow
/// read → understand → decide → write → say. The status is written whatever happened before.
///
/// # Guarantees
/// Every step may be the last one of this process: the next reconcile goes on from what it finds. A pass over a cache that
/// is as it should be writes nothing.
pub async fn reconcile(cache: Arc<ModelCache>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = cache.namespace().unwrap_or_default();
    let api = context.cluster.namespaced::<ModelCache>(&namespace);
    // The watch may be behind what we wrote ourselves: attempts are counted from what is stored.
    let Some(cache) = context.cluster.get(&api, &cache.name_any()).await? else { return Ok(Action::await_change()) };
    if cache.metadata.deletion_timestamp.is_some() {
        return Box::pin(delete(&cache, &context)).await;
    }
    if !cache.finalizers().iter().any(|it| it == FINALIZER) {
        context.cluster.set_finalizer(&cache, true).await?;
    }
    if cache.status.is_none() {
        let first = status::first_status(&cache, Timestamp::now());
        context.cluster.apply_status(&api, &cache, None, &first).await?;
    }

    let now = Timestamp::now();
    let read = observe::observe(&context.cluster, &context.stores, &context.settings, &cache).await;
    let observed = match read {
        Ok(observed) => observed,
        Err(error) => {
            let status = status::unread_status(&cache, &error, now);
            context.cluster.apply_status(&api, &cache, cache.status.as_ref(), &status).await?;
            return Err(error);
        }
    };
    let mut decided = decide(&cache, &observed, &context.settings, now);
    let applied = Box::pin(context.cluster.apply(std::mem::take(&mut decided.wanted.children))).await;
    let status = status::status(&decided.facts(&cache, &observed, applied.as_ref().err()), now);
    context.cluster.apply_status(&api, &cache, cache.status.as_ref(), &status).await?;
    for run in decided.wanted.clean.iter().flat_map(|it| &it.ended) {
        let freed = run.did.as_ref().and_then(|it| u64::try_from(it.freed_bytes).ok()).unwrap_or(0);
        context.metrics.cleaned(&namespace, &cache.name_any(), run.problem.is_none(), freed);
    }
    let notes = notes(&cache, &decided, &status);
    context.metrics.told(&notes);
    context.cluster.publish(notes, &cache.object_ref(&())).await;
    applied?;
    for answer in decided.freshness.iter().filter_map(|it| it.result) {
        context.metrics.refreshed(answer);
    }
    Ok(next_look(&decided, now))
}

/// What a pass has understood and decided.
#[derive(Debug)]
pub struct Decided {
    /// What the spec means here.
    pub model: Model,
    /// The schedules; or why they cannot be followed.
    pub timetable: Result<Timetable, InvalidTimetable>,
    /// What the sources resolved to.
    pub resolutions: Vec<Resolution>,
    /// Whether their origins have something newer.
    pub freshness: Vec<Freshness>,
    /// What is to be written.
    pub wanted: Wanted,
}

/// Understands and decides. Pure.
pub fn decide(cache: &ModelCache, observed: &observe::Observed, settings: &Settings, now: Timestamp) -> Decided {
    let model = model::model(cache, observed);
    let timetable = Timetable::of(&cache.spec);
    let mut resolutions = resolution::resolutions(cache, observed, &settings.retry, now);
    let followed = timetable.clone().unwrap_or_default();
    let freshness = refresh::refresh(cache, &followed, observed, &mut resolutions, &settings.retry, now);
    let wanted = plan::plan(cache, &model, &resolutions, &freshness, observed, settings);
    Decided { model, timetable, resolutions, freshness, wanted }
}

impl Decided {
    /// What the status is made of.
    pub fn facts<'a>(
        &'a self,
        cache: &'a ModelCache,
        observed: &'a observe::Observed,
        error: Option<&'a Error>,
    ) -> status::Facts<'a> {
        let Self { model, timetable, resolutions, freshness, wanted } = self;
        status::Facts { cache, observed, model, resolutions, timetable, freshness, wanted, error }
    }
}

/// When to look again without being woken: the earliest retry of a source, and soon while a volume waits for something: who
/// is in its way (a claim of somebody else, another cache's reservation) need not wake us by going.
fn next_look(decided: &Decided, now: Timestamp) -> Action {
    let Decided { model, wanted, resolutions, freshness, .. } = decided;
    let later =
        resolutions.iter().filter_map(|it| if let ResolutionState::Later(due) = it.state { Some(due) } else { None });
    let waits = model.volumes.iter().any(|it| it.place.is_err() || it.pending.is_some());
    let blocked = waits || wanted.conflict.is_some();
    let running = resolutions.iter().any(|it| matches!(it.state, ResolutionState::Running(_)));
    let due = later.min().map(|it| due::until(it, now));
    let placed = wanted.backup.as_ref().and_then(|it| it.look_again(now));
    let scheduled = due::sleep(freshness.iter().filter_map(|it| it.next).chain(placed), now);
    // A Job that gets no pod wakes nobody.
    let soon = (running || blocked).then_some(Duration::from_secs(5));
    due.into_iter().chain(scheduled).chain(soon).min().map_or_else(Action::await_change, Action::requeue)
}

/// What changed since the last status, for people.
fn notes(cache: &ModelCache, decided: &Decided, status: &ModelCacheStatus) -> Vec<Note> {
    let resolutions = &decided.resolutions;
    let mut notes = vec![];
    let before = cache.status.clone().unwrap_or_default();
    for (resolution, source) in resolutions.iter().zip(&status.sources) {
        let old = before.sources.iter().find(|it| it.name == source.name);
        if let Some(revision) =
            source.revision.as_ref().filter(|it| old.and_then(|old| old.revision.as_ref()) != Some(it))
        {
            notes.push(Note::normal(
                Reason::Resolved,
                "Resolve",
                format!("source `{}` is pinned to {revision}", source.name),
            ));
        }
        if let Some(failure) =
            resolution.failure.as_ref().filter(|it| old.and_then(|old| old.failure.as_ref()) != Some(it))
        {
            notes.push(Note::warning(
                failure.reason,
                "Resolve",
                format!("source `{}`: {}", source.name, failure.message),
            ));
        }
    }
    let updates = cache.spec.refresh_policy() == RefreshPolicy::Update;
    notes.extend(refresh_notes(decided, &before, updates));
    notes.extend(decided.wanted.clean.iter().flat_map(|it| &it.ended).filter_map(clean::record::note));
    let was = condition::find(&before.conditions, ConditionType::Ready);
    if let Some(is) = condition::find(&status.conditions, ConditionType::Ready)
        && was.map(|it| (&it.status, &it.reason)) != Some((&is.status, &is.reason))
        && let Some(reason) = condition::reason_of(is)
    {
        let bad = is.status == "False" && condition::find(&status.conditions, ConditionType::Reconciling).is_none();
        notes.push(Note { warning: bad, reason, action: "Reconcile", message: is.message.clone() });
    }
    notes
}

/// What the origins said when they were asked again, where it is news.
fn refresh_notes(decided: &Decided, before: &ModelCacheStatus, updates: bool) -> Vec<Note> {
    let sources = decided.resolutions.iter().map(|it| &it.source.name).zip(&decided.freshness);
    let news = sources.filter_map(|(name, fresh)| {
        let old = before.sources.iter().find(|it| it.name == *name);
        let failure = fresh.run.as_ref().and_then(|it| it.failure.as_ref());
        let known = old.and_then(|it| it.refresh.as_ref()).and_then(|it| it.failure.as_ref());
        if let Some(failure) = failure.filter(|it| Some(*it) != known) {
            return Some(Note::warning(failure.reason, "Refresh", format!("source `{name}`: {}", failure.message)));
        }
        let available = fresh.available.as_ref().filter(|it| old.and_then(|old| old.available.as_ref()) != Some(it))?;
        let next = if updates {
            "it is taken when its origin is next asked"
        } else {
            "change the source's spec or set `refresh.policy` to Update to take it"
        };
        let message = format!("the origin of source `{name}` has {available}: {next}");
        Some(Note::normal(Reason::Outdated, "Refresh", message))
    });
    news.collect()
}

/// One step of a deletion.
async fn delete(cache: &ModelCache, context: &Context) -> Result<Action, Error> {
    if !cache.finalizers().iter().any(|it| it == FINALIZER) {
        return Ok(Action::await_change());
    }
    let soon = Action::requeue(Duration::from_secs(2));
    let observed = observe::observe(&context.cluster, &context.stores, &context.settings, cache).await?;
    match deletion::next_step(cache, &observed, context.settings.unreachable_grace, Timestamp::now()) {
        DeletionStep::InUse(note) => {
            say_deleting(cache, context, note).await?;
            Ok(Action::requeue(Duration::from_secs(5)))
        }
        DeletionStep::Remove(removals) => {
            let message = "what is under way is being stopped, and what is ours is being removed";
            say_deleting(cache, context, Note::normal(Reason::Deleting, "Delete", message)).await?;
            for removal in removals {
                context.cluster.remove(removal).await?;
            }
            Ok(soon)
        }
        DeletionStep::Bury(volumes) => {
            for volume in volumes {
                let mark = serde_json::json!({"labels": {label::TOMBSTONE: "true"}});
                context.cluster.annotate_volume(&volume, mark).await?;
            }
            Ok(soon)
        }
        DeletionStep::Wait(note) => {
            say_deleting(cache, context, note).await?;
            Ok(soon)
        }
        DeletionStep::Done(note) => {
            context.cluster.publish(note.into_iter().collect(), &cache.object_ref(&())).await;
            context.cluster.set_finalizer(cache, false).await?;
            Ok(Action::await_change())
        }
    }
}

/// The word on a cache that is being deleted.
fn deleting_status(cache: &ModelCache, note: &Note, now: Timestamp) -> ModelCacheStatus {
    let previous = cache.status.clone().unwrap_or_default();
    let said = [Statement::new(ConditionType::Ready, Truth::False, note.reason, note.message.clone())];
    let now = Time(crate::operator::retry::whole_seconds(now));
    let conditions = condition::merge(&previous.conditions, &said, cache.metadata.generation, &now);
    ModelCacheStatus { conditions, ..previous }
}

async fn say_deleting(cache: &ModelCache, context: &Context, note: Note) -> Result<(), Error> {
    let status = deleting_status(cache, &note, Timestamp::now());
    let api = context.cluster.namespaced::<ModelCache>(&cache.namespace().unwrap_or_default());
    let changed = cache.status.as_ref() != Some(&status);
    context.cluster.apply_status(&api, cache, cache.status.as_ref(), &status).await?;
    if changed {
        context.cluster.publish(vec![note], &cache.object_ref(&())).await;
    }
    Ok(())
}

#[cfg(test)]
mod gitops_tests;
