//! Which schema do the values have? Strict: what is not there is refused, wherever the value is ours.

use crate::values::Value;
use serde_json::{Map, Value as Json, json};

/// The schema of all values.
pub fn of(values: &[Value]) -> Json {
    let mut root = object("Values of the chart modelcache-operator.");
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    for value in values {
        let mut place = &mut root;
        let (last, above) = value.path.split_last().unwrap();
        for key in above {
            place = &mut place["properties"][key];
        }
        place["properties"][last] = if value.is_group { object(&value.description) } else { leaf(value) };
    }
    // Shared with the charts beside this one, when it is a part of another.
    root["properties"]["global"]["additionalProperties"] = json!(true);
    root
}

fn object(description: &str) -> Json {
    let mut schema = json!({"type": "object", "additionalProperties": false, "properties": {}});
    if !description.is_empty() {
        schema["description"] = json!(description);
    }
    schema
}

fn leaf(value: &Value) -> Json {
    let mut schema = match &value.default {
        Json::String(_) => json!({"type": "string"}),
        Json::Bool(_) => json!({"type": "boolean"}),
        Json::Number(_) => json!({"type": "integer"}),
        Json::Array(_) => json!({"type": "array"}),
        Json::Object(_) => json!({"type": "object", "additionalProperties": false}),
        Json::Null => json!({}),
    };
    if let Some((kind, field)) = &value.kind {
        let spec = spec(kind);
        match field {
            Some(field) => schema = spec["properties"][field].clone(),
            None => schema["additionalProperties"] = spec,
        }
    }
    schema["description"] = json!(value.description);
    for (key, more) in value.more.iter().filter_map(Json::as_object).flatten() {
        schema[key] = more.clone();
    }
    assert!(schema["type"] != Json::Null, "{} needs a type in `@schema`", value.path.join("."));
    schema
}

/// The schema of a kind's spec, as far as JSON Schema goes: the API server checks the rules too.
fn spec(kind: &str) -> Json {
    let crds = modelcache::api::crds::all();
    let (_, crd) = crds.iter().find(|(file, _)| *file == format!("{kind}.yaml")).expect(kind);
    let spec = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
    strict(spec)
}

fn strict(schema: &Json) -> Json {
    let Some(fields) = schema.as_object() else { return schema.clone() };
    let mut made = Map::new();
    for (key, inner) in fields {
        match key.as_str() {
            "x-kubernetes-int-or-string" => _ = made.insert("type".into(), json!(["string", "integer"])),
            _ if key.starts_with("x-kubernetes-") => {}
            "format" => {}
            "properties" => {
                let all = inner.as_object().into_iter().flatten();
                let all: Map<String, Json> = all.map(|(name, it)| (name.clone(), strict(it))).collect();
                made.insert(key.clone(), Json::Object(all));
            }
            "items" | "additionalProperties" => _ = made.insert(key.clone(), strict(inner)),
            _ => _ = made.insert(key.clone(), inner.clone()),
        }
    }
    if made.contains_key("properties") && !made.contains_key("additionalProperties") {
        made.insert("additionalProperties".into(), json!(false));
    }
    // A pattern is for text: an integer beside it is let through by the schema's own rules.
    Json::Object(made)
}

/// Where a schema lets through what it does not know.
fn walk(path: &str, schema: &Json, open: &mut Vec<String>) {
    if !schema.is_object() {
        return;
    }
    if schema["properties"].is_object() && schema["additionalProperties"] == Json::Null {
        open.push(path.to_owned());
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), inner, open);
    }
    for key in ["items", "additionalProperties"] {
        walk(&format!("{path}.{key}"), &schema[key], open);
    }
}

#[test]
fn whatever_is_ours_is_strict() {
    let schema = of(&crate::values::all());
    let mut open = vec![];
    walk("", &schema, &mut open);
    assert!(open.is_empty(), "{open:?}");
}
