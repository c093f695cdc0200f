//! An operator of some namespaces, as the chart installs it: its objects, its account, and its process with the rights of that
//! account alone.

use crate::helm::{root, template};
use crate::support::apiserver::{ControlPlane, eventually, send, user};
use kube::Client;
use serde_json::{Value, json};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// An operator: its own namespace, and those that it serves.
pub struct Tenant {
    pub namespace: &'static str,
    pub serves: &'static [&'static str],
    plane: &'static ControlPlane,
    directory: tempfile::TempDir,
    process: Option<Child>,
}

impl Tenant {
    /// Makes its namespace and applies what the chart has for it: all but the Deployment, since here no node runs it.
    pub async fn install(
        plane: &'static ControlPlane,
        namespace: &'static str,
        serves: &'static [&'static str],
        there: &[&str],
    ) -> Self {
        let tenant = Self { namespace, serves, plane, directory: tempfile::tempdir().unwrap(), process: None };
        plane.kubectl(&["create", "namespace", namespace]);
        tenant.grant(there).await;
        tenant
    }

    /// Where its Jobs on nodes run.
    pub fn node_jobs(&self) -> String {
        format!("{}-jobs", self.namespace)
    }

    /// The name of its account.
    pub fn account(&self) -> String {
        format!("system:serviceaccount:{}:modelcache-operator", self.namespace)
    }

    /// A client with the rights of its account.
    pub async fn client(&self) -> Client {
        let groups = format!("system:serviceaccounts:{}", self.namespace);
        user(&self.account(), &["system:serviceaccounts", &groups, "system:authenticated"]).await
    }

    /// Applies the chart's objects, those of the namespaces that are there, and waits until the server knows the rights.
    pub async fn grant(&self, there: &[&str]) {
        let values = format!(
            "watch: {{namespaces: [{}]}}\nnodeJobs: {{namespace: {}}}\ncrds: {{enabled: false}}\nrbac: {{userRoles: false}}\nnodeLabels: {{enabled: true}}\n",
            self.serves.join(", "),
            self.node_jobs()
        );
        let text = template(self.namespace, &values).unwrap();
        let documents = text.split("\n---\n").filter(|it| it.contains("\nkind: "));
        let wanted = documents.filter(|it| {
            let has = |line: &str| it.lines().any(|found| found == line);
            let absent = self.serves.iter().filter(|it| !there.contains(it));
            !has("kind: Deployment")
                && !has("kind: Pod")
                && !absent.into_iter().any(|it| has(&format!("  namespace: \"{it}\"")))
        });
        let file = self.directory.path().join("objects.yaml");
        std::fs::write(&file, wanted.collect::<Vec<_>>().join("\n---\n")).unwrap();
        self.plane.kubectl(&["apply", "--server-side", "-f", file.to_str().unwrap()]);
        let client = &self.client().await;
        let places = there.iter().map(|it| ("list", "modelcaches", "modelcache.dev", (*it).to_owned()));
        let others = [
            ("list", "jobs", "batch", self.node_jobs()),
            ("list", "nodes", "", String::new()),
            ("patch", "nodes", "", String::new()),
            ("create", "leases", "coordination.k8s.io", self.namespace.into()),
        ];
        for (verb, resource, group, namespace) in places.chain(others) {
            eventually(&format!("{verb} {resource} is allowed in {namespace}"), || {
                let attributes = json!({"verb": verb, "group": group, "resource": resource, "namespace": namespace});
                let review = json!({
                    "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                    "spec": {"resourceAttributes": attributes}
                });
                async move {
                    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
                    let answer = send(client, "POST", path, &review).await.unwrap();
                    if answer["status"]["allowed"] == true { Ok(()) } else { Err(answer["status"].to_string()) }
                }
            })
            .await;
        }
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("operator.log")
    }

    /// What its process has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Starts its process with a token of its account, and nothing else.
    pub fn start(&mut self) {
        let token =
            self.plane.kubectl(&["create", "token", "modelcache-operator", "-n", self.namespace, "--duration", "2h"]);
        let administrator = self.plane.kubectl(&["config", "view", "--raw", "-o", "json"]);
        let mut kubeconfig: Value = serde_json::from_str(&administrator).unwrap();
        for user in kubeconfig["users"].as_array_mut().unwrap() {
            user["user"] = json!({"token": token.trim()});
        }
        let file = self.directory.path().join("kubeconfig");
        std::fs::write(&file, kubeconfig.to_string()).unwrap();
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelcache"));
        command.arg("operator").args(["--namespaces", &self.serves.join(",")]);
        command.args(["--namespace", self.namespace, "--identity", "one", "--listen", "127.0.0.1:0"]);
        command.args(["--node-jobs-namespace", &self.node_jobs(), "--agent-image", "localhost/modelcache:dev"]);
        command.args(["--track-use", "--label-nodes"]);
        command.current_dir(root()).env("KUBECONFIG", &file).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
    }

    /// Whether its process has ended, and by itself.
    pub fn ended(&mut self) -> Option<bool> {
        let ended = self.process.as_mut()?.try_wait().unwrap()?;
        self.process = None;
        Some(ended.success())
    }
}

impl Drop for Tenant {
    #[expect(clippy::print_stdout, reason = "what the operator said goes with its directory")]
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(30).collect();
            println!("the operator in {}, last lines first:\n{}", self.namespace, last.join("\n"));
        }
    }
}
