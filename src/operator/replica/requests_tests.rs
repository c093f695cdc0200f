//! What is asked of a copy, and when it is no longer.

use super::*;
use crate::api::Reason;
use crate::api::model_cache_replica::{Attempt, AttemptStage, Holding, ReplicaNode};
use crate::operator::job::Problem;
use crate::operator::modelcache::build::fixtures::{cache, volume};
use crate::operator::modelcache::build::replica::replica as build_replica;
use crate::operator::replica::step::Recording;

fn asking(deed: Deed, text: &str) -> (ModelCache, ModelCacheReplica) {
    let mut cache = cache();
    let name = || "node-1".to_owned();
    let node = ReplicaNode { name: name(), uid: name(), hostname: name(), pool: "gpu".into() };
    let replica = build_replica(&cache, "studio-models-0", &volume(&cache), Some(node), None);
    cache.annotations_mut().insert(deed.annotation().into(), text.into());
    (cache, replica)
}

#[test]
fn a_request_is_acted_on_once_for_each_value_and_waits_for_what_is_in_the_way() {
    let (mut cache, mut replica) = asking(Deed::Warm, "one");
    let now = Timestamp::UNIX_EPOCH;
    let mut status = ModelCacheReplicaStatus::default();
    let asked = Asked::of(&cache, &replica);
    assert_eq!(asked.warm.as_deref(), Some("one"));
    asked.remember(&mut status, &Step::Wait(Problem::new(Reason::NodeCordoned, "cordoned"), None), now);
    assert_eq!(status.last_handled_request, None, "it waits");
    asked.remember(&mut status, &Step::Rest, now);
    replica.status = Some(status);
    assert_eq!(Asked::of(&cache, &replica), Asked::default());
    cache.annotations_mut().insert(Deed::Warm.annotation().into(), "two".into());
    assert_eq!(Asked::of(&cache, &replica).warm.as_deref(), Some("two"));
    cache.annotations_mut().insert(Deed::Warm.annotation().into(), "three nodes=node-2".into());
    assert_eq!(Asked::of(&cache, &replica), Asked::default(), "another node is meant");
}

#[test]
fn a_copy_that_is_made_after_a_check_was_asked_for_needs_none() {
    let (cache, mut replica) = asking(Deed::Verify, "one");
    let asked = Asked::of(&cache, &replica);
    let attempt = Attempt { number: 1, stage: AttemptStage::Done, plan: None, claim_uid: None, restored: None };
    let holds = Holding { plan: "a".into(), claim_uid: None, files: 1, bytes: 1, fetched_bytes: 1, restored: None };
    let mut status = ModelCacheReplicaStatus::default();
    let made = Step::Record(Recording { attempt, holds: Some(holds), failure: None });
    asked.remember(&mut status, &made, Timestamp::UNIX_EPOCH);
    replica.status = Some(status);
    assert_eq!(Asked::of(&cache, &replica).verify, None);
}
