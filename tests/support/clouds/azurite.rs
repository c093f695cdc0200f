//! Where is Azurite? Installed once from npm, at the versions and hashes of `tests/servers/azurite`, outside the checkout.

use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The script of its blob service, for `node`. Several tests may ask at once: one installs, the others wait.
pub fn script() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/azurite");
    let mut hasher = Sha256::new();
    for file in ["package.json", "package-lock.json"] {
        hasher.update(fs::read(source.join(file)).unwrap());
    }
    let key = modelcache::agent::fetch::hex(&hasher.finalize()[..8]);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    let directory = cache.join("modelcache-operator/servers").join(format!("azurite-{key}"));
    let (installed, script) = (directory.join("installed"), "node_modules/azurite/dist/src/blob/main.js");
    fs::create_dir_all(&directory).unwrap();
    let lock = fs::File::create(directory.join("lock")).unwrap();
    lock.lock().unwrap();
    if !installed.exists() {
        let new = directory.join("new");
        let _ = fs::remove_dir_all(&new);
        fs::create_dir(&new).unwrap();
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), new.join(file)).unwrap();
        }
        // Nothing that a package brings is run.
        let mut npm = Command::new("npm");
        npm.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        let done = npm.current_dir(&new).output();
        let done = done.unwrap_or_else(|error| panic!("npm cannot be run ({error}): install nodejs and npm"));
        assert!(done.status.success(), "Azurite was not installed: {}", String::from_utf8_lossy(&done.stderr));
        fs::rename(new, &installed).unwrap();
    }
    installed.join(script)
}
