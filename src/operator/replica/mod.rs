//! The reconcile of a `ModelCacheReplica`: a table of contents.

pub mod build;
pub mod cleaning;
pub mod cleaning_on_request;
pub mod observe;
pub mod requests;
pub mod reset;
pub mod slots;
pub mod status;
pub mod step;
pub mod verification;

use crate::api::cleanup::Cleanup;
use crate::api::model_cache_replica::{AttemptStage, ModelCacheReplica};
use crate::api::timetable::Timetable;
use crate::api::{ModelCache, NodeCachePool, Reason, name};
use crate::operator::clean::build::job::clean_job;
use crate::operator::clean::readers;
use crate::operator::clean::runner::{Runner, runner};
use crate::operator::cluster::{Note, Removal};
use crate::operator::due;
use crate::operator::error::Error;
use crate::operator::job::{JobState, ObservedJob, Problem};
use crate::operator::modelcache::resolution::attempt_of;
use crate::operator::placement;
use crate::operator::runtime::Context;
use build::node_job::{NodeDirectory, prepare_job};
use build::verify_job::verify_job;
use build::warm_up_job::{Beside, warm_up_job};
use cleaning::CleanedHere;
use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use observe::Observed;
use requests::Asked;
use slots::NoSlot;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use step::{Recording, Situation, Step};

/// Between two looks at a running warm-up: also the shortest time between two writes of its progress.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Between two looks at a check or a clean-up that runs, or waits for its turn.
const CHECK_INTERVAL: Duration = Duration::from_secs(20);

/// Brings one copy to the plan that is wanted.
///
/// # Guarantees
/// An attempt is recorded before its Job is created, and a Job is deleted only after its result is recorded. Two warm-ups of
/// one Replica never run at once.
pub async fn reconcile(replica: Arc<ModelCacheReplica>, context: Arc<Context>) -> Result<Action, Error> {
    let api = context.cluster.namespaced::<ModelCacheReplica>(&replica.namespace().unwrap_or_default());
    // The watch may be behind what we wrote ourselves: attempts are counted from what is stored.
    let Some(replica) = context.cluster.get(&api, &replica.name_any()).await? else {
        return Ok(Action::await_change());
    };
    if replica.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let now = Timestamp::now();
    let observed =
        observe::observe(&context.cluster, &context.stores, &context.settings.node_jobs_namespace, &replica).await?;
    let timetable = observed.cache.as_ref().and_then(|it| Timetable::of(&it.spec).ok()).unwrap_or_default();
    let situation = situation(&replica, &observed, &timetable, &context, now);
    let mut step = situation.next_step();
    if step == Step::CreatePrepareJob && observed.pool.is_none() {
        let message = "the NodeCachePool of this node is gone: nothing new is started on it";
        step = Step::Wait(Problem::new(Reason::PoolNotFound, message), None);
    }
    let no_slot = take_slot(&replica, &observed, &context, &mut step);
    let progress = match &step {
        Step::Watch { pod_ip: Some(pod_ip), .. } => context.cluster.progress(pod_ip).await,
        _ => None,
    };
    // That a clean-up waits says nothing of the content.
    let waits = no_slot.as_ref().filter(|_| !matches!(&step, Step::AskForSlot(it) if it.stage.is_scheduled()));
    let removes = situation.asked.removes(&replica, &step);
    let mut status =
        status::status(&as_it_will_be(&replica, removes), observed.node, &step, waits, progress.as_ref(), now);
    situation.asked.remember(&replica, &mut status, &step, now);
    if let Err(error) = context.cluster.apply_status(&api, &replica, replica.status.as_ref(), &status).await {
        // A slot that is not recorded is nobody's.
        if let Step::Record(recording) = &step {
            context.slots.give_back(&replica, recording.attempt.number - 1);
        }
        return Err(error);
    }
    if let Some(cache) = observed.cache.as_deref().filter(|_| removes) {
        let message =
            format!("{}: what is there is removed and fetched anew, as was asked", placement::copy_of(&replica));
        say(Some(Note::normal(Reason::Warming, "Reset", message)), cache, &context).await;
    }
    carry_out(&replica, &observed, &context, &step).await?;
    Ok(next_look(&step, no_slot.is_some(), situation.next_scheduled(), now))
}

/// A copy whose content is to be removed no longer holds it, before that is begun.
fn as_it_will_be(replica: &ModelCacheReplica, removes: bool) -> Cow<'_, ModelCacheReplica> {
    if !removes {
        return Cow::Borrowed(replica);
    }
    let mut replica = replica.clone();
    if let Some(status) = replica.status.as_mut() {
        status.holds = None;
    }
    Cow::Owned(replica)
}

fn situation<'a>(
    replica: &'a ModelCacheReplica,
    observed: &Observed,
    timetable: &'a Timetable,
    context: &'a Context,
    now: Timestamp,
) -> Situation<'a> {
    let number = replica.status.as_ref().and_then(|it| it.attempt.as_ref()).map_or(0, |it| it.number);
    let current = |it: &&ObservedJob| i64::try_from(attempt_of(it)) == Ok(number);
    let work = observed.jobs.iter().find(current);
    // A Job of an earlier attempt that is still there may still write: ours waits for it.
    let earlier = observed.jobs.iter().any(|it| i64::try_from(attempt_of(it)).is_ok_and(|it| it < number));
    Situation {
        replica,
        node: observed.node,
        suspended: observed
            .cache
            .as_ref()
            .is_none_or(|it| it.spec.suspended() || it.metadata.deletion_timestamp.is_some()),
        prepare: observed.prepare_jobs.iter().find(current).map(ObservedJob::state),
        work: work.map(ObservedJob::state).or_else(|| earlier.then_some(JobState::Ending)),
        said: work.and_then(ObservedJob::said),
        timetable,
        cleaned_here: cleaned_here(replica, observed),
        asked: observed.cache.as_ref().map(|it| Asked::of(it, replica).read_by(&observed.readers)).unwrap_or_default(),
        claim_busy: observed.beside.as_ref().err().cloned(),
        own_claim_busy: observed.beside_own.as_ref().err().cloned(),
        retry: &context.settings.retry,
        now,
    }
}

/// Whether Jobs of this Replica carry out the rules of its volume.
fn cleaned_here(replica: &ModelCacheReplica, observed: &Observed) -> CleanedHere {
    let Some(cache) = &observed.cache else { return CleanedHere::No };
    let volume = cache.spec.volumes.iter().find(|it| it.name == replica.spec.volume);
    match volume.and_then(|it| runner(&cache.spec, it, observed.claim.as_ref())) {
        Some(Runner::Operator) if cache.spec.cleanup.as_ref().is_some_and(Cleanup::suspended) => CleanedHere::Suspended,
        Some(Runner::Operator) => CleanedHere::Yes,
        Some(Runner::CronJob) | None => CleanedHere::No,
    }
}

/// With a slot the attempt is recorded as warming up; without one it waits.
fn take_slot(replica: &ModelCacheReplica, observed: &Observed, context: &Context, step: &mut Step) -> Option<NoSlot> {
    let Step::AskForSlot(attempt) = step.clone() else { return None };
    let mut rollout = observed.cache.as_ref().and_then(|it| it.spec.rollout.clone());
    // What is whole may be checked, and what is full be cleaned, whatever else has failed.
    if let Some(rollout) = rollout.as_mut().filter(|_| attempt.stage.is_scheduled()) {
        rollout.max_failures = None;
    }
    context.slots.adopt(&context.stores.restores.state());
    match context.slots.take(replica, &context.stores.replicas.state(), rollout.as_ref(), observed.pool.as_deref()) {
        Ok(()) => {
            let failure = replica.status.as_ref().and_then(|it| it.failure.clone());
            *step = Step::Record(Recording { attempt, holds: None, failure });
            None
        }
        Err(no_slot) => Some(no_slot),
    }
}

/// Does what the step says; the status that records it is already written.
async fn carry_out(
    replica: &ModelCacheReplica,
    observed: &Observed,
    context: &Context,
    step: &Step,
) -> Result<(), Error> {
    let cluster = &context.cluster;
    let Some(cache) = observed.cache.as_deref() else { return Ok(()) };
    let number = replica
        .status
        .as_ref()
        .and_then(|it| it.attempt.as_ref())
        .and_then(|it| u64::try_from(it.number).ok())
        .unwrap_or(0);
    match step {
        Step::CreatePrepareJob => {
            // Without its UID the directory would be another namespace's.
            if let Some(pool) = observed.pool.as_ref().filter(|_| !observed.namespace_uid.is_empty()) {
                let job = prepare(replica, number, cache, pool, &observed.namespace_uid, context);
                cluster.create(&cluster.namespaced(&context.settings.node_jobs_namespace), &job).await?;
            }
        }
        Step::CreateWarmUpJob => {
            let beside = observed.beside.clone().unwrap_or(Beside::Anywhere);
            let (pool, namespace) = (observed.pool.as_deref(), replica.namespace().unwrap_or_default());
            let restored = observe::restored(cluster, replica).await?;
            let job = warm_up_job(replica, number, cache, pool, &beside, restored.as_ref(), &context.settings);
            cluster.create(&cluster.namespaced(&namespace), &job).await?;
        }
        Step::CreateVerifyJob(stage) => {
            let beside = observed.beside_own.clone().unwrap_or(Beside::Anywhere);
            let pool = observed.pool.as_deref();
            let job = verify_job(replica, number, *stage, cache, pool, &beside, &context.settings);
            cluster.create(&cluster.namespaced(&replica.namespace().unwrap_or_default()), &job).await?;
        }
        Step::CreateCleanJob => {
            let namespace = replica.namespace().unwrap_or_default();
            // The time first: a pod that is made meanwhile is younger.
            let looked = Timestamp::now();
            let pods = cluster.mounting_pods(&namespace).await?;
            let oldest = readers::oldest(&pods, replica, looked);
            let beside = observed.beside_own.clone().unwrap_or(Beside::Anywhere);
            let pool = observed.pool.as_deref();
            let job = clean_job(replica, number, cache, pool, &beside, oldest, &context.settings);
            cluster.create(&cluster.namespaced(&namespace), &job).await?;
        }
        Step::StopJob => {
            for job in &observed.jobs {
                cluster.remove(Removal::Job(job.job.clone())).await?;
            }
        }
        Step::Record(recording) => {
            if recording.attempt.stage == AttemptStage::Done {
                context.slots.give_back(replica, recording.attempt.number);
                let (namespace, holds) = (replica.namespace().unwrap_or_default(), recording.holds.as_ref());
                context.metrics.warmed(&namespace, &replica.spec.cache, holds, recording.failure.is_some());
                say(Some(note(replica, recording)), cache, context).await;
            }
        }
        Step::RecordChecks(Some(attempt), checks) => {
            context.slots.give_back(replica, attempt.number);
            let stage = replica.status.as_ref().and_then(|it| it.attempt.as_ref()).map(|it| it.stage);
            let (note, found) = verification::news(replica, checks);
            if let (Some(stage), Some(found)) = (stage, found) {
                context.metrics.checked(stage, found);
            }
            say(note, cache, context).await;
        }
        Step::RecordCleaning(Some(attempt), cleaning) => {
            context.slots.give_back(replica, attempt.number);
            let Some(ran) = cleaning::ran(replica, cleaning.as_deref()) else { return Ok(()) };
            let namespace = replica.namespace().unwrap_or_default();
            context.metrics.cleaned(&namespace, &replica.spec.cache, ran.succeeded, ran.freed);
            say(ran.note, cache, context).await;
        }
        Step::RecordRequested(Some(attempt), answer) => {
            context.slots.give_back(replica, attempt.number);
            let Some((note, succeeded, freed)) = cleaning_on_request::answered(replica, answer) else { return Ok(()) };
            context.metrics.cleaned(&replica.namespace().unwrap_or_default(), &replica.spec.cache, succeeded, freed);
            say(note, cache, context).await;
        }
        Step::RefuseReset(reset) => {
            let Some(failure) = &reset.failure else { return Ok(()) };
            let message = format!("{}: {}", placement::copy_of(replica), failure.message);
            say(Some(Note::warning(failure.reason, "Reset", message)), cache, context).await;
        }
        Step::RecordChecks(None, _)
        | Step::RecordCleaning(None, _)
        | Step::RecordRequested(None, _)
        | Step::Rest
        | Step::Wait(..)
        | Step::AskForSlot(_)
        | Step::Watch { .. } => {
            remove_recorded(replica, observed, context).await?;
        }
    }
    Ok(())
}

/// Tells people of the end of a Job, at the cache.
async fn say(note: Option<Note>, cache: &ModelCache, context: &Context) {
    let notes: Vec<Note> = note.into_iter().collect();
    context.metrics.told(&notes);
    context.cluster.publish(notes, &cache.object_ref(&())).await;
}

/// Jobs whose result is recorded: finished ones of attempts that are over, and prepare Jobs that have done their part.
async fn remove_recorded(replica: &ModelCacheReplica, observed: &Observed, context: &Context) -> Result<(), Error> {
    let Some(attempt) = replica.status.as_ref().and_then(|it| it.attempt.clone()) else { return Ok(()) };
    let over = |job: &ObservedJob, stage: bool| {
        let number = i64::try_from(attempt_of(job)).unwrap_or(i64::MAX);
        number < attempt.number || (number == attempt.number && stage)
    };
    let prepared = attempt.stage != AttemptStage::Prepare;
    let done = attempt.stage == AttemptStage::Done;
    let recorded = observed.prepare_jobs.iter().filter(|it| over(it, prepared));
    for job in recorded.chain(observed.jobs.iter().filter(|it| over(it, done))) {
        context.cluster.remove(Removal::Job(job.job.clone())).await?;
    }
    Ok(())
}

fn prepare(
    replica: &ModelCacheReplica,
    number: u64,
    cache: &ModelCache,
    pool: &NodeCachePool,
    namespace_uid: &str,
    context: &Context,
) -> k8s_openapi::api::batch::v1::Job {
    let namespace = replica.namespace().unwrap_or_default();
    let directory = name::directory(namespace_uid, &replica.spec.cache, &replica.spec.volume);
    let directory = NodeDirectory {
        job: name::prepare_job(&namespace, &replica.name_any(), number),
        labels: build::labels(replica),
        pool: &pool.name_any(),
        pool_path: &pool.spec.path,
        directory: &directory,
        hostname: replica.spec.node.as_ref().map_or("", |it| &it.hostname),
        tolerations: placement::tolerations(&pool.spec),
    };
    prepare_job(
        directory,
        &cache.spec.effective_pod_template(),
        pool.spec.allow_root_filesystem.unwrap_or(false),
        &context.settings,
    )
}

fn note(replica: &ModelCacheReplica, recording: &Recording) -> Note {
    let what = placement::copy_of(replica);
    match (&recording.failure, &recording.holds) {
        (Some(failure), _) => Note::warning(failure.reason, "WarmUp", format!("{what}: {}", failure.message)),
        (None, Some(holds)) => {
            let fetched = crate::api::quantity::human(u64::try_from(holds.fetched_bytes).unwrap_or(0));
            Note::normal(
                Reason::Warmed,
                "WarmUp",
                format!("{what}: {} files are complete, {fetched} fetched", holds.files),
            )
        }
        (None, None) => Note::normal(Reason::Superseded, "WarmUp", format!("{what}: stopped before it was done")),
    }
}

fn next_look(step: &Step, queued: bool, next: Option<Timestamp>, now: Timestamp) -> Action {
    let scheduled = due::sleep(next.into_iter(), now).map_or_else(Action::await_change, Action::requeue);
    match step {
        // Many copies may wait for a check for hours.
        Step::AskForSlot(attempt) if attempt.stage.is_scheduled() => Action::requeue(CHECK_INTERVAL),
        Step::Watch { stage, .. } if stage.is_scheduled() => Action::requeue(CHECK_INTERVAL),
        // A slot that is given back wakes nobody.
        _ if queued => Action::requeue(WATCH_INTERVAL),
        Step::Watch { .. } => Action::requeue(WATCH_INTERVAL),
        Step::Wait(_, Some(due)) => Action::requeue(due::until(*due, now)),
        // What we wrote comes back through the watch; this is for a watch that sleeps.
        Step::Record(_)
        | Step::RecordChecks(..)
        | Step::CreatePrepareJob
        | Step::CreateWarmUpJob
        | Step::RecordCleaning(..)
        | Step::RecordRequested(..)
        | Step::RefuseReset(_)
        | Step::CreateVerifyJob(_)
        | Step::CreateCleanJob
        | Step::StopJob => Action::requeue(Duration::from_secs(5)),
        Step::Rest => scheduled,
        Step::Wait(_, None) | Step::AskForSlot(_) => Action::await_change(),
    }
}
