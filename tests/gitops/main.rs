//! What do Flux, Helm, kpt and Argo CD make of our objects, at every stage of their lives? The real library of the first, the real
//! Lua of the last; and are the examples for them well made?
//!
//! The objects are the fixtures of Argo CD's health scripts; that they are what the operator says is tested beside it.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::similar_names,
    reason = "a test fails by panicking; `build` is what was `built`"
)]

#[path = "../support/registry/program.rs"]
mod program;
mod samples;
#[path = "../support/gitops.rs"]
mod tools;

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tools::{health, kstatus};

const KINDS: [&str; 5] = ["ModelCache", "ModelCacheBackup", "ModelCacheReplica", "ModelCacheRestore", "NodeCachePool"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn directory(kind: &str) -> PathBuf {
    root().join("config/gitops/argocd/resource_customizations/modelcache.dev").join(kind)
}

fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Stage of each fixture of a kind, and the object.
fn fixtures(kind: &str) -> Vec<(String, Value)> {
    let entries = std::fs::read_dir(directory(kind).join("testdata")).unwrap();
    let mut fixtures: Vec<(String, Value)> = entries
        .map(|it| it.unwrap().path())
        .map(|it| (it.file_stem().unwrap().to_string_lossy().into_owned(), yaml(&it)))
        .collect();
    fixtures.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!fixtures.is_empty(), "{kind} has no fixtures");
    fixtures
}

/// What kstatus must make of each stage. An object that nobody has looked at is `Current` to it, as every custom resource: the
/// operator's first word comes with its first look.
const STAGES: [(&str, &[(&str, &str)]); 5] = [
    (
        "ModelCache",
        &[
            ("changed", "InProgress"),
            ("copy-failed", "Failed"),
            ("deleting", "Terminating"),
            ("first-pass", "InProgress"),
            ("gated", "Failed"),
            ("not-seen", "Current"),
            ("ready", "Current"),
            ("resolving", "InProgress"),
            ("suspended-cold", "InProgress"),
            ("suspended-warm", "Current"),
            ("unreachable", "InProgress"),
            ("warming", "InProgress"),
        ],
    ),
    (
        "ModelCacheBackup",
        &[
            ("done", "Current"),
            ("given-up", "Failed"),
            ("not-seen", "Current"),
            ("refused", "Failed"),
            ("running", "InProgress"),
            ("tried-again", "InProgress"),
            ("waiting", "InProgress"),
        ],
    ),
    (
        "ModelCacheReplica",
        &[("failed", "Failed"), ("not-seen", "Current"), ("ready", "Current"), ("warming", "InProgress")],
    ),
    (
        "ModelCacheRestore",
        &[("done", "Current"), ("not-seen", "Current"), ("refused", "Failed"), ("running", "InProgress")],
    ),
    ("NodeCachePool", &[("not-seen", "Current"), ("with-nodes", "Current"), ("without-nodes", "InProgress")]),
];

#[test]
fn kstatus_makes_of_every_stage_what_is_the_case() {
    for (kind, expected) in STAGES {
        let fixtures = fixtures(kind);
        let answers = kstatus(fixtures.iter().map(|(_, object)| object));
        let found: Vec<(&str, &str)> = fixtures
            .iter()
            .zip(&answers)
            .map(|((stage, _), answer)| (stage.as_str(), answer.status.as_str()))
            .collect();
        assert_eq!(found, expected, "{kind}");
        for ((stage, object), answer) in fixtures.iter().zip(&answers) {
            if answer.status == "Failed" {
                let stalled = object["status"]["conditions"].as_array().unwrap().iter();
                let stalled = stalled.filter(|it| it["type"] == "Stalled").map(|it| &it["message"]);
                assert_eq!(stalled.collect::<Vec<_>>(), [&answer.message], "{kind} {stage}: the tool shows our words");
            }
        }
    }
}

/// Argo CD's own format: <https://argo-cd.readthedocs.io/en/stable/operator-manual/health/>, "Contributing a Custom Health Check".
#[test]
fn argo_cds_health_scripts_say_of_every_fixture_what_their_tests_expect() {
    for kind in KINDS {
        let fixtures = fixtures(kind);
        let script = directory(kind).join("health.lua");
        let answers = health(&script, fixtures.iter().map(|(_, object)| object));
        let tests = yaml(&directory(kind).join("health_test.yaml"));
        let mut tests: Vec<(String, String, String)> = tests["tests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let input = text(&it["inputPath"]);
                let stage = input.strip_prefix("testdata/").and_then(|it| it.strip_suffix(".yaml")).unwrap();
                (stage.to_owned(), text(&it["healthStatus"]["status"]), text(&it["healthStatus"]["message"]))
            })
            .collect();
        tests.sort();
        let found: Vec<(String, String, String)> = fixtures
            .iter()
            .zip(answers)
            .map(|((stage, _), answer)| (stage.clone(), answer.status, answer.message))
            .collect();
        assert_eq!(found, tests, "{kind}");
    }
}

#[test]
fn argo_cd_and_kstatus_agree_but_for_what_only_argo_cd_can_say() {
    for kind in KINDS {
        let fixtures = fixtures(kind);
        let by_kstatus = kstatus(fixtures.iter().map(|(_, object)| object));
        let by_argo = health(&directory(kind).join("health.lua"), fixtures.iter().map(|(_, object)| object));
        for (((stage, object), kstatus), argo) in fixtures.iter().zip(by_kstatus).zip(by_argo) {
            let agree = match (kstatus.status.as_str(), argo.status.as_str()) {
                ("Current", "Healthy") | ("InProgress" | "Terminating", "Progressing") | ("Failed", "Degraded") => true,
                (_, "Suspended") => object["spec"]["suspend"] == true,
                // What nobody has looked at is nothing to call healthy.
                ("Current", "Progressing") => object.get("status").is_none(),
                _ => false,
            };
            assert!(agree, "{kind} {stage}: {kstatus:?}, {argo:?}");
        }
    }
}

#[test]
fn every_kind_of_ours_has_the_same_script_and_the_config_map_has_it_too() {
    let script = std::fs::read_to_string(directory("ModelCache").join("health.lua")).unwrap();
    let config_map = yaml(&root().join("config/gitops/argocd/argocd-cm.yaml"));
    let mut keys: BTreeSet<&String> = config_map["data"].as_object().unwrap().keys().collect();
    for (_, crd) in modelcache::api::crds::all() {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        assert!(KINDS.contains(&kind), "{kind} has no fixtures");
        assert_eq!(std::fs::read_to_string(directory(kind).join("health.lua")).unwrap(), script, "{kind}");
        let key = format!("resource.customizations.health.modelcache.dev_{kind}");
        assert_eq!(config_map["data"][&key].as_str(), Some(script.as_str()), "argocd-cm.yaml: {key}");
        keys.remove(&key);
    }
    assert!(keys.is_empty(), "argocd-cm.yaml: {keys:?}");
}
