//! What goes wrong is said by its reason, is not retried hot, publishes nothing, and heals when its cause is gone.

use crate::hub::{GRANTED, Hub, READER};
use crate::manifests::{cache, http, hugging_face, pool, secret};
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World};
use modelcache::api::condition::ConditionType;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Mutex;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_wrong_token_is_unauthorized_is_not_retried_hot_and_heals_with_the_right_one),
        scenario!(a_missing_secret_is_named_and_holds_up_no_other_source),
        scenario!(a_missing_repository_is_not_found_and_warms_once_it_is_there),
        scenario!(a_gated_repository_says_gated_until_the_terms_are_accepted),
        scenario!(a_wrong_sha256_is_a_checksum_mismatch_and_nothing_is_published),
        scenario!(a_rate_limit_and_a_hub_that_is_down_for_twenty_seconds_are_ridden_out),
        scenario!(content_larger_than_its_volume_is_refused_before_a_byte_is_fetched),
        scenario!(a_disk_that_is_too_small_says_how_much_is_missing),
    ]
}

/// One node is enough here.
fn one_node(namespace: &str) -> String {
    pool(namespace, ", nodeSelector: {matchLabels: {kubernetes.io/hostname: node-1}}")
}

fn private(hub: &Hub, gated: bool) {
    hub.control("repo?spec=org/private=a.bin:100Ki;private");
    if gated {
        hub.control("require?repo=org/private&private=false&gated=true");
    }
}

const TOKEN: &str = ", tokenSecretRef: {name: hf, key: token}";

async fn a_wrong_token_is_unauthorized_is_not_retried_hot_and_heals_with_the_right_one(world: Arc<World>) {
    world.namespace("token");
    let hub = world.hub();
    private(&hub, false);
    let sources = [hugging_face("private", &hub.url, "org/private", TOKEN)];
    world.apply(
        &(one_node("token")
            + &secret("token", "hf", "hf_wrong")
            + &cache("token", "private", "token", "100Mi", &sources, "")),
    );
    let message = world.reason("token", "private", ConditionType::Stalled, "Unauthorized").await;
    assert!(message.contains("hf") && message.contains("token"), "{message}");
    assert!(!message.contains("hf_wrong"), "{message}");
    // Ten seconds between slow retries. A machine that is slow, or a Job that is missed, makes the pauses only longer.
    let seen = Mutex::new(BTreeSet::new());
    let made = until("two retries", SOON, || async {
        let mut seen = seen.lock().await;
        seen.extend(world.jobs("token").await.into_iter().filter_map(|it| it.metadata.creation_timestamp));
        if seen.len() >= 3 { Ok(seen.clone()) } else { Err(format!("Jobs were made at {seen:?}")) }
    })
    .await;
    let made: Vec<_> = made.into_iter().map(|it| it.0.as_second()).collect();
    // The API server says whole seconds.
    assert!(made.windows(2).all(|pair| pair[1] - pair[0] >= 9), "a hot loop: Jobs were made at the seconds {made:?}");
    world.apply(&secret("token", "hf", READER));
    world.ready("token", "private").await;
}

async fn a_missing_secret_is_named_and_holds_up_no_other_source(world: Arc<World>) {
    world.namespace("secret");
    let hub = world.hub();
    private(&hub, false);
    let sources =
        [hugging_face("private", &hub.url, "org/private", TOKEN), hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(&(one_node("secret") + &cache("secret", "mixed", "secret", "100Mi", &sources, "")));
    let message = world.reason("secret", "mixed", ConditionType::Resolved, "SecretNotFound").await;
    assert!(message.contains("`hf`") || message.contains("hf"), "{message}");
    until("the good source on the node", SOON, || async {
        let bytes = world
            .replicas("secret")
            .await
            .iter()
            .filter_map(|it| it.status.as_ref()?.holds.as_ref().map(|it| it.bytes))
            .max();
        if bytes > Some(1_000_000) { Ok(()) } else { Err(format!("{bytes:?}")) }
    })
    .await;
    world.apply(&secret("secret", "hf", READER));
    let cache = world.ready("secret", "mixed").await;
    assert!(cache.status.unwrap().sources.iter().all(|it| it.revision.is_some()));
}

async fn a_missing_repository_is_not_found_and_warms_once_it_is_there(world: Arc<World>) {
    world.namespace("missing-repo");
    let hub = world.hub();
    let sources = [hugging_face("late", &hub.url, "org/late", ", tokenSecretRef: {name: hf, key: token}")];
    world.apply(
        &(one_node("missing-repo")
            + &secret("missing-repo", "hf", READER)
            + &cache("missing-repo", "late", "missing-repo", "100Mi", &sources, "")),
    );
    let message = world.reason("missing-repo", "late", ConditionType::Stalled, "NotFound").await;
    assert!(message.contains("org/late"), "{message}");
    hub.control("repo?spec=org/late=a.bin:100Ki");
    world.ready("missing-repo", "late").await;
}

async fn a_gated_repository_says_gated_until_the_terms_are_accepted(world: Arc<World>) {
    world.namespace("gated");
    let hub = world.hub();
    private(&hub, true);
    let sources = [hugging_face("gated", &hub.url, "org/private", TOKEN)];
    world.apply(
        &(one_node("gated")
            + &secret("gated", "hf", READER)
            + &cache("gated", "gated", "gated", "100Mi", &sources, "")),
    );
    let message = world.reason("gated", "gated", ConditionType::Stalled, "Gated").await;
    assert!(message.contains("org/private"), "{message}");
    world.apply(&secret("gated", "hf", GRANTED));
    world.ready("gated", "gated").await;
}

async fn a_wrong_sha256_is_a_checksum_mismatch_and_nothing_is_published(world: Arc<World>) {
    world.namespace("checksum");
    let hub = world.hub();
    hub.control("file?name=a.bin&size=2Mi&seed=3");
    let sources = [http("a", &format!("{}/files/a.bin", hub.url), &"0".repeat(64))];
    world.apply(&(one_node("checksum") + &cache("checksum", "bad", "checksum", "100Mi", &sources, "")));
    world.reason("checksum", "bad", ConditionType::Ready, "ChecksumMismatch").await;
    let directory = world.directory("checksum", "bad", "models").await;
    // The next attempt is at work in `.modelcache`, which is not looked into.
    let files = world
        .on_node("node-1", &["find", &directory, "-path", "*/.modelcache", "-prune", "-o", "-type", "f", "-print"]);
    assert_eq!(files.trim(), "", "nothing half-published");
}

async fn a_rate_limit_and_a_hub_that_is_down_for_twenty_seconds_are_ridden_out(world: Arc<World>) {
    world.namespace("down");
    let hub = world.hub();
    hub.control("repo?spec=org/steady=a.bin:8Mi,b.bin:8Mi");
    hub.control("fault?what=429&count=3&on=any&retryAfter=1");
    let sources = [hugging_face("steady", &hub.url, "org/steady", "")];
    world.apply(&(one_node("down") + &cache("down", "limited", "down", "100Mi", &sources, "")));
    world.ready("down", "limited").await;
    hub.control("down?seconds=20");
    let sources = [hugging_face("steady", &hub.url, "org/steady", ", exclude: [b.bin]")];
    world.apply(&cache("down", "later", "down", "100Mi", &sources, ""));
    world.ready("down", "later").await;
}

async fn content_larger_than_its_volume_is_refused_before_a_byte_is_fetched(world: Arc<World>) {
    world.namespace("large");
    let hub = world.hub();
    hub.control("repo?spec=org/large=a.bin:64Mi");
    let sources = [hugging_face("large", &hub.url, "org/large", "")];
    world.apply(&(one_node("large") + &cache("large", "large", "large", "32Mi", &sources, "")));
    let message = world.reason("large", "large", ConditionType::StorageReady, "InsufficientSpace").await;
    assert!(message.contains("64.0 MiB") && message.contains("32.0 MiB"), "{message}");
    assert!(hub.counters().bytes_sent < 1 << 20, "no content was fetched");
    world.kubectl(&[
        "-n",
        "large",
        "patch",
        "mcache",
        "large",
        "--type=json",
        "-p",
        r#"[{"op":"replace","path":"/spec/volumes/0/perNode/size","value":"200Mi"}]"#,
    ]);
    world.ready("large", "large").await;
}

async fn a_disk_that_is_too_small_says_how_much_is_missing(world: Arc<World>) {
    world.namespace("disk");
    let hub = world.hub();
    // The nodes' disks have 3 GiB.
    hub.control("repo?spec=org/huge=a.bin:4Gi");
    let sources = [hugging_face("huge", &hub.url, "org/huge", "")];
    world.apply(&(one_node("disk") + &cache("disk", "huge", "disk", "50Gi", &sources, "")));
    let message = world.reason("disk", "huge", ConditionType::Ready, "InsufficientSpace").await;
    assert!(message.contains("GiB"), "{message}");
    let directory = world.directory("disk", "huge", "models").await;
    let files = world.on_node("node-1", &["find", &directory, "-ignore_readdir_race", "-type", "f", "-size", "+1M"]);
    assert_eq!(files.trim(), "");
}
