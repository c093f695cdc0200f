//! The models of a cache: after a restore they are known, whole, pinned, and fetched by nobody.

use crate::ground::{Ground, Tree};
use crate::hub::Hub;
use serde_json::{Value, json};

/// A cache with a hub repository, warmed; what is on its volume, and the source.
fn warmed() -> (Ground, Hub, Value, Tree) {
    let (ground, hub) = (Ground::new(), Hub::start());
    hub.repo("org/model=weights.bin:3Mi,config.json:500,part@20:300");
    let source = json!({"name": "model", "huggingFace": {"repo": "org/model", "endpoint": hub.url}});
    ground.source(&source);
    ground.done(&["prefetch"]);
    let there = ground.on_volume();
    (ground, hub, source, there)
}

fn requests(hub: &Hub) -> u64 {
    hub.counters().requests.values().sum()
}

fn current(ground: &Ground) -> Option<String> {
    std::fs::read_to_string(ground.volume().join(".modelcache/studio/current")).ok()
}

#[test]
fn a_wiped_volume_is_whole_again_without_its_origin() {
    let (ground, hub, source, there) = warmed();
    let said = current(&ground);
    ground.of_volume("2026-03-01T00:00:00Z", &source, true);
    std::fs::remove_dir_all(ground.volume()).unwrap();
    let before = requests(&hub);
    ground.done(&["restore"]);
    assert!(ground.on_volume() == there);
    assert_eq!(current(&ground), said, "`wait` returns");
    ground.done(&["verify"]);
    ground.done(&["prefetch"]);
    ground.done(&["wait", "--timeout", "1s"]);
    assert_eq!(requests(&hub), before, "nobody was asked for anything");
}

#[test]
fn a_damaged_manifest_of_a_source_is_found_by_a_deep_look() {
    let (ground, _hub, source, _) = warmed();
    ground.of_volume("2026-03-01T00:00:00Z", &source, true);
    let snapshots = ground.block_on(ground.repository().snapshots()).unwrap();
    let kept = snapshots[0].volumes[0].manifests["model"].sha256.clone();
    let blob = ground.store().join("blobs/sha256").join(&kept[..2]).join(&kept);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    ground.done(&["restore", "--verify"]);
    let ran = ground.run(&["restore", "--verify", "--deep"]);
    ran.failed(30, "ChecksumMismatch", &["1 files", "the manifest of source `model`", &kept]);
}

#[test]
fn the_pin_of_the_snapshot_holds_although_the_branch_has_moved() {
    let (ground, hub, source, there) = warmed();
    ground.of_volume("2026-03-01T00:00:00Z", &source, true);
    hub.control("move?repo=org/model");
    ground.done(&["prefetch", "--refresh"]);
    ground.done(&["restore"]);
    let before = requests(&hub);
    ground.done(&["verify"]);
    ground.done(&["prefetch"]);
    assert_eq!(requests(&hub), before, "the next run undoes nothing");
    let main = |tree: &Tree| tree.iter().find(|(path, _)| path.ends_with("refs/main")).map(|it| it.1.clone());
    assert_eq!(main(&ground.on_volume()), main(&there));
}

#[test]
fn a_backup_of_names_and_hashes_fetches_the_very_files_from_their_origin() {
    let (ground, hub, source, there) = warmed();
    ground.of_volume("2026-03-01T00:00:00Z", &source, false);
    std::fs::remove_dir_all(ground.volume()).unwrap();
    ground.done(&["restore"]);
    assert!(ground.on_volume() == there);
    ground.done(&["verify"]);
    let before = requests(&hub);
    ground.done(&["prefetch"]);
    assert_eq!(requests(&hub), before);
    // Bytes that went wrong in place, with the size and name that they had, are not taken for right.
    let wrong = ground.volume().join(there.iter().find(|it| it.1.len() == 3 << 20).unwrap().0);
    std::fs::write(&wrong, vec![7; 3 << 20]).unwrap();
    ground.done(&["restore"]);
    assert!(ground.on_volume() == there, "it was fetched again");
    ground.done(&["verify"]);
    // And where the origin is gone, nothing says that it is whole.
    std::fs::remove_dir_all(ground.volume()).unwrap();
    hub.state.lock().repos.clear();
    let ran = ground.run(&["restore"]);
    assert_ne!(ran.code, 0);
    assert!(ran.message().contains("comes from its origin"), "{}", ran.message());
    assert_eq!(current(&ground), None);
}

#[test]
fn a_restore_of_some_files_moves_their_source_alone() {
    let (ground, hub) = (Ground::new(), Hub::start());
    let source = |name: &str| {
        hub.repo(&format!("org/{name}=weights.bin:200Ki,config.json:500"));
        json!({"name": name, "huggingFace": {"repo": format!("org/{name}"), "endpoint": hub.url}})
    };
    let (one, other) = (source("one"), source("other"));
    ground.sources(&[one.clone(), other.clone()]);
    ground.done(&["prefetch"]);
    ground.of_sources("2026-03-01T00:00:00Z", &[one.clone(), other.clone()], false);
    let then = ground.on_volume();
    let some = ["restore", "--include", "huggingface/hub/models--org--one/**"];
    // At the pin that is there already, what is said of the volume holds.
    let said = current(&ground);
    ground.done(&some);
    assert_eq!(current(&ground), said);
    let weights =
        then.iter().find(|(path, bytes)| path.contains("org--one/blobs") && bytes.len() == 200 << 10).unwrap().0;
    std::fs::remove_file(ground.volume().join(weights)).unwrap();
    ground.done(&some);
    assert!(ground.on_volume() == then);
    ground.done(&["prefetch"]);
    assert!(said.is_some() && current(&ground) == said);

    hub.control("move?repo=org/one");
    hub.control("move?repo=org/other");
    // A source that came since, and that the restored spec does not know.
    ground.sources(&[one.clone(), other.clone(), source("new")]);
    ground.done(&["prefetch", "--refresh"]);
    let now = ground.on_volume();
    let manifest = |name: &str| {
        let path = ground.volume().join(format!(".modelcache/studio/manifests/{name}.json"));
        serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap()
    };
    let before = ["other", "new"].map(manifest);
    let branch = |name: &str| format!("huggingface/hub/models--org--{name}/refs/main");
    assert_ne!(then[&branch("other")], now[&branch("other")]);
    let said = current(&ground);
    ground.sources(&[one, other]);
    ground.done(&some);
    let restored = ground.on_volume();
    assert_eq!(restored[&branch("one")], then[&branch("one")]);
    for name in ["other", "new"] {
        assert_eq!(restored[&branch(name)], now[&branch(name)], "`{name}` was not asked for");
    }
    assert_eq!(["other", "new"].map(manifest), before, "what is known of the others is what it was");
    assert!(said.is_some() && current(&ground).is_none(), "the volume is not what the plan of `current` says any more");
    ground.done(&["verify"]);
}
