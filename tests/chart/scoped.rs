//! Where only some namespaces are served: do the rights of the operator end there, and are they the same in there?

use crate::documents::{all, find, name};
use crate::helm::template;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Two namespaces, with all that this changes.
pub const SCOPED: &str = "
watch: {namespaces: [studio, team]}
deleteGuard: {enabled: true}
nodeLabels: {enabled: true}
apiPriority: {enabled: true}
pools:
  all: {gpu: NVIDIA, path: /mnt/nvme/modelcache, capacity: 500Gi}
  one: {gpu: NVIDIA, path: /mnt/nvme/modelcache-team, capacity: 500Gi, namespaces: {names: [team]}}
";

/// Kinds that live outside namespaces, as Kubernetes and we define them.
const OUTSIDE: [&str; 5] = ["nodes", "namespaces", "persistentvolumes", "nodecachepools", "nodecachepools/status"];

fn rendered(values: &str) -> Vec<Value> {
    all(&template("models", values).unwrap())
}

/// Verb, group, resource and name of each right of a role.
fn rights(role: &Value) -> BTreeSet<[String; 4]> {
    let words = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|it| it.as_str().unwrap().to_owned()).collect()
    };
    let mut found = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let mut names = words(&rule["resourceNames"]);
        if names.is_empty() {
            names.push(String::new());
        }
        for (group, resource) in words(&rule["apiGroups"])
            .iter()
            .flat_map(|group| words(&rule["resources"]).into_iter().map(move |it| (group.clone(), it)))
        {
            for verb in words(&rule["verbs"]) {
                for name in &names {
                    found.insert([verb.clone(), group.clone(), resource.clone(), name.clone()]);
                }
            }
        }
    }
    found
}

fn role<'a>(objects: &'a [Value], kind: &str, full_name: &str) -> &'a Value {
    let found = objects.iter().find(|it| it["kind"] == kind && name(it) == full_name);
    found.unwrap_or_else(|| panic!("no {full_name} among {:?}", objects.iter().map(name).collect::<Vec<_>>()))
}

#[test]
fn what_lives_in_namespaces_is_granted_in_those_that_are_served_and_what_does_not_for_the_cluster() {
    let whole = rights(find(&rendered(""), "ClusterRole", "modelcache-operator"));
    let objects = rendered(SCOPED);
    let outside = |it: &[String; 4]| OUTSIDE.contains(&it[2].as_str());
    let inside: BTreeSet<_> = whole.iter().filter(|it| !outside(it)).cloned().collect();
    assert!(inside.len() > 40, "{inside:?}");
    for namespace in ["studio", "team"] {
        assert_eq!(rights(role(&objects, "Role", &format!("Role {namespace}/modelcache-operator"))), inside);
    }
    let cluster = rights(find(&objects, "ClusterRole", "modelcache-operator.models"));
    assert!(cluster.iter().all(outside), "{cluster:?}");
    let namespaces: BTreeSet<_> = cluster.iter().filter(|it| it[2] == "namespaces").cloned().collect();
    let get = |name: &str| ["get", "", "namespaces", name].map(str::to_owned);
    assert_eq!(namespaces, BTreeSet::from([get("studio"), get("team")]), "each by its name");
    let rest: BTreeSet<_> = cluster.into_iter().filter(|it| it[2] != "namespaces").collect();
    let wanted: BTreeSet<_> = whole.into_iter().filter(|it| outside(it) && it[2] != "namespaces").collect();
    assert_eq!(rest, wanted);
}

#[test]
fn where_the_node_jobs_run_it_may_make_and_watch_them_and_nothing_else() {
    let objects = rendered(SCOPED);
    let found = rights(role(&objects, "Role", "Role modelcache-node-jobs/modelcache-operator"));
    let said: BTreeSet<String> = found.iter().map(|it| format!("{} {}/{}", it[0], it[1], it[2])).collect();
    let jobs = ["get", "list", "watch", "create", "delete"].map(|verb| format!("{verb} batch/jobs"));
    let pods = ["get", "list", "watch"].map(|verb| format!("{verb} /pods"));
    assert_eq!(said, jobs.into_iter().chain(pods).chain(["list /events".to_owned()]).collect());
}

#[test]
fn every_role_is_bound_to_the_operator_of_the_release_and_to_nobody_else() {
    let objects = rendered(SCOPED);
    let mut bound = BTreeSet::new();
    for binding in objects.iter().filter(|it| it["kind"].as_str().unwrap().ends_with("RoleBinding")) {
        let subject = json!([{"kind": "ServiceAccount", "name": "modelcache-operator", "namespace": "models"}]);
        assert_eq!(binding["subjects"], subject, "{}", name(binding));
        let namespace = binding["metadata"]["namespace"].as_str().map(|it| format!("{it}/")).unwrap_or_default();
        let to = &binding["roleRef"];
        bound.insert(format!("{} {namespace}{}", to["kind"].as_str().unwrap(), to["name"].as_str().unwrap()));
    }
    let expected = [
        "ClusterRole modelcache-operator-node-labels.models",
        "ClusterRole modelcache-operator.models",
        "Role modelcache-node-jobs/modelcache-operator",
        "Role models/modelcache-operator-lease",
        "Role studio/modelcache-operator",
        "Role team/modelcache-operator",
    ];
    assert_eq!(bound.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn two_releases_share_no_object_but_the_kinds_and_the_roles_for_people() {
    let more = "{deleteGuard: {enabled: true}, nodeLabels: {enabled: true}, apiPriority: {enabled: true}, watch:";
    let first = template("models", &format!("{more} {{namespaces: [studio]}}}}")).unwrap();
    let others = "nodeJobs: {namespace: other-node-jobs}, crds: {enabled: false}, rbac: {userRoles: false}";
    let second = template("others", &format!("{more} {{namespaces: [team]}}, {others}}}")).unwrap();
    let names = |text: &str| all(text).iter().map(name).collect::<BTreeSet<String>>();
    let both: Vec<String> = names(&first).intersection(&names(&second)).cloned().collect();
    assert!(both.is_empty(), "{both:?}");
    assert_eq!(names(&first).len(), all(&first).len(), "no object is there twice");
}

#[test]
fn policies_about_pods_and_caches_look_at_the_namespaces_that_are_served_and_those_about_the_operator_everywhere() {
    let objects = rendered(SCOPED);
    let mut narrowed = BTreeSet::new();
    let by_the_operator = "request.userInfo.username == 'system:serviceaccount:models:modelcache-operator'";
    // Who else may label nodes is no question of a namespace.
    let by_no_operator = "!request.userInfo.username.matches('^system:serviceaccount:[^:]+:modelcache-operator$')";
    for binding in objects.iter().filter(|it| it["kind"].as_str().unwrap().ends_with("AdmissionPolicyBinding")) {
        let policy = binding["spec"]["policyName"].as_str().unwrap();
        let kind = binding["kind"].as_str().unwrap().trim_end_matches("Binding");
        find(&objects, kind, policy);
        let expected = json!([{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["studio", "team"]}]);
        match &binding["spec"]["matchResources"] {
            Value::Null => {
                let conditions = &find(&objects, kind, policy)["spec"]["matchConditions"];
                let of_all = policy == "modelcache-node-labels.models";
                assert_eq!(conditions[0]["expression"], if of_all { by_no_operator } else { by_the_operator });
            }
            selected => {
                assert_eq!(selected["namespaceSelector"]["matchExpressions"], expected);
                narrowed.insert(name(binding));
            }
        }
    }
    let expected = [
        "MutatingAdmissionPolicyBinding modelcache-pods.models",
        "ValidatingAdmissionPolicyBinding modelcache-delete-guard.models",
        "ValidatingAdmissionPolicyBinding modelcache-pods.models",
        "ValidatingAdmissionPolicyBinding modelcache-role-goes-last.models",
    ];
    assert_eq!(narrowed.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn labels_of_nodes_are_bound_to_the_namespaces_that_are_served_also_those_that_are_cut() {
    let policy = "modelcache-operator-scope-nodes.models";
    let long = ["n".repeat(63), format!("{}-{}", "m".repeat(48), "o".repeat(14))];
    let values = format!("watch: {{namespaces: [studio, {}, {}]}}\nnodeLabels: {{remove: true}}", long[0], long[1]);
    let objects = rendered(&values);
    let variables = find(&objects, "ValidatingAdmissionPolicy", policy)["spec"]["variables"].clone();
    let said = |name: &str| {
        let found = variables.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
        let list = found["expression"].as_str().unwrap().trim_matches(['[', ']']).to_owned();
        list.split(", ").map(|it| it.trim_matches('\'').to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(said("served"), ["studio", &long[0], &long[1]]);
    for (namespace, start) in said("served").iter().zip(said("starts")) {
        let key = modelcache::api::name::node_label(namespace, &"c".repeat(63));
        let cut = key.rsplit_once('/').unwrap().1;
        assert!(cut.starts_with(&start) && namespace.starts_with(start.trim_end_matches('-')), "{cut} {start}");
    }
    let without = rendered("watch: {namespaces: [studio]}");
    assert!(!without.iter().any(|it| name(it).contains("nodes")), "no right, no policy");
}

#[test]
fn the_operator_is_told_and_the_pools_of_the_release_admit_only_whom_it_serves() {
    let objects = rendered(SCOPED);
    let container = &find(&objects, "Deployment", "modelcache-operator")["spec"]["template"]["spec"]["containers"][0];
    let told = json!({"name": "MODELCACHE_NAMESPACES", "value": "studio,team"});
    assert!(container["env"].as_array().unwrap().contains(&told), "{container}");
    let admitted = |pool: &str| find(&objects, "NodeCachePool", pool)["spec"]["namespaces"]["names"].clone();
    assert_eq!((admitted("all"), admitted("one")), (json!(["studio", "team"]), json!(["team"])));
}

#[test]
fn an_operator_that_is_down_is_told_of_although_another_one_leads() {
    let down = |values: &str| {
        let values = format!("{values}metrics: {{renderMode: alwaysRender, prometheusRule: {{enabled: true}}}}\n");
        let objects = rendered(&values);
        let groups = find(&objects, "PrometheusRule", "modelcache-operator")["spec"]["groups"].clone();
        let rules = groups.as_array().unwrap().iter().flat_map(|it| it["rules"].as_array().unwrap().clone());
        let found: Vec<_> = rules.filter(|it| it["alert"] == "ModelCacheOperatorDown").collect();
        found[0]["expr"].as_str().unwrap().to_owned()
    };
    assert_eq!(down(SCOPED), "absent(modelcache_leader{namespace=\"models\"} == 1)");
    assert_eq!(down(""), "absent(modelcache_leader == 1)");
}
