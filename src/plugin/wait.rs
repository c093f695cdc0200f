//! `wait`: returns when caches are ready, or will not be until a person acts.

use super::error::Error;
use super::options::Names;
use super::print;
use super::render::progress::{condition_now, holds};
use super::render::tables::plain;
use super::session::{Session, full_name};
use super::watch::{LOOK, Watch};
use crate::api::condition::{find, reason_of};
use crate::api::duration;
use crate::api::model_cache_replica::AttemptStage;
use crate::api::{ConditionType, ModelCache, ModelCacheReplica, Reason};
use clap::{Args, ValueEnum};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use std::time::Duration;

/// Options of `wait`.
#[derive(Args, Debug)]
pub struct Wait {
    #[command(flatten)]
    names: Names,

    /// What to wait for.
    #[arg(long = "for", value_enum, value_name = "CONDITION", default_value_t = For::Ready)]
    for_: For,

    /// How long, such as 90s, 30m or 2h. [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    timeout: Option<Duration>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum For {
    /// Everything wanted is there and verified.
    Ready,
    /// Every source has a pin.
    Resolved,
    /// Every copy holds what is wanted.
    Warm,
    /// Every copy was found whole when it was last checked.
    Verified,
    /// What is pinned is what the origins have.
    UpToDate,
    /// The last backup succeeded.
    BackedUp,
    /// The last clean-up did all it should.
    Clean,
}

impl For {
    const fn condition(self) -> ConditionType {
        match self {
            Self::Ready => ConditionType::Ready,
            Self::Resolved => ConditionType::Resolved,
            Self::Warm => ConditionType::Warm,
            Self::Verified => ConditionType::Verified,
            Self::UpToDate => ConditionType::UpToDate,
            Self::BackedUp => ConditionType::BackedUp,
            Self::Clean => ConditionType::Clean,
        }
    }
}

impl Wait {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        let watch = Watch::start(session, &self.names.names).await?;
        let wanted = self.for_.condition();
        let met = self.all_met(session, &watch, wanted);
        let Some(timeout) = self.timeout else { return met.await };
        tokio::time::timeout(timeout, met).await.unwrap_or_else(|_| Err(late(&watch.caches(), wanted)))
    }

    async fn all_met(&self, session: &Session, watch: &Watch, wanted: ConditionType) -> Result<(), Error> {
        let mut told = vec![];
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let caches = watch.caches();
            session.all_there(&caches, &self.names.names)?;
            for cache in caches.iter().filter(|it| holds(it, wanted)) {
                let line = format!("{} is {wanted:?}\n", full_name("modelcache", &cache.name_any()));
                let key = (cache.namespace(), cache.name_any());
                if !told.contains(&key) {
                    print::text(&line)?;
                    told.push(key);
                }
            }
            let open: Vec<&ModelCache> = caches.iter().filter(|it| !holds(it, wanted)).collect();
            let replicas = watch.replicas();
            if let Some(failed) = open.iter().find_map(|it| stalled(it).or_else(|| suspended(it, &replicas))) {
                return Err(failed);
            }
            if open.is_empty() {
                return Ok(());
            }
        }
    }
}

/// What nothing but a person will change.
fn stalled(cache: &ModelCache) -> Option<Error> {
    let condition = condition_now(cache, ConditionType::Stalled).filter(|it| it.status == "True")?;
    let reason = reason_of(condition).unwrap_or(Reason::InvalidSpec);
    let message = format!("`{}` will not go on by itself: {reason}: {}", cache.name_any(), plain(&condition.message));
    Some(Error::Failed { reason, message })
}

/// What nothing is begun for, once what had begun is over.
fn suspended(cache: &ModelCache, replicas: &[ModelCacheReplica]) -> Option<Error> {
    let (name, namespace) = (cache.name_any(), cache.namespace());
    let is = |it: &Condition| reason_of(it) == Some(Reason::Suspended);
    condition_now(cache, ConditionType::Ready).filter(|it| cache.spec.suspended() && is(it))?;
    let at_work = |it: &ModelCacheReplica| {
        let status = it.status.clone().unwrap_or_default();
        let begun = status.attempt.is_some_and(|it| matches!(it.stage, AttemptStage::Prepare) || it.stage.mounts());
        begun && !find(&status.conditions, ConditionType::Ready).is_some_and(is)
    };
    let mine = |it: &&ModelCacheReplica| it.spec.cache == name && it.namespace() == namespace;
    let message = format!("`{name}` is suspended, and nothing of it is at work: `kubectl modelcache resume {name}`");
    let over = !replicas.iter().filter(mine).any(at_work);
    over.then(|| Error::Failed { reason: Reason::Suspended, message })
}

fn late(caches: &[ModelCache], wanted: ConditionType) -> Error {
    let open = caches.iter().filter(|it| !holds(it, wanted)).map(|it| {
        let said = condition_now(it, wanted).or_else(|| condition_now(it, ConditionType::Ready));
        let said = said.map(|it| format!(": {}: {}", it.reason, plain(&it.message))).unwrap_or_default();
        format!("`{}` is not {wanted:?} in time{said}", it.name_any())
    });
    Error::TimedOut(open.collect::<Vec<_>>().join("\n"))
}
