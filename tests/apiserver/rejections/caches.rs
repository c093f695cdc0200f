//! Wrong caches.

use super::{CACHES, Change, FINE, cache, check_creates, check_updates};
use serde_json::{Value, json};

fn one(pointer: &'static str, value: Value) -> Vec<Change> {
    vec![Change(pointer, value)]
}

/// The second source, as one of another kind.
fn kind(pointer: &'static str, value: Value) -> Vec<Change> {
    vec![Change("/spec/sources/1/http", Value::Null), Change(pointer, value)]
}

#[tokio::test]
async fn a_wrong_name_or_an_unknown_field_is_refused() {
    check_creates(
        CACHES,
        &cache(),
        vec![
            ("the cache as it stands", vec![], FINE),
            ("a name of 63 characters", one("/metadata/name", json!("a".repeat(63))), FINE),
            ("a name of 64 characters", one("/metadata/name", json!("a".repeat(64))),
             &["<nil>: Invalid value: the name of a ModelCache must be a DNS label of at most 63 characters, without dots"]),
            ("a name with a dot", one("/metadata/name", json!("a.b")),
             &["<nil>: Invalid value: the name of a ModelCache must be a DNS label of at most 63 characters, without dots"]),
            ("an unknown field", one("/spec/modle", json!("x")),
             &["ModelCache in version \"v1alpha1\" cannot be handled as a ModelCache: strict decoding error: unknown field \"spec.modle\""]),
            ("an unknown field deep down", one("/spec/sources/0/huggingFace/repository", json!("x")),
             &["ModelCache in version \"v1alpha1\" cannot be handled as a ModelCache: strict decoding error: unknown field \"spec.sources[0].huggingFace.repository\""]),
            (
                "a namespace in a reference",
                one("/spec/sources/0/huggingFace/tokenSecretRef/namespace", json!("kube-system")),
                &["ModelCache in version \"v1alpha1\" cannot be handled as a ModelCache: strict decoding error: unknown field \"spec.sources[0].huggingFace.tokenSecretRef.namespace\""],
            ),
            ("a container's settings that we do not take", one("/spec/podTemplate/containers", json!([])),
             &["ModelCache in version \"v1alpha1\" cannot be handled as a ModelCache: strict decoding error: unknown field \"spec.podTemplate.containers\""]),
            ("a field with nothing in it", one("/spec/deletionPolicy", json!("")),
             &["spec.deletionPolicy: Unsupported value: \"\": supported values: \"Retain\", \"Delete\""]),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_volume_is_refused() {
    let many = |count: usize| -> Vec<Change> {
        let volumes: Vec<Value> = (0..count)
            .map(|it| json!({"name": format!("v{it}"), "existingClaim": {"claimName": format!("c{it}")}}))
            .collect();
        vec![Change("/spec/volumes", json!(volumes)), Change("/spec/sources", Value::Null)]
    };
    let first = "/spec/volumes/0/name";
    check_creates(
        CACHES,
        &cache(),
        vec![
            ("8 volumes", many(8), FINE),
            ("9 volumes", many(9), &["spec.volumes: Too many: 9: must have at most 8 items"]),
            ("no volume", many(0),
             &["spec.volumes: Invalid value: 0: spec.volumes in body should have at least 1 items"]),
            ("a name with a capital", one("/spec/volumes/2/name", json!("Logs")),
             &["spec.volumes[2].name: Invalid value: \"Logs\": `name` must be a DNS label: lower-case letters, digits and dashes, with no dash at either end"]),
            ("a name of 64 characters", one("/spec/volumes/2/name", json!("a".repeat(64))),
             &["spec.volumes[2].name: Too long: may not be more than 63 bytes"]),
            (
                "two volumes of one name",
                vec![Change(first, json!("assets")), Change("/spec/sources/0/volume", json!("assets"))],
                &["spec.volumes[1]: Duplicate value: {\"name\":\"assets\"}"],
            ),
            (
                "two volumes on one claim",
                vec![
                    Change("/spec/volumes", json!([
                        {"name": "a", "existingClaim": {"claimName": "c"}},
                        {"name": "b", "existingClaim": {"claimName": "c"}},
                    ])),
                    Change("/spec/sources", Value::Null),
                ],
                &["spec: Invalid value: two `volumes` must not use one `existingClaim`: put their sources on one volume"],
            ),
            ("no kind", one("/spec/volumes/2/existingClaim", Value::Null),
             &["spec.volumes[2]: Invalid value: exactly one of `perNode`, `shared` and `existingClaim` must be set"]),
            ("two kinds", one("/spec/volumes/2/shared", json!({"size": "1Gi"})),
             &["spec.volumes[2]: Invalid value: exactly one of `perNode`, `shared` and `existingClaim` must be set"]),
            ("a size that is none", one("/spec/volumes/0/perNode/size", json!("sixty")),
             &["spec.volumes[0].perNode.size: Invalid value: \"sixty\": must be a quantity of bytes greater than zero and less than 1Ei, such as 500Mi, 60Gi or 2Ti"]),
            ("a size in thousandths", one("/spec/volumes/0/perNode/size", json!("500m")),
             &["spec.volumes[0].perNode.size: Invalid value: \"500m\": must be a quantity of bytes greater than zero and less than 1Ei, such as 500Mi, 60Gi or 2Ti"]),
            ("a size of nothing", one("/spec/volumes/0/perNode/size", json!("0Gi")),
             &["spec.volumes[0].perNode.size: Invalid value: \"0Gi\": must be a quantity of bytes greater than zero and less than 1Ei, such as 500Mi, 60Gi or 2Ti"]),
            ("a negative size", one("/spec/volumes/0/perNode/size", json!("-1Gi")),
             &["spec.volumes[0].perNode.size: Invalid value: \"-1Gi\": must be a quantity of bytes greater than zero and less than 1Ei, such as 500Mi, 60Gi or 2Ti"]),
            ("a size beyond all disks", one("/spec/volumes/0/perNode/size", json!("9Ei")),
             &["spec.volumes[0].perNode.size: Invalid value: \"9Ei\": must be a quantity of bytes greater than zero and less than 1Ei, such as 500Mi, 60Gi or 2Ti"]),
            ("a size with a fraction", one("/spec/volumes/0/perNode/size", json!("1.5Ti")), FINE),
            ("a pool that no object can be called", one("/spec/volumes/0/perNode/pool", json!("GPU")),
             &["spec.volumes[0].perNode.pool: Invalid value: \"GPU\": `pool` must be a DNS label: lower-case letters, digits and dashes, with no dash at either end"]),
            ("a relative mount path", one("/spec/volumes/0/mountPath", json!("models")),
             &["spec.volumes[0].mountPath: Invalid value: \"models\": `mountPath` must be an absolute path below the root, without `.`, `..`, a colon or a slash at its end"]),
            ("a mount path with a way out", one("/spec/volumes/0/mountPath", json!("/models/../etc")),
             &["spec.volumes[0].mountPath: Invalid value: \"/models/../etc\": `mountPath` must be an absolute path below the root, without `.`, `..`, a colon or a slash at its end"]),
            ("the root as mount path", one("/spec/volumes/0/mountPath", json!("/")),
             &["spec.volumes[0].mountPath: Invalid value: \"/\": `mountPath` must be an absolute path below the root, without `.`, `..`, a colon or a slash at its end"]),
            ("an unknown access mode", one("/spec/volumes/1/shared/accessModes", json!(["RWX"])),
             &["spec.volumes[1].shared.accessModes[0]: Unsupported value: \"RWX\": supported values: \"ReadWriteOnce\", \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOncePod\""]),
            (
                "one pod only, and others",
                one("/spec/volumes/1/shared/accessModes", json!(["ReadWriteOncePod", "ReadWriteOnce"])),
                &["spec.volumes[1].shared.accessModes: Invalid value: the access mode ReadWriteOncePod must stand alone"],
            ),
            ("a directory with a way out", one("/spec/volumes/1/directories", json!(["a/../../b"])),
             &["spec.volumes[1].directories: Invalid value: `directories` must be relative paths without `.`, `..`, empty parts or `.modelcache`"]),
            ("an absolute directory", one("/spec/volumes/1/directories", json!(["/a"])),
             &["spec.volumes[1].directories: Invalid value: `directories` must be relative paths without `.`, `..`, empty parts or `.modelcache`"]),
            ("our own directory", one("/spec/volumes/1/directories", json!([".modelcache/x"])),
             &["spec.volumes[1].directories: Invalid value: `directories` must be relative paths without `.`, `..`, empty parts or `.modelcache`"]),
            ("a directory twice", one("/spec/volumes/1/directories", json!(["a", "a"])),
             &["spec.volumes[1].directories[1]: Duplicate value: \"a\""]),
            ("a directory with dots in its name", one("/spec/volumes/1/directories", json!(["v1..2/.cache"])), FINE),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_source_is_refused() {
    let http = "/spec/sources/1/http/url";
    let repo = "/spec/sources/0/huggingFace/repo";
    let path = "/spec/sources/0/huggingFace/path";
    let many: Vec<Value> = (0..33)
        .map(|it| json!({"name": format!("s{it}"), "volume": "models", "huggingFace": {"repo": "gpt2"}}))
        .collect();
    check_creates(
        CACHES,
        &cache(),
        vec![
            ("a volume that is not there", one("/spec/sources/0/volume", json!("modles")),
             &["spec: Invalid value: every source must name one of `volumes`; `volume` may be left out only when there is one volume"]),
            ("no volume where there are three", one("/spec/sources/0/volume", Value::Null),
             &["spec: Invalid value: every source must name one of `volumes`; `volume` may be left out only when there is one volume"]),
            (
                "no volume where there is one",
                vec![
                    Change("/spec/volumes/2", Value::Null),
                    Change("/spec/volumes/1", Value::Null),
                    Change("/spec/sources/1/volume", Value::Null),
                ],
                FINE,
            ),
            ("33 sources", one("/spec/sources", json!(many)),
             &["spec.sources: Too many: 33: must have at most 32 items"]),
            ("two sources of one name", one("/spec/sources/1/name", json!("hub")),
             &["spec.sources[1]: Duplicate value: {\"name\":\"hub\"}"]),
            ("no kind", one("/spec/sources/1/http", Value::Null),
             &["spec.sources[1]: Invalid value: exactly one kind of source must be set, such as `huggingFace` or `http`"]),
            ("two kinds", one("/spec/sources/1/huggingFace", json!({"repo": "gpt2"})),
             &["spec.sources[1]: Invalid value: exactly one kind of source must be set, such as `huggingFace` or `http`"]),
            ("a wheelhouse", kind("/spec/sources/1/pip", json!({"requirements": "a==1", "pythonVersion": "3.12", "architecture": "arm64"})), FINE),
            ("a wheelhouse without requirements", kind("/spec/sources/1/pip", json!({"path": "wheels"})),
             &["spec.sources[1].pip: Invalid value: exactly one of `requirements` and `requirementsFrom` must be set"]),
            ("a wheelhouse for another Python", kind("/spec/sources/1/pip", json!({"requirements": "a==1", "pythonVersion": "2.7"})),
             &["spec.sources[1].pip.pythonVersion: Invalid value: \"2.7\": `pythonVersion` must be like `3.12`"]),
            ("a repository of one word", one(repo, json!("gpt2")), FINE),
            ("a repository with two dashes", one(repo, json!("org/na--me")),
             &["spec.sources[0].huggingFace.repo: Invalid value: \"org/na--me\": `repo` must be `organisation/name` as the hub shows it, without `..` and `--`"]),
            ("a repository with a way out", one(repo, json!("org/na..me")),
             &["spec.sources[0].huggingFace.repo: Invalid value: \"org/na..me\": `repo` must be `organisation/name` as the hub shows it, without `..` and `--`"]),
            ("a repository as a URL", one(repo, json!("https://huggingface.co/org/name")),
             &["spec.sources[0].huggingFace.repo: Invalid value: \"https://huggingface.co/org/name\": `repo` must be `organisation/name` as the hub shows it, without `..` and `--`"]),
            ("an unknown type of repository", one("/spec/sources/0/huggingFace/repoType", json!("model")),
             &["spec.sources[0].huggingFace.repoType: Unsupported value: \"model\": supported values: \"Model\", \"Dataset\", \"Space\""]),
            ("a revision with a way out", one("/spec/sources/0/huggingFace/revision", json!("refs/../main")),
             &["spec.sources[0].huggingFace.revision: Invalid value: \"refs/../main\": `revision` must be a branch, tag or commit: letters, digits, dots, dashes, underscores and slashes, without `..`"]),
            ("a pull request as revision", one("/spec/sources/0/huggingFace/revision", json!("refs/pr/1")), FINE),
            ("an endpoint that is no URL", one("/spec/sources/0/huggingFace/endpoint", json!("hub.example")),
             &["spec.sources[0].huggingFace.endpoint: Invalid value: \"hub.example\": `endpoint` must be an http or https URL without user name, password, query and fragment"]),
            ("a token without its key", one("/spec/sources/0/huggingFace/tokenSecretRef/key", Value::Null),
             &["spec.sources[0].huggingFace.tokenSecretRef.key: Required value"]),
            ("the root as HF home", one(path, json!(".")), FINE),
            ("a home with a way out", one(path, json!("../x")),
             &["spec.sources[0].huggingFace.path: Invalid value: \"../x\": `path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"]),
            ("an absolute home", one(path, json!("/x")),
             &["spec.sources[0].huggingFace.path: Invalid value: \"/x\": `path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"]),
            ("a home that is ours", one(path, json!(".modelcache")),
             &["spec.sources[0].huggingFace.path: Invalid value: \".modelcache\": `path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"]),
            (
                "65 patterns",
                one(
                    "/spec/sources/0/huggingFace/include",
                    json!((0..65).map(|it| format!("{it}*")).collect::<Vec<_>>()),
                ),
                &["spec.sources[0].huggingFace.include: Too many: 65: must have at most 64 items"],
            ),
            ("a URL of another scheme", one(http, json!("ftp://x.org/a")),
             &["spec.sources[1].http.url: Invalid value: \"ftp://x.org/a\": `url` must be an http or https URL without user name, password and fragment"]),
            ("a URL with a password", one(http, json!("https://me:secret@x.org/a")),
             &["spec.sources[1].http.url: Invalid value: \"https://me:secret@x.org/a\": `url` must be an http or https URL without user name, password and fragment"]),
            ("a URL with an at sign in its path", one(http, json!("https://x.org/@scope/a.bin?v=1")), FINE),
            ("a URL with a space", one(http, json!("https://x.org/a b")),
             &["spec.sources[1].http.url: Invalid value: \"https://x.org/a b\": `url` must be an http or https URL without user name, password and fragment"]),
            ("a hash that is too short", one("/spec/sources/1/http/sha256", json!("abc")),
             &["spec.sources[1].http.sha256: Invalid value: \"abc\": `sha256` must be 64 hex digits"]),
            ("the root as the place of a file", one("/spec/sources/1/http/path", json!(".")),
             &["spec.sources[1].http.path: Invalid value: \".\": `path` must be a relative path of a file without `.`, `..`, empty parts or `.modelcache`"]),
            ("a file with a way out", one("/spec/sources/1/http/path", json!("a/../../b")),
             &["spec.sources[1].http.path: Invalid value: \"a/../../b\": `path` must be a relative path of a file without `.`, `..`, empty parts or `.modelcache`"]),
            ("a file in our own directory", one("/spec/sources/1/http/path", json!(".modelcache/x/current")),
             &["spec.sources[1].http.path: Invalid value: \".modelcache/x/current\": `path` must be a relative path of a file without `.`, `..`, empty parts or `.modelcache`"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_rollout_or_pod_template_is_refused() {
    let parallel = "/spec/rollout/maxParallel";
    let env = "/spec/podTemplate/env/0";
    check_creates(
        CACHES,
        &cache(),
        vec![
            ("a percentage", one(parallel, json!("100%")), FINE),
            ("a percentage above all", one(parallel, json!("101%")),
             &["spec.rollout.maxParallel: Invalid value: \"101%\": must be a number from 1 to 100000 or a percentage from 1% to 100%"]),
            ("a share that is none", one(parallel, json!("half")),
             &["spec.rollout.maxParallel: Invalid value: \"half\": must be a number from 1 to 100000 or a percentage from 1% to 100%"]),
            ("no warm-up at once", one(parallel, json!(0)),
             &["spec.rollout.maxParallel: Invalid value: 0: must be a number from 1 to 100000 or a percentage from 1% to 100%"]),
            ("a negative number", one(parallel, json!(-1)),
             &["spec.rollout.maxParallel: Invalid value: -1: must be a number from 1 to 100000 or a percentage from 1% to 100%"]),
            ("a fraction", one(parallel, json!(1.5)),
             &["spec.rollout.maxParallel: Invalid value: \"number\": spec.rollout.maxParallel in body must be of type integer,string: \"number\""]),
            ("no failure allowed", one("/spec/rollout/maxFailures", json!(0)), FINE),
            ("less than no failure", one("/spec/rollout/maxFailures", json!(-1)),
             &["spec.rollout.maxFailures: Invalid value: -1: must be a number from 0 to 100000 or a percentage from 0% to 100%"]),
            ("root", one("/spec/podTemplate/securityContext/runAsUser", json!(0)),
             &["spec.podTemplate.securityContext.runAsUser: Invalid value: 0: spec.podTemplate.securityContext.runAsUser in body should be greater than or equal to 1"]),
            ("our label", one("/spec/podTemplate/labels", json!({"modelcache.dev/cache": "x"})),
             &["spec.podTemplate.labels: Invalid value: `labels` must not use the prefixes modelcache.dev/ and kubernetes.io/"]),
            ("a label that no pod can have", one("/spec/podTemplate/labels", json!({"team": "a b"})),
             &["spec.podTemplate.labels.team: Invalid value: \"a b\": spec.podTemplate.labels.team in body should match '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'"]),
            (
                "a variable with two values",
                one(env, json!({"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})),
                &["spec.podTemplate.env[0]: Invalid value: `value` and `valueFrom` must not both be set"],
            ),
            ("a variable from nowhere", one(env, json!({"name": "A", "valueFrom": {}})),
             &["spec.podTemplate.env[0].valueFrom: Invalid value: exactly one of `secretKeyRef`, `configMapKeyRef` and `fieldRef` must be set"]),
            ("a variable twice", one("/spec/podTemplate/env/-", json!({"name": "HTTPS_PROXY"})),
             &["spec.podTemplate.env[1]: Duplicate value: {\"name\":\"HTTPS_PROXY\"}"]),
            (
                "a memory limit that is none",
                one("/spec/podTemplate/resources/limits", json!({"memory": "lots"})),
                &["spec.podTemplate.resources.limits.memory: Invalid value: \"lots\": spec.podTemplate.resources.limits.memory in body should match '^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$'"],
            ),
            ("a toleration of no taint", one("/spec/podTemplate/tolerations", json!([{"value": "x"}])),
             &["spec.podTemplate.tolerations[0]: Invalid value: a toleration without `key` must have the operator Exists"]),
            ("a number where a switch belongs", one("/spec/suspend", json!(1)),
             &["spec.suspend: Invalid value: \"integer\": spec.suspend in body must be of type boolean: \"integer\""]),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_a_claim_cannot_change_a_cache_cannot_either() {
    check_updates(
        CACHES,
        &cache(),
        "immutable",
        vec![
            ("another revision", one("/spec/sources/0/huggingFace/revision", json!("v2")), FINE),
            ("another budget", one("/spec/volumes/0/perNode/size", json!("10Gi")), FINE),
            ("a larger claim", one("/spec/volumes/1/shared/size", json!("30Gi")), FINE),
            ("a volume less", vec![Change("/spec/volumes/2", Value::Null)], FINE),
            (
                "a volume more",
                one("/spec/volumes/-", json!({"name": "more", "perNode": {"pool": "gpu", "size": "1Gi"}})),
                FINE,
            ),
            ("another pool", one("/spec/volumes/0/perNode/pool", json!("cpu")),
             &["spec.volumes[0].perNode.pool: Invalid value: \"cpu\": `pool` is immutable: make a new volume or a new cache"]),
            ("a smaller claim", one("/spec/volumes/1/shared/size", json!("19Gi")),
             &["spec.volumes[1].shared: Invalid value: `size` must not shrink, because a PersistentVolumeClaim cannot"]),
            ("another class", one("/spec/volumes/1/shared/storageClassName", json!("rwo")),
             &["spec.volumes[1].shared: Invalid value: `storageClassName` is immutable, because a PersistentVolumeClaim's is: add a volume of another name instead"]),
            ("no class", one("/spec/volumes/1/shared/storageClassName", Value::Null),
             &["spec.volumes[1].shared: Invalid value: `storageClassName` is immutable, because a PersistentVolumeClaim's is: add a volume of another name instead"]),
            ("other access modes", one("/spec/volumes/1/shared/accessModes", json!(["ReadWriteOnce"])),
             &["spec.volumes[1].shared: Invalid value: `accessModes` is immutable, because a PersistentVolumeClaim's is: add a volume of another name instead"]),
            ("another claim", one("/spec/volumes/2/existingClaim/claimName", json!("other")),
             &["spec.volumes[2].existingClaim.claimName: Invalid value: \"other\": `claimName` is immutable: add a volume of another name instead"]),
            (
                "another kind of volume",
                one("/spec/volumes/2", json!({"name": "logs", "shared": {"size": "1Gi"}})),
                &["spec.volumes[2]: Invalid value: the kind of a volume is immutable: `perNode`, `shared` or `existingClaim` must stay what it was; add a volume of another name instead"],
            ),
            ("another placement", one("/spec/placement/nodeSelector", json!({"disk": "ssd"})),
             &["spec: Invalid value: `placement` is immutable while a volume is `perNode`: make a new cache"]),
            ("no placement", one("/spec/placement", Value::Null),
             &["spec: Invalid value: `placement` is immutable while a volume is `perNode`: make a new cache"]),
        ],
    )
    .await;
}
