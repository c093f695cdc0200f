//! The objects of backups and restores, where their bytes are, and what is on the volumes.

use crate::minio::{self, Bucket};
use crate::wait::until;
use crate::world::{SOON, World};
use kube::api::{Api, ListParams};
use modelcache::api::condition::{ConditionType, is_true};
use modelcache::api::{ModelCacheBackup, ModelCacheRestore};
use serde_json::{Value, json};

/// A bucket that pods reach.
pub fn bucket(world: &World) -> Bucket {
    tokio::task::block_in_place(|| {
        minio::listen_at(world.bridge);
        minio::bucket()
    })
}

/// The names of the objects in a bucket.
pub fn keys(bucket: &Bucket) -> Vec<String> {
    tokio::task::block_in_place(|| bucket.keys())
}

/// The Secret `minio` with the keys of the bucket.
pub fn secret(namespace: &str, name: &str, key: &str) -> String {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
        "stringData": {"id": minio::ID, "secret": key}
    });
    format!("---\n{secret}\n")
}

/// A destination in the bucket, with the keys of a Secret.
pub fn destination(bucket: &Bucket, secret: &str) -> Value {
    let mut s3 = bucket.s3();
    s3["accessKeyIdSecretRef"] = json!({"name": secret, "key": "id"});
    s3["secretAccessKeySecretRef"] = json!({"name": secret, "key": "secret"});
    json!({"s3": s3, "prefix": "clusters/test"})
}

/// A backup by hand.
pub fn by_hand(namespace: &str, name: &str, cache: &str) -> String {
    format!(
        "---\napiVersion: modelcache.dev/v1alpha1\nkind: ModelCacheBackup\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{cache: {cache}}}\n"
    )
}

/// A restore.
pub fn restore(namespace: &str, name: &str, spec: &Value) -> String {
    format!(
        "---\napiVersion: modelcache.dev/v1alpha1\nkind: ModelCacheRestore\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

/// The backups of a namespace.
pub async fn backups(world: &World, namespace: &str) -> Vec<ModelCacheBackup> {
    let api: Api<ModelCacheBackup> = Api::namespaced(world.client.clone(), namespace);
    let all = ListParams::default();
    crate::commands::answered(|| api.list(&all)).await.items
}

/// Waits until a backup by hand is there.
pub async fn backed_up(world: &World, namespace: &str, name: &str) -> ModelCacheBackup {
    let api: Api<ModelCacheBackup> = Api::namespaced(world.client.clone(), namespace);
    until(&format!("backup {namespace}/{name}"), SOON, || async {
        let backup = api.get(name).await.map_err(|it| it.to_string())?;
        let status = backup.status.clone().unwrap_or_default();
        if is_true(&status.conditions, ConditionType::Ready) { Ok(backup) } else { Err(format!("{status:?}")) }
    })
    .await
}

/// Waits until a restore is over, and well.
pub async fn restored(world: &World, namespace: &str, name: &str) -> ModelCacheRestore {
    let api: Api<ModelCacheRestore> = Api::namespaced(world.client.clone(), namespace);
    until(&format!("restore {namespace}/{name}"), SOON, || async {
        let restore = api.get(name).await.map_err(|it| it.to_string())?;
        let status = restore.status.clone().unwrap_or_default();
        if is_true(&status.conditions, ConditionType::Ready) { Ok(restore) } else { Err(format!("{status:?}")) }
    })
    .await
}

/// The directory of a claim of a test StorageClass, the same on every node.
pub fn directory(world: &World, namespace: &str, claim: &str) -> String {
    let volume = world.kubectl(&["-n", namespace, "get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}"]);
    let path = world.kubectl(&["get", "pv", volume.trim(), "-o", "jsonpath={.spec.hostPath.path}"]);
    let path = path.trim().to_owned();
    assert!(path.starts_with("/tmp/hostpath_pv/"), "{claim}: {path:?}");
    path
}

/// Path and SHA-256 of every file below a directory, path and target of every link; not of what is our own.
pub fn content(world: &World, node: &str, directory: &str) -> Vec<String> {
    let script = format!(
        "cd {directory} && find . -path ./.modelcache -prune -o -type l -printf '%p -> %l\\n' && \
         find . -path ./.modelcache -prune -o -type f -print0 | xargs -0 -r sha256sum"
    );
    let said = world.on_node(node, &["sh", "-c", &script]);
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Removes everything below a directory, as a disk that was lost.
pub fn wipe(world: &World, node: &str, directory: &str) {
    world.on_node(node, &["find", directory, "-mindepth", "1", "-delete"]);
    assert!(content(world, node, directory).is_empty());
}
