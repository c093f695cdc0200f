//! A real control plane (etcd, API server, controller manager) with the operator's objects installed, once per test binary.
//!
//! It goes when the test process does, also when that is killed: a child waits for the end of a pipe that we hold.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Client, Config};
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Who the operator is.
pub const OPERATOR: &str = "system:serviceaccount:modelcache-system:modelcache-operator";

/// How long anything here may take. Generous: the machine may be busy with builds.
pub const DEADLINE: Duration = Duration::from_secs(240);

static CONTROL_PLANE: LazyLock<ControlPlane> = LazyLock::new(ControlPlane::start);

/// The running control plane.
pub struct ControlPlane {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    audit_log: PathBuf,
    /// Its death takes the control plane down.
    _guard: Child,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command to its end and returns what it printed.
fn output(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?} failed: {errors}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

impl ControlPlane {
    fn start() -> Self {
        let launcher = repository().join("tests/cluster/cluster");
        assert!(launcher.exists(), "{} is missing: it starts the API server for these tests", launcher.display());
        let name = format!("apiserver-{}", std::process::id());
        // Its own process group, so that an interrupt for the test leaves it to do its work.
        let guard = Command::new("sh")
            .args(["-c", "cat >/dev/null; exec \"$0\" down --name \"$1\" >/dev/null 2>&1"])
            .args([launcher.as_os_str(), name.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("sh cannot be run: {error}"));
        let described = output(
            Command::new(&launcher)
                .args(["up", "--name", &name, "--control-plane-only", "-o", "json"])
                .stdin(Stdio::null()),
        );
        let description: Value = serde_json::from_str(&described).unwrap();
        let path =
            |key: &str| PathBuf::from(description[key].as_str().unwrap_or_else(|| panic!("no {key} in {described}")));
        let plane = Self {
            kubeconfig: path("kubeconfig"),
            kubectl: path("kubectl"),
            audit_log: path("auditLog"),
            _guard: guard,
        };
        plane.kubectl(&["apply", "--server-side", "-k", "config/default"]);
        plane.kubectl(&["wait", "--for=condition=Established", "--timeout=240s", "crd", "--all"]);
        plane.wait_for_kinds();
        plane
    }

    /// A kind that is established is served a moment later.
    fn wait_for_kinds(&self) {
        let start = Instant::now();
        for (_, crd) in modelcache::api::crds::all() {
            let plural = crd["spec"]["names"]["plural"].as_str().unwrap();
            let path = format!("/apis/{}/v1alpha1/{plural}", modelcache::api::GROUP);
            let ask = || self.command(&["get", "--raw", &path]).output().is_ok_and(|it| it.status.success());
            while !ask() {
                assert!(start.elapsed() < DEADLINE, "{path} is not served");
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.args(arguments).current_dir(repository()).env("KUBECONFIG", &self.kubeconfig).stdin(Stdio::null());
        // What kubectl remembers of an address is of an earlier control plane: it would not see that a kind has changed.
        command.env("KUBECACHEDIR", self.kubeconfig.with_file_name("kubectl-cache"));
        command
    }

    /// Runs kubectl in the repository, as the administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        output(&mut self.command(arguments))
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The kubectl of the server's version.
    pub fn kubectl_program(&self) -> &Path {
        &self.kubectl
    }

    /// Who asked for what, one event in JSON on each line.
    pub fn audit_log(&self) -> &Path {
        &self.audit_log
    }

    async fn client(&self, user: Option<(&str, Vec<String>)>) -> Client {
        let mut kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        if let Some((user, groups)) = user {
            for auth in kubeconfig.auth_infos.iter_mut().filter_map(|it| it.auth_info.as_mut()) {
                auth.impersonate = Some(user.to_owned());
                auth.impersonate_groups = Some(groups.clone());
            }
        }
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }
}

/// The control plane, started by whoever asks first.
pub async fn control_plane() -> &'static ControlPlane {
    tokio::task::spawn_blocking(|| &*CONTROL_PLANE).await.unwrap()
}

/// A client of the administrator.
pub async fn administrator() -> Client {
    control_plane().await.client(None).await
}

/// A client of the operator's own `ServiceAccount`.
pub async fn operator() -> Client {
    let groups = ["system:serviceaccounts", "system:serviceaccounts:modelcache-system", "system:authenticated"];
    user(OPERATOR, &groups).await
}

/// A client of somebody.
pub async fn user(name: &str, groups: &[&str]) -> Client {
    let groups = groups.iter().map(ToString::to_string).collect();
    control_plane().await.client(Some((name, groups))).await
}

/// A request with a JSON body, and its answer: the object, or the refusal. A server that has no time is asked again.
pub async fn send(client: &Client, method: &str, path: &str, body: &Value) -> Result<Value, Box<Status>> {
    let start = Instant::now();
    loop {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", if method == "PATCH" { "application/apply-patch+yaml" } else { "application/json" })
            .body(serde_json::to_vec(body).unwrap())
            .unwrap();
        match client.request(request).await {
            Ok(answer) => return Ok(answer),
            Err(kube::Error::Api(status)) if !matches!(status.code, 429 | 503 | 504) => return Err(status),
            Err(other) => assert!(start.elapsed() < DEADLINE, "{method} {path}: {other}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What a refusal says: each cause as `field: message`, or the whole message where there are no causes.
pub fn refusal(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    // The server's remark that rules wait for the schema's own checks says nothing about the object.
    let causes = causes.filter(|cause| !cause.message.contains("some validation rules were not checked"));
    let mut lines: Vec<String> =
        causes
            .map(|cause| {
                if cause.field.is_empty() {
                    cause.message.clone()
                } else {
                    format!("{}: {}", cause.field, cause.message)
                }
            })
            .collect();
    if lines.is_empty() {
        lines.push(status.message.clone());
    }
    lines
}

/// Asks again until there is an answer, or the deadline is over: then it fails with the last reason why there is none.
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        let reason = match ask().await {
            Ok(answer) => return answer,
            Err(reason) => reason,
        };
        assert!(start.elapsed() < DEADLINE, "not within {} s: {what}: {reason}", DEADLINE.as_secs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
