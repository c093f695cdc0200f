//! The same in a bucket of a real S3 server.

use super::bench::{Ran, ran};
use super::killing::Killing;
use super::{Place, Writers, bytes, memory, minio, whole};
use modelcache::agent::backup::access::BackupAccess;
use modelcache::agent::backup::check::{self, Check};
use modelcache::agent::backup::repository::Repository;
use modelcache::agent::backup::repository::marker::Owner;
use modelcache::agent::backup::repository::place::Directories;
use modelcache::agent::backup::repository::seal::Seal;
use modelcache::agent::backup::repository::store::Store;
use modelcache::agent::fetch::{ClientOptions, HttpClient};
use modelcache::agent::source::Origins;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Instant;

fn destination(bucket: &minio::Bucket) -> Value {
    let mut s3 = bucket.s3();
    s3["accessKeyIdSecretRef"] = json!({"name": "minio", "key": "id"});
    s3["secretAccessKeySecretRef"] = json!({"name": "minio", "key": "secret"});
    json!({"destination": {"s3": s3, "prefix": "backups/here"}})
}

fn command(place: &Place) -> Command {
    let mut command = place.command(&["backup"]);
    command.env("AWS_ACCESS_KEY_ID", minio::ID).env("AWS_SECRET_ACCESS_KEY", minio::SECRET);
    command
}

fn run(place: &Place) -> Ran {
    ran(command(place).output().unwrap())
}

fn backup(place: &Place) -> Value {
    let ran = run(place);
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    let said = format!("{:?}{}", ran.results, ran.stderr);
    assert!(!said.contains(minio::SECRET) && !said.contains("X-Amz-Signature"), "{said}");
    ran.one()["backup"].clone()
}

fn store(place: &Place) -> Store {
    let caches = modelcache::agent::local::read(&place.path("cache.yaml")).unwrap();
    let key = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some(minio::ID.to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(minio::SECRET.to_owned()),
        _ => None,
    };
    let backup = caches[0].spec.backup.as_ref();
    let access = BackupAccess::read(backup, None, &key).unwrap();
    let origins = Origins::new(HttpClient::new(&ClientOptions::default()).unwrap(), None);
    let owner = Owner { namespace: "default".into(), cache: "studio".into() };
    Store::of(backup, &owner, &Directories::default(), &origins, &access.destination, false).unwrap()
}

#[test]
fn a_backup_to_a_bucket_is_whole_and_costs_nothing_when_nothing_changed() {
    let (place, bucket) = (Place::new(), minio::bucket());
    place.cache(&destination(&bucket));
    // Larger than a part, so that it is sent in several.
    place.put("model.safetensors", &bytes(1, 20 << 20));
    place.put("text.txt", &b"prompt ".repeat(100_000));
    for number in 0..200 {
        place.put(&format!("small/{number}"), &bytes(number, 700));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let first = backup(&place);
    assert_eq!(first["files"], 202);
    assert_eq!(backup(&place)["newBytes"], 0);
    let found = whole::read(store(&place), "studio", None);
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].1["model.safetensors"], bytes(1, 20 << 20));
    assert_eq!(found[1].1["small/199"], bytes(199, 700));
    let mut list = super::bench::bare(&["snapshots", "-o", "json", "--of", "default/studio", "--from"]);
    let list = list.arg(format!("s3://{}/backups/here", bucket.name)).env("AWS_ENDPOINT_URL", &bucket.url);
    let list = list.env("AWS_REGION", minio::REGION);
    let list = list.env("AWS_ACCESS_KEY_ID", minio::ID).env("AWS_SECRET_ACCESS_KEY", minio::SECRET);
    let listed = ran(list.output().unwrap());
    assert_eq!((listed.code, listed.results.len()), (0, 2), "{:?} {}", listed.results, listed.stderr);
    assert_eq!(listed.results[0]["id"], first["snapshot"]);
}

#[test]
fn a_log_that_is_always_written_to_is_in_a_bucket_as_it_was_when_it_was_first_read() {
    let (place, bucket) = (Place::new(), minio::bucket());
    place.cache(&destination(&bucket));
    let line = |number: u64| format!("{number} {}\n", "x".repeat(100)).into_bytes();
    // A bucket wants the name of a blob first: it is read twice, and longer the second time.
    place.put("large.log", &(0..60_000).flat_map(line).collect::<Vec<u8>>());
    let path = place.volume().join("large.log");
    let before = std::fs::read(&path).unwrap();
    let writers = Writers::on([(path.clone(), 60_000)], line);
    let said = backup(&place);
    writers.stop();
    assert_eq!((&said["files"], &said["notCovered"]), (&json!(1), &json!(0)));
    let found = whole::read(store(&place), "studio", None);
    let (kept, now) = (&found[0].1["large.log"], std::fs::read(&path).unwrap());
    assert!(kept.len() >= before.len() && kept.len() < now.len() && now.starts_with(kept));
}

/// Kills at work.
const KILLS: u32 = 50;

#[test]
fn killed_at_fifty_points_on_its_way_to_a_bucket_it_leaves_no_snapshot_that_lacks_something() {
    let (place, bucket) = (Place::at(memory::directory()), minio::bucket());
    place.cache(&destination(&bucket));
    // Larger than a part: some are killed between two of them.
    let change = |round: u64| {
        place.put(&format!("{}.bin", round % 2), &bytes(round, 9 << 20));
        place.put("small", &bytes(round, 100));
    };
    change(1001);
    change(1000);
    let begun = Instant::now();
    backup(&place);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut killing = Killing::new(KILLS, 0x00b0_c4e7, begun.elapsed());
    let mut last = 0;
    while let Some(round) = killing.next() {
        last = u64::from(round);
        change(last);
        killing.kill(command(&place).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        assert_eq!(runtime.block_on(lacking(store(&place))), Vec::<String>::new(), "round {round}");
    }
    backup(&place);
    let found = whole::read(store(&place), "studio", None);
    assert_eq!(found.last().unwrap().1[&format!("{}.bin", last % 2)], bytes(last, 9 << 20));
}

/// What snapshots name and is not there.
async fn lacking(store: Store) -> Vec<String> {
    let owner = Owner { namespace: "default".into(), cache: "studio".into() };
    let repository = Repository::open(store, &owner, Seal::default()).await.unwrap();
    let mut check = Check::new(&repository, &check::all(&repository).await.unwrap());
    let mut found = vec![];
    for snapshot in repository.snapshots().await.unwrap() {
        found.extend(check.quick(&snapshot).await.unwrap());
    }
    found.into_iter().map(|it| format!("{}: {}", it.path, it.why)).collect()
}

#[test]
fn what_a_bucket_refuses_is_told_with_what_to_do() {
    let (place, bucket) = (Place::new(), minio::bucket());
    place.put("a", b"x");
    place.cache(&destination(&bucket));
    let wrong = command(&place).env("AWS_SECRET_ACCESS_KEY", "wrong").output().unwrap();
    ran(wrong).failed(10, "Unauthorized", &["s3:PutObject", "key `secret` of Secret `minio`"]);
    let mut missing = destination(&bucket);
    missing["destination"]["s3"]["bucket"] = json!("no-such-bucket");
    place.cache(&missing);
    run(&place).failed(12, "NotFound", &["no-such-bucket", "does not exist"]);
    place.cache(&destination(&bucket));
    let unset = place.command(&["backup"]).output().unwrap();
    ran(unset).failed(13, "SecretNotFound", &["AWS_ACCESS_KEY_ID"]);
}
