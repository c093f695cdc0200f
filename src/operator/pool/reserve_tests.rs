//! The promises of the ledger of a pool.

use super::*;
use crate::operator::modelcache::build::fixtures::{cache, pool, second};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

fn sized(name: &str, born: i64, gibibytes: u64) -> ModelCache {
    let mut cache = cache();
    cache.metadata.name = Some(name.into());
    cache.metadata.uid = Some(format!("{name}-uid"));
    cache.metadata.creation_timestamp = Some(Time(second(born)));
    cache.spec.volumes[0].per_node.as_mut().unwrap().size.0 = format!("{gibibytes}Gi");
    cache
}

fn granted(capacity: u64, caches: &[ModelCache]) -> Vec<String> {
    let all = reservations(&pool(), capacity << 30, caches);
    all.into_iter().filter(Reservation::fits).filter_map(|it| it.cache).collect()
}

#[test]
fn the_oldest_cache_is_served_first_and_the_last_byte_may_be_taken() {
    assert_eq!(granted(100, &[sized("young", 2, 50), sized("old", 1, 50)]), ["old-uid", "young-uid"]);
    assert_eq!(granted(99, &[sized("young", 2, 50), sized("old", 1, 50)]), ["old-uid"]);
}

#[test]
fn a_cache_that_wants_more_than_there_is_holds_up_nobody_else() {
    assert_eq!(granted(100, &[sized("greedy", 1, 5000), sized("modest", 2, 50)]), ["modest-uid"]);
}

#[test]
fn a_cache_in_a_namespace_that_the_pool_does_not_admit_reserves_nothing() {
    let mut pool = pool();
    pool.spec.namespaces = serde_json::from_value(serde_json::json!({"names": ["other"]})).unwrap();
    assert!(reservations(&pool, 1 << 40, &[sized("intruder", 1, 50)]).is_empty());
}

#[test]
fn two_volumes_of_one_cache_reserve_one_after_the_other() {
    let mut cache = sized("two", 1, 60);
    let mut second = cache.spec.volumes[0].clone();
    second.name = "more".into();
    cache.spec.volumes.push(second);
    let all = reservations(&pool(), 100 << 30, [&cache]);
    assert_eq!(
        all.iter().map(|it| (it.volume.as_str(), it.fits())).collect::<Vec<_>>(),
        [("models", true), ("more", false)]
    );
}

proptest! {
    #[test]
    fn who_is_served_depends_on_age_and_not_on_the_order_of_the_list_and_never_exceeds_the_capacity(
        wants in prop::collection::vec((0_i64..4, 1_u64..80), 1..12),
        seed in any::<u64>(),
    ) {
        let caches: Vec<ModelCache> =
            wants.iter().enumerate().map(|(index, (born, size))| sized(&format!("c{index}"), *born, *size)).collect();
        let mut shuffled = caches.clone();
        shuffled.sort_by_key(|it| crate::api::name::short_hash(&[&it.name_any(), &seed.to_string()]));
        let all = reservations(&pool(), 100 << 30, &caches);
        prop_assert_eq!(&all, &reservations(&pool(), 100 << 30, &shuffled));
        let sum: u64 = all.iter().filter(|it| it.fits()).map(|it| it.wanted).sum();
        prop_assert!(sum <= 100 << 30);
        // Nobody is refused what is left.
        prop_assert!(all.iter().filter(|it| !it.fits()).all(|it| it.wanted > it.left));
    }
}
