//! The reconcile of a `ModelCacheRestore`: a table of contents.

pub mod build;
pub mod cleaned;
pub mod observe;
pub mod pins;
pub mod resolve;
pub mod sources;
pub mod status;

use crate::api::model_cache_backup::RunStage;
use crate::api::{ModelCache, ModelCacheRestore, Reason, annotation, label, name};
use crate::contract::mount;
use crate::contract::outcome::Outcome;
use crate::operator::cluster::{Children, Note};
use crate::operator::error::Error;
use crate::operator::job::{ObservedJob, Problem};
use crate::operator::modelcache::build::restored::Restored;
use crate::operator::modelcache::resolution::attempt_of;
use crate::operator::placement;
use crate::operator::replica::build::warm_up_job::Beside;
use crate::operator::run::{Situation, Step, next_look};
use crate::operator::runtime::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use observe::Observed;
use resolve::Wanted;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A pod that holds a claim, or a slot that is given back, need not wake us.
const WAITING: Duration = Duration::from_secs(5);

/// Where the pod runs, and the claims of sources that it reads.
struct Pod {
    beside: Beside,
    claims: BTreeSet<String>,
}

/// Restores once, and records how that ended.
///
/// # Guarantees
/// An attempt is recorded before its Job is created, and a Job is deleted only after its result is recorded. No warm-up
/// begins on a claim while a restore writes to it, and no restore while a warm-up or a clean-up does.
pub async fn reconcile(restore: Arc<ModelCacheRestore>, context: Arc<Context>) -> Result<Action, Error> {
    let cluster = &context.cluster;
    let namespace = restore.namespace().unwrap_or_default();
    let uid = restore.uid().unwrap_or_default();
    let api = cluster.namespaced::<ModelCacheRestore>(&namespace);
    // The watch may be behind what we wrote ourselves: attempts are counted from what is stored.
    let stored = cluster.get(&api, &restore.name_any()).await?;
    let Some(restore) =
        stored.filter(|it| it.uid().as_deref() == Some(&uid) && it.metadata.deletion_timestamp.is_none())
    else {
        context.slots.unlock(&uid);
        return Ok(Action::await_change());
    };
    let now = Timestamp::now();
    let observed = observe::observe(cluster, &context.stores, &restore).await?;
    let wanted = resolve::wanted(&restore, observed.named());
    let claims = wanted.as_ref().map(|it| it.onto.claims()).unwrap_or_default();
    let read = wanted.as_ref().map(|it| sources::claims(&restore, it)).unwrap_or_default();
    let read = observe::there(cluster, &namespace, read).await?;
    let place = observe::place(cluster, &namespace, claims.iter().chain(&read)).await?;
    let obstacle = wanted.as_ref().err().cloned();
    let busy = place.as_ref().err().map(|it| Problem::new(Reason::VolumePending, it.clone()));
    let mut step = next_step(&restore, &observed, obstacle.or(busy), &context, now);
    if let Step::Begin(_) | Step::CreateJob(_) = step
        && let Err(problem) = lock(&restore, &claims, &context)
    {
        step = Step::Wait(problem, None);
    }
    // Only now: once the claims are taken no Job of ours cleans up, and the schedule is suspended by the cache's own reconcile.
    if let Step::CreateJob(_) = step
        && let Some(problem) = cleaned::obstacle(&observe::clean_jobs(cluster, &namespace).await?, &claims)
    {
        step = Step::Wait(problem, None);
    }
    // Before the end is recorded: from then on the next warm-up may begin.
    if let (Step::Succeed(number, outcome), Some(target)) = (&step, &observed.target) {
        Box::pin(pin(&restore, *number, target, outcome, &context)).await?;
    }
    let status = status::status(&restore, wanted.as_ref().ok(), &step, now);
    if let Err(error) = cluster.apply_status(&api, &restore, restore.status.as_ref(), &status).await {
        // What is not recorded holds nobody back.
        if let Step::Begin(_) = step {
            context.slots.unlock(&uid);
        }
        return Err(error);
    }
    let place = place.unwrap_or_default();
    let pod = Pod { beside: place, claims: read };
    Box::pin(carry_out(&restore, &observed, &step, wanted.as_ref().ok(), &pod, &context)).await?;
    Ok(next_look(&step, WAITING, now))
}

/// Takes the claims, unless a warm-up or another restore writes to one of them.
fn lock(restore: &ModelCacheRestore, claims: &[String], context: &Context) -> Result<(), Problem> {
    let namespace = restore.namespace().unwrap_or_default();
    let uid = restore.uid().unwrap_or_default();
    context.slots.adopt(&context.stores.restores.state());
    context.slots.lock(&uid, &namespace, claims, &context.stores.replicas.state()).map_err(|claim| {
        let message = format!("waits: a warm-up or another restore writes to PersistentVolumeClaim `{claim}`");
        Problem::new(Reason::InUse, message)
    })
}

/// The snapshot's pins become the plans', so that the next reconcile does not undo the restore; and each node is given the
/// backup that its copy is made from.
async fn pin(
    restore: &ModelCacheRestore,
    attempt: i64,
    target: &ModelCache,
    outcome: &Outcome,
    context: &Context,
) -> Result<(), Error> {
    let cluster = &context.cluster;
    let namespace = restore.namespace().unwrap_or_default();
    let api = cluster.namespaced::<ConfigMap>(&namespace);
    let number = u64::try_from(attempt).unwrap_or(0);
    let name = name::restore_job(&restore.name_any(), &restore.uid().unwrap_or_default(), number);
    let Some(begun_with) = cluster.get(&api, &name).await? else { return Ok(()) };
    let config_maps = cluster.list(&api, &format!("{}={}", label::CACHE, target.name_any())).await?;
    let document = begun_with.data.as_ref().and_then(|it| it.get(mount::CACHE_FILE)).cloned().unwrap_or_default();
    let of = begun_with.annotations().get(annotation::RESTORED_OF).cloned().unwrap_or_default();
    let mut backups = vec![];
    for volume in pins::repinned(target, config_maps, &begun_with, &outcome.pins) {
        if let Some(plan) = &volume.plan {
            cluster.create(&api, plan).await?;
        }
        if let Some(made) = outcome.restore.as_ref().filter(|_| volume.per_node) {
            let (document, of, snapshot) = (document.clone(), of.clone(), made.snapshot.clone());
            let from = Restored { by: restore.uid().unwrap_or_default(), plan: volume.hash, document, of, snapshot };
            backups.push((from.config_map(target, &volume.volume), None));
        }
    }
    Box::pin(cluster.apply(Children { config_maps: backups, ..Children::default() })).await
}

fn next_step(
    restore: &ModelCacheRestore,
    observed: &Observed,
    obstacle: Option<Problem>,
    context: &Context,
    now: Timestamp,
) -> Step {
    let status = restore.status.clone().unwrap_or_default();
    let number = status.attempt.as_ref().map_or(0, |it| it.number);
    let of_attempt = |it: &&ObservedJob| i64::try_from(attempt_of(it)) == Ok(number);
    let situation = Situation {
        attempt: status.attempt.as_ref(),
        failure: status.failure.as_ref(),
        complete: status.is_complete(),
        job: observed.jobs.iter().find(of_attempt).map(ObservedJob::state),
        obstacle,
        scheduled: false,
        evidence: |outcome| outcome.restore.is_some(),
        retry: &context.settings.retry,
        seed: &restore.name_any(),
        now,
    };
    situation.next_step()
}

/// Does what the step says; the status that records it is already written.
async fn carry_out(
    restore: &ModelCacheRestore,
    observed: &Observed,
    step: &Step,
    wanted: Option<&Wanted>,
    pod: &Pod,
    context: &Context,
) -> Result<(), Error> {
    let cluster = &context.cluster;
    match step {
        Step::CreateJob(number) => {
            if let Some(wanted) = wanted {
                let pools = context.stores.pools.state();
                let tolerations = placement::pool_tolerations(&wanted.cache, pools.iter().map(AsRef::as_ref));
                let settings = &context.settings;
                let Pod { beside, claims } = pod;
                let (config_map, job) =
                    build::job::job(restore, *number, wanted, claims, beside, tolerations, settings);
                cluster.create_run(&config_map, &job).await?;
            }
        }
        Step::Succeed(..) | Step::Fail(..) => {
            context.slots.unlock(&restore.uid().unwrap_or_default());
            say(restore, observed, step, wanted, context).await;
        }
        Step::Rest | Step::Wait(..) if is_over(restore) => {
            for job in &observed.jobs {
                cluster.remove_run(job).await?;
            }
        }
        Step::Rest | Step::Wait(..) | Step::Begin(_) | Step::Watch(_) => {}
    }
    Ok(())
}

fn is_over(restore: &ModelCacheRestore) -> bool {
    let attempt = restore.status.as_ref().and_then(|it| it.attempt.as_ref());
    attempt.is_some_and(|it| it.stage == RunStage::Done)
}

/// Counts a restore that ended, and says so.
async fn say(
    restore: &ModelCacheRestore,
    observed: &Observed,
    step: &Step,
    wanted: Option<&Wanted>,
    context: &Context,
) {
    let name = restore.name_any();
    let note = match step {
        Step::Succeed(_, outcome) => {
            Note::normal(Reason::Restored, "Restore", format!("restore `{name}`: {}", outcome.message))
        }
        Step::Fail(_, failure) => {
            Note::warning(failure.reason, "Restore", format!("restore `{name}`: {}", failure.message))
        }
        _ => return,
    };
    let cache = wanted.map(|it| it.cache.name_any()).unwrap_or_default();
    let namespace = restore.namespace().unwrap_or_default();
    context.metrics.told(std::slice::from_ref(&note));
    context.metrics.restore_ended(&namespace, &cache, matches!(step, Step::Succeed(..)));
    if let Some(target) = &observed.target {
        context.cluster.publish(vec![note.clone()], &target.object_ref(&())).await;
    }
    context.cluster.publish(vec![note], &restore.object_ref(&())).await;
}
