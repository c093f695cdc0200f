//! Is what is generated what its source says?

use crate::helm::{CHART, root};
use crate::{schema, values};
use std::fmt::Write;

/// The file has this content; with `UPDATE_CHART` it is written.
pub fn check(file: &str, content: &str) {
    let path = root().join(file);
    if std::env::var_os("UPDATE_CHART").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == content, "{file} is not what it is made from: run `make generate` and commit the result");
}

#[test]
fn the_schema_is_what_the_values_say() {
    let schema = schema::of(&values::all());
    check(&format!("{CHART}/values.schema.json"), &(serde_json::to_string_pretty(&schema).unwrap() + "\n"));
}

/// Before it stands what people write.
const MARK: &str = "<!-- From values.yaml, by `make generate`. -->\n";

#[test]
fn the_reference_in_the_readme_is_what_the_values_say() {
    let file = format!("{CHART}/README.md");
    let text = std::fs::read_to_string(root().join(&file)).unwrap();
    let (before, _) = text.split_once(MARK).expect("the mark before the reference");
    let mut table = String::from("\n| Value | When left out | What |\n|---|---|---|\n");
    for value in values::all().iter().filter(|it| !it.is_group) {
        let (name, default) = (value.path.join("."), serde_json::to_string(&value.default).unwrap());
        let description = value.description.replace('|', "\\|");
        writeln!(table, "| `{name}` | `{default}` | {description} |").unwrap();
    }
    check(&file, &format!("{before}{MARK}{table}"));
}

#[test]
fn every_value_has_a_description() {
    for value in values::all().iter().filter(|it| !it.is_group) {
        assert!(value.description.len() > 10, "values.yaml: {} has no description", value.path.join("."));
    }
}

#[test]
fn the_charts_version_is_that_of_the_operator() {
    let chart = std::fs::read_to_string(root().join(CHART).join("Chart.yaml")).unwrap();
    let chart: serde_json::Value = serde_saphyr::from_str(&chart).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}
