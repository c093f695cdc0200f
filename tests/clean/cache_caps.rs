//! Caps and the floor: the revision that was replaced first goes first, and only as far as is needed.

use crate::cache::{cleaned, lived_in, retired, snapshots};
use serde_json::json;

#[test]
fn above_the_cap_the_revision_that_was_replaced_first_goes_first_and_only_as_many_as_needed() {
    // Each earlier revision has 1 MiB of its own; 6 MiB in all.
    let bench = lived_in(3, &json!({"maxUsed": "5500Ki"}));
    let oldest = retired(&bench).into_iter().min_by_key(|it| it.metadata().unwrap().modified().unwrap()).unwrap();
    cleaned(&bench, &[]);
    assert_eq!(snapshots(&bench), 3);
    assert!(!oldest.exists());
    let ran = cleaned(&bench, &[]);
    assert!(ran.one().to_string().contains("within the caps"), "{:#}", ran.one());
    assert_eq!(snapshots(&bench), 3);
}

#[test]
fn the_floor_wins_over_the_caps() {
    let bench = lived_in(3, &json!({"maxUsed": "1Mi", "reserved": "4500Ki"}));
    let ran = cleaned(&bench, &[]);
    assert_eq!(snapshots(&bench), 3, "{:#}", ran.one());
    assert!(ran.one().to_string().contains("less than `reserved` would be left"), "{:#}", ran.one());
}

#[test]
fn what_is_young_stays_whatever_the_caps_say() {
    let bench = lived_in(2, &json!({"maxUsed": "1Mi", "keepDuration": "15d"}));
    cleaned(&bench, &[]);
    assert_eq!(snapshots(&bench), 2, "the one of 20 days goes, the one of 10 days stays");
}

#[test]
fn free_space_that_is_there_is_left_alone_and_free_space_that_cannot_be_had_takes_all_but_what_is_wanted() {
    let bench = lived_in(2, &json!({"minFree": "1Ki"}));
    cleaned(&bench, &[]);
    assert_eq!(snapshots(&bench), 3);
    let bench = lived_in(2, &json!({"minFree": "900Pi"}));
    cleaned(&bench, &[]);
    assert_eq!(snapshots(&bench), 1);
}

#[test]
fn a_dry_run_says_which_revisions_would_go() {
    let bench = lived_in(2, &json!({}));
    let ran = cleaned(&bench, &["--dry-run"]);
    assert_eq!(ran.one()["clean"]["deleted"], 2, "{:#}", ran.one());
    assert_eq!(snapshots(&bench), 3);
    assert_eq!(retired(&bench).len(), 2);
}
