//! With Helm from an empty cluster, as the first day of a user goes: install, the sample of a cache until kstatus calls it Current, the
//! sample of a Deployment that loads it offline, a look at its status, test, upgrade, rollback, uninstall, install again.
//! Every cache, child and byte stays, and so do the pods that use them.

use crate::commands::root;
use crate::helm::{CHART, helm};
use crate::plugin::on_a_terminal;
use crate::rights;
use crate::runner::Scenario;
use crate::sample::{self, CACHE, DEPLOYMENT};
use crate::scenario;
use crate::tools::kstatus;
use crate::wait::until;
use crate::world::{SOON, World};
use modelcache::api::condition::ConditionType;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(alone helm_installs_upgrades_rolls_back_and_uninstalls_and_every_cache_child_and_byte_stays)]
}

const NAMESPACE: &str = "modelcache-system";
const VALUES: &str = "
replicas: 2
tolerations: [{operator: Exists}]
retry: {firstSeconds: 2, mostSeconds: 8, stalledSeconds: 10}
jobs:
  podTemplate: {labels: {from: the-chart}}
pools:
  gpu-nvme: {gpu: NVIDIA, path: /var/lib/modelcache, capacity: 100Gi, minFree: 50Mi}
podDisruptionBudget: {enabled: true}
networkPolicy: {enabled: true}
dashboard: {enabled: true}
";

async fn helm_installs_upgrades_rolls_back_and_uninstalls_and_every_cache_child_and_byte_stays(_: Arc<World>) {
    let world = World::empty("helm").await;
    world.make_gpu_node("node-1");
    let directory = tempfile::tempdir().unwrap();
    let values = directory.path().join("values.yaml");
    std::fs::write(&values, VALUES).unwrap();
    let (values, older) = (values.to_str().unwrap(), older_chart(directory.path()));
    let run = |arguments: &[&str]| {
        let cluster = ["--namespace", NAMESPACE, "--kubeconfig", world.kubeconfig.to_str().unwrap()];
        let all: Vec<&str> = arguments.iter().copied().chain(cluster).collect();
        helm(&all).unwrap_or_else(|said| panic!("helm {arguments:?}: {said}"))
    };
    world.kubectl(&["create", "namespace", NAMESPACE]);
    world.kubectl(&["label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted"]);

    let said = run(&["install", "modelcache", &older, "--values", values, "--wait", "--timeout", "8m"]);
    assert!(said.contains("helm test modelcache"), "the notes say what to do next: {said}");
    world.namespace(sample::NAMESPACE);
    let hub = world.hub();
    world.apply(&sample::cache(&hub));
    world.apply(&sample::deployment());
    until("kstatus to call the sample Current", SOON, || async {
        let stored = world.kubectl(&["-n", sample::NAMESPACE, "get", "mcache", CACHE, "-o", "json"]);
        let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
        // Until the operator has looked at it there is no status, which kstatus takes for Current.
        let seen = stored["status"]["observedGeneration"].is_i64();
        let answer = kstatus(std::iter::once(&stored)).remove(0);
        assert_ne!(answer.status, "Failed", "{stored}");
        if seen && answer.status == "Current" { Ok(()) } else { Err(answer.message) }
    })
    .await;
    world.ready("studio", CACHE).await;
    let pods = loaded(&world).await;
    let shown = on_a_terminal(&world, (80, 24), "studio", "status").await;
    assert_eq!(
        plain(&shown),
        "CACHE         STATE   NODES  DONE  RATE  ETA  PROBLEMS\n\
         image-studio  Warmed  1/1    100%  -     -    -\n",
        "{shown:?}"
    );
    run(&["test", "modelcache", "--timeout", "8m"]);
    let jobs = world.jobs("studio").await;
    let labelled = |it: &k8s_openapi::api::batch::v1::Job| {
        let labels = it.spec.as_ref().and_then(|it| it.template.metadata.as_ref()?.labels.clone()).unwrap_or_default();
        labels.get("from").is_some_and(|it| it == "the-chart")
    };
    assert!(jobs.iter().all(labelled), "what the chart says of all caches reaches their pods");

    settled(&world).await;
    let before = Kept::look(&world, hub.counters().bytes_sent).await;
    assert!(!column(&world), "the older chart's kind has no column Caches");

    let more = ["--values", values, "--set", "logs.format=json", "--wait", "--timeout", "8m"];
    run(&[&["upgrade", "modelcache", CHART][..], &more].concat());
    same("upgrade", &world, &before, hub.counters().bytes_sent).await;
    assert!(column(&world), "an upgrade brings the kinds of its version");
    assert!(run(&["get", "manifest", "modelcache"]).contains("kind: NodeCachePool"), "the pool is the release's now");

    run(&["rollback", "modelcache", "1", "--wait", "--timeout", "8m"]);
    same("rollback", &world, &before, hub.counters().bytes_sent).await;
    assert!(!column(&world), "a rollback brings the kinds of its version");

    run(&["upgrade", "modelcache", CHART, "--values", values, "--wait", "--timeout", "8m"]);
    run(&["uninstall", "modelcache", "--wait", "--timeout", "8m"]);
    let left = world.kubectl(&["get", "clusterrole,validatingadmissionpolicy", "-o", "name"]);
    assert!(!left.contains("modelcache"), "{left}");
    assert_eq!(Kept::look(&world, hub.counters().bytes_sent).await, before, "after uninstall");
    assert_eq!(sample::pods(&world).await, pods, "pods go on where no operator is");

    run(&["install", "modelcache", CHART, "--values", values, "--wait", "--timeout", "8m"]);
    same("a second install", &world, &before, hub.counters().bytes_sent).await;
    run(&["test", "modelcache", "--timeout", "8m"]);
    assert_eq!(sample::pods(&world).await, pods, "no pod was ever disturbed");
    rights::check(&world, false);
    world.kubectl(&["-n", "studio", "delete", "deployment", DEPLOYMENT, "--cascade=foreground"]);
    world.kubectl(&["-n", "studio", "delete", "mcache", CACHE, "--wait=false"]);
    world.cache_gone("studio", CACHE).await;
}

/// Waits until both pods of the Deployment have loaded the model, which is all that `exclude` leaves of it.
async fn loaded(world: &World) -> Vec<(String, i32, String)> {
    until("both pods of the sample to have loaded the model", SOON, || async {
        let pods = sample::pods(world).await;
        let ready = pods.iter().filter(|(_, _, said)| said == "LOADED 2\n").count();
        if ready == 2 && pods.len() == 2 { Ok(pods) } else { Err(format!("{pods:?}")) }
    })
    .await
}

/// What a terminal shows, without colours and its line ends.
fn plain(shown: &str) -> String {
    let mut text = String::new();
    let mut rest = shown.replace("\r\n", "\n");
    while let Some((before, after)) = rest.clone().split_once('\u{1b}') {
        text.push_str(before);
        after.split_once('m').map_or("", |it| it.1).clone_into(&mut rest);
    }
    text + &rest
}

/// The chart as an earlier version of it: another number, and a kind that says less. Until one is published this stands for it.
fn older_chart(directory: &Path) -> String {
    let copy = directory.join("older");
    let done = Command::new("cp").arg("-r").arg(root().join(CHART)).arg(&copy).status().unwrap();
    assert!(done.success());
    let change = |file: &str, from: &str, to: &str| {
        let path = copy.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    };
    change("Chart.yaml", &format!("\nversion: {}", env!("CARGO_PKG_VERSION")), "\nversion: 0.0.1");
    change(
        "files/crds/nodecachepools.modelcache.dev.yaml",
        "    - jsonPath: .status.volumes\n      name: Caches\n      type: integer\n",
        "",
    );
    copy.to_str().unwrap().to_owned()
}

fn column(world: &World) -> bool {
    let columns = "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}";
    world.kubectl(&["get", "crd", "nodecachepools.modelcache.dev", "-o", columns]).contains("Caches")
}

/// Finished Jobs are removed once they are recorded.
async fn settled(world: &World) {
    until("finished Jobs to be removed", SOON, || async {
        let left = world.kubectl(&["get", "jobs", "-A", "-o", "name"]);
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}

/// What must stay: every object's UID, every byte on the node, and what the hub had to send.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    objects: Vec<String>,
    files: String,
    sent: u64,
}

impl Kept {
    async fn look(world: &World, sent: u64) -> Self {
        let kinds = "mcache,mcreplica,pvc,configmap,pv,ncpool,crd";
        let line = r#"jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid}{"\n"}{end}"#;
        let said = world.kubectl(&["-n", "studio", "get", kinds, "-o", line]);
        let mut objects: Vec<String> = said.lines().map(str::to_owned).collect();
        objects.sort();
        let directory = world.directory("studio", CACHE, "models").await;
        let hash = format!("cd {directory} && find . -type f -path '*huggingface*' -exec sha256sum {{}} + | sort -k2");
        let files = world.on_node("node-1", &["sh", "-c", &hash]);
        assert!(files.lines().count() > 2 && objects.len() > 8, "{files}\n{objects:?}");
        Self { objects, files, sent }
    }
}

/// Everything is as before, the cache is Ready with an operator that leads, and no Job had to be made.
async fn same(after: &str, world: &World, before: &Kept, sent: u64) {
    world.operator_ready();
    world.leader().await;
    world.ready("studio", CACHE).await;
    world.reason("studio", CACHE, ConditionType::Ready, "Warmed").await;
    let jobs = world.kubectl(&["get", "jobs", "-A", "-o", "name"]);
    assert!(jobs.is_empty(), "{after} made a Job: {jobs}");
    assert_eq!(Kept::look(world, sent).await, *before, "after {after}");
}
