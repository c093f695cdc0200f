//! The cluster that the scenarios share, and what they do with it.

use crate::commands::{self, answered, attempt, cluster, launcher, root};
use crate::hub::{Hub, Listen};
use crate::manifests;
use crate::wait::until;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use modelcache::api::condition::{ConditionType, find, is_true};
use modelcache::api::{ModelCache, ModelCacheReplica};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Name of the cluster; another one may run beside it.
const CLUSTER: &str = "tests";
/// For what should be there soon. What takes longer is not slow, it does not come: a busy machine takes its time, and only a
/// failure waits until the end.
pub const SOON: Duration = Duration::from_secs(480);

pub struct World {
    pub client: Client,
    name: &'static str,
    keep: bool,
    kubectl: PathBuf,
    pub kubeconfig: PathBuf,
    pub bridge: IpAddr,
    pub audit_log: PathBuf,
}

/// Whether a cluster that was kept is still there.
fn running() -> bool {
    attempt(&launcher(), &["status", "--name", CLUSTER], None).is_ok()
}

impl World {
    /// Starts the cluster and installs the operator in it, as the README says.
    pub async fn start(keep: bool) -> Self {
        let world = Self::up(CLUSTER, 2, keep).await;
        for node in ["node-1", "node-2"] {
            world.make_gpu_node(node);
        }
        world.kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "-k",
            root().join("config/default").to_str().unwrap(),
        ]);
        world.set_operator(&[]);
        // The image may be another one of the same name.
        world.kubectl(&["-n", "modelcache-system", "rollout", "restart", "deployment/modelcache-operator"]);
        world.operator_ready();
        world
    }

    /// A cluster beside that of all, with one node and nothing installed. It goes with what is returned.
    pub async fn empty(name: &'static str) -> Self {
        Self::up(name, 1, false).await
    }

    async fn up(name: &'static str, nodes: usize, keep: bool) -> Self {
        let archive =
            std::env::var_os("MODELCACHE_IMAGE").map_or_else(|| root().join("target/image.tar"), PathBuf::from);
        assert!(archive.exists(), "{} is missing: `make image` makes it", archive.display());
        let python = cluster(&["image", "python", "huggingface_hub==2.4.0"]);
        let busybox = cluster(&["image", "busybox"]);
        let said = if keep && running() {
            cluster(&["load", "--name", name, archive.to_str().unwrap()]);
            cluster(&["kubectl", "--name", name, "delete", "namespaces", "-l", "team", "--ignore-not-found"]);
            cluster(&["kubectl", "--name", name, "delete", "nodecachepools", "--all", "--ignore-not-found"]);
            cluster(&["status", "--name", name, "-o", "json"])
        } else {
            cluster(&["down", "--name", name]);
            let nodes = nodes.to_string();
            let up = ["up", "--name", name, "--nodes", &nodes, "-o", "json", "--disk-size", "3Gi"];
            let images =
                [archive.to_str().unwrap(), python.trim(), busybox.trim()].into_iter().flat_map(|it| ["--image", it]);
            cluster(&up.into_iter().chain(images).collect::<Vec<_>>())
        };
        let said: Value = serde_json::from_str(&said).unwrap();
        let path = |key: &str| PathBuf::from(said[key].as_str().unwrap());
        let kubeconfig = path("kubeconfig");
        let options = kube::config::KubeConfigOptions::default();
        let read = kube::config::Kubeconfig::read_from(&kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(read, &options).await.unwrap();
        println!("cluster `{name}` is up after {:.1} s", said["seconds"].as_f64().unwrap_or_default());
        Self {
            client: Client::try_from(config).unwrap(),
            name,
            keep,
            kubectl: path("kubectl"),
            kubeconfig,
            bridge: said["bridgeAddress"].as_str().unwrap().parse().unwrap(),
            audit_log: path("auditLog"),
        }
    }

    /// Labels and taints a node as the GPU operator would.
    pub fn make_gpu_node(&self, node: &str) {
        self.kubectl(&["label", "node", node, "nvidia.com/gpu.present=true", "--overwrite"]);
        self.kubectl(&["taint", "node", node, "nvidia.com/gpu=present:NoSchedule", "--overwrite"]);
    }

    /// The operator with our image and short pauses, and with these settings.
    pub fn set_operator(&self, environment: &[(&str, &str)]) {
        let short = [
            ("MODELCACHE_RETRY_SECONDS", "2"),
            ("MODELCACHE_RETRY_MAX_SECONDS", "8"),
            ("MODELCACHE_STALLED_RETRY_SECONDS", "10"),
            ("MODELCACHE_UNREACHABLE_GRACE_SECONDS", "5"),
        ];
        let env: Vec<String> = short
            .iter()
            .chain(environment)
            .map(|(key, value)| format!(r#"{{"name":"{key}","value":"{value}"}}"#))
            .collect();
        let patch = format!(
            r#"{{"spec":{{"template":{{"spec":{{"tolerations":[{{"operator":"Exists"}}],"containers":[{{"name":"operator","env":[{}]}}]}}}}}}}}"#,
            env.join(",")
        );
        self.kubectl(&[
            "-n",
            "modelcache-system",
            "patch",
            "deployment",
            "modelcache-operator",
            "--type=strategic",
            "-p",
            &patch,
        ]);
    }

    /// Waits until the operator's one pod is ready.
    pub fn operator_ready(&self) {
        self.kubectl(&[
            "-n",
            "modelcache-system",
            "rollout",
            "status",
            "deployment/modelcache-operator",
            "--timeout=480s",
        ]);
    }

    /// So many operators.
    pub fn scale_operator(&self, count: u8) {
        let count = count.to_string();
        self.kubectl(&["-n", "modelcache-system", "scale", "deployment/modelcache-operator", "--replicas", &count]);
    }

    /// Takes the operator away, and waits until it is gone.
    pub async fn operator_away(&self) {
        self.scale_operator(0);
        until("the operator to be gone", SOON, || async {
            let left = self.pods("modelcache-system").await.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} pods")) }
        })
        .await;
    }

    /// The pod that holds the Lease and runs, once there is one.
    pub async fn leader(&self) -> String {
        let path = "jsonpath={.spec.holderIdentity}";
        let holder = ["-n", "modelcache-system", "get", "lease", "modelcache-operator", "-o", path];
        until("an operator to lead", SOON, || async {
            let holder = self.kubectl(&holder);
            let runs = self.pods("modelcache-system").await.into_iter().any(|it| {
                let running = it.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Running");
                it.name_any() == holder && it.metadata.deletion_timestamp.is_none() && running
            });
            if runs { Ok(holder) } else { Err(format!("`{holder}` does not run")) }
        })
        .await
    }

    /// Runs kubectl.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_with(arguments, None)
    }

    /// Runs kubectl with something on its standard input.
    pub fn kubectl_with(&self, arguments: &[&str], input: Option<&str>) -> String {
        let kubeconfig = self.kubeconfig.to_str().unwrap();
        let all: Vec<&str> = ["--kubeconfig", kubeconfig].into_iter().chain(arguments.iter().copied()).collect();
        commands::kubectl(&self.kubectl, &all, input)
    }

    /// Runs kubectl once; what it printed, or what it said when it failed.
    pub fn try_kubectl(&self, arguments: &[&str], input: Option<&str>) -> Result<String, String> {
        let all: Vec<&str> =
            ["--kubeconfig", self.kubeconfig.to_str().unwrap()].into_iter().chain(arguments.iter().copied()).collect();
        attempt(&self.kubectl, &all, input)
    }

    /// Applies objects.
    pub fn apply(&self, yaml: &str) {
        self.kubectl_with(&["apply", "-f", "-"], Some(yaml));
    }

    /// A namespace that enforces Pod Security "restricted".
    pub fn namespace(&self, name: &str) {
        self.apply(&manifests::namespace(name));
    }

    /// A hub of one's own, that pods reach.
    pub fn hub(&self) -> Hub {
        let any = SocketAddr::new(self.bridge, 0);
        Hub::start_at(&Listen { hub: any, files: any, files_host: String::new() })
    }

    /// Runs a command in a node's mount namespace.
    pub fn on_node(&self, node: &str, command: &[&str]) -> String {
        let arguments: Vec<&str> =
            ["node", "exec", "--name", self.name, node, "--"].into_iter().chain(command.iter().copied()).collect();
        cluster(&arguments)
    }

    /// Takes the network off a node's pods until what is returned is dropped, also by a panic: others need the node.
    pub fn offline(&self, node: &'static str) -> impl Drop {
        struct Offline(&'static str, &'static str);
        impl Drop for Offline {
            fn drop(&mut self) {
                // A panic here while another is under way would end everything at once.
                let on = ["node", "egress", "--name", self.1, self.0, "on"];
                let _ = attempt(&launcher(), &on, None).inspect_err(|said| println!("{}: {said}", self.0));
            }
        }
        self.node("egress", &[node, "off"]);
        Offline(node, self.name)
    }

    /// `node stop`, `node start`, `node add`, `node remove`, `node egress`.
    pub fn node(&self, verb: &str, arguments: &[&str]) -> String {
        let all: Vec<&str> = ["node", verb, "--name", self.name].into_iter().chain(arguments.iter().copied()).collect();
        cluster(&all)
    }

    pub async fn cache(&self, namespace: &str, name: &str) -> ModelCache {
        let api: Api<ModelCache> = Api::namespaced(self.client.clone(), namespace);
        answered(|| api.get(name)).await
    }

    async fn list<K>(&self, namespace: &str) -> Vec<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let (api, all): (Api<K>, _) = (Api::namespaced(self.client.clone(), namespace), ListParams::default());
        answered(|| api.list(&all)).await.items
    }

    pub async fn replicas(&self, namespace: &str) -> Vec<ModelCacheReplica> {
        self.list(namespace).await
    }

    pub async fn jobs(&self, namespace: &str) -> Vec<Job> {
        self.list(namespace).await
    }

    pub async fn pods(&self, namespace: &str) -> Vec<Pod> {
        self.list(namespace).await
    }

    /// Waits until a cache is Ready for the spec that it has now.
    pub async fn ready(&self, namespace: &str, name: &str) -> ModelCache {
        until(&format!("{namespace}/{name} to be Ready"), SOON, || async {
            let cache = self.cache(namespace, name).await;
            let status = cache.status.clone().unwrap_or_default();
            let current = find(&status.conditions, ConditionType::Ready)
                .is_some_and(|it| it.observed_generation == cache.metadata.generation);
            if current && is_true(&status.conditions, ConditionType::Ready) { Ok(cache) } else { Err(said(&cache)) }
        })
        .await
    }

    /// Waits until a condition of a cache has a reason; the message.
    pub async fn reason(&self, namespace: &str, name: &str, condition: ConditionType, reason: &str) -> String {
        until(&format!("{namespace}/{name} to have {condition:?} {reason}"), SOON, || async {
            let cache = self.cache(namespace, name).await;
            let status = cache.status.clone().unwrap_or_default();
            match find(&status.conditions, condition).filter(|it| it.reason == reason) {
                Some(found) => Ok(found.message.clone()),
                None => Err(said(&cache)),
            }
        })
        .await
    }

    /// Whether an object is there, by group, version, kind, namespace and name.
    pub async fn exists(&self, group: &str, version: &str, kind: &str, namespace: Option<&str>, name: &str) -> bool {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        answered(|| api.get_opt(name)).await.is_some()
    }

    /// Waits until an object is gone.
    pub async fn gone(&self, group: &str, version: &str, kind: &str, namespace: Option<&str>, name: &str) {
        until(&format!("{kind} {name} to be gone"), SOON, || async {
            if self.exists(group, version, kind, namespace, name).await {
                Err("still there".to_owned())
            } else {
                Ok(())
            }
        })
        .await;
    }

    pub async fn cache_gone(&self, namespace: &str, name: &str) {
        self.gone("modelcache.dev", "v1alpha1", "ModelCache", Some(namespace), name).await;
    }

    /// Directory of a volume on the nodes.
    pub async fn directory(&self, namespace: &str, cache: &str, volume: &str) -> String {
        let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let uid = answered(|| api.get(namespace)).await.uid().unwrap();
        format!("/var/lib/modelcache/{}", modelcache::api::name::directory(&uid, cache, volume))
    }

    /// Prints what is known about a scenario's objects, after it failed.
    pub fn describe(&self, scenario: &str) {
        println!("--- {scenario}");
        let list = ["get", "mcache,mcreplica,jobs,pods,pvc", "-A", "-o", "wide"];
        let logs = ["-n", "modelcache-system", "logs", "deployment/modelcache-operator", "--tail=15"];
        for arguments in [&list[..], &logs[..]] {
            let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.kubectl(arguments)));
            println!("{}", said.unwrap_or_default());
        }
    }
}

/// The conditions of a cache, on one line.
pub fn said(cache: &ModelCache) -> String {
    let status = cache.status.clone().unwrap_or_default();
    let all: Vec<String> = status
        .conditions
        .iter()
        .map(|it| format!("{}={} {}: {}", it.type_, it.status, it.reason, it.message))
        .collect();
    all.join(" | ")
}

impl Drop for World {
    fn drop(&mut self) {
        if self.keep {
            println!(
                "the cluster stays: KUBECONFIG={}; tests/cluster/cluster down --name {}",
                self.kubeconfig.display(),
                self.name
            );
        } else {
            cluster(&["down", "--name", self.name]);
        }
    }
}
