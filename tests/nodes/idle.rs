//! An operator with nothing to do writes nothing but its Lease, and is small.

use crate::manifests::{cache, hugging_face, pool};
use crate::runner::Scenario;
use crate::scenario;
use crate::world::{SOON, World};
use serde_json::Value;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(alone an_idle_minute_has_no_write_but_the_lease_and_the_operator_is_small)]
}

const OPERATOR: &str = "system:serviceaccount:modelcache-system:modelcache-operator";

async fn an_idle_minute_has_no_write_but_the_lease_and_the_operator_is_small(world: Arc<World>) {
    // What other scenarios left may be waiting for its next try.
    world.kubectl(&["delete", "namespaces", "-l", "team", "--timeout=240s"]);
    world.namespace("idle");
    let hub = world.hub();
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(&(pool("idle", "") + &cache("idle", "tiny", "idle", "100Mi", &sources, "")));
    world.ready("idle", "tiny").await;
    quiet(&world, SOON).await;
    quiet_for_a_minute(&world).await;
    // The nodes share the machine's processes: one look sees the operator wherever it runs.
    let resident = world.on_node("node-1", &["sh", "-c", RESIDENT]);
    let kib: u64 =
        resident.split_whitespace().filter_map(|it| it.parse().ok()).max().unwrap_or_else(|| panic!("{resident}"));
    println!("figure: operator idle RSS: {:.1} MiB", kib as f64 / 1024.0);
    assert!(kib <= 32 * 1024, "{kib} KiB");
}

const RESIDENT: &str = "for p in $(pgrep -f '^/usr/local/bin/modelcache operator'); do grep -s VmRSS /proc/$p/status | tr -dc '0-9\n'; done";

/// Waits until there was no write for five seconds: finished Jobs are still being removed at first.
async fn quiet(world: &World, deadline: Duration) {
    let started = std::time::Instant::now();
    loop {
        let from = std::fs::metadata(&world.audit_log).unwrap().len();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let writes = writes(world, from);
        if writes.is_empty() {
            return;
        }
        assert!(started.elapsed() < deadline, "it never became quiet: {writes:?}");
    }
}

/// The minute itself is what is measured, so it is waited for.
async fn quiet_for_a_minute(world: &World) {
    let from = std::fs::metadata(&world.audit_log).unwrap().len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let writes = writes(world, from);
    assert!(writes.is_empty(), "{writes:?}");
}

/// Writes of the operator since a place in the audit log, its Lease left out.
fn writes(world: &World, from: u64) -> Vec<String> {
    let mut file = std::fs::File::open(&world.audit_log).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines
        .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
        .filter(|it| it["user"]["username"] == OPERATOR)
        .filter(|it| matches!(it["verb"].as_str(), Some("create" | "update" | "patch" | "delete" | "deletecollection")))
        .filter(|it| it["objectRef"]["resource"] != "leases")
        .map(|it| format!("{} {} {}", it["verb"], it["objectRef"]["resource"], it["objectRef"]["name"]))
        .collect()
}
