//! What a source can fetch again is kept by name and hash; everything else with its bytes.

use super::bench::{Bench, ran};
use super::whole;
use serde_json::{Value, json};

fn backed_up(bench: &Bench, content: &str, per_node: bool) -> (Value, std::collections::BTreeMap<String, Vec<u8>>) {
    let text = std::fs::read_to_string(bench.path("cache.yaml")).unwrap();
    let mut cache: Value = serde_json::from_str(&text).unwrap();
    cache["spec"]["backup"] = json!({"destination": {"volume": {"claimName": "nas"}}, "content": content});
    if per_node {
        cache["spec"]["volumes"] = json!([{"name": "models", "perNode": {"pool": "gpu", "size": "10Gi"}}]);
    }
    bench.write(&cache);
    let to = bench.path(content);
    std::fs::create_dir_all(&to).unwrap();
    let ran = ran(bench.command(&["backup"]).arg("--to").arg(&to).output().unwrap());
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    let mut found = whole::contents(&to, "studio", None);
    (ran.one()["backup"].clone(), found.pop().unwrap().1)
}

fn warm() -> Bench {
    let bench = Bench::new();
    bench.hub.repo("org/model=config.json:700,model.safetensors:300000");
    bench.cache(&[bench.repo("model", "org/model", &json!({}))]);
    bench.prefetch();
    std::fs::write(bench.volume().join("notes.txt"), "mine").unwrap();
    bench
}

fn of_origin(files: &std::collections::BTreeMap<String, Vec<u8>>) -> usize {
    files.values().filter(|it| it.as_slice() == b"from model").count()
}

#[test]
fn a_copy_on_a_node_is_covered_as_its_manifests_say_and_other_files_are_counted() {
    let bench = warm();
    let (said, files) = backed_up(&bench, "Full", true);
    assert_eq!(said["notCovered"], 1);
    assert!(!files.contains_key("notes.txt"));
    assert!(files.values().any(|it| it.len() == 300_000), "the weights are in the backup with their bytes");
    assert_eq!(of_origin(&files), 0);
}

#[test]
fn auto_keeps_no_bytes_of_what_the_hub_serves_today_and_all_bytes_of_user_data() {
    let bench = warm();
    let (_, files) = backed_up(&bench, "Auto", false);
    assert_eq!(files["notes.txt"], b"mine");
    assert!(of_origin(&files) >= 2, "{:?}", files.keys());
    assert!(!files.values().any(|it| it.len() == 300_000));
}

#[test]
fn a_damaged_or_missing_file_of_a_source_is_no_backup() {
    let bench = warm();
    backed_up(&bench, "Full", false);
    let blob = bench.published().into_iter().find(|it| {
        let stat = std::fs::symlink_metadata(bench.volume().join(it)).unwrap();
        stat.is_file() && stat.len() == 300_000
    });
    let blob = bench.volume().join(blob.unwrap());
    std::fs::write(&blob, super::bytes(2, 300_000)).unwrap();
    let to = bench.path("other");
    std::fs::create_dir(&to).unwrap();
    let run = || ran(bench.command(&["backup"]).arg("--to").arg(&to).output().unwrap());
    run().failed(33, "Damaged", &["modelcache prefetch"]);
    std::fs::remove_file(&blob).unwrap();
    run().failed(33, "Damaged", &["gone"]);
}
