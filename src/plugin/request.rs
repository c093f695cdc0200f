//! `warm` and `verify`: asks for something now. What `clean` and `reset` ask is asked and waited for in the same way.

use super::answer::{Standing, standing};
use super::error::Error;
use super::options::Chosen;
use super::session::{Session, full_name};
use super::watch::{LOOK, Watch};
use super::{FIELD_MANAGER, print};
use crate::api::request::{Deed, LONGEST, Scope};
use crate::api::{ModelCache, ModelCacheReplica, Reason, duration};
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
    chosen: Chosen,

    #[command(flatten)]
    asking: Asking,
}

/// Which copies are meant, and whether their answer is waited for.
#[derive(Args, Debug)]
pub struct Asking {
    /// Only the copy on this node; may be given several times. [default: all copies]
    #[arg(long = "node", value_name = "NODE")]
    pub nodes: Vec<String>,

    /// Only copies of this volume; may be given several times. [default: all volumes]
    #[arg(long = "volume", value_name = "VOLUME")]
    pub volumes: Vec<String>,

    /// Return when it is done. Interrupting it stops nothing but the waiting.
    #[arg(long)]
    pub wait: bool,

    /// How long to wait, such as 90s, 30m or 2h. [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub timeout: Option<Duration>,
}

impl Request {
    /// Runs the command.
    pub async fn run(self, deed: Deed, session: &Session) -> Result<(), Error> {
        self.asking.check(self.asking.wait)?;
        session.one_namespace()?;
        let caches = session.caches(&self.chosen.names).await?;
        self.asking.are_there(session, &caches).await?;
        let asked = self.asking.ask(session, &caches, deed, false).await?;
        if !self.asking.wait {
            return Ok(());
        }
        let names: Vec<String> = caches.iter().map(ResourceExt::name_any).collect();
        self.asking.until_done(session, &names, deed, &asked).await?.told()
    }
}

impl Asking {
    /// That a time is only given where something is waited for.
    pub fn check(&self, waits: bool) -> Result<(), Error> {
        if self.timeout.is_some() && !waits {
            return Err(Error::Usage("--timeout must come with --wait".into()));
        }
        Ok(())
    }

    /// What is meant.
    pub fn scope(&self, dry_run: bool) -> Scope {
        Scope { volumes: self.volumes.clone(), nodes: self.nodes.clone(), dry_run }
    }

    /// A name that is misspelt would ask nobody.
    pub async fn are_there(&self, session: &Session, caches: &[ModelCache]) -> Result<(), Error> {
        let strange = |it: &&String| it.is_empty() || it.contains([',', ' ', '=']);
        if let Some(strange) = self.nodes.iter().chain(&self.volumes).find(strange) {
            return Err(Error::Usage(format!("`{strange}` is no name of a node or a volume")));
        }
        let missing = |message: String| Err(Error::Failed { reason: Reason::NotFound, message });
        let has = |volume: &&String| caches.iter().any(|it| it.spec.volumes.iter().any(|it| it.name == **volume));
        if let Some(volume) = self.volumes.iter().find(|it| !has(it)) {
            return missing(format!("no cache that is meant has a volume `{volume}`"));
        }
        if self.nodes.is_empty() {
            return Ok(());
        }
        let replicas = session.replicas().await?;
        let mine = |it: &&ModelCacheReplica| caches.iter().any(|cache| cache.name_any() == it.spec.cache);
        let there: Vec<&str> =
            replicas.iter().filter(mine).filter_map(|it| Some(it.spec.node.as_ref()?.name.as_str())).collect();
        match self.nodes.iter().find(|it| !there.contains(&it.as_str())) {
            Some(node) => missing(format!("no copy is on node `{node}`")),
            None => Ok(()),
        }
    }

    /// Writes the annotations, and returns their value.
    pub async fn ask(
        &self,
        session: &Session,
        caches: &[ModelCache],
        deed: Deed,
        dry_run: bool,
    ) -> Result<String, Error> {
        // To the fraction of a second: two requests in a row are two.
        let asked = self.scope(dry_run).value(&Timestamp::now().to_string());
        if asked.len() > LONGEST {
            let message = format!("these names are longer than the {LONGEST} bytes of one request: ask in several");
            return Err(Error::Usage(message));
        }
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"metadata": {"annotations": {deed.annotation(): asked}}}));
        for cache in caches {
            session.here::<ModelCache>().patch(&cache.name_any(), &parameters, &patch).await?;
            let line = format!("{} asked", full_name("modelcache", &cache.name_any()));
            // What follows may be a document that a program reads.
            if dry_run { eprintln!("{line}") } else { print::text(&format!("{line}\n"))? }
        }
        Ok(asked)
    }

    /// Waits until every copy that is meant has answered.
    pub async fn until_done(
        &self,
        session: &Session,
        names: &[String],
        deed: Deed,
        asked: &str,
    ) -> Result<Answers, Error> {
        let watch = Watch::start(session, names).await?;
        let answers = answers(session, &watch, names, deed, asked);
        let Some(timeout) = self.timeout else { return answers.await };
        let late = || Error::TimedOut("what was asked for is not done in time; it goes on".into());
        tokio::time::timeout(timeout, answers).await.unwrap_or_else(|_| Err(late()))
    }
}

/// What came of a request.
pub struct Answers {
    /// The copies that it was about.
    pub copies: Vec<ModelCacheReplica>,
    /// What is said of each that did it.
    pub lines: Vec<String>,
    /// The first that did not.
    pub failed: Option<Error>,
}

impl Answers {
    /// Prints what was done, and ends with what was not.
    pub fn told(self) -> Result<(), Error> {
        self.lines.iter().try_for_each(|it| print::text(&format!("{it}\n")))?;
        self.failed.map_or(Ok(()), Err)
    }
}

async fn answers(
    session: &Session,
    watch: &Watch,
    names: &[String],
    deed: Deed,
    asked: &str,
) -> Result<Answers, Error> {
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        let caches = watch.caches();
        session.all_there(&caches, names)?;
        if let Standing::Over(answers) = standing(deed, asked, &caches, watch.replicas())? {
            return Ok(answers);
        }
    }
}
