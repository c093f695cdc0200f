//! The deeds of the guides that people write for each other, each as a sample of ours, run on a directory like theirs.

use crate::bench::{bare, paths};
use crate::desk::aged;
use crate::samples::{Sample, all};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory like that of a guide, with the volume of a sample.
struct Guide {
    directory: tempfile::TempDir,
    sample: PathBuf,
    volume: String,
}

impl Guide {
    fn of(sample: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples").join(sample);
        let found: Sample = all().into_iter().find(|it| it.file == sample).unwrap_or_else(|| panic!("no {sample}"));
        let volume = found.document["spec"]["volumes"][0]["name"].as_str().unwrap().to_owned();
        let guide = Self { directory: tempfile::tempdir().unwrap(), sample: path, volume };
        std::fs::create_dir_all(guide.root()).unwrap();
        guide
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join(&self.volume)
    }

    fn file(&self, path: &str, bytes: impl AsRef<[u8]>, days: u64) -> PathBuf {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        aged(&path, days);
        path
    }

    /// A file of this size that takes no space.
    fn sparse(&self, path: &str, size: u64, days: u64) {
        let path = self.file(path, "", days);
        std::fs::File::options().write(true).open(&path).unwrap().set_len(size).unwrap();
        aged(&path, days);
    }

    fn command(&self) -> Command {
        let mut command = bare(&["clean", "-o", "json", "-f"]);
        command.arg(&self.sample).arg("--volumes-dir").arg(self.directory.path());
        command
    }

    #[track_caller]
    fn clean(&self) -> Value {
        let output = self.command().output().unwrap();
        let results: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!(output.status.code(), Some(0), "{results:#} {}", String::from_utf8_lossy(&output.stderr));
        results[0].clone()
    }

    fn files(&self) -> Vec<String> {
        let all = paths(&self.root()).into_iter().filter(|it| !it.starts_with(".modelcache"));
        all.filter(|it| !self.root().join(it).is_dir()).collect()
    }
}

#[test]
fn every_sample_with_a_clean_up_is_run_here() {
    let text = include_str!("guides.rs");
    for sample in all().iter().filter(|it| it.document["spec"]["cleanup"] != Value::Null) {
        assert!(text.contains(&format!("Guide::of(\"{}\")", sample.file)), "{} is run by no test", sample.file);
    }
}

#[test]
fn logs_older_than_seven_days_go_and_large_ones_are_rotated() {
    let guide = Guide::of("clean-logs.yaml");
    guide.file("logs/supervisor/llm-service.out.log", "old", 8);
    let young = guide.file("logs/supervisor/gradio-app.err.log", "young", 6);
    guide.sparse("logs/app/app.log", 101 << 20, 0);
    guide.file("logs/app/notes.txt", "old, and no log", 99);
    let inode = std::fs::metadata(&young).unwrap().ino();
    let done = guide.clean();
    assert_eq!((&done["clean"]["deleted"], &done["clean"]["rotated"]), (&json!(1), &json!(1)), "{done:#}");
    assert_eq!(std::fs::metadata(&young).unwrap().ino(), inode);
    assert_eq!(std::fs::metadata(guide.root().join("logs/app/app.log")).unwrap().len(), 0);
    assert_eq!(guide.files().len(), 4);
}

#[test]
fn images_and_models_older_than_thirty_days_go_but_for_the_newest_twenty() {
    let guide = Guide::of("clean-outputs.yaml");
    for age in 0..30 {
        guide.file(&format!("assets/images/{age:02}.png"), "x", 20 + age);
        guide.file(&format!("assets/models/output_{age:02}.glb"), "x", age);
    }
    guide.file("trellis/prompts/castle.txt", "x", 900);
    let done = guide.clean();
    // Thirty images of 20 to 49 days: the newest twenty stay, 39 days old or not.
    assert_eq!(done["clean"]["deleted"], 10, "{done:#}");
    assert_eq!(guide.files().len(), 51);
    let back = bare(&["restore-trash", "assets/images", "--volume"]).arg(guide.root()).output().unwrap();
    assert!(back.status.success());
    assert_eq!(guide.files().len(), 61);
}

#[test]
fn a_directory_that_outgrows_its_size_loses_its_oldest_files() {
    let guide = Guide::of("clean-sizes.yaml");
    for age in 1..=6 {
        guide.sparse(&format!("assets/images/{age}.png"), 3 << 30, age);
        guide.sparse(&format!("trellis/prompts/{age}.txt"), 1 << 30, age);
    }
    guide.clean();
    let left = guide.files();
    assert_eq!(left.iter().filter(|it| it.starts_with("assets")).count(), 3, "{left:?}");
    assert_eq!(left.iter().filter(|it| it.starts_with("trellis/prompts")).count(), 6);
    let usage = bare(&["du", "-o", "json", "--volume"]).arg(guide.root()).output().unwrap();
    let usage: Value = serde_json::from_slice(&usage.stdout).unwrap();
    assert_eq!(usage[0]["other"]["files"], 9, "and `du` says what is there: {usage:#}");
}

#[test]
fn a_reset_empties_the_directories_and_leaves_them() {
    let guide = Guide::of("clean-reset.yaml");
    for number in 0..40 {
        guide.file(&format!("assets/images/deep/{number}.png"), "x", 0);
        guide.file(&format!("logs/supervisor/{number}.log"), "x", 0);
    }
    guide.file("keep.txt", "x", 0);
    guide.clean();
    assert_eq!(guide.files(), ["keep.txt"]);
    assert!(guide.root().join("assets/images").is_dir() && !guide.root().join("assets/images/deep").exists());
    assert!(guide.root().join("logs/supervisor").is_dir());
}

#[test]
fn permissions_are_those_of_the_guide() {
    let guide = Guide::of("clean-permissions.yaml");
    let file = guide.file("assets/images/a.png", "x", 0);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    for path in [&file, &guide.root().join("assets"), &guide.root().join("assets/images")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let done = guide.clean();
    assert_eq!(done["clean"]["mended"], 3, "{done:#}");
    assert_eq!((mode(&file), mode(&guide.root().join("assets"))), (0o644, 0o755));
}

#[test]
fn a_cache_that_has_nothing_to_give_up_says_so() {
    let guide = Guide::of("clean-revisions.yaml");
    let done = guide.clean();
    assert!(done["message"].as_str().unwrap().contains("nothing to do"), "{done:#}");
}

#[test]
fn the_web_cache_of_dgenerate_expires_after_twelve_hours() {
    let guide = Guide::of("clean-web-cache.yaml");
    guide.file("web/old.safetensors", "x", 1);
    guide.file("web/new.safetensors", "x", 0);
    guide.file("spacy/model/config.cfg", "x", 900);
    guide.sparse("diffusers_converted/a/old.safetensors", 40 << 30, 9);
    guide.sparse("diffusers_converted/b/new.safetensors", 40 << 30, 1);
    guide.file("pip/wheels/old.whl", "x", 31);
    guide.clean();
    let left = ["diffusers_converted/b/new.safetensors", "spacy/model/config.cfg", "web/new.safetensors"];
    assert_eq!(guide.files(), left);
    assert!(!guide.root().join("diffusers_converted/a").exists());
}

#[test]
fn copies_on_nodes_and_the_logs_beside_them_have_rules_of_their_own() {
    let guide = Guide::of("clean-on-nodes.yaml");
    let logs = guide.directory.path().join("logs/app");
    std::fs::create_dir_all(&logs).unwrap();
    let large = logs.join("app.log");
    std::fs::File::create(&large).unwrap().set_len(101 << 20).unwrap();
    std::fs::write(logs.join("old.log"), "old").unwrap();
    aged(&logs.join("old.log"), 8);
    guide.clean();
    let left = paths(&logs);
    assert!(left.iter().any(|it| it.starts_with("app.log.")), "{left:?}");
    assert!(!left.contains(&"old.log".to_owned()), "{left:?}");
}
