//! `kubectl modelcache` on real nodes: what people see of a warm-up, and what comes of what they ask for.

use crate::hub::READER;
use crate::manifests::{self, cache, hugging_face, pool};
use crate::records::{bucket, destination, secret};
use crate::runner::Scenario;
use crate::scenario;
use crate::wait::until;
use crate::world::{SOON, World};
use modelcache::api::condition::ConditionType;
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_warm_up_is_watched_as_bars_and_its_logs_name_their_node),
        scenario!(kubectl_modelcache_verifies_backs_up_and_reports),
        scenario!(kubectl_modelcache_warm_asks_once_and_waits_until_what_failed_is_there),
    ]
}

fn command(world: &World, namespace: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelcache"));
    command.args(["kubectl", "-n", namespace]).env("KUBECONFIG", &world.kubeconfig).stdin(Stdio::null());
    command
}

/// Runs the plugin to its end: what it printed, or its exit code and what it said.
pub async fn attempt(world: &World, namespace: &str, arguments: &[&str]) -> Result<String, (Option<i32>, String)> {
    let mut command = command(world, namespace);
    command.args(arguments);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err((done.status.code(), text(&done.stderr))) }
}

pub async fn plugin(world: &World, namespace: &str, arguments: &[&str]) -> String {
    attempt(world, namespace, arguments).await.unwrap_or_else(|said| panic!("{arguments:?}: {said:?}"))
}

/// Runs the plugin on a terminal of so many columns and rows, to its end: what was written to it.
pub async fn on_a_terminal(world: &World, size: (u16, u16), namespace: &str, arguments: &str) -> String {
    let binary = env!("CARGO_BIN_EXE_modelcache");
    let (columns, rows) = size;
    let run = format!("stty cols {columns} rows {rows}; exec {binary} kubectl -n {namespace} {arguments}");
    let mut command = Command::new("script");
    command.args(["-qec", &run, "/dev/null"]).env("KUBECONFIG", &world.kubeconfig).env("TERM", "xterm-256color");
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let shown = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{arguments}: {shown}");
    shown
}

/// A program that ends with the scenario.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn a_warm_up_is_watched_as_bars_and_its_logs_name_their_node(world: Arc<World>) {
    let namespace = "watched";
    world.namespace(namespace);
    let hub = world.hub();
    hub.control("repo?spec=org/slow=model.bin:20Mi");
    hub.control("throttle?bytesPerSecond=600000");
    let sources = [hugging_face("slow", &hub.url, "org/slow", "")];
    world.apply(&(pool(namespace, "") + &cache(namespace, "studio", namespace, "100Mi", &sources, "")));
    let file = std::env::temp_dir().join(format!("modelcache-logs-{}", std::process::id()));
    let mut follow = command(&world, namespace);
    follow.args(["logs", "studio", "--follow", "--job", "warm-up"]).stdout(std::fs::File::create(&file).unwrap());
    let follow = Running(follow.spawn().unwrap());
    let watched = on_a_terminal(&world, (120, 40), namespace, "status studio --watch");
    let lines = until("a line of the log of each node", SOON, || async {
        let said = std::fs::read_to_string(&file).unwrap();
        let both =
            ["[node-1 warm-up] ", "[node-2 warm-up] "].iter().all(|it| said.lines().any(|line| line.starts_with(it)));
        if both { Ok(said) } else { Err(said) }
    });
    let (shown, _) = futures::future::join(watched, lines).await;
    drop(follow);
    std::fs::remove_file(&file).unwrap();
    assert!(shown.contains('\u{1b}'), "it is drawn over itself: {shown}");
    assert!(
        shown.contains("watched/studio") && shown.contains("node-1 models") && shown.contains("node-2 models"),
        "{shown}"
    );
    let moved = shown.matches("left").count();
    assert!(moved > 2, "the bars move, and say how long it takes: {shown}");
    assert!(shown.contains("2/2 nodes  100%"), "{shown}");
    let rows: Value = serde_json::from_str(&plugin(&world, namespace, &["nodes", "-o", "json"]).await).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert!(
        rows.as_array().unwrap().iter().all(|it| it["ready"] == json!(true) && it["percent"] == json!(100)),
        "{rows}"
    );
    let space = plugin(&world, namespace, &["du", "studio"]).await;
    assert!(space.contains("watched/studio: 40.0 MiB in 2 copies"), "{space}");
}

async fn kubectl_modelcache_verifies_backs_up_and_reports(world: Arc<World>) {
    let namespace = "asked";
    world.namespace(namespace);
    let (hub, bucket) = (world.hub(), bucket(&world));
    hub.control("repo?spec=org/private=a.bin:3Mi,b.bin:100Ki;private");
    let token = ", tokenSecretRef: {name: hf, key: token}";
    let sources = [hugging_face("private", &hub.url, "org/private", token)];
    let backup = json!({"content": "Full", "destination": destination(&bucket, "minio")});
    let more = format!("  backup: {backup}\n  podTemplate: {{env: [{{name: SECRET_OF_MINE, value: hunter2}}]}}\n");
    world.apply(
        &(secret(namespace, "minio", crate::minio::SECRET)
            + &manifests::secret(namespace, "hf", READER)
            + &pool(namespace, "")
            + &cache(namespace, "studio", namespace, "100Mi", &sources, &more)),
    );
    plugin(&world, namespace, &["wait", "studio", "--timeout", "8m"]).await;

    let said = plugin(&world, namespace, &["verify", "studio", "--wait", "--timeout", "8m"]).await;
    for node in ["node-1", "node-2"] {
        assert!(said.contains(&format!("studio models on {node}: as it was put there")), "{said}");
    }
    let directory = world.directory(namespace, "studio", "models").await;
    let flip = format!(
        "f=$(find {directory}/huggingface -type f -size +1M | head -1); printf XXXXXXXX | dd of=$f bs=1 seek=4096 conv=notrunc"
    );
    world.on_node("node-2", &["sh", "-c", &flip]);
    // Only the other node is asked: it finds nothing.
    plugin(&world, namespace, &["verify", "studio", "--node", "node-1", "--wait", "--timeout", "8m"]).await;
    let damaged = ["verify", "studio", "--node", "node-2", "--wait", "--timeout", "8m"];
    let (code, said) = attempt(&world, namespace, &damaged).await.unwrap_err();
    assert_eq!(code, Some(33), "{said}");
    assert!(said.contains("studio models on node-2: Damaged: 1 files"), "{said}");
    plugin(&world, namespace, &["wait", "studio", "--timeout", "8m"]).await;

    let said = plugin(&world, namespace, &["backup", "studio", "--name", "now", "--wait", "--timeout", "8m"]).await;
    assert!(said.starts_with("modelcachebackup.modelcache.dev/now created\nsnapshot "), "{said}");
    assert!(plugin(&world, namespace, &["backups", "studio"]).await.contains("now "));
    let described = plugin(&world, namespace, &["describe", "studio"]).await;
    assert!(described.contains("Last backup:") && described.contains("Events"), "{described}");

    let file = std::env::temp_dir().join(format!("modelcache-report-{}.tar.gz", std::process::id()));
    let _ = std::fs::remove_file(&file);
    plugin(&world, namespace, &["report", "--file", file.to_str().unwrap()]).await;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(&file).unwrap()));
    let mut names = vec![];
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        std::io::Read::read_to_string(&mut entry, &mut content).unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        for secret in [READER, crate::minio::SECRET, "hunter2"] {
            assert!(!content.contains(secret), "{name} has a secret in it");
        }
        names.push(name);
    }
    std::fs::remove_file(&file).unwrap();
    for part in
        ["modelcache.yaml", "modelcachereplica.yaml", "modelcachebackup.yaml", "event.yaml", "logs/modelcache-system/"]
    {
        assert!(names.iter().any(|it| it.contains(part)), "{part}: {names:?}");
    }
}

async fn kubectl_modelcache_warm_asks_once_and_waits_until_what_failed_is_there(world: Arc<World>) {
    let namespace = "retried";
    world.namespace(namespace);
    let hub = world.hub();
    hub.control("repo?spec=org/private=a.bin:100Ki;private");
    let sources = [hugging_face("private", &hub.url, "org/private", ", tokenSecretRef: {name: hf, key: token}")];
    world.apply(
        &(manifests::secret(namespace, "hf", "hf_wrong")
            + &pool(namespace, "")
            + &cache(namespace, "studio", namespace, "100Mi", &sources, "")),
    );
    world.reason(namespace, "studio", ConditionType::Stalled, "Unauthorized").await;
    let (code, said) = attempt(&world, namespace, &["wait", "studio"]).await.unwrap_err();
    assert_eq!(code, Some(10), "{said}");
    world.apply(&manifests::secret(namespace, "hf", READER));
    plugin(&world, namespace, &["warm", "studio", "--wait", "--timeout", "8m"]).await;
    let found = world.ready(namespace, "studio").await;
    let asked = found.metadata.annotations.unwrap().remove("modelcache.dev/requestedAt");
    assert_eq!(found.status.unwrap().last_handled_request, asked);
}
