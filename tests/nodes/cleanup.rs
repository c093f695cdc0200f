//! Clean-up by itself: what was replaced goes from the nodes, but not where somebody may still read it; logs are rotated.
//!
//! Cron's smallest step is a minute: what is due is waited for, and never for longer than it takes to come.

use crate::manifests::{cache, cache_with, hugging_face, pool};
use crate::reader;
use crate::runner::Scenario;
use crate::scenario;
use crate::schedule::event;
use crate::shared::tolerant;
use crate::wait::until;
use crate::world::{SOON, World, said};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use modelcache::api::ConditionType;
use modelcache::api::cleaning::Cleaning;
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_replaced_revision_goes_after_its_time_but_not_before_the_last_pod_from_before_the_switch_is_gone),
        scenario!(a_cron_job_rotates_the_logs_of_a_shared_volume_and_what_it_says_it_freed_is_gone),
    ]
}

const SUSPEND: &str = r#"{"spec":{"cleanup":{"suspend":true}}}"#;

/// What is known of the clean-ups on a node.
async fn cleaning(world: &World, namespace: &str, node: &str) -> Option<Cleaning> {
    let copies = world.replicas(namespace).await;
    let copy = copies.into_iter().find(|it| it.spec.node.as_ref().is_some_and(|it| it.name == node));
    copy.and_then(|it| it.status?.cleanup)
}

async fn running(world: &World, namespace: &str, name: &str) {
    let api: Api<Pod> = Api::namespaced(world.client.clone(), namespace);
    until(&format!("pod {name} to run"), SOON, || async {
        let phase = api.get(name).await.map_err(|it| it.to_string())?.status.and_then(|it| it.phase);
        if phase.as_deref() == Some("Running") { Ok(()) } else { Err(format!("{phase:?}")) }
    })
    .await;
}

async fn a_replaced_revision_goes_after_its_time_but_not_before_the_last_pod_from_before_the_switch_is_gone(
    world: Arc<World>,
) {
    world.namespace("replaced");
    let hub = world.hub();
    hub.control("repo?spec=org/replaced=a.bin:3Mi,b.bin:2Mi");
    let manifest = |source: &str, spec: &str| {
        let sources = [hugging_face("served", &hub.url, "org/replaced", source)];
        cache("replaced", "served", "replaced", "200Mi", &sources, spec)
    };
    let reads = |name: &str, node: &str| {
        let sleep = ["sleep", "3600"];
        world.apply(&reader::pod("replaced", name, Some(node), "served-models", "localhost/busybox:test", &sleep));
    };
    world.apply(&(pool("replaced", "") + &manifest("", "")));
    let old = world.ready("replaced", "served").await.status.unwrap().sources[0].revision.clone().unwrap();
    reads("from-before", "node-1");
    running(&world, "replaced", "from-before").await;
    hub.control("move?repo=org/replaced");
    let rules = "  cleanup: {schedule: \"* * * * *\", rules: [{name: old, cache: {keepDuration: 1s}}]}\n";
    world.apply(&manifest(", exclude: [\"*.never\"]", rules));
    world.ready("replaced", "served").await;
    reads("from-after", "node-2");

    let directory = world.directory("replaced", "served", "models").await;
    let used = || -> i64 {
        let said = world.on_node("node-2", &["du", "-s", "-B1", &directory]);
        said.split_whitespace().next().unwrap().parse().unwrap()
    };
    let before = used();
    let freed = until("a clean-up of node-2 that frees something", SOON, || async {
        let known = cleaning(&world, "replaced", "node-2").await;
        let freed = known.as_ref().and_then(|it| it.did.as_ref()).map_or(0, |it| it.freed_bytes);
        if freed > 0 { Ok(freed) } else { Err(format!("{known:?}")) }
    })
    .await;
    let gone = before - used();
    assert!((5 << 20..6 << 20).contains(&freed), "{freed} bytes of a revision of 5 MiB");
    assert!((gone - freed).abs() < 128 << 10, "{freed} bytes freed, and the directory is {gone} smaller");
    until("a clean-up of node-1", SOON, || async {
        let known = cleaning(&world, "replaced", "node-1").await;
        let done = known.as_ref().is_some_and(|it| it.run.last_success.is_some());
        if done { Ok(()) } else { Err(format!("{known:?}")) }
    })
    .await;
    let snapshots = format!("{directory}/huggingface/hub/models--org--replaced/snapshots");
    let has_old = |node: &str| world.on_node(node, &["ls", &snapshots]).contains(&old);
    assert_eq!([has_old("node-1"), has_old("node-2")], [true, false], "a pod on node-1 is older than the switch");

    // The reader ends, and the next clean-up takes what nobody else was there to read.
    world.kubectl(&["-n", "replaced", "delete", "pod", "from-before", "--wait=false"]);
    world.gone("", "v1", "Pod", Some("replaced"), "from-before").await;
    let freed = until("a clean-up of node-1 that frees the rest", SOON, || async {
        let known = cleaning(&world, "replaced", "node-1").await;
        let freed = known.as_ref().and_then(|it| it.did.as_ref()).map_or(0, |it| it.freed_bytes);
        if freed > 0 { Ok(freed) } else { Err(format!("{known:?}")) }
    })
    .await;
    assert!((5 << 20..6 << 20).contains(&freed), "{freed} bytes of a revision of 5 MiB");
    assert!(!has_old("node-1"), "the reader from before the switch is gone");
    let code = "from huggingface_hub import snapshot_download; import os; print(sorted(os.listdir(snapshot_download('org/replaced'))))";
    let said = reader::python(&world, "replaced", "after-all", Some("node-1"), "served-models", code).await;
    assert!(said.contains("['a.bin', 'b.bin']"), "{said}");

    // What a copy says is said of the cache a moment later.
    until("the condition Clean to count both places", SOON, || async {
        let message = world.reason("replaced", "served", ConditionType::Clean, "Cleaned").await;
        if message.starts_with("2 of 2 places were cleaned, the last one 20") { Ok(()) } else { Err(message) }
    })
    .await;
    let told = event(&world, "replaced", "Cleaned").await;
    assert!(told.starts_with("volume `models` on node `node-2`: 1 deleted, 5."), "{told}");
    // Ready all the while: a clean-up is no reason to be anything else.
    world.ready("replaced", "served").await;
    world.kubectl(&["-n", "replaced", "patch", "mcache", "served", "--type=merge", "-p", SUSPEND]);
}

async fn a_cron_job_rotates_the_logs_of_a_shared_volume_and_what_it_says_it_freed_is_gone(world: Arc<World>) {
    world.namespace("rotated");
    let volumes = "[{name: logs, shared: {size: 50Mi, storageClassName: standard}, directories: [app, tmp]}]";
    let rules = "  cleanup:
    schedule: \"* * * * *\"
    rules:
    - {name: app, paths: [\"app/*.log\"], rotate: {maxSize: 1Mi, keep: 3}}
    - {name: tmp, paths: [\"tmp/*\"], delete: {olderThan: 1s}, trash: false}
";
    world.apply(&tolerant(&cache_with("rotated", "studio", volumes, &[], "")));
    world.ready("rotated", "studio").await;
    let fill = "yes one line of a log | head -c 3000000 > /models/app/app.log; yes | head -c 2000000 > /models/tmp/left.bin; \
                sync; wc -c /models/app/app.log; du -k /models/tmp/left.bin";
    // As the user of the clean-up: only the owner of a directory may rename in it.
    let writer = reader::writer("rotated", "fill", "studio-logs", "localhost/busybox:test", &["sh", "-c", fill]);
    world.apply(&writer.replace("4321", "65532"));
    let filled = reader::ended(&world, "rotated", "fill").await;
    let on_disk: i64 = filled.lines().last().unwrap().split_whitespace().next().unwrap().parse().unwrap();
    world.apply(&tolerant(&cache_with("rotated", "studio", volumes, &[], rules)));

    let summary = until("a clean-up that frees something", SOON, || async {
        let cache = world.cache("rotated", "studio").await;
        let summary = cache.status.clone().and_then(|it| it.cleanup).filter(|it| it.freed_bytes > Some(0));
        summary.ok_or_else(|| said(&cache))
    })
    .await;
    assert_eq!(summary.freed_bytes, Some(on_disk * 1024), "what `du` saw of the one file that was deleted");
    let runs = summary.cron_job.unwrap();
    assert_eq!(runs.did.map(|it| (it.deleted, it.rotated)), Some((1, 1)));
    assert_eq!(summary.last_success, runs.last_time);
    let message = world.reason("rotated", "studio", ConditionType::Clean, "Cleaned").await;
    assert!(message.starts_with("1 of 1 places were cleaned, the last one 20"), "{message}");
    let job = runs.last.unwrap();
    assert!(event(&world, "rotated", "Cleaned").await.starts_with(&format!("Job `{job}`: 1 deleted")), "{job}");
    world.gone("batch", "v1", "Job", Some("rotated"), &job).await;

    let look = "ls /models/tmp; wc -c /models/app/*";
    let reader = reader::pod("rotated", "look", None, "studio-logs", "localhost/busybox:test", &["sh", "-c", look]);
    world.apply(&reader);
    let seen = reader::ended(&world, "rotated", "look").await;
    let (log, old) = (seen.contains("0 /models/app/app.log\n"), seen.contains("3000000 /models/app/app.log.20"));
    assert!(log && old && !seen.contains("left.bin"), "{seen}");

    world.kubectl(&["-n", "rotated", "patch", "mcache", "studio", "--type=merge", "-p", SUSPEND]);
    let api: Api<CronJob> = Api::namespaced(world.client.clone(), "rotated");
    until("the CronJob to be suspended", SOON, || async {
        let cron_job = api.get("studio-clean").await.map_err(|it| it.to_string())?;
        let suspended = cron_job.spec.and_then(|it| it.suspend);
        if suspended == Some(true) { Ok(()) } else { Err(format!("{suspended:?}")) }
    })
    .await;
}
