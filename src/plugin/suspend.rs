//! `suspend` and `resume`: nothing new is started for a cache, or again.

use super::FIELD_MANAGER;
use super::error::Error;
use super::options::Chosen;
use super::print;
use super::session::{Session, full_name};
use crate::api::ModelCache;
use clap::Args;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// Options of `suspend`.
#[derive(Args, Debug)]
pub struct Suspend {
    #[command(flatten)]
    chosen: Chosen,
}

/// Options of `resume`.
#[derive(Args, Debug)]
pub struct Resume {
    #[command(flatten)]
    chosen: Chosen,
}

impl Suspend {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        set(session, &self.chosen, &Value::Bool(true), "suspended").await
    }
}

impl Resume {
    /// Runs the command. The field is taken away, not set to false: whoever keeps the object in git sees no difference.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        set(session, &self.chosen, &Value::Null, "resumed").await
    }
}

async fn set(session: &Session, chosen: &Chosen, suspend: &Value, done: &str) -> Result<(), Error> {
    session.one_namespace()?;
    let caches = session.caches(&chosen.names).await?;
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
    for cache in caches {
        session.here::<ModelCache>().patch(&cache.name_any(), &parameters, &patch).await?;
        print::text(&format!("{} {done}\n", full_name("modelcache", &cache.name_any())))?;
    }
    Ok(())
}
