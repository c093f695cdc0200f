//! What is said of how far a cache is.

use super::*;
use crate::plugin::render::fixtures::{ready, replicas, warming};
use proptest::prelude::*;

#[test]
fn a_cache_is_as_far_as_its_copies_are_together() {
    let found = caches(&[warming(), ready()], &replicas());
    let amount = found[0].amount;
    assert_eq!(amount.percent, Some(41), "one whole and a quarter, of three");
    assert_eq!(amount.bytes_per_second, 104_857_600);
    assert!(!found[0].ready && found[0].problems.len() == 1);
    assert!(found[1].ready && found[1].amount.percent == Some(100), "no copies of its own are needed to be ready");
}

#[test]
fn what_was_said_of_an_earlier_spec_is_no_answer() {
    let mut cache = ready();
    assert!(holds(&cache, ConditionType::Ready));
    cache.metadata.generation = Some(3);
    assert!(!holds(&cache, ConditionType::Ready), "the operator has not looked at this spec yet");
    assert!(!caches(&[cache], &[])[0].ready);
}

#[test]
fn a_cache_whose_plan_is_not_known_has_no_percentage() {
    let mut replicas = replicas();
    replicas[2].spec.plan = None;
    let amount = caches(&[warming()], &replicas)[0].amount;
    assert_eq!((amount.percent, amount.bytes_total, amount.seconds_left), (None, None, None));
}

proptest! {
    #[test]
    fn a_hundred_percent_is_said_only_of_what_is_ready(done: u64, total: u64, rate: u64) {
        let amount = Amount::new(done, Some(total), rate, false);
        prop_assert!(amount.percent.is_none_or(|it| it < 100));
        prop_assert!(amount.bytes_done <= total);
        prop_assert_eq!(Amount::new(done, Some(total), rate, true).percent, Some(100));
    }
}
