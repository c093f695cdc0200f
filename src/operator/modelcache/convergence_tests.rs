//! The pure rooms together, against a cluster in memory: pass after pass until nothing changes, and then nothing is wanted.

#[path = "convergence_happenings.rs"]
mod happenings;
#[path = "convergence_world.rs"]
mod world;

use super::*;
use crate::operator::modelcache::build::fixtures::{node_object, pin};
use crate::operator::replica::slots::Slots;
use happenings::{Happening, happening};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;
use world::World;

#[test]
fn first_apply() {
    let mut world = World::new();
    world.settle();
    assert!(world.ready());
    insta::assert_snapshot!(world.transcript);
}

#[test]
fn a_new_revision_beside_a_source_that_stays() {
    let mut world = World::new();
    world.settle().transcript.clear();
    world.happens("the spec asks for v2");
    world.asks_for("v2", "c");
    world.settle();
    assert!(world.ready());
    insta::assert_snapshot!(world.transcript);
}

#[test]
fn one_node_leaves_and_another_joins() {
    let mut world = World::new();
    world.settle().transcript.clear();
    world.happens("node b is deleted");
    world.observed.nodes.pop();
    world.settle();
    world.happens("node c joins");
    world.observed.nodes.push(Arc::new(node_object("c")));
    world.settle();
    assert!(world.ready());
    insta::assert_snapshot!(world.transcript);
}

#[test]
fn one_source_fails_and_then_heals() {
    let mut world = World::new();
    world.origin.insert("sana".into(), Err(Reason::Unauthorized));
    world.settle();
    world.happens("much later, the token is still refused");
    world.later();
    world.settle();
    assert!(!world.ready());
    world.happens("the Secret is mended; the retry comes");
    world.origin.insert("sana".into(), Ok(pin("a")));
    world.later();
    world.settle();
    assert!(world.ready());
    insta::assert_snapshot!(world.transcript);
}

#[test]
fn a_cache_that_was_deleted_and_applied_again_adopts_what_is_there_although_main_has_moved() {
    let mut world = World::new();
    world.settle().transcript.clear();
    world.happens("deleted with Retain, the claim by hand; main moves; applied again");
    world.observed.replicas.clear();
    world.jobs.clear();
    world.slots = Slots::default();
    world.observed.claims.clear();
    for volume in &mut world.observed.persistent_volumes {
        volume.status = serde_json::from_value(json!({"phase": "Released"})).unwrap();
    }
    world.cache.status = None;
    world.cache.metadata.uid = Some("another-uid".into());
    world.cache.metadata.generation = Some(1);
    world.origin.insert("sana".into(), Ok(pin("d")));
    world.settle();
    assert!(world.ready());
    assert!(!world.transcript.contains("create Job"), "no origin is asked");
    insta::assert_snapshot!(world.transcript);
}

#[test]
fn going_back_to_an_older_revision_asks_once_more_and_ends_with_the_older_content() {
    let mut world = World::new();
    world.asks_for("v1", "a");
    world.settle();
    let first = world.cache.status.as_ref().and_then(|it| it.volumes[0].plan.clone());
    world.asks_for("v2", "c");
    world.settle();
    world.asks_for("v1", "a");
    world.settle();
    assert_eq!(world.cache.status.as_ref().and_then(|it| it.volumes[0].plan.clone()), first);
    let sequences: Vec<u64> = world.observed.config_maps.iter().map(sequence).filter(|it| *it > 0).collect();
    assert_eq!(sequences.len(), 1, "the plans between are tidied away: {sequences:?}");
}

#[test]
fn a_lost_status_and_a_new_operator_fetch_nothing() {
    let mut world = World::new();
    world.settle();
    let before = world.warm_ups;
    world.cache.status = None;
    world.slots = Slots::default();
    world.origin.insert("sana".into(), Ok(pin("d")));
    world.settle();
    assert!(world.ready());
    assert_eq!(world.warm_ups, before);
}

#[test]
fn copies_are_checked_on_schedule_and_only_what_is_damaged_is_repaired() {
    let mut world = World::new();
    world.scheduled("Notify");
    world.settle();
    assert_eq!((world.checks, world.asked), (0, 0), "nothing is due yet");
    world.transcript.clear();
    world.happens("a day later, a file on node b is damaged");
    let warm_ups = world.warm_ups;
    world.damaged.insert(world.observed.replicas.last().unwrap().name_any());
    world.later();
    world.settle();
    assert!(world.ready());
    assert_eq!((world.checks, world.warm_ups - warm_ups), (2, 1), "one check for each, deep; one repair");
    insta::assert_snapshot!(world.transcript);
}

#[test]
fn an_absence_is_made_up_for_with_one_run() {
    let mut world = World::new();
    world.scheduled("Notify");
    world.settle();
    for _ in 0..30 {
        world.later();
    }
    world.slots = Slots::default();
    world.settle();
    assert_eq!((world.checks, world.asked), (2, 1));
}

#[test]
fn copies_are_cleaned_on_schedule_once_for_all_that_was_missed_and_a_rule_that_goes_leaves_nothing_behind() {
    let mut world = World::new();
    world.cleaned(true);
    world.settle();
    assert_eq!(world.cleans, 0, "nothing is due yet");
    world.transcript.clear();
    world.happens("some days later");
    for _ in 0..3 {
        world.later();
    }
    world.slots = Slots::default();
    world.settle();
    assert!(world.ready());
    assert_eq!(world.cleans, 2, "one for each copy");
    world.happens("nobody asks for it any more");
    world.cleaned(false);
    world.settle();
    assert!(world.observed.replicas.iter().all(|it| it.status.as_ref().unwrap().cleanup.is_none()));
    insta::assert_snapshot!(world.transcript);
}

#[test]
fn an_origin_that_moved_is_said_and_with_update_rolled_out() {
    let mut world = World::new();
    world.scheduled("Notify");
    world.settle().transcript.clear();
    world.happens("the origin has something newer; Notify");
    world.origin.insert("sana".into(), Ok(pin("c")));
    world.later();
    world.settle();
    assert_eq!(world.asked, 1, "a source with a hash is not asked");
    world.happens("and then Update");
    world.scheduled("Update");
    world.later();
    world.settle();
    assert!(world.ready());
    assert_eq!(world.cache.status.as_ref().unwrap().sources[0].revision.as_deref(), Some("c".repeat(40).as_str()));
    insta::assert_snapshot!(world.transcript);
}

#[test]
fn a_refresh_that_fails_changes_nothing_that_is_there() {
    let mut world = World::new();
    world.scheduled("Update");
    world.settle();
    let warm_ups = world.warm_ups;
    for reason in [Reason::Unreachable, Reason::Unauthorized] {
        world.origin.insert("sana".into(), Err(reason));
        world.later();
        world.settle();
        assert!(world.ready());
        assert_eq!(world.warm_ups, warm_ups);
        assert!(world.transcript.contains(&format!("UpToDate=Unknown {reason}")), "{}", world.transcript);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_it_ends_ready_once_nothing_is_wrong_any_more(happenings in prop::collection::vec(happening(), 0..25)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
        }
        for mended in [
            Happening::OriginHeals,
            Happening::Suspended(false),
            Happening::PoolIsGone(false),
            Happening::VolumeIsSmall(false),
            Happening::NodeJoins(0),
        ] {
            world.happen(&mended);
        }
        // Failures that were recorded have their pauses; each ends with time.
        for _ in 0..3 {
            world.later();
            world.settle();
        }
        prop_assert!(world.ready(), "{}", world.transcript);
        let given: BTreeSet<_> = world.observed.replicas.iter().map(|it| it.spec.plan.clone().map(|it| it.hash)).collect();
        prop_assert_eq!(given.len(), 1);
    }
}
