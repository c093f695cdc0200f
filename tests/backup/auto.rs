//! What a source can fetch again is kept by name and hash; everything else with its bytes.

use super::bench::{Bench, Ran, ran};
use super::whole;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A backup of a kind to a place.
fn attempt(bench: &Bench, content: &str, per_node: bool, to: &str) -> Ran {
    let text = std::fs::read_to_string(bench.path("cache.yaml")).unwrap();
    let mut cache: Value = serde_json::from_str(&text).unwrap();
    cache["spec"]["backup"] = json!({"destination": {"volume": {"claimName": "nas"}}, "content": content});
    let volume = if per_node {
        json!({"perNode": {"pool": "gpu", "size": "10Gi"}})
    } else {
        json!({"shared": {"size": "10Gi"}})
    };
    cache["spec"]["volumes"] = json!([volume]);
    cache["spec"]["volumes"][0]["name"] = json!("models");
    bench.write(&cache);
    let to = bench.path(to);
    std::fs::create_dir_all(&to).unwrap();
    ran(bench.command(&["backup"]).arg("--to").arg(&to).output().unwrap())
}

fn backed_up(bench: &Bench, content: &str, per_node: bool) -> (Value, BTreeMap<String, Vec<u8>>) {
    let ran = attempt(bench, content, per_node, content);
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    let mut found = whole::contents(&bench.path(content), "studio", None);
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

/// Does to the weights what a client of the hub with a shared store does. Where they are now.
fn moved_to_the_shared_store(bench: &Bench) -> (PathBuf, PathBuf) {
    let hub = bench.volume().join("huggingface/hub");
    let blob = bench.snapshot("org/model", &bench.main("org/model"), "model.safetensors").canonicalize().unwrap();
    let xet = format!("ab{}", "0".repeat(62));
    std::fs::create_dir_all(hub.join("blobs/ab")).unwrap();
    std::fs::write(hub.join("blobs/.huggingface-shared-blobs"), "1\n").unwrap();
    let stored = hub.join("blobs/ab").join(&xet);
    std::fs::rename(&blob, &stored).unwrap();
    symlink(format!("../../blobs/ab/{xet}"), &blob).unwrap();
    (blob, stored)
}

fn of_origin(files: &BTreeMap<String, Vec<u8>>) -> usize {
    files.values().filter(|it| it.as_slice() == b"from model").count()
}

#[test]
fn a_copy_on_a_node_is_covered_as_its_manifests_say_and_other_files_are_counted() {
    let bench = warm();
    let (said, files) = backed_up(&bench, "Full", true);
    assert!(said["notCovered"].as_u64().unwrap() >= 1, "{said}");
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

#[test]
fn a_blob_that_a_client_has_moved_to_its_shared_store_is_in_the_backup_with_its_bytes() {
    let bench = warm();
    let (blob, stored) = moved_to_the_shared_store(&bench);
    let name = |path: &PathBuf| path.strip_prefix(bench.volume()).unwrap().to_str().unwrap().to_owned();
    let weights = std::fs::read(&stored).unwrap();
    // The store is not what sources put there: a copy on a node has the bytes only where the manifest names them.
    let (_, files) = backed_up(&bench, "Full", true);
    assert!(files[&name(&blob)] == weights, "the link was kept and not the bytes");
    assert!(!files.contains_key(&name(&stored)));
    // A volume whose every file is covered has both as they are.
    let (_, files) = backed_up(&bench, "Auto", false);
    assert!(files[&name(&stored)] == weights);
    assert!(files[&name(&blob)].starts_with(b"../../blobs/ab/"), "a link is kept as a link");
    // Names and hashes only: its source fetches it again, to where the manifest names it.
    let (_, files) = backed_up(&bench, "Manifest", false);
    assert_eq!(files[&name(&blob)], b"from model");
    // Whatever it is kept as, it is what its source put there, or no backup.
    std::fs::write(&stored, super::bytes(3, 300_000)).unwrap();
    for (content, per_node) in [("Full", true), ("Auto", false)] {
        let ran = attempt(&bench, content, per_node, &format!("damaged-{content}"));
        ran.failed(33, "Damaged", &["modelcache prefetch"]);
    }
    for target in ["/etc/hostname", "../../blobs/ab/nothing", "../../../../../../outside"] {
        std::fs::remove_file(&blob).unwrap();
        symlink(target, &blob).unwrap();
        let ran = attempt(&bench, "Full", false, "gone");
        ran.failed(33, "Damaged", &["no file of this volume", "modelcache prefetch"]);
    }
}
