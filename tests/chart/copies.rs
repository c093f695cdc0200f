//! Are the chart's files those of `crds/` and `config/`, byte for byte?
//!
//! A chart can only read files of its own. A policy or role that is missing here would be missing in every installation.

use crate::generated::check;
use crate::helm::{CHART, root};
use std::collections::BTreeSet;

/// Directory of the chart's `files/`, where its content comes from, and what is a template of its own.
const COPIES: [(&str, &str, &[&str]); 5] = [
    ("crds", "crds", &[]),
    ("policy", "config/policy", &[]),
    ("delete-guard", "config/policy/delete-guard", &[]),
    ("node-labels", "config/policy/node-labels", &[]),
    ("rbac", "config/rbac", &["service-account.yaml"]),
];

fn files(directory: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join(directory)).into_iter().flatten();
    let files = entries.map(Result::unwrap).filter(|it| it.path().is_file());
    files.map(|it| it.file_name().into_string().unwrap()).filter(|it| it != "kustomization.yaml").collect()
}

#[test]
fn the_charts_files_are_copies_and_none_is_missing() {
    for (name, source, own) in COPIES {
        let wanted: BTreeSet<String> = files(source).into_iter().filter(|it| !own.contains(&it.as_str())).collect();
        assert!(!wanted.is_empty(), "{source}");
        for file in &wanted {
            let text = std::fs::read_to_string(root().join(source).join(file)).unwrap();
            check(&format!("{CHART}/files/{name}/{file}"), &text);
        }
        assert_eq!(files(&format!("{CHART}/files/{name}")), wanted, "files/{name} has what {source} does not have");
    }
}

#[test]
fn kustomize_knows_every_file_that_the_chart_has() {
    for (_, source, _) in COPIES {
        let text = std::fs::read_to_string(root().join(source).join("kustomization.yaml")).unwrap();
        for file in files(source) {
            assert!(text.contains(&format!("- {file}\n")), "{source}/kustomization.yaml does not name {file}");
        }
    }
}
