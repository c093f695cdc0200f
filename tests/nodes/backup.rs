//! Backups to a real S3 server, on schedule and by hand, and what comes back of them when something is lost.

use crate::manifests::{cache, cache_with, hugging_face, pool};
use crate::minio::{Bucket, SECRET};
use crate::reader;
use crate::records::{backed_up, backups, bucket, by_hand, content, destination, directory, keys};
use crate::records::{restore, restored, secret, wipe};
use crate::runner::Scenario;
use crate::scenario;
use crate::shared::tolerant;
use crate::wait::until;
use crate::world::{SOON, World};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use modelcache::api::condition::{find, is_true};
use modelcache::api::{ConditionType, ModelCacheBackup, annotation};
use serde_json::{Value, json};
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_backup_brings_back_lost_volumes_fills_a_claim_and_outlives_its_namespace),
        scenario!(a_backup_that_cannot_be_written_says_why_and_is_made_once_that_is_mended),
        scenario!(
            a_scheduled_backup_of_a_per_node_cache_is_made_where_a_copy_is_and_restores_every_node_without_its_origin
        ),
        scenario!(alone a_backup_that_was_due_while_no_operator_ran_is_made_all_the_same_and_recorded_once),
    ]
}

/// A cache with models from a hub and with the user's own files, both on shared volumes.
fn studio(namespace: &str, hub: &str, backup: &Value) -> String {
    let volumes = "[{name: models, shared: {size: 200Mi, storageClassName: standard}}, {name: assets, shared: {size: 50Mi, storageClassName: standard}}]";
    let source = hugging_face("kept", hub, "org/backed-up", "").replace("name: kept,", "name: kept, volume: models,");
    let more = format!("  deletionPolicy: Delete\n  backup: {backup}\n");
    tolerant(&cache_with(namespace, "studio", volumes, &[source], &more))
}

/// What `spec.backup` says: every byte, so that no origin is needed.
fn every_byte(bucket: &Bucket, secret: &str, schedule: Option<&str>) -> Value {
    let mut backup =
        json!({"content": "Full", "destination": destination(bucket, secret), "retention": {"keepLast": 50}});
    if let Some(schedule) = schedule {
        backup["schedule"] = schedule.into();
    }
    backup
}

/// Waits until a backup was made by the clock.
async fn scheduled(world: &World, namespace: &str) -> ModelCacheBackup {
    until("a scheduled backup", SOON, || async {
        let all = backups(world, namespace).await;
        let record = all.into_iter().find(|it| {
            let status = it.status.clone().unwrap_or_default();
            status.scheduled_time.is_some() && is_true(&status.conditions, ConditionType::Ready)
        });
        record.ok_or_else(|| "none is there".to_owned())
    })
    .await
}

/// Waits until the schedule of `studio` is gone, and what it has begun is over.
async fn rests(world: &World, namespace: &str) {
    until("no backup at work", SOON, || async {
        let work: Vec<String> = world.jobs(namespace).await.iter().map(ResourceExt::name_any).collect();
        let cron_job = world.exists("batch", "v1", "CronJob", Some(namespace), "studio-backup").await;
        if work.is_empty() && !cron_job { Ok(()) } else { Err(format!("{work:?}")) }
    })
    .await;
}

async fn a_backup_brings_back_lost_volumes_fills_a_claim_and_outlives_its_namespace(world: Arc<World>) {
    let namespace = "backed-up";
    world.namespace(namespace);
    let (hub, bucket) = (world.hub(), bucket(&world));
    hub.control("repo?spec=org/backed-up=a.bin:3Mi,config.json:200");
    let manifest = |schedule| studio(namespace, &hub.url, &every_byte(&bucket, "minio", schedule));
    world.apply(&(secret(namespace, "minio", SECRET) + &manifest(None)));
    let first = world.ready(namespace, "studio").await.status.unwrap().sources[0].revision.clone();
    let place = |claim: &str| directory(&world, namespace, claim);
    let (models, assets) = (place("studio-models"), place("studio-assets"));
    let make = format!(
        "cd {assets} && mkdir -p images prompts && head -c 2000000 /dev/urandom > images/a.png && echo 'a prompt' > prompts/one.txt"
    );
    world.on_node("node-1", &["sh", "-c", &make]);
    let before = [content(&world, "node-1", &models), content(&world, "node-1", &assets)];
    assert!(before[0].len() >= 4 && before[1].len() == 2, "{before:?}");

    // By hand, and then by the clock.
    world.apply(&by_hand(namespace, "by-hand", "studio"));
    let status = backed_up(&world, namespace, "by-hand").await.status.unwrap();
    let evidence = (status.files.unwrap(), status.bytes.unwrap(), status.new_bytes.unwrap());
    assert!(evidence.0 >= 5 && evidence.1 > 5_000_000 && evidence.2 > 5_000_000, "{evidence:?}");
    assert_eq!(status.manifest_digest.as_ref().map(String::len), Some(64));
    assert_eq!(status.kept.as_deref(), Some("among the last, among the last good ones"));
    world.apply(&manifest(Some("* * * * *")));
    let scheduled = scheduled(&world, namespace).await;
    assert!(scheduled.owner_references().is_empty(), "nothing takes the record along");
    let record = scheduled.status.clone().unwrap();
    assert_eq!((record.files, record.bytes), (status.files, status.bytes));
    assert!(record.new_bytes.unwrap() < 1_000_000, "what is at the destination is not sent again: {record:?}");
    world.reason(namespace, "studio", ConditionType::BackedUp, "BackedUp").await;

    let looked = backups(&world, namespace).await.into_iter().find(|it| it.name_any() == "by-hand").unwrap();
    assert!(looked.status.unwrap().verified_time >= status.verified_time, "each run looks at all that is there");

    // The schedule rests, and what it has begun is over.
    world.apply(&manifest(None));
    rests(&world, namespace).await;

    // Both volumes are lost, and the origin has moved on.
    hub.control("move?repo=org/backed-up");
    hub.control("reset");
    wipe(&world, "node-1", &models);
    wipe(&world, "node-1", &assets);
    world.apply(&restore(namespace, "back", &json!({"from": {"backup": "by-hand"}})));
    let back = restored(&world, namespace, "back").await.status.unwrap();
    assert_eq!((back.files, back.snapshot), (status.files, status.snapshot));
    assert_eq!([content(&world, "node-1", &models), content(&world, "node-1", &assets)], before);
    let now = world.ready(namespace, "studio").await.status.unwrap();
    assert_eq!(now.sources[0].revision, first, "the next reconcile does not undo the restore");
    assert!(hub.counters().bytes_sent < 100_000, "the bytes are the backup's: {:?}", hub.counters());

    // To a claim of somebody's.
    world.apply(&format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: nas, namespace: {namespace}}}\nspec: {{accessModes: [ReadWriteMany], storageClassName: standard, resources: {{requests: {{storage: 100Mi}}}}}}\n"
    ));
    let to = json!({"from": {"latest": {"cache": "studio"}}, "to": {"claim": {"claimName": "nas", "path": "old"}}});
    world.apply(&restore(namespace, "elsewhere", &to));
    restored(&world, namespace, "elsewhere").await;
    let nas = place("nas");
    let there = ["models", "assets"].map(|volume| content(&world, "node-1", &format!("{nas}/old/{volume}")));
    assert_eq!(there, before);

    // The records, the cache, everything goes; what is at the destination stays.
    let kept = keys(&bucket);
    assert!(kept.iter().any(|it| it.starts_with(&format!("clusters/test/{namespace}/studio/snapshots/"))), "{kept:?}");
    world.kubectl(&["-n", namespace, "delete", "mcbackup", "--all"]);
    world.kubectl(&["delete", "namespace", namespace, "--wait=false"]);
    world.gone("", "v1", "Namespace", None, namespace).await;
    assert_eq!(keys(&bucket), kept);
    world.namespace(namespace);
    world.apply(&(secret(namespace, "minio", SECRET) + &manifest(None)));
    let moved = world.ready(namespace, "studio").await.status.unwrap().sources[0].revision.clone();
    assert_ne!(moved, first);
    let location = json!({"destination": destination(&bucket, "minio"), "namespace": namespace, "cache": "studio"});
    world.apply(&restore(namespace, "again", &json!({"from": {"location": location}, "to": {"cache": "studio"}})));
    restored(&world, namespace, "again").await;
    until("the snapshot's pin in the status", SOON, || async {
        let now = world.ready(namespace, "studio").await.status.unwrap().sources[0].revision.clone();
        if now == first { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    assert_eq!(content(&world, "node-1", &place("studio-assets")), before[1]);
    // What was warmed before the restore is still there, beside it.
    let after = content(&world, "node-1", &place("studio-models"));
    let missing: Vec<&String> = before[0].iter().filter(|it| !after.contains(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

async fn a_backup_that_cannot_be_written_says_why_and_is_made_once_that_is_mended(world: Arc<World>) {
    let namespace = "not-backed-up";
    world.namespace(namespace);
    let bucket = bucket(&world);
    let volumes = "[{name: assets, shared: {size: 10Mi, storageClassName: standard}}]";
    let mut nowhere = destination(&bucket, "right");
    nowhere["s3"]["bucket"] = "no-such-bucket".into();
    let mut all = secret(namespace, "wrong", "not the key") + &secret(namespace, "right", SECRET);
    for (name, destination) in [("refused", destination(&bucket, "wrong")), ("nowhere", nowhere)] {
        let backup = json!({"destination": destination});
        all += &tolerant(&cache_with(namespace, name, volumes, &[], &format!("  backup: {backup}\n")));
    }
    world.apply(&all);
    for name in ["refused", "nowhere"] {
        world.ready(namespace, name).await;
        let place = directory(&world, namespace, &format!("{name}-assets"));
        world.on_node("node-1", &["sh", "-c", &format!("echo mine > {place}/mine.txt")]);
    }
    world.apply(&(by_hand(namespace, "refused", "refused") + &by_hand(namespace, "nowhere", "nowhere")));
    for (name, reason, words) in [("refused", "Unauthorized", ""), ("nowhere", "NotFound", "no-such-bucket")] {
        let message = world.reason(namespace, name, ConditionType::BackedUp, reason).await;
        assert!(message.contains(words) && message.contains("there is no good one yet"), "{message}");
        let backup = backups(&world, namespace).await.into_iter().find(|it| it.name_any() == name).unwrap();
        let status = backup.status.unwrap();
        assert_eq!((status.snapshot, is_true(&status.conditions, ConditionType::Ready)), (None, false));
        let stalled = find(&status.conditions, ConditionType::Stalled).unwrap();
        assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", reason));
    }
    assert!(keys(&bucket).is_empty(), "nothing was written: {:?}", keys(&bucket));
    world.apply(&secret(namespace, "wrong", SECRET));
    backed_up(&world, namespace, "refused").await;
    world.reason(namespace, "refused", ConditionType::BackedUp, "BackedUp").await;
}

/// What the hub's own client finds, without a network.
const LOADED: &str = "from huggingface_hub import snapshot_download; import os; print('LOADED', sorted(os.listdir(snapshot_download('org/backed-up'))))";

async fn a_scheduled_backup_of_a_per_node_cache_is_made_where_a_copy_is_and_restores_every_node_without_its_origin(
    world: Arc<World>,
) {
    let namespace = "copies";
    world.namespace(namespace);
    let (hub, bucket) = (world.hub(), bucket(&world));
    hub.control("repo?spec=org/backed-up=a.bin:3Mi,config.json:200");
    let sources = [hugging_face("kept", &hub.url, "org/backed-up", "")];
    let manifest = |schedule| {
        let backup = format!("  backup: {}\n", every_byte(&bucket, "minio", schedule));
        cache(namespace, "studio", namespace, "200Mi", &sources, &backup)
    };
    world.apply(&(secret(namespace, "minio", SECRET) + &pool(namespace, "") + &manifest(Some("* * * * *"))));
    world.ready(namespace, "studio").await;
    let place = world.directory(namespace, "studio", "models").await;
    let nodes = ["node-1", "node-2"];
    let before = content(&world, "node-1", &place);
    let made = scheduled(&world, namespace).await;
    let status = made.status.clone().unwrap();
    assert!(status.files.unwrap() >= 2 && status.bytes.unwrap() > 3_000_000, "{status:?}");
    world.apply(&manifest(None));
    rests(&world, namespace).await;
    // Both disks are lost, and the origin with them.
    for node in nodes {
        wipe(&world, node, &place);
    }
    drop(hub);
    world.apply(&restore(namespace, "back", &json!({"from": {"backup": made.name_any()}})));
    restored(&world, namespace, "back").await;
    until("the content on both nodes", SOON, || async {
        let there = nodes.map(|node| content(&world, node, &place));
        if there.iter().all(|it| *it == before) { Ok(()) } else { Err(format!("{there:?}")) }
    })
    .await;
    assert_eq!(world.ready(namespace, "studio").await.status.unwrap().nodes.as_deref(), Some("2/2"));
    for node in nodes {
        let said =
            reader::python(&world, namespace, &format!("reader-{node}"), Some(node), "studio-models", LOADED).await;
        assert!(said.contains("LOADED ['a.bin', 'config.json']"), "{said}");
    }
}

async fn a_backup_that_was_due_while_no_operator_ran_is_made_all_the_same_and_recorded_once(world: Arc<World>) {
    let namespace = "unattended";
    world.namespace(namespace);
    let bucket = bucket(&world);
    let volumes = "[{name: assets, shared: {size: 10Mi, storageClassName: standard}}]";
    let backup = format!("  backup: {}\n", every_byte(&bucket, "minio", Some("* * * * *")));
    let manifest = tolerant(&cache_with(namespace, "studio", volumes, &[], &backup));
    world.apply(&(secret(namespace, "minio", SECRET) + &manifest));
    world.ready(namespace, "studio").await;
    let place = directory(&world, namespace, "studio-assets");
    world.on_node("node-1", &["sh", "-c", &format!("echo mine > {place}/mine.txt")]);
    scheduled(&world, namespace).await;
    world.operator_away().await;
    let known: Vec<String> = backups(&world, namespace).await.iter().map(ResourceExt::name_any).collect();
    let left_alone = jiff::Timestamp::now();
    let due_of = |job: &Job| job.annotations().get(annotation::CRON_JOB_SCHEDULED)?.parse::<jiff::Timestamp>().ok();
    let due = until("a backup that nobody looks after", SOON, || async {
        let jobs = world.jobs(namespace).await;
        let done = |it: &&Job| it.status.as_ref().is_some_and(|it| it.succeeded == Some(1));
        let alone = jobs.iter().filter(done).filter_map(due_of).find(|due| *due > left_alone);
        alone.ok_or_else(|| format!("{} Jobs", jobs.len()))
    })
    .await;
    let still: Vec<String> = backups(&world, namespace).await.iter().map(ResourceExt::name_any).collect();
    assert_eq!(still, known, "there is nobody to record it");
    world.scale_operator(1);
    world.operator_ready();
    let recorded = || async {
        let time = |it: &ModelCacheBackup| it.status.clone()?.scheduled_time?.parse::<jiff::Timestamp>().ok();
        let mut all = backups(&world, namespace).await;
        all.retain(|it| time(it) == Some(due));
        all
    };
    let record = until("the record of that backup", SOON, || async {
        let all = recorded().await;
        let ready = |it: &ModelCacheBackup| {
            let status = it.status.clone().unwrap_or_default();
            is_true(&status.conditions, ConditionType::Ready) && status.snapshot.is_some()
        };
        all.into_iter().find(ready).ok_or_else(|| "none".to_owned())
    })
    .await;
    assert!(record.name_any().starts_with("studio-"), "{}", record.name_any());
    // The next one by the clock is a record of its own, and changes nothing about this one.
    until("a later backup", SOON, || async {
        let all = backups(&world, namespace).await;
        let later = all.iter().filter_map(|it| it.status.clone()?.scheduled_time?.parse::<jiff::Timestamp>().ok());
        if later.into_iter().any(|it| it > due) { Ok(()) } else { Err(format!("{} records", all.len())) }
    })
    .await;
    assert_eq!(recorded().await.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), [record.name_any()]);
}
