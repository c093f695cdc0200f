//! What guides do with `tar` and a docker volume, each as a sample of ours, run on directories like theirs.

use crate::bench::{Ran, bare, ran};
use crate::files;
use crate::samples::all;
use modelcache::agent::backup::repository::seal::new_key;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A machine with the volume of a sample and a place for its backups.
struct Guide {
    directory: tempfile::TempDir,
    sample: PathBuf,
    volume: String,
    /// For the sample that encrypts.
    key: String,
}

impl Guide {
    fn of(sample: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples").join(sample);
        let found = all().into_iter().find(|it| it.file == sample).unwrap_or_else(|| panic!("no {sample}"));
        let spec = &found.document["spec"];
        let volume = spec["backup"]["volumes"][0].as_str().or(spec["volumes"][0]["name"].as_str()).unwrap().to_owned();
        let guide = Self { directory: tempfile::tempdir().unwrap(), sample: path, volume, key: new_key() };
        for name in ["nas", "new"] {
            std::fs::create_dir_all(guide.path(name)).unwrap();
        }
        guide
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn root(&self) -> PathBuf {
        self.path("volumes").join(&self.volume)
    }

    /// What the applications of the guides leave behind.
    fn filled(self) -> Self {
        for (path, bytes) in [
            ("assets/images/cat.png", "png"),
            ("assets/models/cat.glb", "glb"),
            ("trellis/scene/room.json", "{}"),
            ("trellis/prompts/1.txt", "a cat"),
            ("logs/app/app.log", "line\n"),
            ("hub/models--org--x/blobs/abc", "weights"),
        ] {
            let path = self.root().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(&arguments[..1]);
        command.args(["-o", "json"]).args(&arguments[1..]).env("MODELCACHE_BACKUP_KEY", &self.key);
        command
    }

    #[track_caller]
    fn done(&self, mut command: Command) -> Value {
        let Ran { code, results, stderr } = ran(command.output().unwrap());
        assert_eq!(code, 0, "{} {results:?} {stderr}", self.sample.display());
        results[0].clone()
    }

    /// A backup to the directory that stands for the claim or the bucket.
    #[track_caller]
    fn backup(&self) -> Value {
        self.done(self.to_nas())["backup"].clone()
    }

    fn to_nas(&self) -> Command {
        let mut command = self.command(&["backup", "-f"]);
        command.arg(&self.sample).arg("--volumes-dir").arg(self.path("volumes")).arg("--to").arg(self.path("nas"));
        command
    }

    /// The archives that were made.
    fn archives(&self) -> Vec<PathBuf> {
        let made = files(&self.path("nas")).into_iter().filter(|it| it.ends_with(".tar.zst"));
        made.map(|it| self.path("nas").join(it)).collect()
    }

    /// Brings an archive to a machine that has nothing, and gives the files there.
    #[track_caller]
    fn imported(&self, archive: &Path) -> Vec<String> {
        let mut command = self.command(&["restore", "--archive"]);
        command.arg(archive).arg("--to").arg(self.path("new"));
        self.done(command);
        on(&self.path("new"))
    }

    /// Wipes the volume and restores it.
    #[track_caller]
    fn wiped_and_restored(&self) -> Vec<String> {
        std::fs::remove_dir_all(self.root()).unwrap();
        let mut command = self.command(&["restore", "-f"]);
        command.arg(&self.sample).arg("--volumes-dir").arg(self.path("volumes")).arg("--from").arg(self.path("nas"));
        self.done(command);
        on(&self.root())
    }
}

/// Files that are not ours.
fn on(directory: &Path) -> Vec<String> {
    files(directory).into_iter().filter(|it| !it.starts_with(".modelcache")).collect()
}

const EVERYTHING: [&str; 6] = [
    "assets/images/cat.png",
    "assets/models/cat.glb",
    "hub/models--org--x/blobs/abc",
    "logs/app/app.log",
    "trellis/prompts/1.txt",
    "trellis/scene/room.json",
];

#[test]
fn every_sample_with_a_backup_is_run_here() {
    let text = include_str!("guides.rs");
    for sample in all().iter().filter(|it| it.document["spec"]["backup"] != Value::Null) {
        assert!(text.contains(&format!("\"{}\"", sample.file)), "{} is run by no test", sample.file);
    }
}

#[test]
fn everything_is_exported_as_one_dated_file_and_imported_on_a_new_system() {
    let guide = Guide::of("export-everything.yaml").filled();
    assert_eq!(guide.backup()["files"], 6);
    let archives = guide.archives();
    assert_eq!(archives.len(), 1);
    let name = archives[0].file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name[..8].parse::<u32>().is_ok(), "{name} begins with its date");
    assert_eq!(guide.imported(&archives[0]), EVERYTHING);
    assert_eq!(std::fs::read(guide.path("new/assets/images/cat.png")).unwrap(), b"png");
}

#[test]
fn only_the_important_data_is_exported() {
    let guide = Guide::of("export-assets.yaml").filled();
    assert_eq!(guide.backup()["files"], 4);
    let expected: Vec<&str> =
        EVERYTHING.into_iter().filter(|it| it.starts_with("assets/") || it.starts_with("trellis/")).collect();
    assert_eq!(guide.imported(&guide.archives()[0]), expected);
}

#[test]
fn only_the_logs_are_kept() {
    let guide = Guide::of("backup-log-files.yaml").filled();
    assert_eq!(guide.backup()["files"], 1);
    assert_eq!(guide.wiped_and_restored(), ["logs/app/app.log"]);
}

#[test]
fn a_model_cache_that_was_wiped_comes_back_and_an_unchanged_one_costs_no_bytes() {
    let guide = Guide::of("backup-model-cache.yaml").filled();
    assert_eq!(guide.backup()["files"], 6);
    assert_eq!(guide.backup()["newBytes"], 0);
    assert_eq!(guide.wiped_and_restored(), EVERYTHING);
    assert_eq!(std::fs::read(guide.root().join("hub/models--org--x/blobs/abc")).unwrap(), b"weights");
}

#[test]
fn the_other_samples_back_up_and_restore_what_is_theirs() {
    for sample in ["backup-s3.yaml", "backup-azure.yaml", "backup-claim.yaml", "backup-nightly.yaml"] {
        let guide = Guide::of(sample).filled();
        let found = guide.backup();
        assert!(found["files"].as_u64() > Some(0), "{sample}: {found}");
        let before = on(&guide.root());
        assert_eq!(guide.wiped_and_restored(), before, "{sample}");
    }
}

#[test]
fn a_per_node_volume_that_was_never_warmed_is_no_backup() {
    let guide = Guide::of("backup-gcs.yaml").filled();
    let Ran { code, results, .. } = ran(guide.to_nas().output().unwrap());
    assert_ne!(code, 0);
    assert_eq!(results[0]["reason"], "NoFiles");
    assert!(results[0]["message"].as_str().unwrap().contains("was it warmed?"), "{results:?}");
}
