//! `kubectl modelcache`, run by a real kubectl against a real API server. The status is written by hand: no operator runs here.

use crate::support::apiserver::{ControlPlane, DEADLINE, control_plane};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// A namespace of one's own, and a directory of the PATH with the plugin in it.
pub(crate) struct Plugin {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) namespace: &'static str,
    pub(crate) path: TempDir,
}

impl Plugin {
    pub(crate) async fn new(namespace: &'static str) -> Self {
        let plane = control_plane().await;
        let path = tempfile::tempdir().unwrap();
        for name in ["kubectl-modelcache", "kubectl_complete-modelcache"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_modelcache"), path.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(plane.kubectl_program(), path.path().join("kubectl")).unwrap();
        plane.kubectl(&["create", "namespace", namespace]);
        Self { plane, namespace, path }
    }

    /// kubectl, with the plugin on its PATH.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut path = OsString::from(self.path.path());
        path.push(":/usr/bin:/bin");
        let mut command = Command::new(self.path.path().join("kubectl"));
        command.args(arguments).env("PATH", path).env("KUBECONFIG", self.plane.kubeconfig()).stdin(Stdio::null());
        command.env_remove("NO_COLOR");
        command
    }

    /// `kubectl modelcache`, in the namespace, to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let all: Vec<&str> =
            ["modelcache", "-n", self.namespace].into_iter().chain(arguments.iter().copied()).collect();
        self.kubectl(&all).output().unwrap()
    }

    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    /// The exit code and what is said, of what fails.
    pub(crate) fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let done = self.run(arguments);
        assert!(!done.status.success(), "{arguments:?} is refused, and said {}", text(&done.stdout));
        (done.status.code().unwrap(), text(&done.stderr))
    }

    pub(crate) fn cache(&self, name: &str) {
        let cache = json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "volumes": [{"name": "models", "shared": {"size": "1Gi"}}],
                "sources": [{"name": "a", "http": {"url": "https://example.com/a"}}]
            }
        });
        let file = self.path.path().join(format!("{name}.json"));
        std::fs::write(&file, cache.to_string()).unwrap();
        self.plane.kubectl(&["create", "-f", file.to_str().unwrap()]);
    }

    /// Writes a status as the operator would, about the spec as it is now.
    pub(crate) fn says(&self, name: &str, conditions: &[(&str, &str, &str, &str)]) {
        let get = ["get", "mcache", name, "-n", self.namespace, "-o", "jsonpath={.metadata.generation}"];
        let generation: i64 = self.plane.kubectl(&get).parse().unwrap();
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(type_, status, reason, message)| {
                json!({
                    "type": type_, "status": status, "reason": reason, "message": message,
                    "observedGeneration": generation, "lastTransitionTime": "2026-11-21T12:00:00Z"
                })
            })
            .collect();
        let status = json!({"status": {"observedGeneration": generation, "nodes": "1/1", "conditions": conditions}});
        let patch = ["patch", "mcache", name, "-n", self.namespace, "--subresource=status", "--type=merge", "-p"];
        let status = status.to_string();
        self.plane.kubectl(&patch.into_iter().chain([status.as_str()]).collect::<Vec<_>>());
    }

    pub(crate) fn field(&self, name: &str, path: &str) -> String {
        let path = format!("jsonpath={{{path}}}");
        self.plane.kubectl(&["get", "mcache", name, "-n", self.namespace, "-o", &path])
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const READY: [(&str, &str, &str, &str); 1] = [("Ready", "True", "Warmed", "all is there")];

#[tokio::test]
async fn kubectl_finds_the_plugin_and_its_help_reads_as_it_is_called() {
    let plugin = Plugin::new("plugin-help").await;
    let help = plugin.ok(&["--help"]);
    assert!(help.contains("Usage: kubectl modelcache [OPTIONS] <COMMAND>"), "{help}");
    assert!(plugin.ok(&["status", "--help"]).contains("Usage: kubectl modelcache status [OPTIONS] [CACHE]..."));
    let direct = Command::new(env!("CARGO_BIN_EXE_modelcache")).args(["kubectl", "status", "--help"]).output().unwrap();
    assert_eq!(text(&direct.stdout), plugin.ok(&["status", "--help"]), "the same, however it is called");
    assert!(plugin.ok(&["version", "--client"]).starts_with("kubectl-modelcache "));
}

#[tokio::test]
async fn caches_are_listed_and_printed_as_kubectl_does() {
    let plugin = Plugin::new("plugin-get").await;
    plugin.cache("first");
    plugin.cache("second");
    plugin.says("first", &READY);
    let table = plugin.ok(&["get"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("NAME") && lines[1].starts_with("first   True   Warmed"), "{table}");
    assert_eq!(
        plugin.ok(&["get", "-o", "name"]),
        "modelcache.modelcache.dev/first\nmodelcache.modelcache.dev/second\n"
    );
    let one: Value = serde_json::from_str(&plugin.ok(&["get", "first", "-o", "json"])).unwrap();
    assert_eq!((&one["kind"], &one["metadata"]["name"]), (&json!("ModelCache"), &json!("first")));
    let rows: Value = serde_json::from_str(&plugin.ok(&["status", "-o", "json"])).unwrap();
    assert_eq!((&rows[0]["ready"], &rows[1]["ready"]), (&json!(true), &json!(false)));
    assert!(plugin.ok(&["describe", "first"]).contains("Message:     all is there"));
    assert!(plugin.ok(&["status", "--color=always"]).contains("\u{1b}[32mWarmed\u{1b}[0m"));
    assert!(!plugin.ok(&["status"]).contains('\u{1b}'), "no colours into a pipe");
    assert!(plugin.ok(&["env", "first"]).contains("claimName: first-models"));
    let all = plugin.kubectl(&["modelcache", "get", "-A"]).output().unwrap();
    assert!(text(&all.stdout).contains("plugin-get"), "{}", text(&all.stderr));
}

#[tokio::test]
async fn every_way_to_fail_has_its_exit_code() {
    let plugin = Plugin::new("plugin-codes").await;
    plugin.cache("here");
    let (code, said) = plugin.fails(&["get", "nowhere"]);
    assert_eq!(code, 12, "{said}");
    assert!(said.contains("there is no ModelCache `nowhere` in namespace `plugin-codes`"), "{said}");
    assert_eq!(plugin.fails(&["status", "--no-such-flag"]).0, 2);
    assert_eq!(plugin.fails(&["--context", "nowhere", "get"]).0, 2);
    assert_eq!(plugin.fails(&["wait", "here", "--timeout", "1s"]).0, 51);
    let (code, said) = plugin.fails(&["backup", "here"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("has no `spec.backup`"), "{said}");
    plugin.says(
        "here",
        &[("Ready", "False", "Gated", "accept the terms"), ("Stalled", "True", "Gated", "accept the terms")],
    );
    let (code, said) = plugin.fails(&["wait", "here"]);
    assert_eq!(code, 11, "{said}");
    assert!(said.contains("`here` will not go on by itself: Gated: accept the terms"), "{said}");
    let kubeconfig = std::fs::read_to_string(plugin.plane.kubeconfig()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = |line: &str| match line.split_once("server:") {
        Some((before, _)) => format!("{before}server: https://127.0.0.1:{port}"),
        None => line.to_owned(),
    };
    let nowhere = plugin.path.path().join("nowhere.yaml");
    std::fs::write(&nowhere, kubeconfig.lines().map(server).collect::<Vec<_>>().join("\n")).unwrap();
    let (code, said) = plugin.fails(&["--kubeconfig", nowhere.to_str().unwrap(), "get"]);
    assert_eq!(code, 21, "{said}");
}

#[tokio::test]
async fn wait_returns_when_the_spec_of_now_is_ready_and_not_before() {
    let plugin = Plugin::new("plugin-wait").await;
    plugin.cache("here");
    plugin.says("here", &READY);
    assert_eq!(plugin.ok(&["wait", "here"]), "modelcache.modelcache.dev/here is Ready\n");
    plugin.ok(&["suspend", "here"]);
    assert_eq!(plugin.fails(&["wait", "here", "--timeout", "1s"]).0, 51, "that was said about an earlier spec");
    let arguments = ["modelcache", "-n", plugin.namespace, "wait", "here"];
    let mut waiting = Running(plugin.kubectl(&arguments).stdout(Stdio::piped()).spawn().unwrap());
    plugin.says("here", &READY);
    assert!(waiting.end().success());
}

#[tokio::test]
async fn a_watch_without_a_terminal_prints_lines_until_everything_is_ready() {
    let plugin = Plugin::new("plugin-watch").await;
    plugin.cache("here");
    let arguments = ["modelcache", "-n", plugin.namespace, "status", "--watch"];
    let mut watching = Running(plugin.kubectl(&arguments).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "plugin-watch/here Pending");
    plugin.says("here", &READY);
    assert_eq!(lines.next().unwrap().unwrap(), "plugin-watch/here Warmed  1/1 nodes  100%");
    assert!(watching.end().success());
}

#[tokio::test]
async fn suspend_and_resume_write_one_field_under_their_own_name_and_leave_nothing_behind() {
    let plugin = Plugin::new("plugin-suspend").await;
    plugin.cache("here");
    assert_eq!(plugin.ok(&["suspend", "here"]), "modelcache.modelcache.dev/here suspended\n");
    assert_eq!(plugin.field("here", ".spec.suspend"), "true");
    let get = ["get", "mcache", "here", "-n", plugin.namespace, "--show-managed-fields", "-o", "json"];
    let object: Value = serde_json::from_str(&plugin.plane.kubectl(&get)).unwrap();
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    let ours = managers.iter().find(|it| it["manager"] == "modelcache-plugin").unwrap();
    assert_eq!(ours["fieldsV1"], json!({"f:spec": {"f:suspend": {}}}));
    plugin.ok(&["resume", "here"]);
    assert_eq!(plugin.field("here", ".spec.suspend"), "");
    assert_eq!(plugin.fails(&["suspend"]).0, 2, "all are suspended only by --all");
}

#[tokio::test]
async fn a_request_is_an_annotation_that_says_when_and_where() {
    let plugin = Plugin::new("plugin-request").await;
    plugin.cache("here");
    plugin.ok(&["warm", "here"]);
    let asked = plugin.field("here", r".metadata.annotations.modelcache\.dev/requestedAt");
    assert!(asked.parse::<jiff::Timestamp>().is_ok(), "{asked}");
    plugin.ok(&["verify", "here"]);
    let asked = plugin.field("here", r".metadata.annotations.modelcache\.dev/verifyRequestedAt");
    assert!(asked.parse::<jiff::Timestamp>().is_ok(), "{asked}");
    let (code, said) = plugin.fails(&["warm", "here", "--node", "gpu-9"]);
    assert_eq!((code, said.as_str()), (12, "error: no copy is on node `gpu-9`\n"));
}

#[tokio::test]
async fn tab_offers_commands_flags_and_the_names_that_are_there() {
    let plugin = Plugin::new("plugin-tab").await;
    plugin.cache("image-studio");
    plugin.cache("speech");
    let complete = |words: &[&str]| {
        let all: Vec<&str> = ["__complete", "modelcache"].into_iter().chain(words.iter().copied()).collect();
        let done = plugin.kubectl(&all).output().unwrap();
        text(&done.stdout).lines().map(|it| it.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let commands = complete(&["s"]);
    assert_eq!(commands, ["status", "suspend", ":4"], "commands, and no files");
    assert_eq!(complete(&["status", "-n", "plugin-tab", ""])[..2], ["image-studio", "speech"]);
    assert_eq!(complete(&["describe", "--namespace=plugin-tab", "sp"]), ["speech", ":4"]);
    assert!(complete(&["wait", "--for", "back"]).contains(&"backed-up".to_owned()));
    assert!(complete(&["status", "-n", "plugin-ta"]).contains(&"plugin-tab".to_owned()));
    let script = plugin.ok(&["completion", "bash"]);
    let file = plugin.path.path().join("completion.bash");
    std::fs::write(&file, script).unwrap();
    let sourced = "source $1; declare -F | grep -q modelcache && complete -p kubectl-modelcache";
    let bash = Command::new("bash").args(["-c", sourced, "bash", file.to_str().unwrap()]).output().unwrap();
    assert!(bash.status.success(), "{}", text(&bash.stderr));
}

#[tokio::test]
async fn install_prints_what_the_kustomization_makes() {
    let plugin = Plugin::new("plugin-install").await;
    let read = |text: &str| -> Vec<Value> {
        let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        let mut all: Vec<Value> = all.into_iter().filter(Value::is_object).collect();
        all.sort_by_key(|it| format!("{}/{}/{}", it["kind"], it["metadata"]["namespace"], it["metadata"]["name"]));
        all
    };
    let printed = read(&plugin.ok(&["install", "--image", "localhost/modelcache:dev"]));
    let made = read(&plugin.plane.kubectl(&["kustomize", "config/default"]));
    let names =
        |all: &[Value]| all.iter().map(|it| format!("{} {}", it["kind"], it["metadata"]["name"])).collect::<Vec<_>>();
    assert_eq!(
        names(&printed),
        names(&made),
        "FILES in src/plugin/install.rs lists what config/default takes together"
    );
    for (printed, made) in printed.iter().zip(&made) {
        assert_eq!(printed, made, "{} {}", made["kind"], made["metadata"]["name"]);
    }
}

#[tokio::test]
async fn a_report_holds_what_there_is_and_nothing_secret() {
    let plugin = Plugin::new("plugin-report").await;
    plugin.cache("here");
    let spec = json!({"spec": {
        "podTemplate": {"env": [{"name": "HTTPS_PROXY", "value": "http://user:hunter2@proxy"}]},
        "sources": [{"name": "a", "http": {"url": "https://example.com/a?sig=hunter2"}}]
    }});
    let spec = spec.to_string();
    plugin.plane.kubectl(&["patch", "mcache", "here", "-n", plugin.namespace, "--type=merge", "-p", &spec]);
    let file = plugin.path.path().join("report.tar.gz");
    let said = plugin.ok(&["report", "--file", file.to_str().unwrap()]);
    assert!(said.contains("look through it before you send it"), "{said}");
    let archive = flate2::read::GzDecoder::new(std::fs::File::open(&file).unwrap());
    let mut files = vec![];
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        std::io::Read::read_to_string(&mut entry, &mut content).unwrap();
        assert!(!content.contains("hunter2"), "{:?}: {content}", entry.path().unwrap());
        let name = entry.path().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        files.push((name, content));
    }
    let caches = &files.iter().find(|(name, _)| name == "modelcache.yaml").unwrap().1;
    assert!(caches.contains("HTTPS_PROXY") && caches.contains("https://example.com/a?(removed)"), "{caches}");
    assert_eq!(plugin.fails(&["report", "--file", file.to_str().unwrap()]).0, 1, "nothing is written over");
}

/// A program that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn end(&mut self) -> std::process::ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "it does not end");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
