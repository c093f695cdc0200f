//! The environment of a cache, as shells and Compose read it.

use crate::bench::{Bench, bare};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::Command;

/// A cache whose mount path has everything in it that a shell could take for something.
fn cache(bench: &Bench) {
    bench.write(&json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "studio"},
        "spec": {
            "volumes": [{"name": "models", "mountPath": "/it's $(touch x) `id` \"m\" #1", "shared": {"size": "10Gi"}}],
            "sources": [
                {"name": "a", "huggingFace": {"repo": "org/a"}},
                {"name": "b", "whisper": {"model": "tiny"}},
                {"name": "c", "nltk": {"packages": ["punkt_tab"]}}
            ]
        }
    }));
}

fn env(bench: &Bench, arguments: &[&str]) -> String {
    let output = bare(&["env", "-f"]).arg(bench.path("cache.yaml")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn in_json(bench: &Bench, arguments: &[&str]) -> BTreeMap<String, String> {
    serde_json::from_str(&env(bench, &[&["--format", "json"], arguments].concat())).unwrap()
}

#[test]
fn a_shell_that_evaluates_it_has_exactly_the_same_variables() {
    let bench = Bench::new();
    cache(&bench);
    let expected = in_json(&bench, &[]);
    assert_eq!(expected["NLTK_DATA"], "/it's $(touch x) `id` \"m\" #1/nltk_data");
    let script = format!("{}\nexec env -0", env(&bench, &[]));
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).current_dir(bench.path(""));
    let output = shell.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let found: BTreeMap<String, String> = text
        .split('\0')
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .filter(|(name, _)| expected.contains_key(name))
        .collect();
    assert_eq!(found, expected);
    assert!(!bench.path("x").exists(), "something in a value was run");
}

#[test]
fn with_the_volumes_on_this_machine_the_paths_are_theirs() {
    let bench = Bench::new();
    bench.cache(&[json!({"name": "a", "huggingFace": {"repo": "org/a"}})]);
    let volumes = bench.path("volumes");
    let variables = in_json(&bench, &["--volumes-dir", volumes.to_str().unwrap()]);
    assert_eq!(variables["HF_HOME"], bench.volume().join("huggingface").to_str().unwrap());
    let dotenv = env(&bench, &["--format", "dotenv"]);
    assert!(
        dotenv.contains("\nHF_HUB_OFFLINE=1\n") && dotenv.contains("HF_HOME=/modelcache/models/huggingface\n"),
        "{dotenv}"
    );
}

#[test]
fn a_pod_is_told_the_claims_and_the_config_map_that_the_operator_makes() {
    let bench = Bench::new();
    cache(&bench);
    let snippet = env(&bench, &["--format", "pod"]);
    for line in ["configMapRef: {name: studio-env}", "{claimName: studio-models, readOnly: true}", "readOnly: true}"] {
        assert!(snippet.contains(line), "{line} is not in: {snippet}");
    }
}

#[test]
fn of_several_caches_one_must_be_named() {
    let bench = Bench::new();
    bench.cache(&[]);
    let one = std::fs::read_to_string(bench.path("cache.yaml")).unwrap();
    let both = format!("{one}\n---\n{}", one.replace("studio", "other"));
    std::fs::write(bench.path("cache.yaml"), both).unwrap();
    let output = bare(&["env", "-f"]).arg(bench.path("cache.yaml")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("name one of studio, other with --cache"));
    env(&bench, &["--cache", "other"]);
}
