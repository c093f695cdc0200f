//! A warm-up that is killed goes on where it was.

use crate::manifests::{cache, hugging_face, pool};
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World};
use modelcache::api::condition::{ConditionType, is_true};
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(a_warm_up_killed_at_half_resumes_and_was_never_ready_before_its_end)]
}

async fn a_warm_up_killed_at_half_resumes_and_was_never_ready_before_its_end(world: Arc<World>) {
    const SIZE: u64 = 200 << 20;
    world.namespace("resume");
    let hub = world.hub();
    hub.control("repo?spec=org/half=model.bin:200Mi");
    hub.control("throttle?bytesPerSecond=600000");
    let only_one = ", nodeSelector: {matchLabels: {kubernetes.io/hostname: node-1}}";
    let sources = [hugging_face("half", &hub.url, "org/half", "")];
    world.apply(&(pool("resume", only_one) + &cache("resume", "half", "resume", "1Gi", &sources, "")));
    until("half of the bytes", SOON, || async {
        let sent = hub.counters().bytes_sent;
        if sent > SIZE / 2 { Ok(()) } else { Err(format!("{sent} sent")) }
    })
    .await;
    let ready =
        is_true(&world.cache("resume", "half").await.status.unwrap_or_default().conditions, ConditionType::Ready);
    let sent = hub.counters().bytes_sent;
    assert!(!ready || sent >= SIZE, "Ready after {sent} of {SIZE} bytes");
    let killed = ["-n", "resume", "delete", "pod", "-l", "modelcache.dev/job=warm-up", "--grace-period=0", "--force"];
    world.kubectl(&killed);
    hub.control("throttle?bytesPerSecond=0");
    world.ready("resume", "half").await;
    let sent = hub.counters().bytes_sent;
    println!("figure: bytes sent over size after a kill at half: {:.3}", sent as f64 / SIZE as f64);
    assert!(sent <= SIZE * 11 / 10, "{sent} bytes sent for {SIZE}");
}
