//! The examples for Flux and Argo CD: documents of their kinds, with what these need, that name what is there.
//!
//! Their schemas are not ours: what is checked is what the tools' documentation says must be there.

use crate::root;
use serde_json::Value;
use std::collections::BTreeMap;

fn documents() -> Vec<(String, Value)> {
    let mut documents = vec![];
    for entry in std::fs::read_dir(root().join("config/samples/gitops")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{file} must begin with a comment");
        let parsed: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        documents.extend(parsed.into_iter().filter(|it| !it.is_null()).map(|it| (file.clone(), it)));
    }
    assert!(documents.len() >= 6, "{documents:?}");
    documents
}

/// Pointers that must lead to something, by `apiVersion` and kind.
fn needed() -> BTreeMap<(&'static str, &'static str), &'static [&'static str]> {
    BTreeMap::from([
        (("v1", "Namespace"), &["/metadata/labels"][..]),
        (("source.toolkit.fluxcd.io/v1", "GitRepository"), &["/spec/url", "/spec/interval", "/spec/ref"][..]),
        (
            ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
            &["/spec/path", "/spec/interval", "/spec/prune", "/spec/wait", "/spec/timeout", "/spec/sourceRef/name"],
        ),
        (
            ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
            &["/spec/interval", "/spec/chart/spec/chart", "/spec/chart/spec/sourceRef/name", "/spec/values/image/tag"],
        ),
        (
            ("argoproj.io/v1alpha1", "Application"),
            &[
                "/spec/project",
                "/spec/source/repoURL",
                "/spec/source/targetRevision",
                "/spec/source/path",
                "/spec/destination/server",
                "/spec/syncPolicy/syncOptions",
            ],
        ),
    ])
}

#[test]
fn every_example_is_of_a_known_kind_and_has_what_that_needs() {
    for (file, document) in documents() {
        let (version, kind) = (document["apiVersion"].as_str().unwrap(), document["kind"].as_str().unwrap());
        let needed = needed();
        let pointers = needed.get(&(version, kind)).unwrap_or_else(|| panic!("{file}: {version} {kind}"));
        for pointer in pointers.iter().chain(&["/metadata/name", "/metadata/namespace"]) {
            let clusterwide = kind == "Namespace" && *pointer == "/metadata/namespace";
            assert!(
                clusterwide || document.pointer(pointer).is_some_and(|it| !it.is_null()),
                "{file}: {kind} has no {pointer}"
            );
        }
    }
}

#[test]
fn paths_and_references_of_the_examples_lead_somewhere() {
    let documents = documents();
    let is_there = |kind: &str, name: &Value| {
        documents.iter().any(|(_, it)| it["kind"] == kind && it["metadata"]["name"] == *name)
    };
    for (file, document) in &documents {
        let own = document.pointer("/spec/sourceRef").or_else(|| document.pointer("/spec/chart/spec/sourceRef"));
        if let Some(reference) = own {
            assert!(is_there(reference["kind"].as_str().unwrap(), &reference["name"]), "{file}: {reference}");
        }
        for other in document.pointer("/spec/dependsOn").and_then(Value::as_array).into_iter().flatten() {
            assert!(is_there(document["kind"].as_str().unwrap(), &other["name"]), "{file}: {other}");
        }
        // What lies in this repository must be there; what lies in the reader's is theirs.
        let ours = |it: &Value| it.as_str().is_some_and(|it| it.contains("config/") || it.contains("charts/"));
        for pointer in ["/spec/path", "/spec/source/path", "/spec/chart/spec/chart"] {
            if let Some(path) = document.pointer(pointer).filter(|it| ours(it)) {
                let path = root().join(path.as_str().unwrap().trim_start_matches("./"));
                assert!(path.is_dir(), "{file}: {} is not there", path.display());
            }
        }
    }
}

#[test]
fn the_operator_comes_before_the_caches_and_nothing_deletes_data_by_the_way() {
    for (file, document) in documents() {
        let caches = document["metadata"]["name"] == "model-caches";
        let options = document.pointer("/spec/syncPolicy/syncOptions").map(Value::to_string).unwrap_or_default();
        match (document["kind"].as_str().unwrap(), caches) {
            ("Application", true) => {
                assert!(
                    options.contains("SkipDryRunOnMissingResource=true"),
                    "{file}: the kinds may come a moment later"
                );
                assert!(options.contains("ServerSideApply=true"), "{file}: {options}");
                assert_eq!(document["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"], "0", "{file}");
            }
            ("Application", false) => {
                assert_eq!(document["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"], "-1", "{file}");
            }
            ("Kustomization", true) => {
                assert!(document["spec"]["dependsOn"].is_array(), "{file}");
                assert_eq!(document["spec"]["wait"], true, "{file}: health is what kstatus says");
            }
            ("HelmRelease", _) => {
                let chart = root().join(document["spec"]["chart"]["spec"]["chart"].as_str().unwrap());
                assert!(!chart.join("crds").exists(), "{file}: what is in crds/ Helm never upgrades");
            }
            _ => {}
        }
    }
}
