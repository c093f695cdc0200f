//! What the conditions of the schedules say, and that they hold up nothing.

use super::*;
use crate::api::ModelCache;
use crate::api::scheduled_run::Damage;
use crate::operator::modelcache::build::fixtures::{cache, claim, pass, pin, second, status_of, stored_plan};
use crate::operator::modelcache::observe::Observed;
use crate::operator::retry::next_failure;
use serde_json::json;

/// A cache with checks, and its two copies, with what is known of each.
fn said(cache: &ModelCache, known: [Option<Verification>; 2]) -> Vec<(String, String, String, String)> {
    let plan = stored_plan(cache, "models", &[(0, pin("a"))], 1);
    let mut observed = Observed::empty().with_nodes(&["a", "b"]).with_claim(claim("models")).with_config_map(plan);
    let first = pass(cache, &observed, second(0));
    for ((mut copy, _), known) in first.wanted.children.replicas.into_iter().zip(known) {
        let plan = copy.spec.plan.clone().unwrap();
        let status = json!({
            "holds": {"plan": plan.hash, "claimUid": copy.spec.claim_uid, "files": 3, "bytes": 1, "fetchedBytes": 1},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Warmed", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "verification": known,
        });
        copy.status = Some(serde_json::from_value(status).unwrap());
        observed.replicas.push(copy);
    }
    let status = status_of(cache, &observed, &pass(cache, &observed, second(0)), second(0));
    status.conditions.into_iter().map(|it| (it.type_, it.status, it.reason, it.message)).collect()
}

fn checked_daily() -> ModelCache {
    let mut cache = cache();
    cache.spec.verify = serde_json::from_value(json!({"quick": "0 4 * * *"})).unwrap();
    cache
}

fn known(last_success: Option<&str>) -> Verification {
    let last_success = last_success.map(str::to_owned);
    let run = ScheduledRun { last_success, next: "2026-11-22T04:00:00Z".into(), ..ScheduledRun::default() };
    Verification { quick: Some(run), ..Verification::default() }
}

#[test]
fn a_cache_without_the_policies_has_neither_condition() {
    let all = said(&cache(), [None, None]);
    assert!(!all.iter().any(|it| it.0 == "Verified" || it.0 == "UpToDate"), "{all:?}");
}

#[test]
fn checks_that_were_not_made_or_failed_are_unknown_and_damage_is_false_and_none_holds_up_what_is_ready() {
    let whole = || Some(known(Some("2026-11-21T04:00:00Z")));
    let mut failed = known(None);
    failed.quick.as_mut().unwrap().failure = Some(next_failure(None, Reason::NoEvidence, "it said nothing", second(0)));
    let mut damaged = known(None);
    damaged.damage = Some(Damage { files: 2, message: "2 damaged: x; y".into(), time: String::new() });
    for (copies, status, reason, word) in [
        ([None, None], "Unknown", "Pending", "no copy has been checked yet"),
        ([whole(), None], "True", "Verified", "1 of 2 copies"),
        ([whole(), whole()], "True", "Verified", "2 of 2 copies"),
        ([whole(), Some(failed.clone())], "Unknown", "NoEvidence", "on node `b` could not be checked: it said nothing"),
        (
            [Some(damaged), Some(failed)],
            "False",
            "Damaged",
            "1 of 2 copies are damaged (files: 2) and being repaired; volume `models` on node `a`: 2 damaged",
        ),
    ] {
        let all = said(&checked_daily(), copies);
        let it = all.iter().find(|it| it.0 == "Verified").unwrap();
        assert_eq!((it.1.as_str(), it.2.as_str()), (status, reason));
        assert!(it.3.contains(word), "{}", it.3);
        assert_eq!(all[0].0, "Ready");
        assert_eq!(all[0].1, "True", "what holds is what the copies say: {}", all[0].3);
    }
}

#[test]
fn a_schedule_that_cannot_be_followed_is_an_invalid_spec_that_says_what_must_hold() {
    let mut cache = checked_daily();
    cache.spec.time_zone = Some("Mars/Olympus".into());
    let all = said(&cache, [None, None]);
    for (type_, status) in [("Ready", "False"), ("Stalled", "True"), ("Verified", "Unknown")] {
        let it = all.iter().find(|it| it.0 == type_).unwrap();
        assert_eq!((it.1.as_str(), it.2.as_str()), (status, "InvalidSpec"));
        assert!(it.3.contains("must be a name of the IANA time zone database"), "{}", it.3);
    }
    assert!(all.iter().any(|it| it.0 == "Warm" && it.1 == "True"), "what is there stays: {all:?}");
}
