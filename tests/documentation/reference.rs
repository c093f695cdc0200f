//! Are the committed pages of the reference those of the types?
//!
//! `make generate` (or `UPDATE_DOCS=1 cargo test --test documentation`) writes them anew.

use crate::pages::root;
use crate::schema_page::page;
use std::collections::BTreeMap;

/// Every page that there must be: its name, and its text.
fn wanted() -> BTreeMap<String, String> {
    modelcache::api::crds::all()
        .into_iter()
        .map(|(_, crd)| {
            let crd = serde_json::to_value(crd).unwrap();
            let name = crd["spec"]["names"]["singular"].as_str().unwrap().to_owned();
            (format!("{name}.md"), page(&crd))
        })
        .collect()
}

#[test]
fn the_reference_is_that_of_the_types() {
    let directory = root().join("docs/reference");
    let wanted = wanted();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(&directory).unwrap();
        for (name, text) in &wanted {
            std::fs::write(directory.join(name), text).unwrap();
        }
    }
    for (name, text) in &wanted {
        let found = std::fs::read_to_string(directory.join(name)).unwrap_or_default();
        assert!(found == *text, "docs/reference/{name} is not what src/api says: run `make generate`");
    }
    let there = std::fs::read_dir(&directory).unwrap().count();
    assert_eq!(there, wanted.len(), "docs/reference has a page of a kind that does not exist");
}

#[test]
fn every_field_of_the_reference_says_what_it_is_for() {
    for (name, text) in wanted() {
        for row in text.lines().filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 2) {
            let means = row.trim_end_matches('|').rsplit(" | ").next().unwrap_or_default().trim();
            assert!(!means.is_empty() && !means.starts_with('('), "{name}: no description in {row}");
        }
    }
}
