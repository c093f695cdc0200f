//! The copies of nodes after a restore: the pins are said once, and each node takes the bytes from the backup, or else from the
//! origin.

use crate::ground::{Ground, Ran, Tree};
use crate::hub::Hub;
use modelcache::contract::outcome::Outcome;
use modelcache::contract::plan::{Plan, PlannedSource};
use serde_json::{Value, json};
use std::process::Command;

/// What was backed up of a warmed volume.
struct Kept {
    ground: Ground,
    hub: Hub,
    source: Value,
    snapshot: String,
    plan: Plan,
    there: Tree,
}

fn kept() -> Kept {
    let (ground, hub) = (Ground::new(), Hub::start());
    hub.repo("org/model=weights.bin:3Mi,config.json:500,part@20:300");
    let source = json!({"name": "model", "huggingFace": {"repo": "org/model", "endpoint": hub.url}});
    ground.source(&source);
    ground.done(&["prefetch"]);
    let there = ground.on_volume();
    let snapshot = ground.of_volume("2026-03-01T00:00:00Z", &source, true);
    let pins = std::fs::read(ground.volume().join(".modelcache/studio/pins.json")).unwrap();
    let pins: Value = serde_json::from_slice(&pins).unwrap();
    let planned = |source: &Value| PlannedSource {
        source: serde_json::from_value(source.clone()).unwrap(),
        pin: serde_json::from_value(pins["model"]["pin"].clone()).unwrap(),
    };
    let plan = Plan { sources: vec![planned(&source)], ..Plan::new("studio", "data") };
    Kept { ground, hub, source, snapshot, plan, there }
}

impl Kept {
    /// The node's disk is lost.
    fn wipe(&self) {
        std::fs::remove_dir_all(self.ground.volume()).unwrap();
        std::fs::create_dir_all(self.ground.volume()).unwrap();
    }

    /// A warm-up as a Job of the operator does it after a restore.
    fn warm_up(&self) -> (i32, Outcome) {
        let (file, message) = (self.ground.path("plan.json"), self.ground.path("termination-log"));
        std::fs::write(&file, self.plan.to_json()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelcache"));
        command.args([
            "prefetch",
            "-o",
            "json",
            "--owner",
            "replica-uid",
            "--attempt",
            "1",
            "--restore-of",
            "default/studio",
        ]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.arg("--plan").arg(file).arg("--volumes-dir").arg(self.ground.path("volumes"));
        command.arg("--secrets-dir").arg(self.ground.path("none")).arg("--termination-message").arg(&message);
        command.arg("--restore-file").arg(self.ground.path("cache.yaml"));
        command.arg("--restore-from").arg(format!("file://{}", self.ground.path("nas").display()));
        command.arg("--restore-snapshot").arg(&self.snapshot);
        let code = command.output().unwrap().status.code().unwrap_or(-1);
        (code, Outcome::parse(&std::fs::read_to_string(message).unwrap()).unwrap())
    }

    #[track_caller]
    fn warm(&self) -> Outcome {
        let (code, outcome) = self.warm_up();
        assert_eq!(code, 0, "{}", outcome.message);
        assert!(self.ground.on_volume() == self.there);
        let evidence = outcome.evidence.clone().unwrap();
        assert_eq!((&evidence.plan, evidence.files), (&self.plan.content_hash(), self.plan.files()));
        assert_eq!(evidence.hashed_files, evidence.files, "every hash was computed from the bytes");
        let current = std::fs::read_to_string(self.ground.volume().join(".modelcache/studio/current")).unwrap();
        assert!(current.contains(&self.plan.content_hash()), "{current}");
        assert!(!self.ground.volume().join(".modelcache/studio/restore").exists(), "nothing is kept for a rollback");
        outcome
    }

    fn large_blob(&self) -> std::path::PathBuf {
        let blobs = std::fs::read_dir(self.ground.store().join("blobs/sha256")).unwrap();
        let files = blobs.flat_map(|it| std::fs::read_dir(it.unwrap().path()).unwrap()).map(|it| it.unwrap().path());
        files.max_by_key(|it| it.metadata().unwrap().len()).unwrap()
    }

    fn pins(&self) -> Ran {
        self.ground.run(&["restore", "--pins-of", "data"])
    }
}

#[test]
fn a_node_that_lost_its_disk_takes_everything_from_the_backup_though_the_origin_is_gone() {
    let mut kept = kept();
    kept.wipe();
    kept.hub = Hub::start();
    let outcome = kept.warm();
    assert_eq!(outcome.evidence.as_ref().unwrap().fetched_bytes, 0);
    assert!(outcome.message.contains(&format!("came out of backup {}", kept.snapshot)), "{}", outcome.message);
    // Once more: nothing is to be done.
    kept.warm();
}

#[test]
fn what_is_damaged_in_the_backup_comes_from_the_origin() {
    let kept = kept();
    kept.wipe();
    let blob = kept.large_blob();
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let outcome = kept.warm();
    assert!(outcome.message.contains("damaged there"), "{}", outcome.message);
    assert_eq!(outcome.evidence.unwrap().fetched_bytes, 3 << 20);
}

#[test]
fn without_the_backup_the_origin_serves_and_without_both_it_is_said_of_both() {
    let mut kept = kept();
    kept.wipe();
    std::fs::rename(kept.ground.path("nas"), kept.ground.path("elsewhere")).unwrap();
    kept.warm();
    kept.wipe();
    kept.plan.sources[0].pin.revision = "0".repeat(40);
    let (code, outcome) = kept.warm_up();
    assert_ne!(code, 0);
    assert!(outcome.message.contains("nothing came out of the backup: "), "{}", outcome.message);
}

#[test]
fn the_pins_of_a_volume_are_said_and_nothing_of_it_is_touched() {
    let kept = kept();
    kept.wipe();
    let ran = kept.pins();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.results[0]["pins"]["model"], serde_json::to_value(&kept.plan.sources[0].pin).unwrap());
    assert!(ran.results[0]["restore"]["files"].as_u64().unwrap() >= 3);
    assert!(kept.ground.on_volume().is_empty());
}

#[test]
fn the_pins_of_a_volume_that_cannot_be_had_any_more_are_not_said() {
    let kept = kept();
    let mut other = kept.source.clone();
    other["huggingFace"]["revision"] = json!("v2");
    kept.ground.source(&other);
    kept.pins().failed(2, "InvalidSpec", &["source `model` is not as it was", "--print-spec"]);
    kept.ground.source(&kept.source);
    std::fs::remove_file(kept.large_blob()).unwrap();
    kept.pins().failed(30, "ChecksumMismatch", &["nothing was restored"]);
    let ran = kept.ground.run(&["restore", "--pins-of", "data", "--include", "*.json"]);
    ran.failed(32, "NoFiles", &["nothing was restored"]);
}
