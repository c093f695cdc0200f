//! Are the committed CRDs those of the types, and does every schema keep the rules that all of ours keep?
//!
//! `make generate` (or `UPDATE_CRDS=1 cargo test --test crds`) writes them anew.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
use serde_json::{Map, Value};
use std::path::PathBuf;

/// One place in a schema: where it is, and what stands there.
struct Place<'a> {
    path: String,
    schema: &'a Map<String, Value>,
}

impl Place<'_> {
    fn is(&self, type_: &str) -> bool {
        self.schema.get("type").and_then(Value::as_str) == Some(type_)
    }

    fn has(&self, key: &str) -> bool {
        self.schema.contains_key(key)
    }

    fn in_spec(&self) -> bool {
        self.path.contains(".spec")
    }
}

/// Every schema of every CRD, from the root down.
fn with_every_place(mut check: impl FnMut(&Place)) {
    for (file, crd) in modelcache::api::crds::all() {
        let root = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").expect("every CRD has a schema");
        walk(&file.replace(".modelcache.dev.yaml", ""), root, &mut check);
    }
}

fn walk(path: &str, schema: &Value, check: &mut impl FnMut(&Place)) {
    let Some(object) = schema.as_object() else { return };
    check(&Place { path: path.to_owned(), schema: object });
    for (name, property) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, check);
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = object.get(key) {
            walk(&format!("{path}{suffix}"), inner, check);
        }
    }
}

/// Fails with every place that breaks a rule, not only the first.
fn every_place(rule: &str, holds: impl Fn(&Place) -> bool) {
    let mut broken = vec![];
    with_every_place(|place| {
        if !holds(place) {
            broken.push(place.path.clone());
        }
    });
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

fn rules_that_do_not_compile(schema: &kube::core::cel::CompiledSchema) -> Vec<String> {
    let below =
        schema.properties.values().chain(schema.items.as_deref()).chain(schema.additional_properties.as_deref());
    let here = schema.compilation_errors().into_iter().map(ToString::to_string);
    here.chain(below.flat_map(rules_that_do_not_compile)).collect()
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crds")
}

#[test]
fn the_committed_crds_are_those_of_the_types() {
    let mut names = vec![];
    for (file, document) in modelcache::api::crds::all() {
        let yaml = serde_saphyr::to_string(&document).unwrap();
        let path = directory().join(&file);
        if std::env::var_os("UPDATE_CRDS").is_some() {
            std::fs::write(&path, &yaml).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == yaml, "crds/{file} is not what the types say: run `make generate` and commit the result");
        let read_back: Value = serde_saphyr::from_str(&committed).unwrap();
        assert_eq!(read_back, document, "crds/{file} does not survive the way through YAML");
        names.push(file);
    }
    for entry in std::fs::read_dir(directory()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&file) || file == "kustomization.yaml", "crds/{file} belongs to no kind: remove it");
    }
}

#[test]
fn every_string_has_a_bound() {
    every_place("a string needs maxLength, an enum or a format", |place| {
        let text = place.is("string") || place.has("x-kubernetes-int-or-string");
        !text || ["maxLength", "enum", "format"].iter().any(|key| place.has(key))
    });
}

#[test]
fn every_list_has_a_bound_and_says_how_it_is_merged() {
    every_place("a list needs maxItems and x-kubernetes-list-type", |place| {
        !place.is("array") || (place.has("maxItems") && place.has("x-kubernetes-list-type"))
    });
    every_place("a map needs maxProperties", |place| !place.has("additionalProperties") || place.has("maxProperties"));
}

#[test]
fn every_number_that_a_user_writes_has_bounds() {
    every_place("a number under spec needs minimum or format bounds", |place| {
        let written_by_the_operator = place.path.starts_with("modelcachereplicas");
        !place.is("integer") || !place.in_spec() || written_by_the_operator || place.has("minimum")
    });
}

#[test]
fn nothing_is_defaulted_by_the_server() {
    every_place("`default` makes GitOps tools drift for ever: resolve it in code", |place| !place.has("default"));
}

#[test]
fn nothing_is_nullable_and_no_field_is_left_open() {
    every_place("an absent field is left out, never null", |place| !place.has("nullable"));
    every_place("unknown fields must be refused", |place| !place.has("x-kubernetes-preserve-unknown-fields"));
}

#[test]
fn there_are_no_floats() {
    every_place("`number` is a float", |place| !place.is("number"));
    for (file, _) in modelcache::api::crds::all() {
        let yaml = std::fs::read_to_string(directory().join(&file)).unwrap();
        for line in yaml.lines().filter(|line| line.contains("imum: ") || line.contains("max") || line.contains("min"))
        {
            let value = line.rsplit(": ").next().unwrap_or_default();
            let float = value.parse::<f64>().is_ok() && value.contains('.');
            assert!(!float, "crds/{file} has a number with a point: {line}");
        }
    }
}

#[test]
fn every_field_has_a_description() {
    let mut bare = vec![];
    with_every_place(|place| {
        for (name, property) in place.schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let described = property["description"].as_str().is_some_and(|text| text.ends_with('.'));
            let wrapper = matches!(name.as_str(), "spec" | "status");
            if !described && !wrapper {
                bare.push(format!("{}.{name}", place.path));
            }
        }
    });
    assert!(bare.is_empty(), "a field needs a description that is a sentence:\n  {}", bare.join("\n  "));
}

#[test]
fn no_reference_names_a_namespace() {
    let mut found = vec![];
    with_every_place(|place| {
        // Where backups lie in a bucket, read with keys of the restore's own namespace: no object of another one.
        let of_a_backup = place.path == "modelcacherestores.spec.from.location.namespace";
        if place.in_spec() && place.path.ends_with(".namespace") && !of_a_backup {
            found.push(place.path.clone());
        }
    });
    assert!(found.is_empty(), "a reference into another namespace makes the operator a confused deputy: {found:?}");
}

#[test]
fn every_rule_compiles_and_has_a_message() {
    for (file, crd) in modelcache::api::crds::all() {
        let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        let errors = rules_that_do_not_compile(&kube::core::cel::compile_schema(schema));
        assert!(errors.is_empty(), "{file}: {errors:#?}");
    }
    let mut silent = vec![];
    with_every_place(|place| {
        for rule in place.schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
            if rule["message"]
                .as_str()
                .is_none_or(|message| !message.contains("must") && !message.contains("immutable"))
            {
                silent.push(format!("{}: {}", place.path, rule["rule"]));
            }
        }
    });
    assert!(silent.is_empty(), "a rule needs a message that says what must hold:\n  {}", silent.join("\n  "));
}

#[test]
fn every_kind_shows_its_state_in_columns_and_has_a_status_of_its_own() {
    for (file, crd) in modelcache::api::crds::all() {
        let version = crd.pointer("/spec/versions/0").unwrap();
        assert!(version["subresources"]["status"].is_object(), "{file} has no status subresource");
        let columns: Vec<&str> = version["additionalPrinterColumns"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|column| column["name"].as_str())
            .collect();
        assert_eq!(columns.last(), Some(&"Age"), "{file}: the last column must be Age");
        assert!(columns.contains(&"Ready"), "{file} does not show whether it is ready: {columns:?}");
        let names = &crd["spec"]["names"];
        // kubectl takes a category for one before it looks for a kind: `kubectl get modelcache NAME` would be refused.
        assert_eq!(names["categories"], serde_json::json!(["modelcache-dev"]), "{file}");
        assert_ne!(names["shortNames"][0], "mc", "{file}: `mc` belongs to others");
    }
}
