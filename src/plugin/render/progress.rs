//! How far are the caches, and how far is each copy?

use crate::api::condition::find;
use crate::api::model_cache::NodeProblem;
use crate::api::{ConditionType, ModelCache, ModelCacheReplica, Reason};
use kube::ResourceExt;
use serde::Serialize;

/// How far a cache is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheProgress {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether everything is there, for the spec as it is now.
    pub ready: bool,
    /// Whether nothing will change until a person acts.
    pub stalled: bool,
    /// Why it is ready or not, from the closed list of reasons.
    pub reason: String,
    /// The same, in a sentence.
    pub message: String,
    /// Copies that are ready, of those wanted.
    pub nodes: String,
    /// How far all copies are together.
    #[serde(flatten)]
    pub amount: Amount,
    /// Bytes of one copy, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Copies and sources that have a problem.
    pub problems: Vec<Problem>,
}

/// How far a copy is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyProgress {
    /// Namespace of its cache.
    pub namespace: String,
    /// Name of its cache.
    pub cache: String,
    /// Its volume.
    pub volume: String,
    /// Its node; nothing for a shared volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Whether it holds what is wanted.
    pub ready: bool,
    /// Why, from the closed list of reasons.
    pub reason: String,
    /// The same, in a sentence.
    pub message: String,
    /// How far it is.
    #[serde(flatten)]
    pub amount: Amount,
    /// Its attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// When a check last found it whole, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<String>,
}

/// Bytes that are there, and how fast they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// Of a hundred; nothing while it is not known how much there is to come. A hundred only when it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u64>,
    /// Bytes that are there.
    pub bytes_done: u64,
    /// Bytes wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// Bytes per second.
    pub bytes_per_second: u64,
    /// Seconds that it takes at this rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// A problem of a cache.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// What has it: a source, or a volume and its node.
    pub of: String,
    /// Why.
    pub reason: Reason,
    /// What happened and what to do.
    pub message: String,
}

impl Amount {
    fn new(done: u64, total: Option<u64>, rate: u64, ready: bool) -> Self {
        let done = total.map_or(done, |total| done.min(total));
        let percent = total.filter(|total| *total > 0).map(|total| part(done, total).min(if ready { 100 } else { 99 }));
        let left = total.map(|total| total - done).filter(|left| *left > 0 && rate > 0);
        Self {
            percent: if ready { Some(100) } else { percent },
            bytes_done: done,
            bytes_total: total,
            bytes_per_second: rate,
            seconds_left: left.map(|left| left.div_ceil(rate)),
        }
    }
}

fn part(done: u64, total: u64) -> u64 {
    u64::try_from(u128::from(done) * 100 / u128::from(total)).unwrap_or(100)
}

fn positive(count: i64) -> Option<u64> {
    u64::try_from(count).ok()
}

/// How far each copy is.
pub fn copies(replicas: &[ModelCacheReplica]) -> Vec<CopyProgress> {
    replicas.iter().map(copy).collect()
}

fn copy(replica: &ModelCacheReplica) -> CopyProgress {
    let status = replica.status.clone().unwrap_or_default();
    let condition = find(&status.conditions, ConditionType::Ready);
    let ready = condition.is_some_and(|it| it.status == "True");
    let holds = status.holds.as_ref().filter(|it| replica.spec.is_met_by(it));
    let total = replica.spec.plan.as_ref().and_then(|it| positive(it.bytes));
    let progress = status.progress.as_ref();
    let done = match (holds, progress) {
        (Some(_), _) => total.unwrap_or(0),
        (None, Some(progress)) => positive(progress.bytes_done).unwrap_or(0),
        (None, None) => 0,
    };
    let rate = progress.and_then(|it| positive(it.bytes_per_second)).unwrap_or(0);
    let checks = status.verification.as_ref();
    let runs = checks.into_iter().flat_map(|it| [it.quick.as_ref(), it.deep.as_ref()]).flatten();
    CopyProgress {
        namespace: replica.namespace().unwrap_or_default(),
        cache: replica.spec.cache.clone(),
        volume: replica.spec.volume.clone(),
        node: replica.spec.node.as_ref().map(|it| it.name.clone()),
        ready,
        reason: condition.map_or_else(|| Reason::Pending.to_string(), |it| it.reason.clone()),
        message: condition.map(|it| it.message.clone()).unwrap_or_default(),
        amount: Amount::new(done, total, rate, ready),
        attempt: status.attempt.as_ref().map(|it| it.number),
        checked: runs.filter_map(|it| it.last_success.clone()).max(),
    }
}

/// Whether a condition holds for the spec as it is now: what was said about an earlier one says nothing.
pub fn holds(cache: &ModelCache, type_: ConditionType) -> bool {
    condition_now(cache, type_).is_some_and(|it| it.status == "True")
}

/// The condition of a type, if it is about the spec as it is now.
pub fn condition_now(
    cache: &ModelCache,
    type_: ConditionType,
) -> Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let status = cache.status.as_ref()?;
    let current = status.observed_generation == cache.metadata.generation;
    find(&status.conditions, type_).filter(|it| current || it.observed_generation == cache.metadata.generation)
}

/// How far each cache is.
pub fn caches(caches: &[ModelCache], replicas: &[ModelCacheReplica]) -> Vec<CacheProgress> {
    caches.iter().map(|it| cache(it, replicas)).collect()
}

fn cache(cache: &ModelCache, replicas: &[ModelCacheReplica]) -> CacheProgress {
    let (namespace, name) = (cache.namespace().unwrap_or_default(), cache.name_any());
    let status = cache.status.clone().unwrap_or_default();
    let mine = |it: &&ModelCacheReplica| it.spec.cache == name && it.namespace().as_deref() == Some(namespace.as_str());
    let copies: Vec<CopyProgress> = replicas.iter().filter(mine).map(copy).collect();
    let ready = holds(cache, ConditionType::Ready);
    let condition = find(&status.conditions, ConditionType::Ready);
    let known = !copies.is_empty() && copies.iter().all(|it| it.amount.bytes_total.is_some());
    let sum = |of: fn(&Amount) -> u64| copies.iter().map(|it| of(&it.amount)).fold(0_u64, u64::saturating_add);
    let total = known.then(|| sum(|it| it.bytes_total.unwrap_or(0)));
    CacheProgress {
        ready,
        stalled: holds(cache, ConditionType::Stalled),
        reason: condition.map_or_else(|| Reason::Pending.to_string(), |it| it.reason.clone()),
        message: condition.map(|it| it.message.clone()).unwrap_or_default(),
        nodes: status.nodes.clone().unwrap_or_default(),
        amount: Amount::new(sum(|it| it.bytes_done), total, sum(|it| it.bytes_per_second), ready),
        size: status.size.clone(),
        problems: problems(cache),
        namespace,
        name,
    }
}

fn problems(cache: &ModelCache) -> Vec<Problem> {
    let status = cache.status.clone().unwrap_or_default();
    let sources = status.sources.into_iter().filter_map(|source| {
        let failure = source.failure?;
        Some(Problem { of: format!("source {}", source.name), reason: failure.reason, message: failure.message })
    });
    let volumes = status.volumes.into_iter().flat_map(|volume| {
        let name = volume.name;
        volume.problems.into_iter().map(move |NodeProblem { node, reason, message }| {
            let of = if node.is_empty() { format!("volume {name}") } else { format!("volume {name} on {node}") };
            Problem { of, reason, message }
        })
    });
    sources.chain(volumes).collect()
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
