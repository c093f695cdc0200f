//! What has come of a request, as far as objects say? Pure.
//!
//! It is over when every copy that is meant has answered, and else where nothing will be answered until a person acts: a cache that is
//! suspended, one that is stalled by something that is not of its copies.

use super::error::Error;
use super::render::progress::condition_now;
use super::render::tables::plain;
use super::request::Answers;
use crate::api::condition::{find, is_true, reason_of};
use crate::api::model_cache::Failure;
use crate::api::quantity::human;
use crate::api::request::{Deed, Scope};
use crate::api::{ConditionType, ModelCache, ModelCacheReplica, Reason};
use kube::ResourceExt;

/// How far a request is.
pub enum Standing {
    /// Not over.
    Open,
    /// Over.
    Over(Answers),
}

/// What a copy says to a request.
#[derive(Debug, PartialEq, Eq)]
enum Copy {
    Open,
    Done(String),
    Failed(Reason, String),
}

/// How far a request to these caches is.
///
/// # Errors
/// Why it will not be answered until a person acts.
pub fn standing(
    deed: Deed,
    asked: &str,
    caches: &[ModelCache],
    replicas: Vec<ModelCacheReplica>,
) -> Result<Standing, Error> {
    let scope = Scope::of(asked);
    let meant = |it: &ModelCacheReplica| {
        let cache = caches.iter().find(|cache| cache.name_any() == it.spec.cache);
        let can = cache.is_some_and(|cache| deed.can_be_done(&cache.spec, &it.spec.volume));
        can && scope.takes(&it.spec.volume, it.spec.node.as_ref().map(|it| it.name.as_str()))
    };
    let copies: Vec<ModelCacheReplica> = replicas.into_iter().filter(meant).collect();
    let said: Vec<Copy> = copies.iter().map(|it| copy(deed, asked, it)).collect();
    let open = said.contains(&Copy::Open);
    for cache in caches {
        let of_it = |it: &&ModelCacheReplica| it.spec.cache == cache.name_any();
        let waits = copies.iter().zip(&said).any(|(it, said)| of_it(&it) && *said == Copy::Open);
        if waits || !is_seen(deed, asked, cache) {
            still_asked(deed, asked, cache)?;
        }
        let copies: Vec<&ModelCacheReplica> = copies.iter().filter(of_it).collect();
        if waits || copies.is_empty() || !is_seen(deed, asked, cache) {
            hopeless(deed, asked, cache, &copies)?;
        }
    }
    let failed = copies.iter().zip(&said).find_map(|(it, said)| match said {
        Copy::Failed(reason, message) => {
            Some(Error::Failed { reason: *reason, message: format!("{}: {reason}: {}", place(it), plain(message)) })
        }
        _ => None,
    });
    // An origin that is only asked once all copies have what they were given is not asked while one has failed.
    let seen = failed.is_some() || caches.iter().all(|it| is_seen(deed, asked, it));
    if open || !seen {
        return Ok(Standing::Open);
    }
    let line = |(it, said): (&ModelCacheReplica, &Copy)| match said {
        Copy::Done(what) => Some(format!("{}: {what}", place(it))),
        _ => None,
    };
    let lines = copies.iter().zip(&said).filter_map(line).collect();
    Ok(Standing::Over(Answers { copies, lines, failed }))
}

/// Whether the operator has acted on a request, for the cache as a whole.
fn is_seen(deed: Deed, asked: &str, cache: &ModelCache) -> bool {
    let status = cache.status.clone().unwrap_or_default();
    let handled = match deed {
        Deed::Warm => status.last_handled_request,
        Deed::Verify => status.last_handled_verify_request,
        Deed::Clean => status.last_handled_clean_request,
        Deed::Reset => status.last_handled_reset_request,
    };
    handled.as_deref() == Some(asked)
}

/// Fails where the request is no longer there: copies that have not begun will not hear of it.
fn still_asked(deed: Deed, asked: &str, cache: &ModelCache) -> Result<(), Error> {
    let annotation = deed.annotation();
    if cache.annotations().get(annotation).is_some_and(|it| it == asked) {
        return Ok(());
    }
    Err(Error::Withdrawn { cache: cache.name_any(), annotation })
}

/// Fails where nothing will be answered until a person acts.
fn hopeless(deed: Deed, asked: &str, cache: &ModelCache, copies: &[&ModelCacheReplica]) -> Result<(), Error> {
    let name = cache.name_any();
    // A reset is refused then, which is an answer.
    if cache.spec.suspended() && deed != Deed::Reset {
        let message = format!(
            "`{name}` is suspended: what was asked for is done once it is resumed, with `kubectl modelcache resume {name}`"
        );
        return Err(Error::Failed { reason: Reason::Suspended, message });
    }
    let sources = cache.status.iter().flat_map(|it| &it.sources);
    let asked_again = sources.clone().filter(|it| it.last_handled_request.as_deref() == Some(asked));
    for source in asked_again {
        if let Some(Failure { reason, message, .. }) = source.failure.as_ref().filter(|it| it.count > 0) {
            let message = format!("`{name}`: source `{}`: {reason}: {}", source.name, plain(message));
            return Err(Error::Failed { reason: *reason, message });
        }
    }
    let tried = |it: &&ModelCacheReplica| it.status.as_ref().is_some_and(|it| it.failure.is_some());
    let goes_on = match deed {
        // What an origin or a copy has failed with is tried again because of the request.
        Deed::Warm => sources.clone().any(|it| it.failure.is_some()) || copies.iter().any(tried),
        // A copy that has a plan answers whatever it holds.
        _ => !copies.is_empty() && copies.iter().all(|it| it.spec.plan.is_some()),
    };
    if goes_on {
        return Ok(());
    }
    match condition_now(cache, ConditionType::Stalled).filter(|it| it.status == "True") {
        None => Ok(()),
        Some(stalled) => {
            let reason = reason_of(stalled).unwrap_or(Reason::InvalidSpec);
            let message = format!("`{name}` will not go on by itself: {reason}: {}", plain(&stalled.message));
            Err(Error::Failed { reason, message })
        }
    }
}

fn copy(deed: Deed, asked: &str, replica: &ModelCacheReplica) -> Copy {
    let status = replica.status.clone().unwrap_or_default();
    let failed = |it: Failure| Copy::Failed(it.reason, it.message);
    match deed {
        Deed::Warm => {
            let acted = status.last_handled_request.as_deref() == Some(asked);
            let ready = is_true(&status.conditions, ConditionType::Ready);
            match status.failure.clone().filter(|it| it.count > 0) {
                _ if acted && ready => Copy::Done("ready".into()),
                Some(failure) if acted => failed(failure),
                _ => Copy::Open,
            }
        }
        Deed::Verify => {
            let checked = status.verification.and_then(|it| it.requested).filter(|it| it.request == asked);
            match checked {
                Some(it) => match (it.damaged, it.failure) {
                    (Some(files), _) => {
                        Copy::Failed(Reason::Damaged, format!("{files} files, which are fetched again"))
                    }
                    (None, Some(failure)) => failed(failure),
                    (None, None) => Copy::Done("as it was put there".into()),
                },
                // What is not complete is not checked.
                None => stalled(replica).unwrap_or(Copy::Open),
            }
        }
        Deed::Clean => match status.requested_cleanup.filter(|it| it.request == asked && it.time.is_some()) {
            None => Copy::Open,
            Some(it) => match (it.failure, it.did) {
                (Some(failure), _) => failed(failure),
                (None, did) => {
                    let did = did.unwrap_or_default();
                    let bytes = |it: i64| human(u64::try_from(it).unwrap_or(0));
                    let (freed, trashed) = (bytes(did.freed_bytes), bytes(did.trashed_bytes));
                    let text = format!("{} deleted, {} rotated", did.deleted, did.rotated);
                    Copy::Done(format!("{text}; {freed} freed, {trashed} to the trash"))
                }
            },
        },
        Deed::Reset => match status.requested_reset.filter(|it| it.request == asked && it.time.is_some()) {
            None => Copy::Open,
            Some(it) => it.failure.map_or_else(|| Copy::Done("fetched anew".into()), failed),
        },
    }
}

/// What nothing but a person will change about a copy.
fn stalled(replica: &ModelCacheReplica) -> Option<Copy> {
    let conditions = &replica.status.as_ref()?.conditions;
    let stalled = find(conditions, ConditionType::Stalled).filter(|it| it.status == "True")?;
    Some(Copy::Failed(reason_of(stalled).unwrap_or(Reason::InvalidSpec), stalled.message.clone()))
}

/// Which copy it is, for people.
pub fn place(replica: &ModelCacheReplica) -> String {
    let node = replica.spec.node.as_ref().map_or("(shared)", |it| it.name.as_str());
    format!("{} {} on {node}", replica.spec.cache, replica.spec.volume)
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
