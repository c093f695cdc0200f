//! What comes out of the chart, for what people set.

use crate::documents::{all, find, name};
use crate::helm::{template, template_for};
use serde_json::Value;

/// Everything on.
pub const EVERYTHING: &str = r#"
image: {tag: v9}
imagePullSecrets: [{name: registry}]
crds: {annotations: {argocd.argoproj.io/sync-options: "ServerSideApply=true"}}
replicas: 2
leaderElection: {leaseSeconds: 20}
retry: {firstSeconds: 1, mostSeconds: 2, stalledSeconds: 3}
unreachableGraceSeconds: 0
logs: {format: json, level: "info,modelcache=debug"}
extraEnv: [{name: TZ, value: "yes"}]
commonLabels: {team: "007"}
podLabels: {tier: "on"}
podAnnotations: {note: "12"}
tolerations: [{key: infra, operator: Exists}]
affinity: {nodeAffinity: {}}
priorityClassName: system-cluster-critical
serviceAccount: {annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::1:role/x"}}
jobs:
  podTemplate:
    tolerations: [{key: nvidia.com/gpu, operator: Exists}]
    resources: {limits: {memory: 2Gi}, requests: {cpu: 1}}
    securityContext: {runAsUser: 1000650000}
    imagePullSecrets: [{name: registry}]
    caBundleConfigMap: {name: trust, key: ca.crt}
  proxy: {httpProxy: "http://proxy:3128", httpsProxy: "http://proxy:3128", noProxy: ".svc,10.0.0.0/8"}
pools:
  gpu-nvme: {gpu: NVIDIA, path: /mnt/nvme/modelcache, capacity: 500Gi, minFree: 20Gi, maxParallel: 8}
podDisruptionBudget: {enabled: true}
networkPolicy:
  enabled: true
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  extraEgress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]
metrics:
  renderMode: alwaysRender
  serviceMonitor: {enabled: true, labels: {release: prometheus}}
  podMonitor: {enabled: true}
  prometheusRule: {enabled: true}
deleteGuard: {enabled: true}
nodeLabels: {enabled: true}
apiPriority: {enabled: true}
dashboard: {enabled: true, annotations: {grafana_folder: Models}}
extraObjects:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: extra, namespace: "{{ .Release.Namespace }}"}}
- |
  apiVersion: v1
  kind: ConfigMap
  metadata: {name: text, namespace: {{ .Release.Namespace }}}
"#;

/// As little as can be.
pub const LITTLE: &str = "
crds: {enabled: false}
rbac: {userRoles: false}
policies: {enabled: false}
pods: {inject: Never}
nodeJobs: {createNamespace: false, namespace: elsewhere}
";

/// On OpenShift the platform chooses users, out of a range of the namespace.
pub const OPENSHIFT: &str = "
podSecurityContext: {runAsUser: null, runAsGroup: null}
jobs: {podTemplate: {securityContext: {runAsUser: 1000650000, runAsGroup: 1000650000}}}
";

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn rendered(values: &str) -> Vec<Value> {
    all(&template("models", values).unwrap())
}

fn container(objects: &[Value]) -> &Value {
    &find(objects, "Deployment", "modelcache-operator")["spec"]["template"]["spec"]["containers"][0]
}

fn environment(objects: &[Value]) -> Vec<(String, String)> {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    container(objects)["env"].as_array().unwrap().iter().map(|it| (text(&it["name"]), text(&it["value"]))).collect()
}

#[test]
fn a_policy_with_parameters_looks_at_nothing_that_is_not_ours_or_in_a_namespace_of_ours() {
    // Where the parameter or its kind is gone, all that a policy matches is refused, before any condition of it is asked.
    let mut seen = 0;
    for object in
        rendered(EVERYTHING).iter().chain(&rendered(&format!("{EVERYTHING}\nwatch: {{namespaces: [studio]}}\n")))
    {
        let spec = &object["spec"];
        if !object["kind"].as_str().unwrap().ends_with("AdmissionPolicy") || spec["paramKind"].is_null() {
            continue;
        }
        seen += 1;
        let matches = &spec["matchConstraints"];
        let narrow = ["objectSelector", "namespaceSelector"].iter().any(|it| matches[it].is_object());
        assert!(narrow, "{} matches what others make", name(object));
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn below_1_36_only_the_policies_for_labelled_pods_are_left_out_and_below_1_33_the_chart_is_refused() {
    let names = |kubernetes: &str, values: &str| -> Vec<String> {
        all(&template_for(kubernetes, "models", values).unwrap()).iter().map(name).collect()
    };
    let whole = names("1.36.0", "");
    for version in ["1.33.0", "1.33.4-gke.1000", "v1.35.2-eks-1a2b3c"] {
        let older = names(version, "");
        let left_out: Vec<&String> = whole.iter().filter(|it| !older.contains(it)).collect();
        let expected = [
            "MutatingAdmissionPolicy modelcache-pods",
            "MutatingAdmissionPolicyBinding modelcache-pods",
            "ValidatingAdmissionPolicy modelcache-pods",
            "ValidatingAdmissionPolicyBinding modelcache-pods",
        ];
        let mut left_out: Vec<&str> = left_out.iter().map(|it| it.as_str()).collect();
        left_out.sort_unstable();
        assert_eq!(left_out, expected, "{version}");
        assert!(older.iter().all(|it| whole.contains(it)), "{version}");
        assert_eq!(names(version, "pods: {inject: Always}"), whole, "whoever has the feature gate says so");
    }
    assert_eq!(names("1.36.0-rc.1", ""), whole);
    let refused = template_for("1.32.9", "models", "").unwrap_err();
    assert!(refused.contains(">=1.33.0-0"), "{refused}");
}

#[test]
fn the_objects_of_a_default_installation() {
    let names: Vec<String> = all(&template("modelcache-system", "").unwrap()).iter().map(name).collect();
    insta::assert_yaml_snapshot!(names);
}

#[test]
fn the_objects_with_everything_on() {
    insta::assert_yaml_snapshot!(rendered(EVERYTHING).iter().map(name).collect::<Vec<_>>());
}

#[test]
fn what_is_said_of_all_pods_reaches_the_container_that_waits_in_labelled_pods() {
    let expression = |values: &str, name: &str| {
        let objects = rendered(values);
        let variables = &find(&objects, "MutatingAdmissionPolicy", "modelcache-pods")["spec"]["variables"];
        let found = variables.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
        found["expression"].as_str().unwrap().to_owned()
    };
    let pull = "jobs: {podTemplate: {imagePullSecrets: [{name: registry}, {name: mirror}]}}";
    assert_eq!(expression(pull, "commonPullSecrets"), "['registry', 'mirror']");
    assert_eq!(expression("", "commonPullSecrets"), "[]");
    assert!(expression(OPENSHIFT, "user").contains("orValue(1000650000)"));
    assert!(expression("", "user").contains("orValue(65532)"));
}

#[test]
fn one_image_reaches_the_operator_its_jobs_their_policy_and_the_test() {
    for (values, expected) in [
        (String::new(), "localhost/modelcache:dev".to_owned()),
        ("image: {tag: ''}".into(), format!("localhost/modelcache:{}", env!("CARGO_PKG_VERSION"))),
        (format!("image: {{digest: '{DIGEST}'}}"), format!("localhost/modelcache@{DIGEST}")),
        (
            "global: {imageRegistry: registry.example:5000/mirror/}".into(),
            "registry.example:5000/mirror/modelcache:dev".into(),
        ),
    ] {
        let objects = rendered(&values);
        let agent = environment(&objects).into_iter().find(|it| it.0 == "MODELCACHE_AGENT_IMAGE").unwrap().1;
        let test = &find(&objects, "Pod", "modelcache-operator-test")["spec"]["containers"][0]["image"];
        let policy = &find(&objects, "ConfigMap", "modelcache-operator-config")["data"]["agentImage"];
        assert_eq!([&container(&objects)["image"], test, policy], [&expected; 3]);
        assert_eq!(agent, expected);
        let variables = &find(&objects, "MutatingAdmissionPolicy", "modelcache-pods")["spec"]["variables"];
        let image = variables.as_array().unwrap().iter().find(|it| it["name"] == "image").unwrap();
        assert_eq!(image["expression"], format!("'{expected}'"));
    }
    let objects = rendered("jobs: {image: other.example/modelcache:v1}");
    assert_eq!(container(&objects)["image"], "localhost/modelcache:dev");
    assert_eq!(
        find(&objects, "ConfigMap", "modelcache-operator-config")["data"]["agentImage"],
        "other.example/modelcache:v1"
    );
}

#[test]
fn no_namespace_but_the_releases_is_named() {
    for values in ["", EVERYTHING] {
        let text = template("models", values).unwrap();
        assert!(!text.contains("modelcache-system"), "{values}");
        assert!(text.contains("system:serviceaccount:models:modelcache-operator"));
    }
    let text = template("models", LITTLE).unwrap();
    assert!(!text.contains("modelcache-node-jobs"), "the namespace of the node Jobs can be another one");
}

#[test]
fn rendering_twice_gives_the_same() {
    assert_eq!(template("models", EVERYTHING), template("models", EVERYTHING));
}

#[test]
fn kinds_stay_when_the_release_goes_unless_told_otherwise() {
    for (values, expected) in [("", Some("keep")), ("crds: {keep: false}", None), (EVERYTHING, Some("keep"))] {
        let objects = rendered(values);
        let kinds: Vec<&Value> = objects.iter().filter(|it| it["kind"] == "CustomResourceDefinition").collect();
        assert_eq!(kinds.len(), modelcache::api::crds::all().len());
        for kind in kinds {
            assert_eq!(kind["metadata"]["annotations"]["helm.sh/resource-policy"].as_str(), expected);
        }
    }
}

#[test]
fn what_is_said_of_all_caches_reaches_the_operator_as_the_operator_reads_it() {
    let objects = rendered(EVERYTHING);
    let text = &find(&objects, "ConfigMap", "modelcache-operator-pod-template")["data"]["pod-template.json"];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text.as_str().unwrap()).unwrap();
    let read = modelcache::operator::pod_template::read(file.path().to_str().unwrap()).unwrap();
    assert_eq!(read.user(), 1_000_650_000);
    let proxies: Vec<&str> = read.env.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(proxies, ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]);
    assert_eq!(read.tolerations.len(), 1);
    assert_eq!(read.ca_bundle_config_map.unwrap().key, "ca.crt");
    let mount = &container(&objects)["volumeMounts"][0]["mountPath"];
    let path = environment(&objects).into_iter().find(|it| it.0 == "MODELCACHE_POD_TEMPLATE").unwrap().1;
    assert_eq!(path, format!("{}/pod-template.json", mount.as_str().unwrap()));
}

#[test]
fn the_operator_understands_every_setting_of_the_chart() {
    use clap::Args;
    let command = modelcache::operator::OperatorOptions::augment_args(clap::Command::new("operator"));
    let known: Vec<String> =
        command.get_arguments().filter_map(|it| it.get_env()).map(|it| it.to_string_lossy().into_owned()).collect();
    let foreign = ["MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "RUST_LOG", "TZ"];
    for (name, _) in environment(&rendered(EVERYTHING)) {
        assert!(known.contains(&name) || foreign.contains(&name.as_str()), "{name}: {known:?}");
    }
    let said = environment(&rendered(EVERYTHING));
    for (name, value) in [("MODELCACHE_LEASE_SECONDS", "20"), ("MODELCACHE_UNREACHABLE_GRACE_SECONDS", "0")] {
        assert!(said.contains(&(name.into(), value.into())), "{said:?}");
    }
}

#[test]
fn the_platform_may_choose_the_user() {
    let objects = rendered(OPENSHIFT);
    let pod = &find(&objects, "Deployment", "modelcache-operator")["spec"]["template"]["spec"];
    assert!(pod["securityContext"].get("runAsUser").is_none_or(Value::is_null), "{pod}");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
}

#[test]
fn roles_for_people_are_added_to_kubernetes_own_only_when_told() {
    let label = "rbac.authorization.k8s.io/aggregate-to-view";
    let aggregated =
        |values| find(&rendered(values), "ClusterRole", "modelcache-view")["metadata"]["labels"][label].clone();
    assert_eq!(aggregated(""), "true");
    assert_eq!(aggregated("rbac: {aggregate: false}"), Value::Null);
}

#[test]
fn the_right_to_patch_nodes_comes_with_its_policy_and_goes_with_its_value() {
    for (values, expected) in [
        ("", false),
        ("nodeLabels: {enabled: true}", true),
        ("nodeLabels: {remove: true}", true),
        // What people switch off in general does not take the bounds off the right.
        ("{nodeLabels: {enabled: true}, policies: {enabled: false}}", true),
    ] {
        let objects = rendered(values);
        let names: Vec<String> = objects.iter().map(name).collect();
        for object in [
            "ClusterRole modelcache-operator-node-labels",
            "ClusterRoleBinding modelcache-operator-node-labels",
            "ValidatingAdmissionPolicy modelcache-operator-nodes",
            "ValidatingAdmissionPolicyBinding modelcache-operator-nodes",
            "ValidatingAdmissionPolicy modelcache-node-labels",
            "ValidatingAdmissionPolicyBinding modelcache-node-labels",
        ] {
            assert_eq!(names.contains(&object.to_owned()), expected, "{values}: {object}");
        }
        let patches = |role: &Value| {
            let rules = role["rules"].as_array().unwrap().iter();
            let of_nodes = rules.filter(|it| it["resources"].as_array().unwrap().iter().any(|it| it == "nodes"));
            of_nodes.flat_map(|it| it["verbs"].as_array().unwrap()).any(|it| it == "patch")
        };
        let roles = objects.iter().filter(|it| it["kind"] == "ClusterRole").any(patches);
        assert_eq!(roles, expected, "{values}");
        let told = environment(&objects).contains(&("MODELCACHE_LABEL_NODES".into(), "true".into()));
        assert_eq!(told, values.contains("nodeLabels: {enabled: true}"), "{values}");
    }
    let objects = rendered("nodeLabels: {enabled: true}");
    let binding = find(&objects, "ClusterRoleBinding", "modelcache-operator-node-labels");
    let account = serde_json::json!([{"kind": "ServiceAccount", "name": "modelcache-operator", "namespace": "models"}]);
    assert_eq!(binding["subjects"], account);
}

#[test]
fn the_operators_requests_have_a_level_of_their_own_or_one_that_is_there() {
    let own = rendered("apiPriority: {enabled: true, shares: 30, precedence: 800}");
    let level = |objects: &[Value], name| {
        find(objects, "FlowSchema", name)["spec"]["priorityLevelConfiguration"]["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(level(&own, "modelcache-operator"), "modelcache-operator");
    assert_eq!(level(&own, "modelcache-operator-lease"), "leader-election");
    let limited = &find(&own, "PriorityLevelConfiguration", "modelcache-operator")["spec"]["limited"];
    assert_eq!(limited["nominalConcurrencyShares"], 30);
    let precedence = |name| find(&own, "FlowSchema", name)["spec"]["matchingPrecedence"].as_i64().unwrap();
    assert_eq!(precedence("modelcache-operator"), 800);
    assert!(precedence("modelcache-operator-lease") < 800, "what is asked of the Lease must match first");
    for schema in own.iter().filter(|it| it["kind"] == "FlowSchema") {
        let subject = serde_json::json!([{
            "kind": "ServiceAccount", "serviceAccount": {"name": "modelcache-operator", "namespace": "models"}
        }]);
        assert_eq!(schema["spec"]["rules"][0]["subjects"], subject, "nobody else is let in");
    }
    let other = rendered("apiPriority: {enabled: true, priorityLevel: workload-high}");
    assert_eq!(level(&other, "modelcache-operator"), "workload-high");
    assert!(!other.iter().any(|it| it["kind"] == "PriorityLevelConfiguration"));
    assert!(!rendered("").iter().any(|it| it["kind"] == "FlowSchema"));
}

#[test]
fn an_alert_can_be_left_out() {
    let alerts = |values: &str| -> Vec<String> {
        let values = format!("metrics: {{renderMode: alwaysRender, prometheusRule: {{enabled: true, {values}}}}}");
        let objects = rendered(&values);
        let groups = &find(&objects, "PrometheusRule", "modelcache-operator")["spec"]["groups"];
        let rules = groups.as_array().into_iter().flatten().flat_map(|it| it["rules"].as_array().unwrap().clone());
        rules.filter_map(|it| it["alert"].as_str().map(str::to_owned)).collect()
    };
    let all = alerts("");
    let (first, others) = all.split_first().expect("alerts");
    assert_eq!(alerts(&format!("disabledAlerts: [{first}]")), others);
}

#[test]
fn a_pool_is_made_after_its_kind_and_belongs_to_the_release_from_then_on() {
    let objects = rendered(EVERYTHING);
    let annotations = &find(&objects, "NodeCachePool", "gpu-nvme")["metadata"]["annotations"];
    assert_eq!(annotations["helm.sh/hook"], "post-install");
    assert_eq!(annotations["helm.sh/resource-policy"], "keep");
    assert_eq!(annotations["meta.helm.sh/release-name"], "cache");
}
