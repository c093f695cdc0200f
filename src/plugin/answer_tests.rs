//! When a request is over, and when nobody will answer it.

use super::*;
use crate::plugin::render::fixtures::{ready, replicas, warming};
use serde_json::{Value, json};

const ASKED: &str = "2026-11-21T12:00:00Z";

/// The copy on a node that has it, with this in its status.
fn copy_with(status: &Value) -> ModelCacheReplica {
    let mut replica = replicas().remove(0);
    let mut all = serde_json::to_value(replica.status.take().unwrap()).unwrap();
    all.as_object_mut().unwrap().extend(status.as_object().cloned().unwrap());
    replica.status = serde_json::from_value(all).unwrap();
    replica
}

fn cache_with(status: &Value) -> ModelCache {
    let mut cache = ready();
    cache.metadata.name = Some("image-studio".into());
    for deed in Deed::ALL {
        cache.annotations_mut().insert(deed.annotation().into(), ASKED.into());
    }
    cache.spec.cleanup = serde_json::from_value(json!({"rules": [{"name": "old", "cache": {}}]})).unwrap();
    let mut all = serde_json::to_value(cache.status.take().unwrap()).unwrap();
    all.as_object_mut().unwrap().extend(status.as_object().cloned().unwrap());
    cache.status = serde_json::from_value(all).unwrap();
    cache
}

/// `open`, what is said of the copies, or why it failed.
fn said(deed: Deed, cache: &ModelCache, copies: Vec<ModelCacheReplica>) -> Result<String, (Reason, String)> {
    let failed = |error: Error| match error {
        Error::Failed { reason, message } => (reason, message),
        other => panic!("{other}"),
    };
    match standing(deed, ASKED, std::slice::from_ref(cache), copies).map_err(failed)? {
        Standing::Open => Ok("open".into()),
        Standing::Over(answers) => answers.failed.map_or_else(|| Ok(answers.lines.join("; ")), |it| Err(failed(it))),
    }
}

fn failure(reason: &str, count: i64) -> Value {
    json!({"reason": reason, "message": "no", "count": count, "time": ASKED})
}

#[test]
fn each_deed_is_over_when_cache_and_copies_have_acted_on_the_value_that_was_asked() {
    let wiped = json!({"request": ASKED, "attempt": 2, "time": ASKED});
    let cleaned = json!({"request": ASKED, "dryRun": false, "attempt": 2, "time": ASKED, "did":
        {"time": ASKED, "deleted": 2, "rotated": 1, "freedBytes": 1024, "gainedBytes": 0, "trashedBytes": 0}});
    for (deed, of_cache, of_copy, answer, expected) in [
        (Deed::Warm, "lastHandledRequest", "lastHandledRequest", json!(ASKED), "ready"),
        (
            Deed::Verify,
            "lastHandledVerifyRequest",
            "verification",
            json!({"requested": {"request": ASKED, "time": ASKED}}),
            "as it was put there",
        ),
        (
            Deed::Clean,
            "lastHandledCleanRequest",
            "requestedCleanup",
            cleaned,
            "2 deleted, 1 rotated; 1.0 KiB freed, 0 B to the trash",
        ),
        (Deed::Reset, "lastHandledResetRequest", "requestedReset", wiped, "fetched anew"),
    ] {
        let (seen, unseen) = (cache_with(&json!({of_cache: ASKED})), cache_with(&json!({})));
        let (acted, not) = (copy_with(&json!({of_copy: answer})), copy_with(&json!({})));
        let whole = format!("image-studio models on gpu-1: {expected}");
        assert_eq!(said(deed, &seen, vec![acted.clone()]), Ok(whole), "{deed:?}");
        assert_eq!(said(deed, &unseen, vec![acted]), Ok("open".into()), "{deed:?}");
        assert_eq!(said(deed, &seen, vec![not]), Ok("open".into()), "{deed:?}");
    }
}

#[test]
fn a_copy_that_has_failed_again_ends_the_wait_though_the_origins_were_not_asked_yet() {
    let failed = json!({"lastHandledRequest": ASKED, "failure": failure("NotFound", 1), "conditions": []});
    let (reason, message) = said(Deed::Warm, &cache_with(&json!({})), vec![copy_with(&failed)]).unwrap_err();
    assert_eq!((reason, message.as_str()), (Reason::NotFound, "image-studio models on gpu-1: NotFound: no"));
    let trying = json!({"lastHandledRequest": ASKED, "failure": failure("NotFound", 0), "conditions": []});
    assert_eq!(said(Deed::Warm, &cache_with(&json!({})), vec![copy_with(&trying)]), Ok("open".into()));
}

#[test]
fn a_source_that_has_failed_again_ends_the_wait_and_one_that_failed_before_does_not() {
    for (handled, count, over) in [(ASKED, 1, true), (ASKED, 0, false), ("earlier", 7, false)] {
        let source = json!({"name": "sana", "lastHandledRequest": handled, "failure": failure("Unauthorized", count)});
        let cache = cache_with(&json!({"sources": [source], "conditions": []}));
        let answer = said(Deed::Warm, &cache, vec![]);
        assert_eq!(answer.is_err(), over, "{answer:?}");
    }
}

#[test]
fn nobody_waits_for_a_suspended_cache_nor_for_one_that_is_stalled_by_what_a_request_does_not_mend() {
    let mut suspended = cache_with(&json!({}));
    suspended.spec.suspend = Some(true);
    for deed in Deed::ALL {
        let answer = said(deed, &suspended, vec![copy_with(&json!({}))]);
        if deed == Deed::Reset {
            assert_eq!(answer, Ok("open".into()), "the operator refuses it, and says so of each copy");
        } else {
            let (reason, message) = answer.unwrap_err();
            assert_eq!(reason, Reason::Suspended);
            assert!(message.contains("kubectl modelcache resume image-studio"), "{message}");
        }
    }
    let mut stalled = warming();
    stalled.annotations_mut().insert(Deed::Warm.annotation().into(), ASKED.into());
    stalled.status.as_mut().unwrap().conditions = serde_json::from_value(json!([{
        "type": "Stalled", "status": "True", "reason": "PoolNotFound", "message": "no pool", "observedGeneration": 2,
        "lastTransitionTime": ASKED
    }]))
    .unwrap();
    let (reason, message) = said(Deed::Warm, &stalled, vec![]).unwrap_err();
    assert_eq!(reason, Reason::PoolNotFound);
    assert!(message.contains("will not go on by itself"), "{message}");
}

#[test]
fn nobody_waits_for_the_answer_to_a_request_that_was_taken_away_or_replaced() {
    for deed in Deed::ALL {
        for now in [None, Some("2026-11-21T12:00:01Z")] {
            let mut cache = cache_with(&json!({}));
            cache.annotations_mut().remove(deed.annotation());
            cache.annotations_mut().extend(now.map(|it| (deed.annotation().to_owned(), it.to_owned())));
            let answer = standing(deed, ASKED, std::slice::from_ref(&cache), vec![copy_with(&json!({}))]);
            let Err(error @ Error::Withdrawn { .. }) = answer else { panic!("{deed:?} {now:?}") };
            assert!(error.to_string().contains(deed.annotation()), "{error}");
        }
    }
    // What was answered before is an answer.
    let mut cache = cache_with(&json!({"lastHandledRequest": ASKED}));
    cache.annotations_mut().clear();
    assert!(said(Deed::Warm, &cache, vec![copy_with(&json!({"lastHandledRequest": ASKED}))]).is_ok());
}
