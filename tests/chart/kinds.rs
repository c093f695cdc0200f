//! Is all that the chart makes what the API server takes? Asked of kubeconform, with the schemas of a real API server, and of
//! the server itself.

use crate::documents::{all, name};
use crate::helm::{program, template};
use crate::monitors;
use crate::rendered::{EVERYTHING, LITTLE, OPENSHIFT};
use crate::scoped::SCOPED;
use crate::support::apiserver::control_plane;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// One file for each kind, with all that its schema refers to, as kubeconform looks for it.
fn write_schemas(openapi: &Value, directory: &Path) {
    let definitions = openapi["definitions"].as_object().unwrap();
    for (definition, schema) in definitions {
        for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let part = |key: &str| kind[key].as_str().unwrap_or_default();
            // The core group has no name, and its version stands for it.
            let group = if part("group").is_empty() { part("version") } else { part("group") };
            let file = format!("{}-{group}-{}.json", part("kind").to_lowercase(), part("version"));
            let mut needed = BTreeSet::new();
            collect(definition, definitions, &mut needed);
            let needed: Map<String, Value> =
                needed.iter().map(|it| (it.clone(), strict(&definitions[it], it))).collect();
            let reference = format!("#/definitions/{definition}");
            let schema =
                json!({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": reference, "definitions": needed});
            std::fs::write(directory.join(file), schema.to_string()).unwrap();
        }
    }
}

fn collect(definition: &str, definitions: &Map<String, Value>, found: &mut BTreeSet<String>) {
    if found.insert(definition.to_owned()) {
        references(&definitions[definition], &mut |it| collect(it, definitions, found));
    }
}

fn references(schema: &Value, found: &mut impl FnMut(&str)) {
    match schema {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            reference.and_then(|it| it.strip_prefix("#/definitions/")).into_iter().for_each(&mut *found);
            for inner in fields.values() {
                references(inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|it| references(it, found)),
        _ => {}
    }
}

/// Nothing that the schema does not name; and what is text or number on the wire is both here.
fn strict(schema: &Value, definition: &str) -> Value {
    if matches!(definition.rsplit('.').next(), Some("IntOrString" | "Quantity")) {
        return json!({"type": ["string", "integer", "number"]});
    }
    let mut schema = schema.clone();
    close(&mut schema);
    schema
}

fn close(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if fields.contains_key("properties") && !fields.contains_key("additionalProperties") {
        fields.insert("additionalProperties".into(), json!(false));
    }
    if fields.contains_key("x-kubernetes-int-or-string") {
        fields.insert("type".into(), json!(["string", "integer"]));
    }
    for (_, inner) in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        close(inner);
    }
    for key in ["items", "additionalProperties"] {
        fields.get_mut(key).into_iter().for_each(close);
    }
}

fn validate(schemas: &Path, text: &str) -> Result<String, String> {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    let location =
        format!("{}/{{{{.ResourceKind}}}}-{{{{.Group}}}}-{{{{.ResourceAPIVersion}}}}.json", schemas.display());
    let done = Command::new(program("kubeconform"))
        .args(["-strict", "-summary", "-schema-location", &location])
        .arg(file.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(said) } else { Err(said) }
}

#[tokio::test]
async fn whatever_is_set_the_api_server_takes_it() {
    let plane = control_plane().await;
    let schemas = tempfile::tempdir().unwrap();
    write_schemas(&monitors::install(plane).await, schemas.path());
    // The roles of an operator of some namespaces lie in them.
    for namespace in ["studio", "team"] {
        plane.kubectl(&["create", "namespace", namespace]);
    }
    for values in ["", LITTLE, OPENSHIFT, EVERYTHING, SCOPED] {
        let text = template("modelcache-system", values).unwrap();
        let said = validate(schemas.path(), &text).unwrap_or_else(|said| panic!("{values}:\n{said}"));
        let expected = all(&text).len();
        assert!(said.contains(&format!("Valid: {expected}, Invalid: 0, Errors: 0")), "{said}");
        // What no schema knows: rules in CEL, names, quantities, cross-references.
        for object in all(&text) {
            let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
            std::fs::write(file.path(), object.to_string()).unwrap();
            let file = file.path().to_str().unwrap();
            let arguments =
                ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", file];
            assert!(!plane.kubectl(&arguments).is_empty(), "{}", name(&object));
        }
    }
}

#[tokio::test]
async fn a_field_that_is_none_is_found() {
    let plane = control_plane().await;
    let schemas = tempfile::tempdir().unwrap();
    write_schemas(&monitors::install(plane).await, schemas.path());
    for wrong in [
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {port: 80}\n",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: two}\n",
        "apiVersion: modelcache.dev/v1alpha1\nkind: NodeCachePool\nmetadata: {name: a}\nspec: {pth: /modelcache}\n",
        "apiVersion: v2\nkind: Unknown\nmetadata: {name: a}\n",
        "apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: a}\nspec: {selector: {}, endpoints: [{prt: http}]}\n",
        "apiVersion: monitoring.coreos.com/v1\nkind: PodMonitor\nmetadata: {name: a}\nspec: {selector: {}, podMetricsEndpoints: {port: http}}\n",
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: a}\nspec: {groups: [{rules: []}]}\n",
    ] {
        assert!(validate(schemas.path(), wrong).is_err(), "{wrong}");
    }
}
