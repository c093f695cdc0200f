//! Does checkov find anything in what the chart makes that we have no reason for?

use crate::helm::{root, template};
use crate::rendered::EVERYTHING;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const CHECKOV: &str = "checkov==3.2.489";

/// Its packages, installed once, outside the checkout.
fn packages() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("modelcache-operator/programs");
    let directory = cache.join(CHECKOV.replace("==", "-"));
    if !directory.exists() {
        std::fs::create_dir_all(&cache).unwrap();
        let partial = tempfile::tempdir_in(&cache).unwrap();
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        let done = pip.arg(partial.path()).arg(CHECKOV).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        // Another run may have been faster.
        let _ = std::fs::rename(partial.keep(), &directory);
    }
    directory
}

/// What it finds: check and resource.
fn findings(packages: &Path, text: &str) -> BTreeSet<(String, String)> {
    // It passes over directories whose names begin with a dot.
    let directory = tempfile::Builder::new().prefix("chart-").tempdir().unwrap();
    std::fs::write(directory.path().join("chart.yaml"), text).unwrap();
    let mut checkov = Command::new("python3");
    checkov.arg(packages.join("bin/checkov")).env("PYTHONPATH", packages).env("PYTHONWARNINGS", "ignore");
    checkov.args(["--framework", "kubernetes", "--skip-download", "--quiet", "-o", "json", "-d"]).arg(directory.path());
    let done = checkov.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let report: Value = serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{error}: {said}{}", String::from_utf8_lossy(&done.stderr)));
    assert!(report["summary"]["passed"].as_u64().unwrap() > 50, "{}", report["summary"]);
    assert_eq!(report["summary"]["parsing_errors"], 0);
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let failed = report["results"]["failed_checks"].as_array().unwrap();
    failed.iter().map(|it| (text(&it["check_id"]), text(&it["resource"]))).collect()
}

#[test]
fn checkov_finds_nothing_without_a_reason_and_no_reason_is_left_over() {
    let reasons = std::fs::read_to_string(root().join("tests/chart/checkov.yaml")).unwrap();
    let reasons: BTreeMap<String, String> = serde_saphyr::from_str(&reasons).unwrap();
    let packages = packages();
    // Tags and digests are the user's: with a digest as in production.
    let digest = format!("image: {{digest: 'sha256:{}'}}\n", "0".repeat(64));
    let everything = EVERYTHING.replace("image: {tag: v9}\n", &digest);
    let mut found = findings(&packages, &template("modelcache-system", &digest).unwrap());
    found.extend(findings(&packages, &template("modelcache-system", &everything).unwrap()));
    let new: Vec<_> = found.iter().filter(|(check, _)| !reasons.contains_key(check)).collect();
    assert!(new.is_empty(), "mend these, or say in tests/chart/checkov.yaml why not: {new:#?}");
    let stale: Vec<_> = reasons.keys().filter(|it| !found.iter().any(|(check, _)| check == *it)).collect();
    assert!(stale.is_empty(), "nothing is found any more: {stale:?}");
}
