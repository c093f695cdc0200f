//! Where are the programs of `tests/servers`? Built once from the Go module proxy, and kept outside the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The built program. Several tests may ask at once: one builds, the others wait.
pub fn program(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(name);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    let directory = cache.join("modelcache-operator/servers").join(format!("{name}-{}", key(&source)));
    let program = directory.join(name);
    fs::create_dir_all(&directory).unwrap();
    let lock = fs::File::create(directory.join("lock")).unwrap();
    lock.lock().unwrap();
    if !program.exists() {
        let new = directory.join(format!("{name}.new"));
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]).arg(&new).arg(".");
        let built = go.current_dir(&source).env("CGO_ENABLED", "0").output();
        let built = built.unwrap_or_else(|error| panic!("go cannot be run ({error}): install Go 1.26 or newer"));
        assert!(built.status.success(), "{name} was not built: {}", String::from_utf8_lossy(&built.stderr));
        fs::rename(new, &program).unwrap();
    }
    program
}

/// Changes with the sources, and so with the versions that they pin.
fn key(source: &Path) -> String {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    for file in ["main.go", "go.mod", "go.sum"] {
        hasher.update(fs::read(source.join(file)).unwrap());
    }
    modelcache::agent::fetch::hex(&hasher.finalize()[..8])
}
