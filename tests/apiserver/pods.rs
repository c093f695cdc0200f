//! Pods that ask for a cache by a label: what does the API server make of them? Dry runs, answered as the real thing.

#![allow(clippy::needless_pass_by_value, reason = "documents are written where they are used")]

use crate::support::apiserver::{administrator, eventually, operator, refusal, send};
use kube::Client;
use modelcache::api::{annotation, label};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const NAMESPACE: &str = "pods";

/// A cache with a volume that sources fill, another that is an existing claim, and one that is the user's own to write to.
fn studio() -> Value {
    json!({
        "volumes": [
            {"name": "models", "mountPath": "/models", "shared": {"size": "1Gi"}},
            {"name": "assets", "existingClaim": {"claimName": "studio.assets"}},
            {"name": "logs", "shared": {"size": "1Gi"}}
        ],
        "sources": [
            {"name": "model", "volume": "models", "huggingFace": {"repo": "org/model"}},
            {"name": "speech", "volume": "assets", "whisper": {"model": "tiny"}}
        ],
        "podTemplate": {"imagePullSecrets": [{"name": "registry"}], "securityContext": {"runAsUser": 1_000_680_000}}
    })
}

/// A cache with one volume, of the longest name and without anything else.
fn long() -> Value {
    json!({"volumes": [{"name": "m".repeat(63), "shared": {"size": "1Gi"}}]})
}

/// The same with a source, and nothing said about where.
fn plain() -> Value {
    json!({
        "volumes": [{"name": "models", "shared": {"size": "1Gi"}}],
        "sources": [{"name": "model", "huggingFace": {"repo": "org/model"}}]
    })
}

/// Namespace and caches are there, and the policies are in force.
async fn ready() -> Client {
    let client = administrator().await;
    namespace(&client, NAMESPACE).await;
    for (name, spec) in [("studio", studio()), ("long", long()), ("plain", plain())] {
        cache(&client, NAMESPACE, name, &spec).await;
    }
    eventually("the policies are in force", || async {
        for name in ["studio", "long", "plain"] {
            let pod = create(&client, &asking(name, json!({}), bare())).await?;
            let given = &pod["metadata"]["annotations"][annotation::POD_INJECTED];
            (given == name).then_some(()).ok_or_else(|| format!("{name} was not given: {given}"))?;
        }
        let missing = create(&client, &asking("missing", json!({}), bare())).await;
        missing.err().map(drop).ok_or_else(|| "a pod without its cache was let in".to_owned())
    })
    .await;
    client
}

async fn namespace(client: &Client, name: &str) {
    // What we give a pod must pass where the strictest rules are enforced.
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    send(client, "PATCH", &format!("/api/v1/namespaces/{name}?fieldManager=pods"), &namespace).await.unwrap();
    eventually("the namespace has a ServiceAccount", || async {
        let path = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        send(client, "GET", &path, &Value::Null).await.map_err(|status| status.message.clone())
    })
    .await;
}

async fn cache(client: &Client, namespace: &str, name: &str, spec: &Value) {
    let document = json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec
    });
    let path = format!("/apis/modelcache.dev/v1alpha1/namespaces/{namespace}/modelcaches/{name}?fieldManager=pods");
    send(client, "PATCH", &path, &document).await.unwrap();
}

/// A container that passes the strictest rules; `more` is what else it has.
fn container(name: &str, more: Value) -> Value {
    let mut container = json!({
        "name": name, "image": "server",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
    });
    merge(&mut container, more);
    container
}

/// A pod of one container and nothing else.
fn bare() -> Value {
    json!({"containers": [container("server", json!({}))]})
}

fn merge(into: &mut Value, more: Value) {
    for (key, value) in more.as_object().unwrap() {
        into[key] = value.clone();
    }
}

/// A pod without a name of its own, as controllers make them.
fn pod(labels: Value, annotations: Value, spec: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "server-", "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 4321, "seccompProfile": {"type": "RuntimeDefault"}}
        }
    });
    if annotations != json!({}) {
        pod["metadata"]["annotations"] = annotations;
    }
    merge(&mut pod["spec"], spec);
    pod
}

/// A pod that asks for a cache.
fn asking(cache: &str, annotations: Value, spec: Value) -> Value {
    pod(json!({label::CACHE: cache}), annotations, spec)
}

async fn create(client: &Client, pod: &Value) -> Result<Value, String> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap();
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
    send(client, "POST", &path, pod).await.map_err(|status| refusal(&status).join("; "))
}

/// What the policies can change of a pod, without what the API server fills in by itself.
fn given(pod: &Value) -> Value {
    let of = |container: &Value| {
        let wait = container["name"] == "modelcache-wait";
        let fields: &[&str] = &["name", "volumeMounts", "envFrom", "restartPolicy"];
        let more: &[&str] = &["image", "imagePullPolicy", "args", "env", "resources", "securityContext"];
        let fields = fields.iter().chain(if wait { more } else { &[] });
        fields.filter_map(|it| Some(((*it).to_owned(), container.get(*it)?.clone()))).collect::<serde_json::Map<_, _>>()
    };
    let containers = |key: &str| {
        let list = pod["spec"][key].as_array()?;
        Some(list.iter().map(|it| Value::Object(of(it))).collect::<Vec<_>>())
    };
    json!({
        "annotations": pod["metadata"]["annotations"],
        "volumes": pod["spec"]["volumes"],
        "initContainers": containers("initContainers"),
        "containers": containers("containers"),
        "imagePullSecrets": pod["spec"]["imagePullSecrets"]
    })
}

/// A pod with nearly all that a pod can have of its own.
fn furnished() -> Value {
    let config = |name: &str| json!({"configMapRef": {"name": name}});
    json!({
        "imagePullSecrets": [{"name": "own"}],
        "initContainers": [
            container("convert", json!({})),
            container("log-shipper", json!({"restartPolicy": "Always", "envFrom": [config("own")]}))
        ],
        "containers": [
            container("server", json!({
                "ports": [{"containerPort": 80}, {"containerPort": 80}],
                "env": [{"name": "HF_HUB_OFFLINE", "value": "0"}, {"name": "TWICE", "value": "1"}, {"name": "TWICE", "value": "2"}],
                "envFrom": [config("own"), config("studio-env")],
                "volumeMounts": [{"name": "own", "mountPath": "/models/"}, {"name": "scratch", "mountPath": "/tmp"}]
            })),
            container("worker", json!({"envFrom": [config("own")]}))
        ],
        "volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "own", "persistentVolumeClaim": {"claimName": "studio-models"}}
        ]
    })
}

#[tokio::test]
async fn a_pod_with_the_label_gets_volumes_environment_and_the_container_that_waits() {
    let client = ready().await;
    insta::assert_yaml_snapshot!(given(&create(&client, &asking("studio", json!({}), bare())).await.unwrap()));
}

#[tokio::test]
async fn what_a_pod_has_of_its_own_wins() {
    let client = ready().await;
    insta::assert_yaml_snapshot!(given(&create(&client, &asking("studio", json!({}), furnished())).await.unwrap()));
}

#[tokio::test]
async fn annotations_choose_volumes_containers_paths_and_whether_to_wait() {
    let client = ready().await;
    let annotations = json!({
        annotation::POD_VOLUMES: "models, logs",
        annotation::POD_CONTAINERS: "worker,convert",
        annotation::POD_MOUNT_PATH: "models=/srv/models, models=/opt/models,logs=/var/log/studio",
        annotation::POD_WAIT: "false"
    });
    insta::assert_yaml_snapshot!(given(&create(&client, &asking("studio", annotations, furnished())).await.unwrap()));
    let one = json!({annotation::POD_MOUNT_PATH: "/srv/models", annotation::POD_WAIT: "true"});
    insta::assert_yaml_snapshot!(given(&create(&client, &asking("plain", one, bare())).await.unwrap()));
}

#[tokio::test]
async fn a_cache_without_sources_gives_all_its_volumes_under_names_that_are_short_enough() {
    let client = ready().await;
    insta::assert_yaml_snapshot!(given(&create(&client, &asking("long", json!({}), bare())).await.unwrap()));
}

#[tokio::test]
async fn a_volume_of_the_pod_that_has_the_name_of_ours_stays_what_it_is_and_the_cache_is_mounted_all_the_same() {
    let client = ready().await;
    let own = |name: &str, kind: &str, source: Value| json!({"name": name, kind: source});
    let another_claim = json!({"claimName": "somebody-elses"});
    let server = container("server", json!({"volumeMounts": [{"name": "modelcache-models", "mountPath": "/scratch"}]}));
    for volumes in [
        json!([own("modelcache-models", "emptyDir", json!({}))]),
        json!([own("modelcache-models", "persistentVolumeClaim", another_claim)]),
        json!([
            own("modelcache-models", "emptyDir", json!({})),
            own("volume-of-modelcache-0-0", "emptyDir", json!({}))
        ]),
    ] {
        let spec = json!({"containers": [server], "volumes": volumes});
        let given = create(&client, &asking("plain", json!({}), spec)).await.unwrap();
        let pod = &given["spec"];
        let claims = pod["volumes"].as_array().unwrap().iter().filter(|it| {
            it["persistentVolumeClaim"]["claimName"] == "plain-models"
                && it["persistentVolumeClaim"]["readOnly"] == true
        });
        let claims: Vec<&Value> = claims.collect();
        assert_eq!(claims.len(), 1, "{volumes} became {}", pod["volumes"]);
        let mounted_at = |container: &Value, path: &str| {
            let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
            mounts.iter().find(|it| it["mountPath"] == path).map(|it| it["name"].clone())
        };
        let server = &pod["containers"][0];
        assert_eq!(mounted_at(server, "/modelcache/models").as_ref(), Some(&claims[0]["name"]), "{volumes}");
        assert_eq!(mounted_at(server, "/scratch"), Some(json!("modelcache-models")), "{volumes}");
        assert_eq!(mounted_at(&pod["initContainers"][0], "/volumes/models").as_ref(), Some(&claims[0]["name"]));
        let again = pod.clone();
        let again = self::pod(given["metadata"]["labels"].clone(), given["metadata"]["annotations"].clone(), again);
        assert_eq!(self::given(&create(&client, &again).await.unwrap()), self::given(&given), "{volumes}");
    }
}

#[tokio::test]
async fn a_claim_of_the_pods_own_and_the_annotation_of_another_pod_are_not_taken_for_what_a_cache_gives() {
    let client = ready().await;
    let forged = json!({annotation::POD_INJECTED: "missing"});
    let message = create(&client, &asking("missing", forged, furnished())).await.expect_err("was let in");
    assert!(message.contains("asks for the ModelCache missing"), "{message}");
}

#[tokio::test]
async fn a_container_that_others_add_to_a_pod_afterwards_does_not_have_it_refused() {
    let client = ready().await;
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "zz-sidecar"},
        "spec": {
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "objectSelector": {"matchLabels": {"sidecar": "yes"}},
                "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"], "scope": "Namespaced"
                }]
            },
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression":
                "[JSONPatch{op: 'add', path: '/spec/containers/-', value: Object.spec.containers{name: 'proxy', image: 'proxy', \
                 securityContext: Object.spec.containers.securityContext{allowPrivilegeEscalation: false, \
                 capabilities: Object.spec.containers.securityContext.capabilities{drop: ['ALL']}}}}]"
            }}]
        }
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "zz-sidecar"}, "spec": {"policyName": "zz-sidecar"}
    });
    for (kind, document) in [("policies", policy), ("policybindings", binding)] {
        let path =
            format!("/apis/admissionregistration.k8s.io/v1/mutatingadmission{kind}/zz-sidecar?fieldManager=pods");
        send(&client, "PATCH", &path, &document).await.unwrap();
    }
    let mut asking = asking("plain", json!({}), bare());
    asking["metadata"]["labels"]["sidecar"] = json!("yes");
    let pod = eventually("the other policy is in force", || async {
        let pod = create(&client, &asking).await?;
        let containers = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
        if containers == 2 { Ok(pod) } else { Err(format!("{containers} containers")) }
    })
    .await;
    let given: Vec<bool> =
        pod["spec"]["containers"].as_array().unwrap().iter().map(|it| it.get("envFrom").is_some()).collect();
    assert!(given.contains(&true), "{pod}");
}

#[tokio::test]
async fn a_pod_that_was_given_everything_is_given_nothing_again() {
    let client = ready().await;
    for spec in [bare(), furnished()] {
        let once = create(&client, &asking("studio", json!({}), spec)).await.unwrap();
        let again =
            pod(once["metadata"]["labels"].clone(), once["metadata"]["annotations"].clone(), once["spec"].clone());
        assert_eq!(given(&create(&client, &again).await.unwrap()), given(&once));
    }
}

#[tokio::test]
async fn a_pod_without_the_label_and_a_pod_of_our_jobs_stay_as_they_are() {
    let client = ready().await;
    let ours = json!({label::CACHE: "studio", label::JOB: "warm-up", label::MANAGED_BY: label::MANAGER});
    for labels in [json!({}), json!({"app": "studio"}), ours] {
        for spec in [bare(), furnished()] {
            let before = pod(labels.clone(), json!({}), spec.clone());
            let after = create(&client, &before).await.unwrap();
            assert_eq!(after["metadata"].get("annotations"), None, "{labels}");
            let (before, after) = (given(&before), given(&after));
            for part in ["volumes", "imagePullSecrets", "initContainers", "containers"] {
                assert_eq!(names(&after[part]), names(&before[part]), "{part} with {labels}");
            }
            for part in ["initContainers", "containers"] {
                let parts = |it: &Value| it[part].as_array().cloned().unwrap_or_default();
                for (before, after) in parts(&before).iter().zip(parts(&after)) {
                    assert_eq!(after["envFrom"], before["envFrom"], "{labels}");
                    assert_eq!(after["volumeMounts"], before["volumeMounts"], "{labels}");
                }
            }
        }
    }
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|it| it["name"].to_string()).collect()
}

#[tokio::test]
async fn a_label_that_comes_later_changes_nothing() {
    let client = ready().await;
    let target = format!("/api/v1/namespaces/{NAMESPACE}/pods/later");
    let mut document = pod(json!({}), json!({}), bare());
    document["metadata"] = json!({"name": "later", "namespace": NAMESPACE});
    send(&client, "PATCH", &format!("{target}?fieldManager=pods"), &document).await.unwrap();
    document["metadata"]["labels"] = json!({label::CACHE: "missing"});
    let labelled = send(&client, "PATCH", &format!("{target}?fieldManager=pods"), &document).await.unwrap();
    assert_eq!(labelled["spec"].get("initContainers"), None);
    let stranger = json!({"spec": {"ephemeralContainers": [
        {"name": "debug", "image": "debug", "securityContext": document["spec"]["containers"][0]["securityContext"]}
    ]}});
    let path = format!("{target}/ephemeralcontainers?fieldManager=debug");
    let mut debugged =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "later", "namespace": NAMESPACE}});
    merge(&mut debugged, stranger);
    let debugged = send(&client, "PATCH", &path, &debugged).await.unwrap();
    assert_eq!(debugged["spec"]["ephemeralContainers"][0].get("volumeMounts"), None);
}

#[tokio::test]
async fn a_guaranteed_pod_stays_one_and_asks_for_no_more() {
    let client = ready().await;
    let resources = json!({"cpu": "4", "memory": "8Gi"});
    let server = container("server", json!({"resources": {"requests": resources, "limits": resources}}));
    let spec = json!({"containers": [server]});
    let given = create(&client, &asking("studio", json!({}), spec)).await.unwrap();
    assert_eq!(given["status"]["qosClass"], "Guaranteed");
}

#[tokio::test]
async fn a_pod_that_cannot_be_given_what_it_asks_for_is_refused_and_told_why() {
    let client = ready().await;
    let with = |annotation: &str, value: &str| json!({annotation: value});
    let none =
        "the label modelcache.dev/cache asks for the ModelCache missing, and the namespace pods has none yet: apply it";
    let asked = "the namespace pods has none yet that has the volumes of the annotations";
    let path = "modelcache.dev/mount-path must be an absolute path, or `volume=/path`";
    for (cache, annotations, expected) in [
        ("missing", json!({}), none),
        ("", json!({}), "has none yet"),
        // What the annotation of somebody else's pod says is not enough.
        ("missing", with(annotation::POD_INJECTED, "missing"), none),
        ("studio", with(annotation::POD_VOLUMES, "modles"), asked),
        ("studio", with(annotation::POD_MOUNT_PATH, "/models2"), asked),
        ("studio", with(annotation::POD_MOUNT_PATH, "logs=/logs"), asked),
        ("plain", with(annotation::POD_MOUNT_PATH, "models"), path),
        ("plain", with(annotation::POD_MOUNT_PATH, "models=/a:b"), path),
        ("plain", with(annotation::POD_MOUNT_PATH, "/models/"), path),
        ("plain", with(annotation::POD_WAIT, "no"), "the annotation modelcache.dev/wait must be \"true\" or \"false\""),
        (
            "plain",
            with(annotation::POD_CONTAINERS, "server,wroker"),
            "must name containers of the pod, which are server; not wroker",
        ),
    ] {
        let answer = create(&client, &asking(cache, annotations.clone(), bare())).await;
        let message = answer.expect_err(&format!("{cache} with {annotations} was let in"));
        assert!(message.contains(expected), "{cache} with {annotations}: {message}");
    }
}

#[tokio::test]
async fn the_operator_is_refused_as_anybody_is() {
    let _ = ready().await;
    // It has no right to make pods at all: what it makes are Jobs.
    let message = create(&operator().await, &asking("studio", json!({}), bare())).await.expect_err("made a pod");
    assert!(message.contains("cannot create resource \"pods\""), "{message}");
}

/// How long a dry run of a pod takes: the quickest of a few, since a busy machine can only add to it.
async fn quickest(client: &Client, pod: &Value) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let started = Instant::now();
        create(client, pod).await.unwrap();
        best = best.min(started.elapsed());
    }
    best
}

#[tokio::test]
async fn a_hundred_caches_in_a_namespace_cost_a_pod_next_to_nothing() {
    let client = ready().await;
    let within = |mut pod: Value| {
        pod["metadata"]["namespace"] = json!("many-caches");
        pod
    };
    let (labelled, other) = (within(asking("cache-7", json!({}), bare())), within(pod(json!({}), json!({}), bare())));
    namespace(&client, "many-caches").await;
    cache(&client, "many-caches", "cache-7", &studio()).await;
    let served = || async {
        eventually("the caches are known", || async { create(&client, &labelled).await.map(drop) }).await;
    };
    served().await;
    let few = (quickest(&client, &labelled).await, quickest(&client, &other).await);
    for number in 0..100 {
        cache(&client, "many-caches", &format!("cache-{number}"), &studio()).await;
    }
    let last = within(asking("cache-99", json!({}), bare()));
    eventually("the last cache is known", || async { create(&client, &last).await.map(drop) }).await;
    let many = (quickest(&client, &labelled).await, quickest(&client, &other).await);
    println!("figure: a pod with the label and one without: {few:.1?} with one cache, {many:.1?} with a hundred");
    // Twenty times what one cache costs would be the work of each of them done anew for every pod.
    assert!(many.0 < few.0 * 20, "{few:?} {many:?}");
    assert!(many.1 < (few.1 * 5).max(Duration::from_millis(50)), "{few:?} {many:?}");
}
