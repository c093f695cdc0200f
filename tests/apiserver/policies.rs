//! Policies: what the operator's rights may not be used for, tried under its own name.
//!
//! Every case is one change to an object that is admitted as it stands.

use crate::support::apiserver::{administrator, eventually, operator, refusal, send};
use kube::Client;
use serde_json::{Value, json};

const IMAGE: &str = "localhost/modelcache:dev";
const POOL_PATH: &str = "/mnt/nvme/modelcache";
/// The label that says whose an object is.
const MANAGED_BY: &str = "/metadata/labels/app.kubernetes.io~1managed-by";
/// UID of no namespace.
const STRANGER: &str = "0f0e0d0c-0b0a-0908-0706-050403020100";

/// The policies are in force when they have refused something.
async fn ready() -> (Client, Client) {
    let (administrator, operator) = (administrator().await, operator().await);
    for name in ["tenant", "modelcache-node-jobs"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        send(&administrator, "PATCH", &format!("/api/v1/namespaces/{name}?fieldManager=policies"), &namespace)
            .await
            .unwrap();
    }
    for (name, path) in [("policy-pool", POOL_PATH), ("policy-other", "/mnt/sata/modelcache-slow")] {
        let pool = json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "NodeCachePool", "metadata": {"name": name},
            "spec": {"nodeSelector": {}, "path": path, "capacity": "1Gi"}
        });
        let target = format!("/apis/modelcache.dev/v1alpha1/nodecachepools/{name}?fieldManager=policies");
        send(&administrator, "PATCH", &target, &pool).await.unwrap();
    }
    let container = "/spec/template/spec/containers/0/image";
    let path = "/spec/template/spec/volumes/0/hostPath/path";
    let volume = persistent_volume(&tenant(&administrator).await);
    let other_pool = "/metadata/labels/modelcache.dev~1pool";
    let probes = [
        ("jobs", changed(&warm_up_job(), container, json!("busybox")), "every container must run"),
        ("jobs", changed(&prepare_job(), path, json!("/modelcache")), "NodeCachePool policy-pool"),
        (
            "jobs",
            changed(&prepare_job(), "/metadata/labels", labels(Some("policy-other"))),
            "NodeCachePool policy-other",
        ),
        ("jobs", changed(&warm_up_job(), "/metadata/namespace", json!("modelcache-system")), "its own namespace"),
        (
            "persistentvolumes",
            changed(&volume, "/spec/persistentVolumeReclaimPolicy", json!("Delete")),
            "must be Retain",
        ),
        ("persistentvolumes", changed(&volume, MANAGED_BY, Value::Null), "must carry the label"),
        ("persistentvolumes", changed(&volume, other_pool, json!("policy-other")), "NodeCachePool policy-other"),
        ("persistentvolumes", persistent_volume(STRANGER), "that of the namespace tenant"),
    ];
    let (client, probes) = (&operator, &probes);
    eventually("the policies are in force", || async move {
        for (resource, document, expected) in probes {
            let refused = create(client, resource, document).await.err().unwrap_or_default();
            refused.contains(expected).then_some(()).ok_or_else(|| format!("`{refused}` does not say `{expected}`"))?;
        }
        Ok(())
    })
    .await;
    (administrator, operator)
}

/// UID of the namespace that our volumes are of.
async fn tenant(administrator: &Client) -> String {
    let namespace = send(administrator, "GET", "/api/v1/namespaces/tenant", &Value::Null).await.unwrap();
    namespace["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn labels(pool: Option<&str>) -> Value {
    let mut labels = json!({
        "app.kubernetes.io/managed-by": "modelcache-operator", "modelcache.dev/cache": "studio",
        "modelcache.dev/volume": "models", "modelcache.dev/namespace": "tenant"
    });
    if let Some(pool) = pool {
        labels["modelcache.dev/pool"] = json!(pool);
    }
    labels
}

/// A warm-up Job as the operator makes them, with all that a user may ask for.
fn warm_up_job() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"generateName": "warm-up-", "namespace": "tenant", "labels": labels(None)},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "agent", "image": IMAGE, "args": ["prefetch"],
                "env": [{"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}}],
                "ports": [{"containerPort": 8080}],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
            }],
            "volumes": [
                {"name": "models", "persistentVolumeClaim": {"claimName": "studio-models"}},
                {"name": "plan", "configMap": {"name": "plan"}},
                {"name": "token", "secret": {"secretName": "hf", "optional": true}},
                {"name": "keys", "projected": {"sources": [
                    {"secret": {"name": "a", "optional": true, "items": [{"key": "id", "path": "access-key-id"}]}},
                    {"secret": {"name": "b", "optional": true, "items": [{"key": "secret", "path": "secret-access-key"}]}}
                ]}},
                {"name": "tmp", "emptyDir": {}}
            ]
        }}}
    })
}

/// A prepare Job as the operator makes them.
fn prepare_job() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"generateName": "prepare-", "namespace": "modelcache-node-jobs", "labels": labels(Some("policy-pool"))},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "agent", "image": IMAGE, "args": ["prepare"],
                "securityContext": {
                    "runAsUser": 0, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"], "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER"]}
                }
            }],
            "volumes": [
                {"name": "pool", "hostPath": {"path": POOL_PATH, "type": "DirectoryOrCreate"}},
                {"name": "kubelet", "emptyDir": {}}
            ]
        }}}
    })
}

/// The same as a CronJob.
fn cron_job() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"generateName": "backup-", "namespace": "tenant", "labels": labels(None)},
        "spec": {"schedule": "0 2 * * *", "jobTemplate": {"spec": warm_up_job()["spec"]}}
    })
}

/// The `PersistentVolume` of a per-node volume.
fn persistent_volume(namespace_uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"generateName": "policy-", "labels": labels(Some("policy-pool"))},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "tenant", "name": "studio-models"},
            "local": {"path": format!("{POOL_PATH}/{namespace_uid}_studio_models")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "nvidia.com/gpu.present", "operator": "In", "values": ["true"]}
            ]}]}}
        }
    })
}

/// The document with the value at a pointer replaced, made, or (by null) removed.
fn changed(document: &Value, pointer: &str, value: Value) -> Value {
    let mut document = document.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    match document.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Object(object) if value.is_null() => drop(object.remove(&key)),
        Value::Object(object) => drop(object.insert(key, value)),
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => panic!("{parent} is {other}"),
    }
    document
}

async fn create(client: &Client, resource: &str, document: &Value) -> Result<Value, String> {
    let group = if matches!(resource, "jobs" | "cronjobs") { "/apis/batch/v1" } else { "/api/v1" };
    let namespace =
        document["metadata"]["namespace"].as_str().map(|it| format!("/namespaces/{it}")).unwrap_or_default();
    let path = format!("{group}{namespace}/{resource}?dryRun=All&fieldValidation=Strict");
    send(client, "POST", &path, document).await.map_err(|status| refusal(&status).join("; "))
}

#[tokio::test]
async fn the_operators_own_objects_are_admitted() {
    let (administrator, operator) = ready().await;
    for (resource, document) in [
        ("jobs", warm_up_job()),
        ("jobs", prepare_job()),
        ("cronjobs", cron_job()),
        ("persistentvolumes", persistent_volume(&tenant(&administrator).await)),
    ] {
        let answer = create(&operator, resource, &document).await;
        assert!(answer.is_ok(), "{resource}: {answer:?}");
    }
}

#[tokio::test]
async fn the_directory_of_a_pool_that_is_gone_can_still_be_purged() {
    let (_, operator) = ready().await;
    let job = changed(&prepare_job(), "/metadata/labels/modelcache.dev~1pool", json!("deleted-pool"));
    let job = changed(&job, "/spec/template/spec/volumes/0/hostPath/path", json!("/mnt/gone/modelcache"));
    let answer = create(&operator, "jobs", &job).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn a_job_of_the_operator_is_bound_to_our_image_and_our_volumes() {
    let (_, operator) = ready().await;
    let pod = "/spec/template/spec";
    let container = "/spec/template/spec/containers/0";
    for (pointer, value, expected) in [
        (
            format!("{container}/image"),
            json!("busybox"),
            "every container must run the image localhost/modelcache:dev, not busybox",
        ),
        (
            format!("{pod}/initContainers"),
            json!([{"name": "x", "image": "evil", "securityContext": {"allowPrivilegeEscalation": false}}]),
            "every container must run the image localhost/modelcache:dev, not evil",
        ),
        (
            format!("{pod}/volumes/-"),
            json!({"name": "x", "hostPath": {"path": "/"}}),
            "hostPath belongs to the namespace modelcache-node-jobs",
        ),
        (
            format!("{pod}/volumes/-"),
            json!({"name": "x", "hostPath": {"path": POOL_PATH}}),
            "hostPath belongs to the namespace modelcache-node-jobs",
        ),
        (
            format!("{pod}/volumes/-"),
            json!({"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}),
            "volumes must be of the kinds",
        ),
        (
            format!("{pod}/volumes/-"),
            json!({"name": "x", "projected": {"sources": [
                {"secret": {"name": "minio"}}, {"serviceAccountToken": {"path": "token"}}
            ]}}),
            "projected (secrets only)",
        ),
        (
            format!("{pod}/volumes/-"),
            json!({"name": "x", "projected": {"sources": [{"configMap": {"name": "x"}}]}}),
            "projected (secrets only)",
        ),
        (
            format!("{pod}/volumes/-"),
            json!({"name": "x", "projected": {"sources": [
                {"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "metadata.name"}}]}}
            ]}}),
            "projected (secrets only)",
        ),
        (
            format!("{pod}/volumes/-"),
            json!({"name": "x", "nfs": {"server": "s", "path": "/"}}),
            "volumes must be of the kinds",
        ),
        (format!("{pod}/automountServiceAccountToken"), json!(true), "automountServiceAccountToken must be false"),
        (format!("{pod}/automountServiceAccountToken"), Value::Null, "automountServiceAccountToken must be false"),
        (format!("{pod}/hostNetwork"), json!(true), "the host's network"),
        (format!("{pod}/hostPID"), json!(true), "the host's network"),
        (format!("{pod}/hostIPC"), json!(true), "the host's network"),
        (format!("{pod}/nodeName"), json!("node-1"), "spec.nodeName must not be set"),
        (format!("{container}/securityContext"), json!({"privileged": true}), "no container must be privileged"),
        (format!("{container}/securityContext"), json!({}), "allowPrivilegeEscalation must be false"),
        (format!("{container}/securityContext/capabilities"), json!({"add": ["CHOWN"]}), "no capability must be added"),
        (format!("{container}/ports"), json!([{"containerPort": 8080, "hostPort": 8080}]), "hostPort must not be set"),
        ("/metadata/labels".to_owned(), json!({}), "must carry the label"),
        ("/metadata/namespace".to_owned(), json!("modelcache-system"), "must not write into its own namespace"),
    ] {
        let answer = create(&operator, "jobs", &changed(&warm_up_job(), &pointer, value.clone())).await;
        let message = answer.expect_err(&format!("{pointer} = {value} was admitted"));
        assert!(message.contains(expected), "{pointer} = {value}: {message}");
    }
}

#[tokio::test]
async fn a_cron_job_of_the_operator_is_bound_as_its_jobs_are() {
    let (_, operator) = ready().await;
    let pod = "/spec/jobTemplate/spec/template/spec";
    for (pointer, value, expected) in [
        (format!("{pod}/containers/0/image"), json!("busybox"), "every container must run the image"),
        (format!("{pod}/volumes/-"), json!({"name": "x", "hostPath": {"path": POOL_PATH}}), "hostPath belongs to"),
        (format!("{pod}/automountServiceAccountToken"), json!(true), "automountServiceAccountToken must be false"),
        (format!("{pod}/nodeName"), json!("node-1"), "spec.nodeName must not be set"),
        ("/metadata/labels".to_owned(), json!({}), "must carry the label"),
        ("/metadata/namespace".to_owned(), json!("modelcache-system"), "must not write into its own namespace"),
        ("/metadata/namespace".to_owned(), json!("modelcache-node-jobs"), "a CronJob must not be made in"),
    ] {
        let answer = create(&operator, "cronjobs", &changed(&cron_job(), &pointer, value.clone())).await;
        let message = answer.expect_err(&format!("{pointer} = {value} was admitted"));
        assert!(message.contains(expected), "{pointer} = {value}: {message}");
    }
}

#[tokio::test]
async fn the_operator_removes_no_backup_that_somebody_made_by_hand() {
    let (administrator, operator) = ready().await;
    let target = "/apis/modelcache.dev/v1alpha1/namespaces/tenant/modelcachebackups";
    let backup = |name: &str, labels: Value| {
        json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheBackup",
            "metadata": {"name": name, "labels": labels}, "spec": {"cache": "studio"}
        })
    };
    let by_hand = backup("by-hand", json!({}));
    send(&administrator, "PATCH", &format!("{target}/by-hand?fieldManager=policies"), &by_hand).await.unwrap();
    let status =
        send(&operator, "DELETE", &format!("{target}/by-hand?dryRun=All"), &json!({})).await.expect_err("deleted");
    assert!(status.message.contains("must not change or delete"), "{}", status.message);
    let record = backup("studio-202611210200", labels(None));
    assert!(send(&operator, "POST", &format!("{target}?dryRun=All"), &record).await.is_ok());
    let status =
        send(&operator, "POST", &format!("{target}?dryRun=All"), &backup("x", json!({}))).await.expect_err("made");
    assert!(status.message.contains("must carry the label"), "{}", status.message);
}

#[tokio::test]
async fn a_job_on_a_node_is_bound_to_the_directory_of_its_pool() {
    let (_, operator) = ready().await;
    let path = "/spec/template/spec/volumes/0/hostPath/path";
    let outside = "hostPath must be a directory whose name begins with modelcache";
    let another = "hostPath must be /mnt/nvme/modelcache, the path of the NodeCachePool policy-pool";
    // Without a pool to compare with, the rule about the name still holds.
    let without_pool = changed(&prepare_job(), "/metadata/labels/modelcache.dev~1pool", json!("deleted-pool"));
    for value in ["/", "/etc", "/modelcache/../etc", "/mnt/nvme/modelcache/", "/mnt/modelcache/kubelet", "modelcache"] {
        let message = create(&operator, "jobs", &changed(&without_pool, path, json!(value))).await.expect_err(value);
        assert!(message.contains(outside) || message.contains("must not contain '..'"), "{value}: {message}");
    }
    for (pointer, value, expected) in [
        (path, json!("/mnt/other/modelcache"), another),
        (path, json!("/mnt/sata/modelcache-slow"), another),
        ("/spec/template/spec/volumes/0/hostPath/type", json!("Socket"), outside),
        ("/metadata/labels/modelcache.dev~1pool", Value::Null, "must name its NodeCachePool"),
        ("/metadata/labels/modelcache.dev~1pool", json!("policy-other"), "hostPath must be /mnt/sata/modelcache-slow"),
        (
            "/spec/template/spec/volumes/-",
            json!({"name": "x", "secret": {"secretName": "x"}}),
            "volumes in the namespace modelcache-node-jobs must be of the kinds hostPath and emptyDir",
        ),
        ("/spec/template/spec/containers/0/image", json!("busybox"), "every container must run the image"),
        ("/spec/template/spec/containers/0/securityContext/capabilities/add/-", json!("SYS_ADMIN"), "none but CHOWN"),
    ] {
        let answer = create(&operator, "jobs", &changed(&prepare_job(), pointer, value.clone())).await;
        let message = answer.expect_err(&format!("{pointer} = {value} was admitted"));
        assert!(message.contains(expected), "{pointer} = {value}: {message}");
    }
}

#[tokio::test]
async fn a_persistent_volume_of_the_operator_is_a_leaf_below_its_pool_and_of_its_claims_namespace() {
    let (administrator, operator) = ready().await;
    let uid = tenant(&administrator).await;
    let (volume, leaf) = (persistent_volume(&uid), format!("{uid}_studio_models"));
    let (outside, path) = ("must be local, at <path of a pool>", "/spec/local/path");
    let below = "the path must be below /mnt/nvme/modelcache, the path of the NodeCachePool policy-pool";
    let foreign = "must be that of the namespace";
    // Where several policies refuse, the API server tells what one of them says.
    let either = [outside, below, foreign];
    for (pointer, value, expected) in [
        (path, json!("/etc"), &either[..]),
        (path, json!(POOL_PATH), &either[..]),
        (path, json!(format!("/var/lib/kubelet/{leaf}")), &either[..]),
        (path, json!(format!("{POOL_PATH}/{leaf}/x")), &either[..]),
        (path, json!(format!("{POOL_PATH}/studio_models")), &either[..]),
        (path, json!(format!("/mnt/other/modelcache/{leaf}")), &[below]),
        (path, json!(format!("/mnt/sata/modelcache-slow/{leaf}")), &[below]),
        (path, json!(format!("{POOL_PATH}/modelcache/{leaf}")), &[below]),
        (
            path,
            json!(format!("{POOL_PATH}/{STRANGER}_studio_models")),
            &["must be that of the namespace tenant, whose UID is"],
        ),
        (
            path,
            json!(format!("{POOL_PATH}/{uid}_studio_other")),
            &["must be of the cache and the volume of the labels"],
        ),
        (
            path,
            json!(format!("{POOL_PATH}/{uid}_other_models")),
            &["must be of the cache and the volume of the labels"],
        ),
        ("/spec/persistentVolumeReclaimPolicy", json!("Delete"), &["the reclaim policy must be Retain"]),
        ("/spec/storageClassName", json!("fast"), &["storageClassName must be empty"]),
        ("/spec/claimRef", Value::Null, &["claimRef must name the claim", "the claim must be there"]),
        ("/spec/claimRef/name", json!("studio-other"), &["claimRef must be the claim <cache>-<volume>"]),
        (
            "/spec/claimRef/namespace",
            json!("default"),
            &["in the namespace of the label", foreign, "the claim must be there"],
        ),
        (MANAGED_BY, Value::Null, &["must carry the label"]),
        ("/metadata/labels/modelcache.dev~1pool", Value::Null, &["must name its NodeCachePool"]),
        (
            "/metadata/labels/modelcache.dev~1pool",
            json!("policy-other"),
            &["the path of the NodeCachePool policy-other"],
        ),
    ] {
        let answer = create(&operator, "persistentvolumes", &changed(&volume, pointer, value.clone())).await;
        let message = answer.expect_err(&format!("{pointer} = {value} was admitted"));
        assert!(expected.iter().any(|it| message.contains(it)), "{pointer} = {value}: {message}");
    }
    let nowhere = changed(&volume, "/spec/claimRef/namespace", json!("not-yet-there"));
    let nowhere = changed(&nowhere, "/metadata/labels/modelcache.dev~1namespace", json!("not-yet-there"));
    let message =
        create(&operator, "persistentvolumes", &nowhere).await.expect_err("another's directory was given away");
    assert!(message.contains("the path is that of the namespace tenant: the claim must be there"), "{message}");
    let host_path = changed(&volume, "/spec/local", Value::Null);
    let host_path = changed(&host_path, "/spec/hostPath", json!({"path": "/"}));
    let message = create(&operator, "persistentvolumes", &host_path).await.expect_err("a hostPath volume was admitted");
    assert!(message.contains(outside), "{message}");
}

#[tokio::test]
async fn a_persistent_volume_of_the_operator_stays_with_its_claim_also_once_its_namespace_and_pool_are_gone() {
    let (administrator, operator) = ready().await;
    let target = "/api/v1/persistentvolumes/policy-stays";
    let gone = changed(&persistent_volume(STRANGER), "/metadata/labels/modelcache.dev~1pool", json!("deleted-pool"));
    let gone = changed(&gone, "/metadata/generateName", Value::Null);
    let gone = changed(&gone, "/metadata/name", json!("policy-stays"));
    send(&administrator, "PATCH", &format!("{target}?fieldManager=policies"), &gone).await.unwrap();
    let patch = |change: Value| {
        let operator = operator.clone();
        async move {
            let mut patch =
                json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "policy-stays"}});
            merge(&mut patch, &change);
            let forced = format!("{target}?fieldManager=modelcache-operator&force=true&dryRun=All");
            send(&operator, "PATCH", &forced, &patch).await.map_err(|status| refusal(&status).join("; "))
        }
    };
    // A tombstone is marked, and its list of nodes worked off.
    let mark = json!({"metadata": {"labels": {"modelcache.dev/tombstone": "true"}}});
    let marked = patch(mark).await;
    assert!(marked.is_ok(), "{marked:?}");
    for (change, expected) in [
        (json!({"spec": {"claimRef": {"name": "theirs"}}}), "claimRef must stay with its claim"),
        (json!({"spec": {"claimRef": {"namespace": "default"}}}), "claimRef must stay with its claim"),
        (json!({"metadata": {"labels": {"modelcache.dev/volume": "other"}}}), "must be of the cache and the volume"),
    ] {
        let message = patch(change.clone()).await.expect_err(&format!("{change} was admitted"));
        assert!(message.contains(expected), "{change}: {message}");
    }
    send(&administrator, "DELETE", target, &json!({})).await.unwrap();
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

#[tokio::test]
async fn the_operator_leaves_alone_what_belongs_to_somebody_else() {
    let (administrator, operator) = ready().await;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "theirs", "namespace": "tenant"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}
    });
    let target = "/api/v1/namespaces/tenant/persistentvolumeclaims/theirs";
    send(&administrator, "PATCH", &format!("{target}?fieldManager=policies"), &claim).await.unwrap();
    let foreign = "must not change or delete what does not carry the label";

    let status = send(&operator, "DELETE", &format!("{target}?dryRun=All"), &json!({})).await.expect_err("deleted");
    assert!(status.message.contains(foreign), "{}", status.message);

    let mut adopted = claim.clone();
    adopted["metadata"]["labels"] = labels(None);
    let forced = format!("{target}?fieldManager=modelcache-operator&force=true&dryRun=All");
    let status = send(&operator, "PATCH", &forced, &adopted).await.expect_err("taken over");
    assert!(status.message.contains(foreign), "{}", status.message);

    let parameters = "/api/v1/namespaces/modelcache-system/configmaps/modelcache-operator-config";
    let looser = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "modelcache-operator-config", "namespace": "modelcache-system", "labels": labels(None)},
        "data": {"agentImage": "evil"}
    });
    let forced = format!("{parameters}?fieldManager=modelcache-operator&force=true&dryRun=All");
    let status = send(&operator, "PATCH", &forced, &looser).await.expect_err("its own policy was changed");
    assert!(status.message.contains(foreign), "{}", status.message);
    let status = send(&operator, "DELETE", &format!("{parameters}?dryRun=All"), &json!({})).await.expect_err("deleted");
    assert!(status.message.contains(foreign), "{}", status.message);
}

#[tokio::test]
async fn nobody_else_is_bound_by_the_operators_policies() {
    let (administrator, _) = ready().await;
    let theirs = changed(&warm_up_job(), "/spec/template/spec/containers/0/image", json!("busybox"));
    let answer = create(&administrator, "jobs", &theirs).await;
    assert!(answer.is_ok(), "{answer:?}");
}
