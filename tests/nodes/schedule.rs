//! What happens by itself at its time: copies are checked and repaired, origins are asked anew.
//!
//! Cron's smallest step is a minute: what is due is waited for, and never for longer than it takes to come.

use crate::manifests::{cache, hugging_face, pool};
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World, said};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use modelcache::api::condition::{ConditionType, find};
use modelcache::api::model_cache_replica::AttemptStage;
use modelcache::api::{ModelCache, ModelCacheReplica};
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_flipped_byte_is_found_by_the_scheduled_check_and_only_its_file_is_fetched_again),
        scenario!(an_origin_that_moved_is_said_with_notify_and_rolled_out_with_update),
        scenario!(a_time_zone_that_does_not_exist_is_an_invalid_spec_and_one_that_does_moves_the_schedule),
        scenario!(alone an_operator_that_was_away_makes_up_for_what_it_missed_with_one_check),
    ]
}

fn one_node(namespace: &str) -> String {
    pool(namespace, ", nodeSelector: {matchLabels: {kubernetes.io/hostname: node-2}}")
}

/// The one copy.
async fn copy(world: &World, namespace: &str) -> ModelCacheReplica {
    world.replicas(namespace).await.remove(0)
}

fn last_deep(copy: &ModelCacheReplica) -> Option<String> {
    copy.status.as_ref()?.verification.as_ref()?.deep.as_ref()?.last_success.clone()
}

/// Waits until a condition has a reason, now or in an Event of the past: it may last for a moment only.
pub async fn event(world: &World, namespace: &str, reason: &str) -> String {
    let api: Api<Event> = Api::namespaced(world.client.clone(), namespace);
    until(&format!("an Event {reason}"), SOON, || async {
        let all = api.list(&ListParams::default()).await.unwrap().items;
        let found = all.into_iter().find(|it| it.reason.as_deref() == Some(reason)).and_then(|it| it.note);
        found.ok_or_else(|| "none".to_owned())
    })
    .await
}

async fn a_flipped_byte_is_found_by_the_scheduled_check_and_only_its_file_is_fetched_again(world: Arc<World>) {
    world.namespace("verified");
    let hub = world.hub();
    hub.control("repo?spec=org/checked=big.bin:40Mi,small.bin:2Mi");
    let sources = [hugging_face("checked", &hub.url, "org/checked", "")];
    let checks = "  verify: {deep: \"* * * * *\"}\n";
    world.apply(&(one_node("verified") + &cache("verified", "checked", "verified", "200Mi", &sources, checks)));
    world.ready("verified", "checked").await;
    let directory = world.directory("verified", "checked", "models").await;
    hub.control("reset");
    let flip = format!(
        "f=$(find {directory}/huggingface -type f -size +1M -size -3M | head -1); printf XXXXXXXX | dd of=$f bs=1 seek=4096 conv=notrunc"
    );
    world.on_node("node-2", &["sh", "-c", &flip]);
    let message = world.reason("verified", "checked", ConditionType::Verified, "Damaged").await;
    assert!(
        message.starts_with("1 of 1 copies are damaged (files: 1)") && message.contains("node `node-2`"),
        "{message}"
    );
    let told = event(&world, "verified", "Damaged").await;
    assert!(told.contains("1 damaged") && told.contains("node-2"), "{told}");
    until("the repair of only the damaged file", SOON, || async {
        let status = copy(&world, "verified").await.status.unwrap();
        let damage = status.verification.and_then(|it| it.damage);
        match status.holds {
            Some(holds) if damage.is_none() && holds.fetched_bytes == 2 << 20 => Ok(()),
            holds => Err(format!("{damage:?} {holds:?}")),
        }
    })
    .await;
    // The next check finds everything whole.
    world.reason("verified", "checked", ConditionType::Verified, "Verified").await;
    world.ready("verified", "checked").await;
    let sent = hub.counters().bytes_sent;
    assert!((2 << 20..4 << 20).contains(&sent), "{sent} bytes for a file of 2 MiB");
}

/// The condition that says whether the pins are what the origins have.
fn up_to_date(cache: &ModelCache) -> (String, String) {
    let conditions = cache.status.clone().unwrap_or_default().conditions;
    find(&conditions, ConditionType::UpToDate).map(|it| (it.reason.clone(), it.message.clone())).unwrap_or_default()
}

async fn an_origin_that_moved_is_said_with_notify_and_rolled_out_with_update(world: Arc<World>) {
    world.namespace("refreshed");
    let hub = world.hub();
    hub.control("repo?spec=org/moving=a.bin:3Mi,b.bin:2Mi");
    let manifest = |policy: &str| {
        let refresh = format!("  refresh: {{policy: {policy}, schedule: \"* * * * *\"}}\n");
        cache("refreshed", "moving", "refreshed", "200Mi", &[hugging_face("x", &hub.url, "org/moving", "")], &refresh)
    };
    world.apply(&(one_node("refreshed") + &manifest("Notify")));
    let pinned = |cache: &ModelCache| cache.status.clone().unwrap().sources[0].revision.clone().unwrap();
    let first = pinned(&world.ready("refreshed", "moving").await);
    let moved = hub.control("move?repo=org/moving");
    let commit = serde_json::to_value(&moved).unwrap()["commit"].as_str().unwrap().to_owned();
    let message = world.reason("refreshed", "moving", ConditionType::UpToDate, "Outdated").await;
    assert!(message.contains(&first) && message.contains(&commit), "{message}");
    let cache = world.cache("refreshed", "moving").await;
    assert_eq!((pinned(&cache), cache.status.unwrap().sources[0].available.as_deref()), (first, Some(commit.as_str())));
    assert!(event(&world, "refreshed", "Outdated").await.contains(&commit));
    world.apply(&manifest("Update"));
    until("the newer revision on the node", SOON, || async {
        let cache = world.cache("refreshed", "moving").await;
        let done = pinned(&cache) == commit && up_to_date(&cache).0 == "UpToDate";
        if done { Ok(()) } else { Err(said(&cache)) }
    })
    .await;
    let status = world.ready("refreshed", "moving").await.status.unwrap();
    assert_eq!(status.sources[0].available, None);
    let plan = copy(&world, "refreshed").await.status.unwrap().holds.unwrap().plan;
    assert_eq!(Some(plan), status.volumes[0].plan);
}

async fn a_time_zone_that_does_not_exist_is_an_invalid_spec_and_one_that_does_moves_the_schedule(world: Arc<World>) {
    world.namespace("zone");
    let hub = world.hub();
    let manifest = |zone: &str| {
        let checks = format!("  timeZone: {zone}\n  verify: {{quick: \"0 4 * * *\"}}\n");
        let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
        cache("zone", "tiny", "zone", "100Mi", &sources, &checks)
    };
    world.apply(&(one_node("zone") + &manifest("Mars/Olympus")));
    let message = world.reason("zone", "tiny", ConditionType::Ready, "InvalidSpec").await;
    assert!(message.contains("must be a name of the IANA time zone database"), "{message}");
    world.apply(&manifest("Asia/Kolkata"));
    world.ready("zone", "tiny").await;
    // 04:00 there is 22:30 UTC, and the copy's own part of the hour after it.
    let next = until("the next run in the status", SOON, || async {
        let cache = world.cache("zone", "tiny").await;
        let next = cache.status.as_ref().and_then(|it| it.verification.clone()).and_then(|it| it.quick);
        next.map(|it| it.next).ok_or_else(|| said(&cache))
    })
    .await;
    let next: jiff::Timestamp = next.parse().unwrap();
    let clock = next.to_zoned(jiff::tz::TimeZone::get("Asia/Kolkata").unwrap());
    assert_eq!(clock.hour(), 4, "{clock}");
    let checked = world.cache("zone", "tiny").await;
    let verified = find(&checked.status.as_ref().unwrap().conditions, ConditionType::Verified).unwrap().clone();
    assert_eq!((verified.status.as_str(), verified.reason.as_str()), ("Unknown", "Pending"));
}

async fn an_operator_that_was_away_makes_up_for_what_it_missed_with_one_check(world: Arc<World>) {
    world.namespace("away");
    let hub = world.hub();
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    let checks = "  verify: {deep: \"*/2 * * * *\"}\n";
    world.apply(&(one_node("away") + &cache("away", "tiny", "away", "100Mi", &sources, checks)));
    world.ready("away", "tiny").await;
    let next = |copy: &ModelCacheReplica| copy.status.clone()?.verification?.deep.map(|it| it.next);
    // Gone between two checks, and not in the middle of one.
    until("a while without a check", SOON, || async {
        let copy = copy(&world, "away").await;
        let due = next(&copy).and_then(|it| it.parse::<jiff::Timestamp>().ok());
        let still = due.is_some_and(|it| it.duration_since(jiff::Timestamp::now()).as_secs() > 40);
        let done = copy.status.and_then(|it| it.attempt).is_some_and(|it| it.stage == AttemptStage::Done);
        if still && done { Ok(()) } else { Err(format!("{due:?}")) }
    })
    .await;
    world.operator_away().await;
    let before = copy(&world, "away").await;
    let due: jiff::Timestamp = next(&before).unwrap().parse().unwrap();
    until("the time to pass while nobody is there", SOON, || async {
        if jiff::Timestamp::now() > due { Ok(()) } else { Err(format!("{due}")) }
    })
    .await;
    let asleep = copy(&world, "away").await;
    assert_eq!(last_deep(&asleep), last_deep(&before), "nobody checks while the operator is away");
    world.scale_operator(1);
    world.operator_ready();
    let after = until("the check that was missed", SOON, || async {
        let copy = copy(&world, "away").await;
        if last_deep(&copy) == last_deep(&before) { Err("not yet".to_owned()) } else { Ok(copy) }
    })
    .await;
    let number = |copy: &ModelCacheReplica| copy.status.clone().unwrap().attempt.unwrap().number;
    assert_eq!(number(&after), number(&asleep) + 1, "one check for all that was missed");
    let now: jiff::Timestamp = last_deep(&after).unwrap().parse().unwrap();
    let next: jiff::Timestamp = next(&after).unwrap().parse().unwrap();
    assert!(next > now, "{next} after {now}");
}
