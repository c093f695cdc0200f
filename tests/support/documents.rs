//! Is a document of ours one that the API server would take: known fields only, and every rule kept?

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use modelcache::api::{ModelCache, ModelCacheBackup, ModelCacheRestore, NodeCachePool};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What is wrong with a document of a kind that users write. Nothing, for a good one.
pub fn faults(document: &Value) -> Vec<String> {
    match document["kind"].as_str().unwrap_or_default() {
        "ModelCache" => ours::<ModelCache>(document),
        "ModelCacheBackup" => ours::<ModelCacheBackup>(document),
        "ModelCacheRestore" => ours::<ModelCacheRestore>(document),
        "NodeCachePool" => ours::<NodeCachePool>(document),
        // What uses a cache. Its rules are Kubernetes' own: tests/apiserver asks them.
        "Deployment" => read::<Deployment>(document).err().unwrap_or_default(),
        "Job" => read::<Job>(document).err().unwrap_or_default(),
        other => vec![format!("nobody writes documents of kind {other}")],
    }
}

fn ours<T: Serialize + DeserializeOwned + kube::CustomResourceExt>(document: &Value) -> Vec<String> {
    let typed: T = match read(document) {
        Ok(typed) => typed,
        Err(faults) => return faults,
    };
    // A rule that uses what only the API server knows (`type`) is checked in tests/apiserver.
    kube::core::cel::validate_cel(&typed)
        .err()
        .map(kube::core::cel::ValidationErrors::into_vec)
        .unwrap_or_default()
        .into_iter()
        .filter(|error| error.kind != kube::core::cel::ErrorKind::UnsupportedReference)
        .map(|error| format!("{error:?}"))
        .collect()
}

/// The document as its type has it.
///
/// # Errors
/// Why it is none, or the fields that the type does not know.
pub fn read<T: Serialize + DeserializeOwned>(document: &Value) -> Result<T, Vec<String>> {
    let typed: T = serde_json::from_value(document.clone()).map_err(|error| vec![error.to_string()])?;
    let mut found = vec![];
    lost("", document, &serde_json::to_value(&typed).unwrap(), &mut found);
    if found.is_empty() { Ok(typed) } else { Err(found) }
}

/// What is in `written` and not in `understood`: a field that the types do not know.
fn lost(path: &str, written: &Value, understood: &Value, found: &mut Vec<String>) {
    match (written, understood) {
        (Value::Object(written), understood) => {
            for (name, value) in written {
                lost(&format!("{path}.{name}"), value, &understood[name], found);
            }
        }
        (Value::Array(written), Value::Array(understood)) if written.len() == understood.len() => {
            for (index, (value, read)) in written.iter().zip(understood).enumerate() {
                lost(&format!("{path}[{index}]"), value, read, found);
            }
        }
        (written, understood) if written != understood => found.push(format!("{path}: {written} became {understood}")),
        _ => {}
    }
}
