//! How many warm-ups and checks run at once? One ledger for the process that leads.
//!
//! A slot is taken before the attempt is recorded and given back when its end is recorded, so that two Replicas that look
//! at the same moment cannot both be the last one allowed.

use crate::api::model_cache_backup::RunStage;
use crate::api::rollout::Rollout;
use crate::api::{ModelCacheReplica, ModelCacheRestore, NodeCachePool};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Warm-ups of a cache at once, when its spec does not say.
const DEFAULT_MAX_PARALLEL: usize = 4;

/// Who holds a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    cache: (String, String),
    pool: Option<String>,
}

/// The ledger.
#[derive(Debug, Default)]
pub struct Slots {
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    /// Who was given a slot by this process, by the Replica's UID.
    held: BTreeMap<String, Holder>,
    /// The last attempt of each Replica that is known to be over: the watch may still show it at work.
    over: BTreeMap<String, i64>,
    /// Which claims restores write to, by the restore's UID: namespace and names.
    restores: BTreeMap<String, (String, Vec<String>)>,
    /// Whether the restores that ran before this process led are among them.
    adopted: bool,
}

/// Why there is no slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSlot {
    /// As many warm-ups of the cache run as `rollout.maxParallel` allows.
    Cache(usize),
    /// As many warm-ups run in the pool as it allows.
    Pool(usize),
    /// More copies failed than `rollout.maxFailures` allows.
    Failures(usize),
    /// A restore writes to the volume.
    Restore,
}

impl Slots {
    /// Takes a slot for a Replica, if cache and pool allow one more. Asking twice takes one slot.
    pub fn take(
        &self,
        replica: &ModelCacheReplica,
        all: &[Arc<ModelCacheReplica>],
        rollout: Option<&Rollout>,
        pool: Option<&NodeCachePool>,
    ) -> Result<(), NoSlot> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if ledger.restored(&replica.namespace().unwrap_or_default(), &replica.spec.claim_name, None) {
            return Err(NoSlot::Restore);
        }
        ledger.over.retain(|held, _| all.iter().any(|it| key(it) == *held));
        ledger.held.retain(|held, _| all.iter().any(|it| key(it) == *held) || *held == key(replica));
        let mut held = ledger.held.clone();
        // What runs since before this process led.
        let at_work = |it: &&Arc<ModelCacheReplica>| {
            attempt(it).is_some_and(|number| ledger.over.get(&key(it)).is_none_or(|over| number > *over))
        };
        held.extend(all.iter().filter(at_work).map(|it| (key(it), holder(it))));
        let me = holder(replica);
        let others = || held.iter().filter(|(it, _)| **it != key(replica)).map(|(_, holder)| holder);
        let siblings: Vec<_> = all.iter().filter(|it| holder(it).cache == me.cache).collect();
        let max_failures = rollout.and_then(|it| it.max_failures.as_ref());
        // A copy that failed may try again: if none could, nothing would ever clear the count.
        if let Some(limit) = max_failures.map(|it| count(it, siblings.len(), false)).filter(|_| !failed(replica))
            && siblings.iter().filter(|it| failed(it)).count() > limit
        {
            return Err(NoSlot::Failures(limit));
        }
        let limit = rollout
            .and_then(|it| it.max_parallel.as_ref())
            .map_or(DEFAULT_MAX_PARALLEL, |it| count(it, siblings.len(), true));
        if others().filter(|it| it.cache == me.cache).count() >= limit {
            return Err(NoSlot::Cache(limit));
        }
        if let Some(limit) = pool.and_then(|it| it.spec.max_parallel).and_then(|it| usize::try_from(it).ok())
            && others().filter(|it| it.pool == me.pool).count() >= limit
        {
            return Err(NoSlot::Pool(limit));
        }
        ledger.held.insert(key(replica), me);
        Ok(())
    }

    /// Gives a slot back: this attempt is over.
    pub fn give_back(&self, replica: &ModelCacheReplica, attempt: i64) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.held.remove(&key(replica));
        ledger.over.insert(key(replica), attempt);
    }
}

impl Slots {
    /// Takes over the restores that ran before this process led. Later ones take their claims themselves.
    pub fn adopt(&self, all: &[Arc<ModelCacheRestore>]) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut ledger.adopted, true) {
            return;
        }
        for restore in all {
            let Some(status) = &restore.status else { continue };
            if status.attempt.as_ref().is_some_and(|it| it.stage == RunStage::Running) {
                let claims = (restore.namespace().unwrap_or_default(), status.claims.clone());
                ledger.restores.insert(restore.uid().unwrap_or_default(), claims);
            }
        }
    }

    /// Takes claims for a restore, unless a warm-up or another restore writes to one of them.
    ///
    /// # Errors
    /// The claim.
    pub fn lock(
        &self,
        restore: &str,
        namespace: &str,
        claims: &[String],
        all: &[Arc<ModelCacheReplica>],
    ) -> Result<(), String> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        for claim in claims {
            let on_it = |it: &&Arc<ModelCacheReplica>| {
                it.spec.claim_name == *claim && it.namespace().as_deref() == Some(namespace)
            };
            let at_work = |it: &Arc<ModelCacheReplica>| {
                let running =
                    attempt(it).is_some_and(|number| ledger.over.get(&key(it)).is_none_or(|over| number > *over));
                running || ledger.held.contains_key(&key(it))
            };
            if all.iter().filter(on_it).any(at_work) || ledger.restored(namespace, claim, Some(restore)) {
                return Err(claim.clone());
            }
        }
        ledger.restores.insert(restore.to_owned(), (namespace.to_owned(), claims.to_vec()));
        Ok(())
    }

    /// Gives the claims of a restore back.
    pub fn unlock(&self, restore: &str) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.restores.remove(restore);
    }
}

impl Ledger {
    /// Whether a restore, other than this one, writes to a claim.
    fn restored(&self, namespace: &str, claim: &str, but: Option<&str>) -> bool {
        let others = self.restores.iter().filter(|(uid, _)| Some(uid.as_str()) != but);
        others.map(|(_, held)| held).any(|(of, claims)| of == namespace && claims.iter().any(|it| it == claim))
    }
}

fn key(replica: &ModelCacheReplica) -> String {
    replica.uid().unwrap_or_else(|| replica.name_any())
}

fn holder(replica: &ModelCacheReplica) -> Holder {
    let cache = (replica.namespace().unwrap_or_default(), replica.spec.cache.clone());
    Holder { cache, pool: replica.spec.node.as_ref().map(|it| it.pool.clone()) }
}

/// The number of the attempt whose Job mounts the volume, if one does.
fn attempt(replica: &ModelCacheReplica) -> Option<i64> {
    let attempt = replica.status.as_ref().and_then(|it| it.attempt.as_ref());
    attempt.filter(|it| it.stage.mounts()).map(|it| it.number)
}

fn failed(replica: &ModelCacheReplica) -> bool {
    // An eviction is recorded, and does not count.
    replica.status.as_ref().and_then(|it| it.failure.as_ref()).is_some_and(|it| it.count > 0)
}

/// A number, or a percentage of `total`: rounded up for what must move, and then at least one; down for what is tolerated.
fn count(value: &IntOrString, total: usize, at_least_one: bool) -> usize {
    let number = match value {
        IntOrString::Int(number) => usize::try_from(*number).unwrap_or(0),
        IntOrString::String(text) => {
            let percent: usize = text.trim_end_matches('%').parse().unwrap_or(0);
            let part = total.saturating_mul(percent);
            if at_least_one { part.div_ceil(100) } else { part / 100 }
        }
    };
    if at_least_one { number.max(1) } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model_cache_replica::{Attempt, AttemptStage, ModelCacheReplicaStatus, ReplicaNode};
    use crate::operator::modelcache::build::fixtures::{cache, pool, volume};
    use crate::operator::modelcache::build::replica::replica;
    use proptest::prelude::*;

    fn on_node(name: &str, stage: Option<AttemptStage>) -> Arc<ModelCacheReplica> {
        let cache = cache();
        let node = ReplicaNode { name: name.into(), uid: name.into(), hostname: name.into(), pool: "gpu".into() };
        let mut replica = replica(&cache, name, &volume(&cache), Some(node), None);
        replica.metadata.uid = Some(name.into());
        replica.status = stage.map(|stage| ModelCacheReplicaStatus {
            attempt: Some(Attempt { number: 1, stage, plan: None, claim_uid: None, restored: None }),
            ..ModelCacheReplicaStatus::default()
        });
        Arc::new(replica)
    }

    fn rollout(max_parallel: i32) -> Rollout {
        Rollout { max_parallel: Some(IntOrString::Int(max_parallel)), max_failures: None }
    }

    #[test]
    fn the_last_slot_is_taken_once_even_if_the_watch_has_not_seen_it_yet() {
        let slots = Slots::default();
        let all = [on_node("a", None), on_node("b", None)];
        assert_eq!(slots.take(&all[0], &all, Some(&rollout(1)), None), Ok(()));
        assert_eq!(slots.take(&all[0], &all, Some(&rollout(1)), None), Ok(()), "asking twice takes one slot");
        assert_eq!(slots.take(&all[1], &all, Some(&rollout(1)), None), Err(NoSlot::Cache(1)));
        slots.give_back(&all[0], 1);
        assert_eq!(slots.take(&all[1], &all, Some(&rollout(1)), None), Ok(()));
    }

    #[test]
    fn what_ran_before_this_process_led_is_counted() {
        let slots = Slots::default();
        let all = [on_node("a", Some(AttemptStage::WarmUp)), on_node("b", None)];
        assert_eq!(slots.take(&all[1], &all, Some(&rollout(1)), None), Err(NoSlot::Cache(1)));
    }

    #[test]
    fn an_attempt_that_is_over_holds_no_slot_even_while_the_watch_still_shows_it() {
        let slots = Slots::default();
        let all = [on_node("a", Some(AttemptStage::WarmUp)), on_node("b", None)];
        slots.give_back(&all[0], 1);
        assert_eq!(slots.take(&all[1], &all, Some(&rollout(1)), None), Ok(()));
    }

    #[test]
    fn a_pools_own_limit_holds_over_all_caches() {
        let slots = Slots::default();
        let all = [on_node("a", Some(AttemptStage::WarmUp)), on_node("b", None)];
        let mut pool = pool();
        pool.spec.max_parallel = Some(1);
        assert_eq!(slots.take(&all[1], &all, None, Some(&pool)), Err(NoSlot::Pool(1)));
    }

    #[test]
    fn too_many_failures_hold_back_what_is_new_and_not_the_retries_that_could_clear_them() {
        let slots = Slots::default();
        let failure = crate::operator::retry::next_failure(
            None,
            crate::api::Reason::Unreachable,
            "x",
            jiff::Timestamp::UNIX_EPOCH,
        );
        let failed = |name: &str| {
            let mut replica = Arc::unwrap_or_clone(on_node(name, Some(AttemptStage::Done)));
            replica.status.as_mut().unwrap().failure = Some(failure.clone());
            Arc::new(replica)
        };
        let all = [failed("a"), failed("b"), on_node("c", None)];
        let rollout = |limit| Rollout { max_parallel: None, max_failures: Some(IntOrString::Int(limit)) };
        assert_eq!(slots.take(&all[2], &all, Some(&rollout(1)), None), Err(NoSlot::Failures(1)));
        assert_eq!(slots.take(&all[0], &all, Some(&rollout(1)), None), Ok(()));
        assert_eq!(slots.take(&all[2], &all, Some(&rollout(2)), None), Ok(()));
    }

    #[test]
    fn another_caches_copies_count_against_the_pool_and_not_against_the_cache() {
        let slots = Slots::default();
        let mut other = Arc::unwrap_or_clone(on_node("a", Some(AttemptStage::WarmUp)));
        other.spec.cache = "other".into();
        let all = [Arc::new(other), on_node("b", None)];
        assert_eq!(slots.take(&all[1], &all, Some(&rollout(1)), Some(&pool())), Ok(()));
    }

    #[test]
    fn the_next_attempt_of_a_copy_whose_last_one_is_over_counts_again() {
        let slots = Slots::default();
        let all = [on_node("a", Some(AttemptStage::WarmUp)), on_node("b", None)];
        slots.give_back(&all[0], 0);
        assert_eq!(slots.take(&all[1], &all, Some(&rollout(1)), None), Err(NoSlot::Cache(1)));
    }

    proptest! {
        #[test]
        fn never_more_run_at_once_than_the_limits_allow_and_always_one_if_any_wants_to(
            asks in prop::collection::vec((0_usize..8, any::<bool>()), 1..60), limit in 1_i32..5, of_pool in 1_i32..5
        ) {
            let slots = Slots::default();
            let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
            let all = names.map(|name| on_node(name, None));
            let mut pool = pool();
            pool.spec.max_parallel = Some(of_pool);
            let mut held = std::collections::BTreeSet::new();
            for (index, (which, gives_back)) in asks.into_iter().enumerate() {
                if gives_back {
                    slots.give_back(&all[which], i64::try_from(index).unwrap());
                    held.remove(&which);
                } else if slots.take(&all[which], &all, Some(&rollout(limit)), Some(&pool)).is_ok() {
                    held.insert(which);
                } else {
                    prop_assert!(!held.is_empty());
                }
                prop_assert!(held.len() <= usize::try_from(limit.min(of_pool)).unwrap());
            }
        }
    }

    #[test]
    fn a_replica_that_is_gone_gives_its_slot_back() {
        let slots = Slots::default();
        let (a, b) = (on_node("a", None), on_node("b", None));
        assert_eq!(slots.take(&a, &[a.clone(), b.clone()], Some(&rollout(1)), None), Ok(()));
        assert_eq!(slots.take(&b, std::slice::from_ref(&b), Some(&rollout(1)), None), Ok(()));
    }

    #[test]
    fn a_restore_and_a_warm_up_never_write_to_one_claim_together() {
        let slots = Slots::default();
        let all = [on_node("a", None), on_node("b", None)];
        let (namespace, claim) = (all[0].namespace().unwrap_or_default(), all[0].spec.claim_name.clone());
        let claims = [claim.clone()];
        assert_eq!(slots.lock("restore", &namespace, &claims, &all), Ok(()));
        assert_eq!(slots.lock("restore", &namespace, &claims, &all), Ok(()), "asking twice is asking once");
        assert_eq!(slots.take(&all[0], &all, None, None), Err(NoSlot::Restore));
        assert_eq!(slots.lock("another", &namespace, &claims, &all), Err(claim.clone()));
        assert_eq!(slots.lock("elsewhere", "another-namespace", &claims, &all), Ok(()));
        slots.unlock("restore");
        assert_eq!(slots.take(&all[0], &all, None, None), Ok(()));
        assert_eq!(
            slots.lock("restore", &namespace, &claims, &all),
            Err(claim.clone()),
            "the watch need not have seen it"
        );
        slots.give_back(&all[0], 1);
        let working = [on_node("a", Some(AttemptStage::WarmUp))];
        assert_eq!(Slots::default().lock("restore", &namespace, &claims, &working), Err(claim));
    }

    #[test]
    fn a_restore_that_ran_before_this_process_led_holds_its_claims() {
        let slots = Slots::default();
        let all = [on_node("a", None)];
        let restore = serde_json::from_value(serde_json::json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheRestore",
            "metadata": {"name": "back", "namespace": all[0].namespace(), "uid": "restore"},
            "spec": {"from": {"latest": {"cache": "studio"}}},
            "status": {"attempt": {"number": 1, "stage": "Running"}, "claims": [all[0].spec.claim_name.clone()]}
        }));
        let restore: Arc<ModelCacheRestore> = Arc::new(restore.unwrap());
        slots.adopt(std::slice::from_ref(&restore));
        assert_eq!(slots.take(&all[0], &all, None, None), Err(NoSlot::Restore));
        slots.unlock("restore");
        slots.adopt(&[restore]);
        assert_eq!(slots.take(&all[0], &all, None, None), Ok(()), "what the watch still shows as running is over");
    }

    #[test]
    fn percentages_round_so_that_something_moves_and_nothing_more_fails() {
        let percent = |text: &str| IntOrString::String(text.into());
        for (value, total, up, expected) in [
            (percent("25%"), 10, true, 3),
            (percent("1%"), 10, true, 1),
            (percent("0%"), 10, true, 1),
            (percent("25%"), 10, false, 2),
            (percent("0%"), 10, false, 0),
            (IntOrString::Int(0), 10, true, 1),
        ] {
            assert_eq!(count(&value, total, up), expected, "{value:?}");
        }
    }
}
