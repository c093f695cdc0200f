//! How is a reconcile run: how often, counted as what, and when again after an error?

use super::context::Context;
use super::log;
use super::throttle::Throttle;
use crate::operator::error::Error;
use kube::runtime::controller::{Action, Config};
use kube::{Resource, ResourceExt};
use std::sync::Arc;
use tracing::Instrument;

/// Objects of one kind that are reconciled at once.
const CONCURRENCY: u16 = 16;

/// Runs a reconcile, unless the object was looked at a moment ago: then it is looked at as soon as that is no longer so.
pub(super) async fn throttled<K, F, R>(
    throttle: Arc<Throttle>,
    controller: &'static str,
    reconcile: F,
    object: Arc<K>,
    context: Arc<Context>,
) -> Result<Action, Error>
where
    K: Resource<DynamicType = ()>,
    F: Fn(Arc<K>, Arc<Context>) -> R,
    R: Future<Output = Result<Action, Error>>,
{
    let key = format!("{}/{}", object.meta().namespace.as_deref().unwrap_or_default(), object.name_any());
    match throttle.begin(&key, std::time::Instant::now()) {
        Ok(()) => observed(controller, reconcile, object, context).await,
        Err(wait) => Ok(Action::requeue(wait)),
    }
}

/// Runs a reconcile, counts it, and reports its error: here and nowhere else.
pub(super) async fn observed<K, F, R>(
    controller: &'static str,
    reconcile: F,
    object: Arc<K>,
    context: Arc<Context>,
) -> Result<Action, Error>
where
    K: Resource<DynamicType = ()>,
    F: Fn(Arc<K>, Arc<Context>) -> R,
    R: Future<Output = Result<Action, Error>>,
{
    let key = format!("{controller}/{}/{}", object.meta().namespace.clone().unwrap_or_default(), object.name_any());
    let started = std::time::Instant::now();
    context.metrics.begun(controller);
    // Whatever is logged meanwhile says which object it is about.
    let result = reconcile(object.clone(), context.clone()).instrument(log::span(object.as_ref())).await;
    context.metrics.reconciled(controller, started.elapsed(), result.as_ref().err().map(Error::class));
    let mut errors = context.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match &result {
        Ok(_) => {
            errors.remove(&key);
        }
        Err(error) => {
            *errors.entry(key).or_default() += 1;
            log::failed(controller, object.as_ref(), error);
        }
    }
    result
}

/// The pause after an error: longer the more there were in a row for this object.
#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub(super) fn pause<K: Resource<DynamicType = ()>>(object: Arc<K>, error: &Error, context: Arc<Context>) -> Action {
    let suffix = format!("/{}/{}", object.meta().namespace.clone().unwrap_or_default(), object.name_any());
    let errors = context.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let count = errors.iter().filter(|(key, _)| key.ends_with(&suffix)).map(|(_, count)| *count).max().unwrap_or(1);
    Action::requeue(error.pause(count.saturating_sub(1)))
}

pub(super) fn config() -> Config {
    Config::default().concurrency(CONCURRENCY)
}
