//! Backups in a cloud's bucket: made, unchanged, restored, pruned; written once; and what is damaged or refused is named.

use crate::bench::{Bench, Ran, until};
use crate::clouds::{azure, google};
use crate::{Bucket, Cloud, bytes, files, for_both, quiet};
use modelcache::agent::backup::access::BackupAccess;
use modelcache::agent::backup::repository::marker::Owner;
use modelcache::agent::backup::repository::place::Directories;
use modelcache::agent::backup::repository::store::Store;
use modelcache::agent::fetch::{ClientOptions, HttpClient};
use modelcache::agent::source::Origins;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

for_both!(
    what_is_backed_up_comes_back_and_what_no_snapshot_needs_goes,
    of_many_who_write_one_name_at_once_one_does_and_nothing_is_overwritten,
    an_object_that_is_gone_or_changed_is_named_and_nothing_is_restored,
    killed_on_its_way_it_leaves_no_snapshot_and_the_next_run_is_whole,
    a_bucket_that_is_not_there_or_is_only_to_be_read_is_named_and_no_backup_succeeds,
    a_place_alone_is_enough_to_restore_from,
);

/// A cache with user data on one volume, and a bucket for its backups.
struct Place {
    bench: Bench,
    bucket: Bucket,
    /// The variable with the credentials, and its value.
    variable: (&'static str, String),
}

impl Place {
    fn new(cloud: Cloud) -> Self {
        let (field, variable, value) = cloud.credentials();
        Self::by(Bucket::new(cloud), field, (variable, value))
    }

    /// With these credentials.
    fn by(bucket: Bucket, field: &str, variable: (&'static str, String)) -> Self {
        let place = Self { bench: Bench::new(), bucket, variable };
        std::fs::create_dir_all(place.bench.volume()).unwrap();
        let mut at = place.bucket.place.clone();
        at[field] = json!({"name": "cloud", "key": "key"});
        place.write(&at);
        place
    }

    fn write(&self, at: &Value) {
        self.bench.write(&json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "studio"},
            "spec": {
                "volumes": [{"name": "models", "shared": {"size": "10Gi"}}],
                "backup": {
                    "destination": {self.bucket.cloud.field(): at, "prefix": "backups/here"},
                    "retention": {"keepLast": 1, "minGood": 1, "maxDeletePercent": 100}
                }
            }
        }));
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.bench.volume().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = crate::bench::bare(arguments);
        command.arg("-f").arg(self.bench.path("cache.yaml")).args(["-o", "json"]);
        if !matches!(arguments.first(), Some(&"snapshots" | &"prune")) {
            command.arg("--volumes-dir").arg(self.bench.path("volumes"));
        }
        command.env(self.variable.0, &self.variable.1);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        quiet(self.bucket.cloud, self.command(arguments))
    }

    /// A run that must do what is asked.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {:?} {}", ran.results, ran.stderr);
        ran
    }

    #[track_caller]
    fn backup(&self) -> Value {
        self.done(&["backup"]).one()["backup"].clone()
    }

    /// Names below a directory of the repository.
    fn stored(&self, directory: &str) -> Vec<String> {
        let below = format!("backups/here/default/studio/{directory}/");
        self.bucket.keys().into_iter().filter(|it| it.starts_with(&below)).collect()
    }

    /// Restores into an empty volume what this snapshot has; the latest when none is named.
    #[track_caller]
    fn restored(&self, more: &[&str]) -> BTreeMap<String, Vec<u8>> {
        std::fs::remove_dir_all(self.bench.volume()).unwrap();
        self.done(&[&["restore"], more].concat());
        self.on_volume()
    }

    fn on_volume(&self) -> BTreeMap<String, Vec<u8>> {
        let volume = self.bench.volume();
        let paths = files(&volume).into_iter().filter(|it| !it.starts_with(".modelcache"));
        paths.map(|it| (it.clone(), std::fs::read(volume.join(it)).unwrap())).collect()
    }
}

/// All that a backup does, with one kind of credentials.
fn full_circle(place: &Place) {
    // Larger than a part, so that it is sent in several.
    let large = bytes(1, 20 << 20);
    place.put("model.safetensors", &large);
    place.put("text.txt", &b"prompt ".repeat(100_000));
    place.put("old.bin", &bytes(2, 1 << 20));
    for number in 0..50 {
        place.put(&format!("small/{number}"), &bytes(number, 700));
    }
    let first = place.on_volume();
    let made = place.backup();
    assert_eq!(made["files"], 53);
    assert_eq!(place.backup()["newBytes"], 0);
    place.put("new.bin", &bytes(3, 1 << 20));
    std::fs::remove_file(place.bench.volume().join("old.bin")).unwrap();
    let second = place.on_volume();
    assert!(place.backup()["newBytes"].as_u64().unwrap() < 2 << 20);
    let listed = place.done(&["snapshots"]).results;
    assert_eq!((listed.len(), &listed[0]["id"]), (3, &made["snapshot"]));
    place.done(&["restore", "--verify", "--deep"]);

    assert!(place.restored(&["--snapshot", made["snapshot"].as_str().unwrap()]) == first);
    let blobs = place.stored("blobs").len();
    // Its own clock says how old an object is.
    until("what no snapshot needs is older than a second", || {
        place.done(&["prune", "--grace", "1s"]);
        place.stored("blobs").len() < blobs
    });
    assert_eq!(place.stored("snapshots").len(), 1);
    assert_eq!((place.stored("running"), place.stored("pruning")), (vec![], vec![]));
    place.done(&["restore", "--verify", "--deep"]);
    assert!(place.restored(&[]) == second);
}

fn what_is_backed_up_comes_back_and_what_no_snapshot_needs_goes(cloud: Cloud) {
    full_circle(&Place::new(cloud));
}

#[test]
fn a_shared_access_signature_of_the_container_is_enough_for_all_of_it() {
    let bucket = Bucket::new(Cloud::Azure);
    let token = azure::of_container(&bucket.name, "racwdl", 60);
    full_circle(&Place::by(bucket, "sasTokenSecretRef", ("AZURE_STORAGE_SAS_TOKEN", token)));
}

/// The place, as the rooms see it.
fn store(place: &Place) -> Store {
    let caches = modelcache::agent::local::read(&place.bench.path("cache.yaml")).unwrap();
    let backup = caches[0].spec.backup.as_ref();
    let (variable, value) = &place.variable;
    let access = BackupAccess::read(backup, None, &|name| (name == *variable).then(|| value.clone())).unwrap();
    let origins = Origins::new(HttpClient::new(&ClientOptions::default()).unwrap(), None);
    let owner = Owner { namespace: "default".into(), cache: "studio".into() };
    Store::of(backup, &owner, &Directories::default(), &origins, &access.destination, true).unwrap()
}

fn of_many_who_write_one_name_at_once_one_does_and_nothing_is_overwritten(cloud: Cloud) {
    let place = Place::new(cloud);
    let (name, writers) = ("snapshots/20260301T100000Z-00ff.json", 8_u8);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store(&place);
            runtime.spawn(async move { (writer, store.put_new(name, vec![writer; 100].into()).await.unwrap()) })
        })
        .collect();
    let done: Vec<(u8, bool)> = running.into_iter().map(|it| runtime.block_on(it).unwrap()).collect();
    let wrote: Vec<u8> = done.iter().filter(|it| it.1).map(|it| it.0).collect();
    assert_eq!(wrote.len(), 1, "{done:?}");
    let store = store(&place);
    assert!(!runtime.block_on(store.put_new(name, "later".into())).unwrap());
    let kept = runtime.block_on(store.get(name, 1 << 20)).unwrap().unwrap();
    assert_eq!(kept.as_ref(), vec![wrote[0]; 100]);
    runtime.block_on(store.replace(name, "over it".into())).unwrap();
    assert_eq!(runtime.block_on(store.get(name, 1 << 20)).unwrap().unwrap().as_ref(), b"over it");
    assert_eq!(runtime.block_on(store.get("snapshots/none", 1 << 20)).unwrap(), None);
}

fn an_object_that_is_gone_or_changed_is_named_and_nothing_is_restored(cloud: Cloud) {
    let place = Place::new(cloud);
    place.put("model.bin", &bytes(1, 1 << 20));
    place.put("other.bin", &bytes(2, 1 << 20));
    place.backup();
    place.done(&["restore", "--verify", "--deep"]);
    let blobs = place.stored("blobs");
    let blob = |seed: u64| {
        use sha2::{Digest as _, Sha256};
        let sha256 = modelcache::api::name::hex(&Sha256::digest(bytes(seed, 1 << 20)));
        blobs.iter().find(|it| it.contains(&sha256)).unwrap().clone()
    };
    let mine = BTreeMap::from([("model.bin".to_owned(), b"mine".to_vec())]);
    std::fs::remove_dir_all(place.bench.volume()).unwrap();
    place.put("model.bin", b"mine");
    // As long as it was.
    place.bucket.put(&blob(1), &bytes(9, 1 << 20));
    place.done(&["restore", "--verify"]);
    place.run(&["restore", "--verify", "--deep"]).failed(30, "ChecksumMismatch", &["model.bin"]);
    place.run(&["restore"]).failed(30, "ChecksumMismatch", &["model.bin"]);
    assert!(place.on_volume() == mine);
    place.bucket.put(&blob(1), &bytes(1, 1 << 20));
    place.bucket.remove(&blob(2));
    place.run(&["restore", "--verify"]).failed(30, "ChecksumMismatch", &["other.bin"]);
    place.run(&["restore"]).failed(30, "ChecksumMismatch", &["other.bin"]);
    assert!(place.on_volume() == mine);
}

fn killed_on_its_way_it_leaves_no_snapshot_and_the_next_run_is_whole(cloud: Cloud) {
    let place = Place::new(cloud);
    place.put("small", &bytes(1, 100));
    place.backup();
    for round in 1..4_u64 {
        place.put(&format!("{}.bin", round % 2), &bytes(round, 24 << 20));
        // What was killed before leaves its marker.
        let before = place.stored("running").len();
        let mut child = place.command(&["backup"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("it is at work", || place.stored("running").len() > before || child.try_wait().unwrap().is_some());
        std::thread::sleep(std::time::Duration::from_millis(40 * round));
        let _ = child.kill();
        child.wait().unwrap();
    }
    let expected = place.on_volume();
    place.backup();
    place.done(&["restore", "--verify", "--deep"]);
    assert!(place.restored(&[]) == expected);
}

fn a_bucket_that_is_not_there_or_is_only_to_be_read_is_named_and_no_backup_succeeds(cloud: Cloud) {
    let place = Place::new(cloud);
    place.put("a", b"x");
    let right = place.bucket.with_credentials();
    let mut missing = right.clone();
    let field = if cloud == Cloud::Azure { "container" } else { "bucket" };
    missing[field] = json!("no-such-place");
    place.write(&missing);
    for command in [&["backup"][..], &["restore"], &["prune"], &["snapshots"]] {
        place.run(command).failed(12, "NotFound", &["`no-such-place`", "does not exist"]);
    }
    place.write(&right);
    for command in [&["restore"][..], &["prune"], &["snapshots"]] {
        place.run(command).failed(12, "NotFound", &["holds no backup of default/studio"]);
    }
    let mut unset = place.command(&["backup"]);
    unset.env_remove(place.variable.0);
    quiet(cloud, unset).failed(13, "SecretNotFound", &[place.variable.0]);

    let bucket = Bucket::new(cloud);
    let (read_only, rights) = match cloud {
        Cloud::Google => (
            Place::by(bucket, "credentialsSecretRef", ("GOOGLE_SERVICE_ACCOUNT_KEY", google::key_of("reader@test"))),
            "storage.objects.list, get, create and delete",
        ),
        Cloud::Azure => {
            let token = azure::of_container(&bucket.name, "rl", 60);
            let place = Place::by(bucket, "sasTokenSecretRef", ("AZURE_STORAGE_SAS_TOKEN", token));
            (place, "to read, to list, to write and to delete")
        }
    };
    read_only.put("a", b"x");
    let refused = read_only.run(&["backup"]);
    refused.failed(10, "Unauthorized", &["to take or to give a backup", rights, "key `key` of Secret `cloud`"]);
    assert_eq!(read_only.bucket.keys(), Vec::<String>::new());
}

#[test]
fn a_signature_that_may_not_delete_says_so_when_something_is_to_go() {
    let place = Place::new(Cloud::Azure);
    place.put("a", &bytes(1, 1 << 20));
    place.backup();
    place.put("a", &bytes(2, 1 << 20));
    place.backup();
    let token = azure::of_container(&place.bucket.name, "racwl", 60);
    let mut at = place.bucket.place.clone();
    at["sasTokenSecretRef"] = json!({"name": "cloud", "key": "key"});
    place.write(&at);
    let mut prune = place.command(&["prune", "--grace", "1s"]);
    prune.env_remove(place.variable.0).env("AZURE_STORAGE_SAS_TOKEN", token);
    let refused = quiet(Cloud::Azure, prune);
    refused.failed(10, "Unauthorized", &["to read, to list, to write and to delete", "key `key` of Secret `cloud`"]);
    assert_eq!(place.stored("snapshots").len(), 2);
}

fn a_place_alone_is_enough_to_restore_from(cloud: Cloud) {
    let place = Place::new(cloud);
    place.put("a/b.bin", &bytes(1, 300_000));
    let made = place.backup();
    let (from, endpoint) = match cloud {
        Cloud::Google => (format!("gs://{}/backups/here", place.bucket.name), ("STORAGE_EMULATOR_HOST", google::url())),
        Cloud::Azure => {
            let from = format!("az://{}/{}/backups/here", azure::ACCOUNT, place.bucket.name);
            (from, ("AZURE_STORAGE_SERVICE_ENDPOINT", azure::url()))
        }
    };
    let run = |arguments: &[&str]| {
        let mut command = crate::bench::bare(arguments);
        command.args(["-o", "json", "--of", "default/studio", "--from", &from]);
        command.env(place.variable.0, &place.variable.1).env(endpoint.0, &endpoint.1);
        let ran = quiet(cloud, command);
        assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
        ran
    };
    assert_eq!(run(&["snapshots"]).one()["id"], made["snapshot"]);
    let to = place.bench.path("elsewhere");
    run(&["restore", "--to", to.to_str().unwrap()]);
    assert!(std::fs::read(to.join("a/b.bin")).unwrap() == bytes(1, 300_000));
}
