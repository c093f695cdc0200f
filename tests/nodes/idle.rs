//! An operator with nothing to do writes nothing but its Lease, and is small.

use crate::manifests::{cache, hugging_face, pool};
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World};
use serde_json::Value;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(first an_idle_minute_has_no_write_but_the_lease_and_the_operator_is_small)]
}

const OPERATOR: &str = "system:serviceaccount:modelcache-system:modelcache-operator";

async fn an_idle_minute_has_no_write_but_the_lease_and_the_operator_is_small(world: Arc<World>) {
    // What other scenarios left may be waiting for its next try.
    world.kubectl(&["delete", "namespaces", "-l", "team", "--wait=false"]);
    until("the namespaces of other scenarios to be gone", SOON * 3, || async {
        let left = world.kubectl(&["get", "namespaces", "-l", "team", "-o", "name"]);
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    world.namespace("idle");
    let hub = world.hub();
    let sources = [hugging_face("tiny", &hub.url, "demo/tiny-llm", "")];
    world.apply(&(pool("idle", "") + &cache("idle", "tiny", "idle", "100Mi", &sources, "")));
    world.ready("idle", "tiny").await;
    quiet(&world, SOON).await;
    quiet_for_a_minute(&world).await;
    // What an idle operator keeps, it keeps: another look cannot make one small that is not, only miss one that ends.
    let kib = until("the operator to take at most 32 MiB", Duration::from_secs(30), || async {
        // The nodes share the machine's processes: one look sees the operator wherever it runs.
        let said = world.on_node("node-1", &["sh", "-c", RESIDENT]);
        let resident = said.lines().filter_map(|it| it.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
        let most = resident.filter_map(|it| it.trim().parse::<u64>().ok()).max();
        most.filter(|kib| *kib <= 32 * 1024).ok_or_else(|| said.split_whitespace().collect::<Vec<_>>().join(" "))
    })
    .await;
    println!("figure: operator idle RSS: {:.1} MiB", kib as f64 / 1024.0);
}

const RESIDENT: &str = "for p in $(pgrep -f '^/usr/local/bin/modelcache operator'); do \
     grep -sE '^(Pid|VmHWM|VmRSS|Rss.*|Threads):' /proc/$p/status; done; true";

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

/// The minute itself is what is measured, so it is waited for. One in which something happened was not idle: then another.
async fn quiet_for_a_minute(world: &World) {
    for _ in 0..5 {
        let before = outside(world);
        let from = std::fs::metadata(&world.audit_log).unwrap().len();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let writes = writes(world, from);
        if writes.is_empty() {
            return;
        }
        let after = outside(world);
        assert_ne!(before, after, "in an idle minute the operator wrote {writes:?}");
        println!("not an idle minute: {before} became {after}: {writes:?}");
        quiet(world, SOON).await;
    }
    panic!("nodes or the operator itself never rest for a minute");
}

/// What may happen to an operator on a busy machine: a node that does not answer for a while, or a Lease that is lost.
fn outside(world: &World) -> String {
    let ready = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].lastTransitionTime}";
    let started = "jsonpath={.items[*].status.containerStatuses[*].containerID}";
    let nodes = world.kubectl(&["get", "nodes", "-o", ready]);
    nodes + " " + &world.kubectl(&["-n", "modelcache-system", "get", "pods", "-o", started])
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
