//! `warm` and `verify`: asks for something now.

use super::error::Error;
use super::options::Names;
use super::render::tables::plain;
use super::session::{Session, full_name};
use super::watch::{LOOK, Watch};
use super::{FIELD_MANAGER, print};
use crate::api::condition::is_true;
use crate::api::request::{Deed, LONGEST, is_for, value};
use crate::api::{ConditionType, ModelCache, ModelCacheReplica, Reason, duration};
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

/// Options of `warm` and `verify`.
#[derive(Args, Debug)]
pub struct Request {
    #[command(flatten)]
    names: Names,

    /// Only the copy on this node; may be given several times. [default: all copies]
    #[arg(long = "node", value_name = "NODE")]
    nodes: Vec<String>,

    /// Return when it is done. Interrupting it stops nothing but the waiting.
    #[arg(long)]
    wait: bool,

    /// How long to wait, such as 90s, 30m or 2h. [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, requires = "wait")]
    timeout: Option<Duration>,
}

impl Request {
    /// Runs the command.
    pub async fn run(self, deed: Deed, session: &Session) -> Result<(), Error> {
        session.one_namespace()?;
        let caches = session.caches(&self.names.names).await?;
        self.nodes_exist(session, &caches).await?;
        // To the fraction of a second: two requests in a row are two.
        let asked = value(&Timestamp::now().to_string(), &self.nodes);
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"metadata": {"annotations": {deed.annotation(): asked}}}));
        if asked.len() > LONGEST {
            let message =
                format!("these names of nodes are longer than the {LONGEST} bytes of one request: ask in several");
            return Err(Error::Usage(message));
        }
        for cache in &caches {
            session.here::<ModelCache>().patch(&cache.name_any(), &parameters, &patch).await?;
            print::text(&format!("{} asked\n", full_name("modelcache", &cache.name_any())))?;
        }
        if !self.wait {
            return Ok(());
        }
        let names: Vec<String> = caches.iter().map(ResourceExt::name_any).collect();
        let watch = Watch::start(session, &names).await?;
        let done = until_done(session, &watch, &names, deed, &asked);
        let Some(timeout) = self.timeout else { return done.await };
        let late = || Error::TimedOut("what was asked for is not done in time; it goes on".into());
        tokio::time::timeout(timeout, done).await.unwrap_or_else(|_| Err(late()))
    }

    /// A name that is misspelt would ask nobody.
    async fn nodes_exist(&self, session: &Session, caches: &[ModelCache]) -> Result<(), Error> {
        if self.nodes.is_empty() {
            return Ok(());
        }
        if let Some(strange) = self.nodes.iter().find(|it| it.is_empty() || it.contains([',', ' ', '='])) {
            return Err(Error::Usage(format!("`{strange}` is no name of a node")));
        }
        let replicas = session.replicas().await?;
        let mine = |it: &&ModelCacheReplica| caches.iter().any(|cache| cache.name_any() == it.spec.cache);
        let there: Vec<&str> =
            replicas.iter().filter(mine).filter_map(|it| Some(it.spec.node.as_ref()?.name.as_str())).collect();
        match self.nodes.iter().find(|it| !there.contains(&it.as_str())) {
            Some(missing) => {
                let message = format!("no copy is on node `{missing}`");
                Err(Error::Failed { reason: Reason::NotFound, message })
            }
            None => Ok(()),
        }
    }
}

async fn until_done(session: &Session, watch: &Watch, names: &[String], deed: Deed, asked: &str) -> Result<(), Error> {
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        let caches = watch.caches();
        session.all_there(&caches, names)?;
        let replicas = watch.replicas();
        let mine: Vec<&ModelCacheReplica> = replicas
            .iter()
            .filter(|it| names.contains(&it.spec.cache))
            .filter(|it| is_for(asked, it.spec.node.as_ref().map(|it| it.name.as_str())))
            .collect();
        let seen = caches.iter().all(|it| {
            let status = it.status.clone().unwrap_or_default();
            let handled = match deed {
                Deed::Warm => status.last_handled_request,
                Deed::Verify => status.last_handled_verify_request,
            };
            handled.as_deref() == Some(asked)
        });
        let over = match deed {
            Deed::Warm => mine.iter().all(|it| warm(it, asked)),
            Deed::Verify => mine.iter().all(|it| verified(it, asked)),
        };
        if seen && over {
            return mine.iter().try_for_each(|it| answer(deed, it));
        }
    }
}

/// Whether a copy was checked as asked. What the cache says may be seen before what its copies say.
fn verified(replica: &ModelCacheReplica, asked: &str) -> bool {
    let checks = replica.status.as_ref().and_then(|it| it.verification.as_ref());
    checks.and_then(|it| it.requested.as_ref()).is_some_and(|it| it.request == asked)
}

/// Whether a copy has acted, and is ready or has failed again.
fn warm(replica: &ModelCacheReplica, asked: &str) -> bool {
    let Some(status) = &replica.status else { return false };
    let acted = status.last_handled_request.as_deref() == Some(asked);
    let failed = status.failure.as_ref().is_some_and(|it| it.count > 0);
    acted && (is_ready(replica) || failed)
}

fn is_ready(replica: &ModelCacheReplica) -> bool {
    let status = replica.status.as_ref();
    status.is_some_and(|it| is_true(&it.conditions, ConditionType::Ready))
}

/// What came of it in one place.
fn answer(deed: Deed, replica: &ModelCacheReplica) -> Result<(), Error> {
    let node = replica.spec.node.as_ref().map_or("(shared)", |it| it.name.as_str());
    let place = format!("{} {} on {node}", replica.spec.cache, replica.spec.volume);
    let status = replica.status.clone().unwrap_or_default();
    let checks = status.verification.unwrap_or_default();
    let problem = match deed {
        Deed::Warm => status.failure.filter(|_| !is_ready(replica)).map(|it| (it.reason, it.message)),
        Deed::Verify => checks.requested.and_then(|it| {
            let damaged = it.damaged.map(|files| (Reason::Damaged, format!("{files} files, which are fetched again")));
            damaged.or_else(|| it.failure.map(|it| (it.reason, it.message)))
        }),
    };
    if let Some((reason, message)) = problem {
        return Err(Error::Failed { reason, message: format!("{place}: {reason}: {}", plain(&message)) });
    }
    print::text(&format!("{place}: {}\n", if deed == Deed::Verify { "as it was put there" } else { "ready" }))
}
