//! The promises of a pool's status.

use super::*;
use crate::operator::modelcache::build::fixtures::{cache, node_object, pool, silent_node};

#[test]
fn a_pool_without_nodes_says_so_and_counts_what_is_reserved() {
    let status = status(&pool(), &[], &[Arc::new(cache())], Timestamp::UNIX_EPOCH);
    assert_eq!((status.nodes, status.volumes, status.reserved.as_deref()), (Some(0), Some(1), Some("60.0 GiB")));
    assert!(!condition::is_true(&status.conditions, ConditionType::Ready));
}

#[test]
fn nodes_are_counted_by_their_labels_whether_they_report_or_not() {
    let mut other = node_object("other");
    other.metadata.labels = None;
    let nodes = [node_object("a"), silent_node("b"), other].map(Arc::new);
    let status = status(&pool(), &nodes, &[], Timestamp::UNIX_EPOCH);
    assert_eq!((status.nodes, status.volumes, status.reserved.as_deref()), (Some(2), Some(0), Some("0 B")));
    assert!(condition::is_true(&status.conditions, ConditionType::Ready));
}

#[test]
fn a_cache_that_does_not_fit_is_not_counted_as_reserved_and_absurd_sizes_do_not_overflow() {
    let caches = ["1", "2", "3"].map(|name| {
        let mut cache = cache();
        cache.metadata.uid = Some(name.into());
        cache.spec.volumes[0].per_node.as_mut().unwrap().size.0 = "7Ei".into();
        Arc::new(cache)
    });
    let status = status(&pool(), &[], &caches, Timestamp::UNIX_EPOCH);
    assert_eq!((status.volumes, status.reserved.as_deref()), (Some(0), Some("0 B")));
}

#[test]
fn looking_twice_says_the_same() {
    let mut pool = pool();
    let nodes = [Arc::new(node_object("a"))];
    pool.status = Some(status(&pool, &nodes, &[], Timestamp::UNIX_EPOCH));
    let later = Timestamp::from_second(99).unwrap();
    assert_eq!(Some(status(&pool, &nodes, &[], later)), pool.status);
}
