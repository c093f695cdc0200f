//! Is every YAML in the pages what it says: known fields, rules kept, the same as the file that it shows?

use crate::documents::{faults, read as typed};
use crate::fragments::{Whole, chart, unknown, whole};
use crate::pages::{all, blocks, read};
use k8s_openapi::api::{apps, batch, core};
use serde_json::{Value, json};

/// What is wrong with a document of Kubernetes' own.
fn foreign(document: &Value) -> Vec<String> {
    fn of<T: serde::Serialize + serde::de::DeserializeOwned>(document: &Value) -> Vec<String> {
        typed::<T>(document).err().unwrap_or_default()
    }
    match document["kind"].as_str().unwrap_or_default() {
        "Job" => of::<batch::v1::Job>(document),
        "Deployment" => of::<apps::v1::Deployment>(document),
        "Pod" => of::<core::v1::Pod>(document),
        "ConfigMap" => of::<core::v1::ConfigMap>(document),
        "PersistentVolumeClaim" => of::<core::v1::PersistentVolumeClaim>(document),
        // Every file and directory that it names is there.
        "Kustomization" => ["resources", "components"]
            .iter()
            .flat_map(|list| document[list].as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .filter(|it| !std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(it).exists())
            .map(|it| format!("{it} is not there"))
            .collect(),
        other => vec![format!("the tests do not know the kind {other}: add it to tests/documentation/yaml.rs")],
    }
}

#[test]
fn every_yaml_in_a_page_has_known_fields_only_and_keeps_every_rule() {
    let (mut wrong, mut seen) = (vec![], 0);
    for page in all() {
        for block in blocks(&page).iter().filter(|it| it.language == "yaml") {
            let documents: Vec<Value> =
                serde_saphyr::from_multiple(&block.text).unwrap_or_else(|error| panic!("{}: {error}", block.at));
            for document in documents {
                seen += 1;
                let found = match whole(document) {
                    Some(Whole::Ours(it)) => faults(&it),
                    Some(Whole::Kubernetes(it)) => foreign(&it),
                    Some(Whole::Pod(mut it)) => {
                        // A part may be that of the init containers alone.
                        it.as_object_mut().unwrap().entry("containers").or_insert(json!([]));
                        typed::<core::v1::PodSpec>(&it).err().unwrap_or_default()
                    }
                    Some(Whole::Values(it)) => unknown("", &it, &chart()),
                    // It is the sample, or this fails; and the sample is run by tests/recipes.
                    Some(Whole::Compose) if block.text == sample() => vec![],
                    Some(Whole::Compose) => vec!["differs from config/samples/compose/compose.yaml".to_owned()],
                    None => vec!["is nothing that the tests know".to_owned()],
                };
                wrong.extend(found.into_iter().map(|fault| format!("{}: {fault}", block.at)));
            }
        }
    }
    assert!(seen > 30, "only {seen} documents were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn sample() -> String {
    read("config/samples/compose/compose.yaml")
}

#[test]
fn the_pages_show_yaml_in_fences_that_say_so() {
    for page in all() {
        for block in blocks(&page).iter().filter(|it| it.language.is_empty()) {
            let yaml = block.text.lines().any(|line| line.starts_with("apiVersion:") || line.starts_with("spec:"));
            assert!(!yaml, "{}: YAML in a fence without a language is not tested", block.at);
        }
    }
}
