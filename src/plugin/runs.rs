//! How is the end of a backup or a restore waited for?

use super::error::Error;
use super::render::tables::plain;
use crate::api::condition::{find, reason_of};
use crate::api::{ConditionType, Reason, duration};
use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::wait::await_condition;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;

/// Options of what can be waited for.
#[derive(Args, Debug)]
pub struct Waiting {
    /// Return when it is done, or has failed. Interrupting it stops nothing but the waiting.
    #[arg(long)]
    wait: bool,

    /// How long to wait, such as 90s, 30m or 2h. [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, requires = "wait")]
    timeout: Option<Duration>,

    /// Print the object instead of making it.
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
}

impl Waiting {
    /// Waits, where that was asked for. `conditions` reads those of an object.
    pub async fn until_over<K>(
        &self,
        api: Api<K>,
        object: &K,
        conditions: fn(&K) -> Vec<Condition>,
    ) -> Result<Option<K>, Error>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        if !self.wait {
            return Ok(None);
        }
        let name = object.name_any();
        let over = move |it: Option<&K>| it.is_none_or(|it| end(&conditions(it)).is_some());
        let waited = await_condition(api, &name, over);
        let ended = match self.timeout {
            None => waited.await,
            Some(limit) => tokio::time::timeout(limit, waited)
                .await
                .map_err(|_| Error::TimedOut(format!("`{name}` is not over in time; it goes on")))?,
        };
        let ended = ended.map_err(|error| Error::Print(error.to_string()))?;
        let gone = || Error::Failed { reason: Reason::NotFound, message: format!("`{name}` was deleted") };
        let ended = ended.ok_or_else(gone)?;
        match end(&conditions(&ended)) {
            Some(Err(failed)) => Err(failed),
            _ => Ok(Some(ended)),
        }
    }
}

/// How it ended, if it did: well, or in a way that only a person changes.
fn end(conditions: &[Condition]) -> Option<Result<(), Error>> {
    let is = |type_| find(conditions, type_).filter(|it| it.status == "True");
    if is(ConditionType::Ready).is_some() {
        return Some(Ok(()));
    }
    // Nothing is begun until somebody resumes the cache.
    let suspended = find(conditions, ConditionType::Ready).filter(|it| reason_of(it) == Some(Reason::Suspended));
    let failed = is(ConditionType::Stalled).or(suspended)?;
    let reason = reason_of(failed).unwrap_or(Reason::NoEvidence);
    Some(Err(Error::Failed { reason, message: format!("{reason}: {}", plain(&failed.message)) }))
}
