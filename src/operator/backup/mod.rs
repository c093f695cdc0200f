//! The reconcile of a `ModelCacheBackup`: a table of contents.

pub mod build;
pub mod history;
pub mod kept;
pub mod observe;
pub mod plan;
pub mod record;
pub mod status;
pub mod summary;

use crate::api::backup::Backup;
use crate::api::{ModelCache, ModelCacheBackup, Reason};
use crate::contract::outcome::Outcome;
use crate::operator::cluster::{Note, Removal};
use crate::operator::error::Error;
use crate::operator::job::{ObservedJob, Problem};
use crate::operator::modelcache::resolution::attempt_of;
use crate::operator::run::{Situation, Step, next_look};
use crate::operator::runtime::Context;
use build::place::{Place, place};
use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use observe::Observed;
use std::sync::Arc;
use std::time::Duration;

/// A pod that holds a claim, or a copy that is made elsewhere, need not wake us.
const WAITING: Duration = Duration::from_secs(10);

/// Runs a backup that was made by hand, once, and records how any backup ends.
///
/// # Guarantees
/// An attempt is recorded before its Job is created, and a Job is deleted only after its result is recorded. One that is
/// complete never runs again.
pub async fn reconcile(backup: Arc<ModelCacheBackup>, context: Arc<Context>) -> Result<Action, Error> {
    let cluster = &context.cluster;
    let api = cluster.namespaced::<ModelCacheBackup>(&backup.namespace().unwrap_or_default());
    // The watch may be behind what we wrote ourselves: attempts are counted from what is stored.
    let Some(backup) = cluster.get(&api, &backup.name_any()).await? else { return Ok(Action::await_change()) };
    if backup.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let now = Timestamp::now();
    let observed = observe::observe(cluster, &context.stores, &backup).await?;
    let ready = ready(&backup, &observed);
    let step = next_step(&backup, &observed, ready.as_ref().err(), &context, now);
    // Before the end is recorded: the Job that says it is there until then.
    if let Step::Succeed(_, outcome) = &step {
        tell_others(&backup, outcome, &context, now).await?;
    }
    let status = status::status(&backup, &step, now);
    cluster.apply_status(&api, &backup, backup.status.as_ref(), &status).await?;
    say(&backup, &observed, &step, &context).await;
    match (&step, &ready) {
        (Step::CreateJob(number), Ok((cache, settings, place))) => {
            let pinned = kept::pinned(&observed.siblings);
            let (config_map, job) =
                build::job::job(&backup, *number, cache, settings, place, &pinned, &context.settings);
            cluster.create_run(&config_map, &job).await?;
        }
        (Step::Rest | Step::Wait(..), _) if !tidy(&backup, &observed, &context).await? => {
            return Ok(Action::requeue(Duration::from_secs(2)));
        }
        _ => {}
    }
    Ok(next_look(&step, WAITING, now))
}

fn next_step(
    backup: &ModelCacheBackup,
    observed: &Observed,
    obstacle: Option<&Problem>,
    context: &Context,
    now: Timestamp,
) -> Step {
    let status = backup.status.clone().unwrap_or_default();
    let number = status.attempt.as_ref().map_or(0, |it| it.number);
    let scheduled = history::due(backup).is_some();
    let of_attempt = |it: &&ObservedJob| scheduled || i64::try_from(attempt_of(it)) == Ok(number);
    let situation = Situation {
        attempt: status.attempt.as_ref(),
        failure: status.failure.as_ref(),
        complete: status.is_complete(),
        job: observed.jobs.iter().find(of_attempt).map(ObservedJob::state),
        obstacle: obstacle.filter(|_| !scheduled).cloned(),
        scheduled,
        evidence: |outcome| outcome.backup.is_some(),
        retry: &context.settings.retry,
        seed: &backup.name_any(),
        now,
    };
    situation.next_step()
}

/// What a Job is made from, or what keeps it from being made.
fn ready<'a>(backup: &ModelCacheBackup, observed: &'a Observed) -> Result<(&'a ModelCache, Backup, Place), Problem> {
    let name = &backup.spec.cache;
    let problem = |reason, message: String| Err(Problem::new(reason, message));
    let Some(cache) = observed.cache.as_deref().filter(|it| it.metadata.deletion_timestamp.is_none()) else {
        return problem(Reason::NotFound, format!("there is no ModelCache `{name}` in this namespace"));
    };
    let Some(settings) = &cache.spec.backup else {
        let message = format!("ModelCache `{name}` has no `spec.backup`: say there where its backups go");
        return problem(Reason::InvalidSpec, message);
    };
    if cache.spec.suspended() {
        return problem(Reason::Suspended, "`spec.suspend` of the cache is true: nothing new is started".into());
    }
    if let Some(unknown) =
        backup.spec.volumes.iter().find(|it| !cache.spec.volumes.iter().any(|volume| volume.name == **it))
    {
        return problem(Reason::InvalidSpec, format!("ModelCache `{name}` has no volume `{unknown}`"));
    }
    let settings = build::job::settings_of(backup, settings);
    let (replicas, pools) = (observed.replicas.iter().map(AsRef::as_ref), observed.pools.iter().map(AsRef::as_ref));
    let place = place(cache, &settings, &replicas, &pools);
    if place.nowhere {
        return problem(Reason::Pending, "waits: no node has a complete copy of the volumes yet".into());
    }
    match &observed.beside {
        Err(busy) => problem(Reason::VolumePending, busy.clone()),
        Ok(beside) => {
            let place = place.beside(cache, &settings, beside);
            Ok((cache, settings, place))
        }
    }
}

/// Records with the other backups of the cache what a run has found out about them.
async fn tell_others(
    backup: &ModelCacheBackup,
    outcome: &Outcome,
    context: &Context,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(run) = outcome.backup.as_ref().filter(|it| !it.kept.is_empty()) else { return Ok(()) };
    let cluster = &context.cluster;
    let api = cluster.namespaced::<ModelCacheBackup>(&backup.namespace().unwrap_or_default());
    for other in observe::siblings(&context.stores, backup).iter().filter(|it| it.uid() != backup.uid()) {
        // The watch may be behind, and the whole status is written.
        let Some(other) = cluster.get(&api, &other.name_any()).await? else { continue };
        let Some(status) = &other.status else { continue };
        cluster.apply_status(&api, &other, Some(status), &kept::after(status, run, now)).await?;
    }
    Ok(())
}

/// Removes Jobs whose result is recorded. Whether none is left that must be waited for: a CronJob that misses a Job which it
/// believes to run would warn of it.
async fn tidy(backup: &ModelCacheBackup, observed: &Observed, context: &Context) -> Result<bool, Error> {
    let mut done = true;
    for job in &observed.jobs {
        if job.job.uid().is_some_and(|it| observed.active.contains(&it)) {
            done = false;
            continue;
        }
        match history::due(backup) {
            Some(_) => context.cluster.remove(Removal::Job(job.job.clone())).await?,
            None => context.cluster.remove_run(job).await?,
        }
    }
    Ok(done)
}

/// Counts a run that ended, and says so.
async fn say(backup: &ModelCacheBackup, observed: &Observed, step: &Step, context: &Context) {
    let name = backup.name_any();
    let note = match step {
        Step::Succeed(_, outcome) => {
            Note::normal(Reason::BackedUp, "Backup", format!("backup `{name}`: {}", outcome.message))
        }
        Step::Fail(_, failure) => {
            Note::warning(failure.reason, "Backup", format!("backup `{name}`: {}", failure.message))
        }
        _ => return,
    };
    let mut notes = vec![note];
    if let Step::Succeed(_, outcome) = step
        && let Some(it) = outcome.backup.as_ref().and_then(|it| it.not_pruned.as_ref())
    {
        let words = format!("backup `{name}` is complete, and no older one was removed: {}", it.message);
        notes.push(Note::warning(it.reason, "Prune", words));
    }
    let namespace = backup.namespace().unwrap_or_default();
    context.metrics.told(&notes);
    context.metrics.backup_ended(&namespace, &backup.spec.cache, matches!(step, Step::Succeed(..)));
    if let Some(cache) = &observed.cache {
        context.cluster.publish(notes.clone(), &cache.object_ref(&())).await;
    }
    context.cluster.publish(notes, &backup.object_ref(&())).await;
}
