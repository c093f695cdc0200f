//! Does the operator do what its role grants, and need what it is granted? From the audit log of the whole run.

use crate::helm;
use crate::world::World;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

const OPERATOR: &str = "system:serviceaccount:modelcache-system:modelcache-operator";

/// Granted, and not used in a run: why it is granted all the same.
const UNUSED: [(&str, &str); 18] = [
    (
        "update modelcache.dev/modelcaches/finalizers",
        "no request: admission asks for it when a child blocks its owner's deletion",
    ),
    ("update modelcache.dev/modelcachereplicas/finalizers", "no request, as above"),
    ("update modelcache.dev/modelcachebackups/finalizers", "no request, as above"),
    ("update modelcache.dev/modelcacherestores/finalizers", "no request, as above"),
    ("update coordination.k8s.io/leases", "the Lease is patched; a client that takes a Lease over may update it"),
    ("get modelcache.dev/nodecachepools", "read by watch; whoever may list may read each"),
    ("get /nodes", "read by watch; whoever may list may read each"),
    ("get /pods", "read by list; whoever may list may read each"),
    ("get batch/jobs", "read by list; whoever may list may read each"),
    (
        "create /persistentvolumes",
        "a server-side apply that makes an object is a patch in the log, and create to the authorizer",
    ),
    ("create batch/cronjobs", "made by server-side apply, as above"),
    ("create modelcache.dev/modelcachereplicas", "made by server-side apply, as above"),
    ("create modelcache.dev/modelcachebackups", "records of scheduled backups: not in a run without that scenario"),
    ("delete modelcache.dev/modelcachebackups", "records beyond `backup.history`: more runs than a scenario waits for"),
    ("delete batch/cronjobs", "a schedule that is taken out of a spec: not in every run"),
    ("patch /persistentvolumeclaims", "a claim that grows with its volume, which the storage of the test nodes cannot"),
    ("watch /namespaces", "read one by one; whoever may list may watch"),
    ("watch /configmaps", "children are read by list; a watch tells of one that somebody removed"),
];

/// One rule of a role, taken apart: verb, group and resource, the one name if there is one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Right {
    verb: String,
    resource: String,
    names: Vec<String>,
    namespace: Option<String>,
}

impl Right {
    fn said(&self) -> String {
        format!("{} {}", self.verb, self.resource)
    }
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What the chart's roles grant the operator.
fn granted() -> Vec<Right> {
    // With all that can be switched on: a scenario does.
    let text = helm::template("modelcache-system", "nodeLabels: {enabled: true}").unwrap();
    let mut rights = vec![];
    for document in text.split("\n---\n").filter(|it| it.contains("kind: ClusterRole\n") || it.contains("kind: Role\n"))
    {
        let role: Value = serde_saphyr::from_str(document).unwrap();
        // A binding names a role too.
        if !matches!(role["kind"].as_str(), Some("ClusterRole" | "Role")) {
            continue;
        }
        let ours = ["modelcache-operator", "modelcache-operator-lease", "modelcache-operator-node-labels"];
        if !role["metadata"]["name"].as_str().is_some_and(|it| ours.contains(&it)) {
            continue;
        }
        let namespace = role["metadata"]["namespace"].as_str().map(str::to_owned);
        for rule in role["rules"].as_array().unwrap() {
            for group in words(&rule["apiGroups"]) {
                for resource in words(&rule["resources"]) {
                    for verb in words(&rule["verbs"]) {
                        let (resource, namespace) = (format!("{group}/{resource}"), namespace.clone());
                        rights.push(Right { verb, resource, names: words(&rule["resourceNames"]), namespace });
                    }
                }
            }
        }
    }
    assert!(rights.len() > 50, "{rights:?}");
    rights
}

/// What the operator asked for: verb, group and resource, name, namespace.
fn used(world: &World) -> BTreeSet<(String, String, String, String)> {
    let file = std::fs::File::open(&world.audit_log).unwrap();
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    events
        .filter(|it| it["user"]["username"] == OPERATOR && it["objectRef"]["resource"].is_string())
        // Every authenticated user may ask what it may do.
        .filter(|it| it["objectRef"]["apiGroup"] != "authorization.k8s.io")
        .map(|it| {
            let part = |key: &str| it["objectRef"][key].as_str().unwrap_or_default().to_owned();
            let slash = if part("subresource").is_empty() { "" } else { "/" };
            let resource = format!("{}/{}{slash}{}", part("apiGroup"), part("resource"), part("subresource"));
            (it["verb"].as_str().unwrap_or_default().to_owned(), resource, part("name"), part("namespace"))
        })
        .collect()
}

/// Panics when the operator asked for what its role does not grant, or, after all scenarios, when it was granted what it did
/// not use and nobody says why.
pub fn check(world: &World, whole: bool) {
    let (granted, used) = (granted(), used(world));
    assert!(!used.is_empty(), "the audit log has nothing of the operator");
    let covers = |right: &Right, (verb, resource, name, namespace): &(String, String, String, String)| {
        right.verb == *verb
            && right.resource == *resource
            && (right.names.is_empty() || right.names.contains(name))
            && right.namespace.as_ref().is_none_or(|it| it == namespace)
    };
    let beyond: Vec<_> = used.iter().filter(|it| !granted.iter().any(|right| covers(right, it))).collect();
    assert!(beyond.is_empty(), "the operator asked for what its role does not grant: {beyond:?}");
    let idle = granted.iter().filter(|right| !used.iter().any(|it| covers(right, it)));
    let idle: BTreeSet<String> = idle.map(Right::said).collect();
    println!(
        "rights: {} granted, {} not used: {}",
        granted.len(),
        idle.len(),
        idle.iter().cloned().collect::<Vec<_>>().join("; ")
    );
    let unexplained: Vec<_> = idle.iter().filter(|it| !UNUSED.iter().any(|(known, _)| known == it)).collect();
    assert!(!whole || unexplained.is_empty(), "granted and not used, without a reason: {unexplained:?}");
}
