//! Is a packaged chart the one that was signed? With a key that is thrown away.

use crate::helm::{helm, program, root};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const KEY: &str = "Chart test <chart@example.invalid>";

fn gpg(home: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("gpg");
    command.arg("--homedir").arg(home).args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]);
    let done = command.args(arguments).output();
    let done = done.unwrap_or_else(|error| panic!("gpg cannot be run ({error}): `make prerequisites` installs it"));
    assert!(done.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// A new key: its secret part, and the one that is given away.
struct Key {
    home: tempfile::TempDir,
    secret: PathBuf,
    public: PathBuf,
}

impl Key {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        gpg(home.path(), &["--quick-generate-key", KEY, "rsa3072", "sign", "1d"]);
        let write = |name: &str, bytes: Vec<u8>| {
            let file = home.path().join(name);
            fs::write(&file, bytes).unwrap();
            file
        };
        let secret = write("secret.gpg", gpg(home.path(), &["--export-secret-keys"]));
        let public = write("public.gpg", gpg(home.path(), &["--export"]));
        Self { home, secret, public }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // Its agent would outlive it by a moment.
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).output();
    }
}

fn package(directory: &Path, key: Option<&Key>) -> PathBuf {
    let mut command = Command::new(root().join("scripts/package-chart"));
    command.env("HELM", program("helm")).env("CHART_DIRECTORY", directory);
    if let Some(key) = key {
        let passphrase = directory.join("passphrase");
        fs::write(&passphrase, "\n").unwrap();
        command.env("HELM_KEY_PASSPHRASE_FILE", passphrase).arg("Chart test").arg(&key.secret);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    PathBuf::from(String::from_utf8(done.stdout).unwrap().trim())
}

fn verify(package: &Path, key: &Key) -> Result<String, String> {
    helm(&["verify", package.to_str().unwrap(), "--keyring", key.public.to_str().unwrap()])
}

#[test]
fn a_package_is_taken_when_its_signature_holds_and_not_when_package_or_key_are_others() {
    let directory = tempfile::tempdir().unwrap();
    let (key, other) = (Key::new(), Key::new());
    let signed = package(directory.path(), Some(&key));
    verify(&signed, &key).unwrap();
    assert!(helm(&["template", "cache", signed.to_str().unwrap(), "--kube-version", "1.36.0"]).is_ok());

    let said = verify(&signed, &other).unwrap_err();
    assert!(said.contains("unknown entity"), "{said}");
    let mut bytes = fs::read(&signed).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&signed, bytes).unwrap();
    let said = verify(&signed, &key).unwrap_err();
    assert!(said.contains("sha256 sum does not match"), "{said}");

    let bare = tempfile::tempdir().unwrap();
    assert!(verify(&package(bare.path(), None), &key).is_err(), "nobody signed it");
}
