//! What is asked through `kubectl modelcache`, and what real kubectl makes of our names. The answers are written by hand: no operator
//! runs here.

use crate::plugin::{Plugin, Running, text};
use crate::support::apiserver::eventually;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

const CLEAN: &str = r".metadata.annotations.modelcache\.dev/cleanRequestedAt";
const RESET: &str = r".metadata.annotations.modelcache\.dev/resetRequestedAt";

impl Plugin {
    fn create(&self, object: &Value) {
        let name = format!("{}-{}.json", object["kind"], object["metadata"]["name"]).replace('"', "");
        let file = self.path.path().join(name);
        std::fs::write(&file, object.to_string()).unwrap();
        self.plane.kubectl(&["-n", self.namespace, "create", "-f", file.to_str().unwrap()]);
    }

    fn patch(&self, arguments: &[&str], patch: &Value) {
        let (patch, start) = (patch.to_string(), ["-n", self.namespace, "patch", "--type=merge", "-p"]);
        let all = start.into_iter().chain([patch.as_str()]).chain(arguments.iter().copied());
        self.plane.kubectl(&all.collect::<Vec<_>>());
    }

    /// A copy of the volume `models` of a cache, on a node.
    fn copy(&self, cache: &str, node: &str) {
        self.create(&json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheReplica",
            "metadata": {"name": format!("{cache}-models-{node}")},
            "spec": {
                "cache": cache, "volume": "models", "claimName": format!("{cache}-models"),
                "node": {"name": node, "uid": node, "hostname": node, "pool": "gpu"},
                "plan": {"configMap": "p", "hash": "h", "files": 1, "bytes": 1}
            }
        }));
    }

    /// What a copy says.
    fn copy_says(&self, cache: &str, node: &str, status: &Value) {
        let name = format!("{cache}-models-{node}");
        self.patch(&["mcreplica", &name, "--subresource=status"], &json!({"status": status}));
    }

    fn with_rules(&self, name: &str) {
        let rules = json!({"rules": [{"name": "old", "paths": ["**/*.log"], "delete": {"olderThan": "7d"}}]});
        self.patch(&["mcache", name], &json!({"spec": {"cleanup": rules}}));
    }

    /// Begins a command of the plugin.
    fn start(&self, arguments: &[&str]) -> Running {
        let all = ["modelcache", "-n", self.namespace].into_iter().chain(arguments.iter().copied());
        let mut command = self.kubectl(&all.collect::<Vec<_>>());
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// The value of an annotation, once somebody has asked.
    async fn asked(&self, name: &str, path: &str) -> String {
        eventually("the annotation", || async {
            let value = self.field(name, path);
            if value.is_empty() { Err("not yet".into()) } else { Ok(value) }
        })
        .await
    }
}

/// What a command said, and its exit code, at its end.
fn ended(mut running: Running) -> (Option<i32>, String, String) {
    let code = running.end().code();
    let (mut out, mut errors) = (String::new(), String::new());
    running.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    running.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    (code, out, errors)
}

#[tokio::test]
async fn kubectl_finds_one_cache_by_the_name_of_its_kind_and_every_kind_by_the_category() {
    let plugin = Plugin::new("kubectl-names").await;
    plugin.cache("here");
    plugin.copy("here", "gpu-1");
    plugin.create(&json!({"apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheBackup",
        "metadata": {"name": "saved"}, "spec": {"cache": "here"}}));
    plugin.create(&json!({"apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheRestore",
        "metadata": {"name": "back"}, "spec": {"from": {"backup": "saved"}, "to": {"cache": "here"}}}));
    plugin.create(&json!({"apiVersion": "modelcache.dev/v1alpha1", "kind": "NodeCachePool",
        "metadata": {"name": "kubectl-names"},
        "spec": {"gpu": "NVIDIA", "path": "/mnt/modelcache-kubectl-names", "capacity": "1Gi"}}));
    let get = |what: &[&str]| {
        let all = ["-n", plugin.namespace, "get"].into_iter().chain(what.iter().copied()).chain(["-o", "name"]);
        plugin.plane.kubectl(&all.collect::<Vec<_>>())
    };
    for name in ["modelcache", "modelcaches", "mcache", "modelcache.modelcache.dev"] {
        assert_eq!(get(&[name, "here"]), "modelcache.modelcache.dev/here\n", "{name}");
    }
    let all = get(&["modelcache-dev"]);
    for object in [
        "modelcache.modelcache.dev/here",
        "modelcachereplica.modelcache.dev/here-models-gpu-1",
        "modelcachebackup.modelcache.dev/saved",
        "modelcacherestore.modelcache.dev/back",
        "nodecachepool.modelcache.dev/kubectl-names",
    ] {
        assert!(all.lines().any(|it| it == object), "{object}: {all}");
    }
}

#[tokio::test]
async fn a_dry_run_prints_what_each_copy_would_remove_and_why() {
    let plugin = Plugin::new("plugin-clean").await;
    plugin.cache("here");
    let (code, said) = plugin.fails(&["clean", "here", "--dry-run"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("no rule of `spec.cleanup`"), "{said}");
    plugin.with_rules("here");
    for node in ["gpu-1", "gpu-2"] {
        plugin.copy("here", node);
    }
    assert_eq!(plugin.fails(&["clean", "here", "--volume", "nowhere"]).0, 12);
    assert_eq!(plugin.fails(&["clean", "here", "--timeout", "1s"]).0, 2, "there is nothing to wait for");

    let running = plugin.start(&["clean", "here", "--dry-run", "--node", "gpu-1"]);
    let asked = plugin.asked("here", CLEAN).await;
    assert!(asked.ends_with(" dry-run nodes=gpu-1"), "{asked}");
    let did = json!({"time": "2026-11-21T12:00:00Z", "deleted": 2, "rotated": 0, "freedBytes": 2048, "gainedBytes": 0, "trashedBytes": 0});
    let deed = |path: &str| json!({"rule": "old", "what": "deleted", "path": path, "why": "last written to 9d ago", "bytes": 1024});
    let answer = json!({"request": asked, "dryRun": true, "attempt": 2, "time": "2026-11-21T12:00:00Z", "did": did,
        "deeds": [deed("a.log"), deed("b.log")]});
    plugin.copy_says("here", "gpu-1", &json!({"requestedCleanup": answer}));
    plugin.patch(&["mcache", "here", "--subresource=status"], &json!({"status": {"lastHandledCleanRequest": asked}}));
    let (code, out, said) = ended(running);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("gpu-1  models  old   deleted   1.0 KiB  b.log  last written to 9d ago\n"), "{out}");
    assert!(out.ends_with("a dry run: nothing was removed\n"), "{out}");

    // The answer is there: whoever asks in another form asks anew.
    let running = plugin.start(&["clean", "here", "--wait"]);
    let again = eventually("another request", || async {
        let value = plugin.field("here", CLEAN);
        if value == asked { Err(value) } else { Ok(value) }
    })
    .await;
    let refused = json!({"reason": "DeletionRefused", "message": "rule `old` would delete 93%", "count": 1, "time": "2026-11-21T12:00:00Z"});
    for (node, failure) in [("gpu-1", json!(null)), ("gpu-2", refused)] {
        let answer = json!({"request": again, "dryRun": false, "attempt": 3, "time": "2026-11-21T12:00:00Z", "did": did,
            "deeds": [], "failure": failure});
        plugin.copy_says("here", node, &json!({"requestedCleanup": answer}));
    }
    plugin.patch(&["mcache", "here", "--subresource=status"], &json!({"status": {"lastHandledCleanRequest": again}}));
    let (code, out, said) = ended(running);
    assert_eq!(code, Some(61), "{out} {said}");
    assert!(out.contains("here models on gpu-1: 2 deleted, 0 rotated; 2.0 KiB freed"), "{out}");
    assert!(said.contains("here models on gpu-2: DeletionRefused: rule `old` would delete 93%"), "{said}");
}

#[tokio::test]
async fn a_format_is_honoured_or_refused_and_never_taken_for_a_table() {
    let plugin = Plugin::new("plugin-formats").await;
    plugin.cache("here");
    for (arguments, instead) in [
        (vec!["warm", "here", "-o", "json"], "leave out --output"),
        (vec!["verify", "here", "-o", "name"], "leave out --output"),
        (vec!["suspend", "here", "-o", "yaml"], "leave out --output"),
        (vec!["logs", "here", "-o", "json"], "leave out --output"),
        (vec!["env", "here", "-o", "yaml"], "it has json"),
        (vec!["describe", "here", "-o", "name"], "it has json, yaml"),
        (vec!["backup", "here", "-o", "wide"], "it has json, yaml, name"),
    ] {
        let (code, said) = plugin.fails(&arguments);
        let format = arguments.last().unwrap();
        assert_eq!(said, format!("error: this command has no output `{format}`: {instead}\n"), "{arguments:?}");
        assert_eq!(code, 2, "{arguments:?}");
    }
    let (code, said) = plugin.fails(&["verify"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("required") && said.contains("CACHE"), "hashing terabytes is asked for by name: {said}");
    plugin.ok(&["verify", "--all"]);
    let restored = plugin.ok(&["restore", "here", "--name", "back", "-o", "json"]);
    let restored: Value = serde_json::from_str(&restored).unwrap();
    assert_eq!((&restored["kind"], &restored["metadata"]["name"]), (&json!("ModelCacheRestore"), &json!("back")));
    let name = plugin.ok(&["restore", "here", "--name", "again", "-o", "name"]);
    assert_eq!(name, "modelcacherestore.modelcache.dev/again\n");
}

#[tokio::test]
async fn a_reset_asks_before_and_is_refused_where_a_pod_has_a_copy() {
    let plugin = Plugin::new("plugin-reset").await;
    plugin.cache("here");
    assert_eq!(plugin.fails(&["reset", "here", "--yes"]).0, 12, "it has no copy");
    for node in ["gpu-1", "gpu-2"] {
        plugin.copy("here", node);
    }
    let (code, said) = plugin.fails(&["reset", "here"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(plugin.field("here", RESET), "");

    // On a terminal the name is typed.
    let typed = |name: &str| {
        let run = format!(
            "{} modelcache -n {} reset here --node gpu-2",
            plugin.path.path().join("kubectl").display(),
            plugin.namespace
        );
        let mut command = Command::new("script");
        command.args(["-qec", &run, "/dev/null"]).env("KUBECONFIG", plugin.plane.kubeconfig());
        command.env("PATH", format!("{}:/usr/bin:/bin", plugin.path.path().display()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{name}\n").as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        (done.status.code(), text(&done.stdout))
    };
    let (code, shown) = typed("another");
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("here models on gpu-2") && !shown.contains("gpu-1"), "{shown}");
    assert_eq!(plugin.field("here", RESET), "");
    let (code, shown) = typed("here");
    assert_eq!(code, Some(0), "{shown}");
    assert!(plugin.field("here", RESET).ends_with(" nodes=gpu-2"));

    eventually("the namespace has a ServiceAccount", || async {
        let found = plugin.plane.kubectl(&["-n", plugin.namespace, "get", "serviceaccounts", "-o", "name"]);
        if found.contains("default") { Ok(()) } else { Err(found) }
    })
    .await;
    plugin.create(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"},
        "spec": {
            "nodeName": "gpu-1", "automountServiceAccountToken": false,
            "containers": [{"name": "app", "image": "x"}],
            "volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": "here-models"}}]
        }
    }));
    let (code, said) = plugin.fails(&["reset", "here", "--yes"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("pod `app` has here models on gpu-1 mounted, so nothing was asked"), "{said}");

    let before = plugin.field("here", RESET);
    let running = plugin.start(&["reset", "here", "--yes", "--node", "gpu-2", "--wait"]);
    let asked = eventually("another request", || async {
        let value = plugin.field("here", RESET);
        if value == before { Err(value) } else { Ok(value) }
    });
    let asked = asked.await;
    let answer = json!({"request": asked, "attempt": 2, "time": "2026-11-21T12:00:00Z"});
    plugin.copy_says("here", "gpu-2", &json!({"requestedReset": answer}));
    plugin.patch(&["mcache", "here", "--subresource=status"], &json!({"status": {"lastHandledResetRequest": asked}}));
    let (code, out, said) = ended(running);
    assert_eq!((code, out.lines().last()), (Some(0), Some("here models on gpu-2: fetched anew")), "{said}");

    plugin.ok(&["suspend", "here"]);
    let (code, said) = plugin.fails(&["reset", "here", "--yes"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("`here` is suspended: resume it first"), "{said}");
}

#[tokio::test]
async fn nobody_waits_for_a_cache_that_is_suspended() {
    let plugin = Plugin::new("plugin-suspended").await;
    plugin.cache("here");
    plugin.ok(&["suspend", "here"]);
    plugin.says("here", &[("Ready", "False", "Suspended", "`spec.suspend` is true: nothing new is started")]);
    for arguments in [&["wait", "here"][..], &["warm", "here", "--wait"], &["verify", "here", "--wait"]] {
        let (code, out, said) = ended(plugin.start(arguments));
        assert_eq!(code, Some(1), "{arguments:?}: {out} {said}");
        assert!(said.contains("`kubectl modelcache resume here`"), "{arguments:?}: {said}");
    }
    let asked = plugin.field("here", r".metadata.annotations.modelcache\.dev/requestedAt");
    assert!(!asked.is_empty(), "it is asked, and done once it is resumed");
}

#[tokio::test]
async fn a_report_about_one_cache_has_no_events_of_another_whose_name_begins_so() {
    let plugin = Plugin::new("plugin-events").await;
    for name in ["speech", "speech-large"] {
        plugin.cache(name);
        plugin.copy(name, "gpu-1");
    }
    let replica = |cache: &str| format!("{cache}-models-gpu-1");
    let about = [
        ("ModelCache", "speech".to_owned(), "mine-1"),
        ("ModelCacheReplica", replica("speech"), "mine-2"),
        ("Job", replica("speech") + "-w3", "mine-3"),
        ("Pod", replica("speech") + "-w3-x7k2p", "mine-4"),
        ("ModelCache", "speech-large".to_owned(), "theirs-1"),
        ("ModelCacheReplica", replica("speech-large"), "theirs-2"),
        ("Job", replica("speech-large") + "-w3", "theirs-3"),
        ("Pod", "speech-app-x7k2p".to_owned(), "theirs-4"),
    ];
    for (kind, name, message) in about {
        let object = json!({"kind": kind, "name": name, "namespace": plugin.namespace});
        plugin.create(
            &json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": message, "namespace": plugin.namespace},
            "involvedObject": object, "reason": "Told", "message": message, "type": "Normal"}),
        );
    }
    let file = plugin.path.path().join("report.tar.gz");
    plugin.ok(&["report", "speech", "--file", file.to_str().unwrap()]);
    let archive = flate2::read::GzDecoder::new(std::fs::File::open(&file).unwrap());
    let mut events = String::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with("event.yaml") {
            entry.read_to_string(&mut events).unwrap();
        }
    }
    for number in 1..=4 {
        assert!(events.contains(&format!("mine-{number}")), "{number}: {events}");
    }
    assert!(!events.contains("theirs-"), "{events}");
}
