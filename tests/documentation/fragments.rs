//! What is the whole that a fragment of YAML in a page is a part of?

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What a block of YAML is.
pub enum Whole {
    /// A document of ours.
    Ours(Value),
    /// A document of Kubernetes' own.
    Kubernetes(Value),
    /// A part of a pod's spec.
    Pod(Value),
    /// Values of the chart.
    Values(Value),
    /// Of Compose: it is the sample, or the test fails.
    Compose,
}

/// The whole of a document or fragment, or that nobody knows.
pub fn whole(value: Value) -> Option<Whole> {
    if let Value::Array(sources) = value {
        return whole(json!({"sources": sources}));
    }
    let object = value.as_object()?;
    let has = |key: &str| object.contains_key(key);
    if let Some(version) = object.get("apiVersion").and_then(Value::as_str) {
        let ours = version.starts_with(modelcache::api::GROUP);
        return Some(if ours { Whole::Ours(value) } else { Whole::Kubernetes(value) });
    }
    if has("services") {
        return Some(Whole::Compose);
    }
    if has("containers") || has("initContainers") {
        return Some(Whole::Pod(value));
    }
    if object.get("spec").is_some_and(|it| it["containers"].is_array()) {
        return Some(Whole::Pod(value["spec"].clone()));
    }
    let chart = &chart()["properties"];
    if object.keys().all(|key| chart[key].is_object()) {
        return Some(Whole::Values(value));
    }
    let spec = if has("spec") { object["spec"].as_object()?.clone() } else { object.clone() };
    Some(Whole::Ours(cache(spec)))
}

/// The schema of the chart's values. `tests/chart` holds it to the values, and Helm to the schema.
pub fn chart() -> Value {
    serde_json::from_str(&crate::pages::read("charts/modelcache-operator/values.schema.json")).unwrap()
}

/// Values that a schema does not know.
pub fn unknown(path: &str, value: &Value, schema: &Value) -> Vec<String> {
    let Some(object) = value.as_object() else { return vec![] };
    let closed = schema["additionalProperties"] == Value::Bool(false);
    let one = |(name, value): (&String, &Value)| {
        let (path, known) = (format!("{path}.{name}"), &schema["properties"][name]);
        if known.is_object() {
            unknown(&path, value, known)
        } else if closed {
            vec![format!("the chart has no value {path}")]
        } else {
            unknown(&path, value, &schema["additionalProperties"])
        }
    };
    object.iter().flat_map(one).collect()
}

/// A ModelCache of a part of its spec: volumes that it only names are added.
fn cache(mut spec: Map<String, Value>) -> Value {
    if !spec.contains_key("volumes") {
        let mut names = BTreeSet::new();
        named(&Value::Object(spec.clone()), &mut names);
        if names.is_empty() {
            names.insert("models".to_owned());
        }
        let volumes = names.iter().map(|name| json!({"name": name, "existingClaim": {"claimName": name}}));
        spec.insert("volumes".into(), volumes.collect());
    }
    json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "page"}, "spec": spec
    })
}

/// Every volume that a part of a spec names.
fn named(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("volume", Value::String(name)) => _ = names.insert(name.clone()),
                    ("volumes", Value::Array(list)) => {
                        names.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    _ => named(value, names),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| named(value, names)),
        _ => {}
    }
}
