//! Which CRDs are there, in which order, and how do they look on the wire?

use super::{ModelCache, ModelCacheBackup, ModelCacheReplica, ModelCacheRestore, NodeCachePool};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

/// Every CRD, as it is written to `crds/` and printed by `modelcache crds`: file name and document.
pub fn all() -> Vec<(String, Value)> {
    let crds = [
        ModelCache::crd(),
        ModelCacheReplica::crd(),
        ModelCacheBackup::crd(),
        ModelCacheRestore::crd(),
        NodeCachePool::crd(),
    ];
    crds.into_iter().map(document).collect()
}

fn document(crd: CustomResourceDefinition) -> (String, Value) {
    let file = format!("{}.yaml", crd.metadata.name.clone().unwrap_or_default());
    let mut value = serde_json::to_value(crd).unwrap_or_default();
    tidy(&mut value);
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    (file, value)
}

/// What the derive cannot be told: no `nullable` (an absent field is left out), no `default` (it makes GitOps tools drift
/// for ever), whole numbers without a point.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("nullable").is_some_and(Value::is_boolean) {
                object.remove("nullable");
            }
            if object.get("default").is_some_and(|it| it.is_array() || it.is_object() && object.contains_key("type")) {
                object.remove("default");
            }
            if let Some(Value::Array(choices)) = object.get_mut("enum") {
                choices.retain(|choice| !choice.is_null());
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|it| number.is_f64() && it.fract() == 0.0 && it.abs() < 9.0e15);
            if let Some(whole) = whole {
                #[expect(clippy::cast_possible_truncation, reason = "whole and within 53 bits")]
                let integer = whole as i64;
                *value = Value::from(integer);
            }
        }
        _ => {}
    }
}
