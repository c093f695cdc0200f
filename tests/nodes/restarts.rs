//! The operator may die at any moment.

use crate::manifests::{cache, hugging_face, pool};
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(alone an_operator_killed_ten_times_reaches_the_same_end_without_a_duplicate_or_an_orphan),
        scenario!(alone an_operator_that_loses_its_lease_ends_and_leads_again_only_with_a_lease),
    ]
}

async fn an_operator_killed_ten_times_reaches_the_same_end_without_a_duplicate_or_an_orphan(world: Arc<World>) {
    world.namespace("chaos");
    let hub = world.hub();
    hub.control("repo?spec=org/chaos=a.bin:120Mi,b/c.bin:40Mi,config.json:900");
    hub.control("throttle?bytesPerSecond=300000");
    // What is killed gives no Lease back: the next one waits until it runs out.
    world.set_operator(&[("MODELCACHE_LEASE_SECONDS", "8")]);
    world.operator_ready();
    let sources = [hugging_face("chaos", &hub.url, "org/chaos", "")];
    world.apply(&(pool("chaos", "") + &cache("chaos", "chaos", "chaos", "500Mi", &sources, "")));
    let jobs: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::default();
    let look = || async {
        let mut found = world.jobs("chaos").await;
        found.extend(world.jobs("modelcache-node-jobs").await);
        let mut jobs = jobs.lock().unwrap();
        for job in
            found.into_iter().filter(|it| it.labels().get("modelcache.dev/cache").is_some_and(|it| it == "chaos"))
        {
            jobs.entry(job.name_any()).or_default().insert(job.uid().unwrap_or_default());
        }
    };
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    println!("figure: chaos seed {seed}");
    for round in 0..10_u32 {
        let leader = world.leader().await;
        // A random moment of the one that leads; the Jobs are counted meanwhile.
        let moment = Duration::from_millis(u64::from(seed.rotate_left(round * 3) % 2500));
        let led = std::time::Instant::now();
        while led.elapsed() < moment {
            look().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        world.kubectl(&[
            "-n",
            "modelcache-system",
            "delete",
            "pod",
            &leader,
            "--grace-period=0",
            "--force",
            "--ignore-not-found",
        ]);
    }
    hub.control("throttle?bytesPerSecond=0");
    until("everything Ready after the kills", SOON * 2, || async {
        look().await;
        let nodes = world.cache("chaos", "chaos").await.status.and_then(|it| it.nodes);
        if nodes.as_deref() == Some("2/2") { Ok(()) } else { Err(format!("{nodes:?}")) }
    })
    .await;
    world.operator_ready();
    world.ready("chaos", "chaos").await;
    for (name, uids) in jobs.lock().unwrap().iter() {
        assert_eq!(uids.len(), 1, "Job {name} was created {} times", uids.len());
    }
    until("two Replicas and no orphan", SOON, || async {
        let replicas = world.replicas("chaos").await.len();
        if replicas == 2 { Ok(()) } else { Err(format!("{replicas} Replicas")) }
    })
    .await;
    until("finished Jobs to be removed", SOON, || async {
        let mut left = world.jobs("chaos").await;
        left.extend(world.jobs("modelcache-node-jobs").await);
        let names: Vec<String> = left
            .iter()
            .filter(|it| it.labels().get("modelcache.dev/cache").is_some_and(|it| it == "chaos"))
            .map(ResourceExt::name_any)
            .collect();
        if names.is_empty() { Ok(()) } else { Err(format!("{names:?}")) }
    })
    .await;
    let sent = hub.counters().bytes_sent;
    assert!(sent < 2 * (161 << 20) * 11 / 10, "{sent} bytes for two copies of 160 MiB");
    world.set_operator(&[("MODELCACHE_LEASE_SECONDS", "15")]);
    world.operator_ready();
}

async fn an_operator_that_loses_its_lease_ends_and_leads_again_only_with_a_lease(world: Arc<World>) {
    let restarts = || async {
        let pods = world.pods("modelcache-system").await;
        let statuses =
            pods.iter().flat_map(|it| it.status.iter().flat_map(|it| it.container_statuses.iter().flatten()));
        statuses.map(|it| it.restart_count).sum::<i32>()
    };
    world.operator_ready();
    world.leader().await;
    let before = restarts().await;
    let now = jiff::Timestamp::now();
    let stolen = format!(r#"{{"spec":{{"holderIdentity":"thief","renewTime":"{now:.6}","leaseDurationSeconds":15}}}}"#);
    world.kubectl(&["-n", "modelcache-system", "patch", "lease", "modelcache-operator", "--type=merge", "-p", &stolen]);
    until("the operator's process to end", SOON, || async {
        let count = restarts().await;
        if count > before { Ok(()) } else { Err(format!("{count} restarts")) }
    })
    .await;
    world.leader().await;
}
