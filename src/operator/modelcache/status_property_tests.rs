//! What holds for the status of every cluster that can be thought of.

use super::*;
use crate::operator::modelcache::build::copies::{Copy, Kstatus, kstatus, said, with_copies};
use crate::operator::modelcache::build::fixtures::{
    JobEnd, cache, claim, foreign_claim, node_object, pass, pin, resolve_job, second, silent_node, status_of,
    stored_plan,
};
use proptest::prelude::*;

#[test]
fn the_status_stays_small_with_five_hundred_nodes_and_thirty_two_sources_and_long_words() {
    let mut cache = cache();
    let source = cache.spec.sources[0].clone();
    cache.spec.sources = (0..32)
        .map(|index| {
            let mut source = source.clone();
            source.name = format!("source-{index}");
            source
        })
        .collect();
    let names: Vec<String> = (0..500).map(|it| format!("node-{it}.{}", "x".repeat(200))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let long = crate::contract::plan::Pin { revision: "é".repeat(4000), digest: "d".repeat(900), ..pin("a") };
    let mut observed = Observed::empty().with_nodes(&names).with_claim(claim("models")).with_config_map(stored_plan(
        &cache,
        "models",
        &[(0, long)],
        1,
    ));
    observed = with_copies(&cache, observed, &[Copy::Failed(Reason::Unreachable); 500]);
    for replica in &mut observed.replicas {
        replica.status.as_mut().unwrap().failure.as_mut().unwrap().message = "é".repeat(2000);
    }
    let status = said(cache, &observed).status.unwrap();
    let size = serde_json::to_string(&status).unwrap().len();
    assert!(size < 40_000, "{size} bytes");
    assert_eq!(status.volumes[0].replicas.failed, 500);
    let revision = status.sources[0].revision.as_ref().unwrap();
    assert!(revision.chars().count() <= 512 && status.sources[0].digest.as_ref().unwrap().chars().count() <= 64);
}

fn copy() -> impl Strategy<Value = Copy> {
    prop_oneof![
        Just(Copy::New),
        Just(Copy::Working),
        Just(Copy::Holds),
        Just(Copy::HoldsOther),
        Just(Copy::Queued),
        Just(Copy::Failed(Reason::Unreachable)),
        Just(Copy::Failed(Reason::InsufficientSpace)),
        Just(Copy::RetryOf(Reason::InsufficientSpace)),
        Just(Copy::RetryOf(Reason::OutOfMemory)),
        Just(Copy::Waits(Reason::NodeCordoned)),
        Just(Copy::Waits(Reason::Suspended)),
    ]
}

prop_compose! {
    fn observation()(
        copies in prop::collection::vec((copy(), any::<bool>()), 0..5),
        plan in prop::option::of(Just(())),
        job in 0_u8..7,
        bound in 0_u8..3,
        pool in prop::bool::weighted(0.9),
    ) -> Observed {
        let mut observed = Observed::empty().with_nodes(&[]);
        for (index, (_, silent)) in copies.iter().enumerate() {
            let name = format!("n{index}");
            observed = observed.with_node(if *silent { silent_node(&name) } else { node_object(&name) });
        }
        if plan.is_some() {
            observed = observed.with_config_map(stored_plan(&cache(), "models", &[(0, pin("a"))], 1));
        }
        match bound {
            0 => {}
            1 => observed = observed.with_claim(claim("models")),
            _ => observed = observed.with_claim(foreign_claim("studio-models")),
        }
        let copies: Vec<Copy> = copies.into_iter().map(|(copy, _)| copy).collect();
        observed = with_copies(&cache(), observed, &copies);
        if !pool {
            observed.pools.clear();
        }
        let end = match job {
            0 => JobEnd::Running,
            1 => JobEnd::Ending,
            2 => JobEnd::Silent,
            3 => JobEnd::Pinned(pin("b")),
            4 => JobEnd::Failed(Reason::Unauthorized),
            5 => JobEnd::Failed(Reason::Evicted),
            _ => return observed,
        };
        observed.with_resolve_job(resolve_job(&cache(), 0, 1, end))
    }
}

proptest! {
    #[test]
    fn looking_again_at_the_same_cluster_says_the_same_and_so_writes_nothing(
        observed in observation(), suspended in any::<bool>(), later in 0_i64..100_000
    ) {
        let mut cache = cache();
        cache.spec.suspend = Some(suspended);
        let cache = said(cache, &observed);
        let again = status_of(&cache, &observed, &pass(&cache, &observed, second(later)), second(later));
        prop_assert_eq!(Some(&again), cache.status.as_ref());
    }

    #[test]
    fn what_is_said_is_never_contradictory(observed in observation(), suspended in any::<bool>()) {
        let mut cache = cache();
        cache.spec.suspend = Some(suspended);
        let cache = said(cache, &observed);
        let status = cache.status.as_ref().unwrap();
        let is = |type_| is_true(&status.conditions, type_);
        prop_assert!(!(is(ConditionType::Reconciling) && is(ConditionType::Stalled)));
        let all = is(ConditionType::StorageReady) && is(ConditionType::Resolved) && is(ConditionType::Warm);
        prop_assert_eq!(is(ConditionType::Ready), all);
        prop_assert_eq!(kstatus(&cache) == Kstatus::Current, all);
        prop_assert!(suspended || all || is(ConditionType::Reconciling) || is(ConditionType::Stalled));
        prop_assert!(status.conditions.iter().all(|it| !it.message.is_empty()));
        let counts = status.volumes[0].replicas;
        prop_assert!(counts.ready + counts.unreachable <= counts.desired);
        prop_assert!(counts.ready + counts.warming + counts.unreachable <= counts.desired);
        prop_assert!(status.volumes[0].problems.len() <= PROBLEMS);
    }
}
