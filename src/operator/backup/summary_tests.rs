//! What a cache says of its backups: the last, the last good one, the next.

use super::*;
use crate::operator::job::Problem;
use crate::operator::modelcache::build::fixtures::{cache, second};
use serde_json::json;

fn backup(name: &str, completed: i64, failed: bool) -> Arc<ModelCacheBackup> {
    let mut status = json!({"attempt": {"number": 1, "stage": "Done"}, "completed": second(completed).to_string()});
    if failed {
        status["failure"] = json!({"reason": "Unauthorized", "message": "the key is wrong", "count": 1, "time": "x"});
    } else {
        status["snapshot"] = json!("abcd");
    }
    let object = json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheBackup",
        "metadata": {"name": name}, "spec": {"cache": "studio"}, "status": status
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn planned() -> Planned {
    Planned { schedule: Some("0 2 * * *".into()), ..Planned::default() }
}

fn with(mut cache: ModelCache, summary: BackupSummary) -> ModelCache {
    cache.status.get_or_insert_default().backup = Some(summary);
    cache
}

#[test]
fn the_last_good_one_stays_in_view_when_a_later_one_fails_and_when_its_record_is_gone() {
    let (first, said) = summary(&cache(), &[backup("a", 10, false)], &planned(), second(11));
    assert_eq!((said.status, said.reason), (Truth::True, Reason::BackedUp));
    let cache = with(cache(), first);
    let (then, said) = summary(&cache, &[backup("a", 10, false), backup("b", 20, true)], &planned(), second(21));
    assert_eq!((said.status, said.reason), (Truth::False, Reason::Unauthorized));
    assert!(said.message.contains("backup `b` failed: the key is wrong; the last good one is `a`"), "{}", said.message);
    let cache = with(cache, then.clone());
    let (later, again) = summary(&cache, &[], &planned(), second(999));
    assert_eq!((later, again), (then, said), "what is remembered stands");
}

#[test]
fn a_retention_that_was_not_kept_to_is_said_until_a_later_run_keeps_to_it() {
    let refused = backup("a", 10, false);
    let mut refused = ModelCacheBackup::clone(&refused);
    refused.status.as_mut().unwrap().prune_failure =
        Some(crate::operator::retry::next_failure(None, Reason::DeletionRefused, "9 of 10 would go", second(10)));
    let (first, said) = summary(&cache(), &[Arc::new(refused)], &planned(), second(11));
    assert_eq!((said.status, said.reason), (Truth::True, Reason::BackedUp), "the backup itself is there");
    let words =
        "backup `a` ended 1970-01-01T00:00:10Z; no older backup was removed (DeletionRefused): 9 of 10 would go";
    assert_eq!(said.message, words);
    let cache = with(cache(), first);
    assert_eq!(summary(&cache, &[], &planned(), second(99)).1.message, words, "what is remembered stands");
    let (_, said) = summary(&cache, &[backup("b", 20, false)], &planned(), second(21));
    assert_eq!(said.message, "backup `b` ended 1970-01-01T00:00:20Z");
}

#[test]
fn time_alone_changes_nothing_and_the_end_of_a_run_says_when_the_next_is_due() {
    let day = 86_400;
    let (first, _) = summary(&cache(), &[], &planned(), second(0));
    assert_eq!(first.next.as_deref(), Some("1970-01-01T02:00:00Z"));
    let cache = with(cache(), first.clone());
    let (later, _) = summary(&cache, &[], &planned(), second(5 * day));
    assert_eq!(later, first);
    let (ended, _) = summary(&cache, &[backup("a", 5 * day, false)], &planned(), second(5 * day));
    assert_eq!(ended.next.as_deref(), Some("1970-01-06T02:00:00Z"));
}

#[test]
fn before_the_first_one_nothing_is_claimed() {
    let (_, said) = summary(&cache(), &[], &planned(), second(0));
    assert_eq!((said.status, said.reason), (Truth::Unknown, Reason::Pending));
    let nowhere = Planned { nowhere: true, ..planned() };
    assert!(summary(&cache(), &[], &nowhere, second(0)).1.message.contains("once a node has a complete copy"));
    let problem = Problem::new(Reason::InvalidSpec, "wrong");
    let (_, said) = summary(&cache(), &[], &Planned { problem: Some(problem), ..Planned::default() }, second(0));
    assert_eq!((said.status, said.reason), (Truth::False, Reason::InvalidSpec));
}
