//! What was restored to a shared volume or to a claim loads as it did before: offline, as another user, from a read-only mount.

use crate::hub::Hub;
use crate::python::{Python, output};
use crate::{MOUNT, environment, warmed};
use modelcache::api::ModelCacheSpec;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const CLIENTS: [&[&str]; 2] = [&["huggingface_hub==0.36.2"], &["huggingface_hub==2.4.0", "transformers==5.23.0"]];

/// A backup of a warmed volume, in a directory that stands for a store.
struct Backed {
    directory: tempfile::TempDir,
    spec: ModelCacheSpec,
    expected: Value,
}

impl Backed {
    /// With so much of each file, in this form.
    fn up(hub: &Hub, content: &str, format: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (spec, expected) = warmed(hub, directory.path());
        let backed = Self { directory, spec, expected };
        let mut spec = serde_json::to_value(&backed.spec).unwrap();
        let destination = json!({"volume": {"claimName": "nas"}});
        spec["backup"] = json!({"destination": destination, "content": content, "format": format});
        let cache = json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "x"}, "spec": spec
        });
        std::fs::write(backed.path("cache.yaml"), cache.to_string()).unwrap();
        std::fs::create_dir(backed.path("nas")).unwrap();
        let to = backed.path("nas");
        backed.agent(&["backup", "-f", "cache.yaml", "--volumes-dir", "volumes", "--to", to.to_str().unwrap()]);
        backed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn agent(&self, arguments: &[&str]) {
        output(Command::new(env!("CARGO_BIN_EXE_modelcache")).args(arguments).current_dir(self.directory.path()));
    }

    /// Removes all that is on the volume, its own directory too.
    fn wipe(&self) {
        std::fs::remove_dir_all(self.path("volumes/models")).unwrap();
    }

    /// Every client loads everything from a directory that pods mount.
    fn loads(&self, volume: &Path) {
        let python = Python::new(self.path("aside"), volume.to_owned(), MOUNT);
        for packages in CLIENTS {
            let packages: Vec<String> = packages.iter().map(|it| (*it).to_owned()).collect();
            let said = python.run(&packages, include_str!("matrix.py"), &environment(&self.spec), &self.expected);
            assert!(said.ends_with("all of it\n"), "{packages:?}: {said}");
        }
    }
}

#[test]
fn a_shared_volume_that_was_wiped_loads_from_its_backup_and_so_does_another_claim() {
    let hub = Hub::start();
    let backed = Backed::up(&hub, "Full", "Repository");
    // Nobody is asked any more.
    drop(hub);
    backed.wipe();
    let from = format!("file://{}", backed.path("nas").display());
    backed.agent(&["restore", "-f", "cache.yaml", "--volumes-dir", "volumes", "--from", &from]);
    backed.loads(&backed.path("volumes/models"));
    // A claim of another cluster, which knows nothing of the cache.
    let claim = backed.path("claim");
    std::fs::create_dir(&claim).unwrap();
    std::fs::set_permissions(&claim, std::fs::Permissions::from_mode(0o755)).unwrap();
    backed.agent(&["restore", "--from", &from, "--to", claim.to_str().unwrap()]);
    backed.loads(&claim);
}

#[test]
fn a_shared_volume_whose_backup_has_names_and_hashes_alone_loads_what_comes_from_its_origin_again() {
    let hub = Hub::start();
    let backed = Backed::up(&hub, "Auto", "Repository");
    backed.wipe();
    let from = format!("file://{}", backed.path("nas").display());
    backed.agent(&["restore", "-f", "cache.yaml", "--volumes-dir", "volumes", "--from", &from]);
    drop(hub);
    backed.loads(&backed.path("volumes/models"));
}

#[test]
fn a_claim_that_was_filled_from_one_carried_file_loads_everything() {
    let hub = Hub::start();
    let backed = Backed::up(&hub, "Full", "Archive");
    drop(hub);
    backed.wipe();
    let archives = std::fs::read_dir(backed.path("nas/default/x/archives")).unwrap();
    let archive = archives.map(|it| it.unwrap().path()).next().unwrap();
    let volume = backed.path("volumes/models");
    backed.agent(&["restore", "--archive", archive.to_str().unwrap(), "--to", volume.to_str().unwrap()]);
    backed.loads(&volume);
}
