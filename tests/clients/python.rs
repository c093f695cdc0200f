//! How does a Python client run as in a pod: its own packages, another user, no network, a read-only mount?

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The user that reads: not the one that wrote.
const USER: &str = "12345";

/// In a new mount and network namespace: interpreter, packages and volume under one directory that everybody may enter,
/// the volume read-only; then the script as [`USER`].
const NAMESPACE: &str = r#"
set -eu
aside=$1 prefix=$2 packages=$3 volume=$4 mount=$5 version=$6
mount --make-rprivate /
mkdir -p "$aside" && mount -t tmpfs -o mode=755 tmpfs "$aside"
cd "$aside" && mkdir python packages "$mount"
mount --bind "$prefix" python
mount --bind "$packages" packages
mount --bind "$volume" "$mount" && mount -o remount,bind,ro "$mount"
touch "$mount/x" 2>/dev/null && { echo "the volume is not read-only"; exit 1; }
export LD_LIBRARY_PATH="$aside/python/lib" PYTHONHOME="$aside/python" PYTHONPATH="$aside/packages" PYTHONDONTWRITEBYTECODE=1 HOME=/nonexistent
exec setpriv --reuid "$user" --regid "$user" --clear-groups "python/bin/python$version" -W error::UserWarning -c "$script" "$expected"
"#;

/// An interpreter and where it sees the volume.
pub struct Python {
    aside: PathBuf,
    volume: PathBuf,
    mount: &'static str,
    prefix: String,
    version: String,
}

impl Python {
    pub fn new(aside: PathBuf, volume: PathBuf, mount: &'static str) -> Self {
        assert!(rustix::process::getuid().is_root(), "this test needs root: it makes namespaces and changes the user");
        let ask = "import sys; print(sys.base_prefix, '%d.%d' % sys.version_info[:2])";
        let answer = output(Command::new("python3").args(["-c", ask]));
        let (prefix, version) = answer.trim().rsplit_once(' ').unwrap();
        Self { aside, volume, mount, prefix: prefix.to_owned(), version: version.to_owned() }
    }

    /// What the script prints, on both of its outputs. Among the packages may be options of `pip install`.
    pub fn run(
        &self,
        packages: &[String],
        script: &str,
        environment: &BTreeMap<String, String>,
        expected: &Value,
    ) -> String {
        self.run_with(&self.packages(packages), script, environment, expected)
    }

    /// The same with a directory of packages that is there already.
    pub fn run_with(
        &self,
        packages: &Path,
        script: &str,
        environment: &BTreeMap<String, String>,
        expected: &Value,
    ) -> String {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", NAMESPACE, "sh"]);
        command.arg(&self.aside).arg(&self.prefix).arg(packages).arg(&self.volume).arg(self.mount).arg(&self.version);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(environment);
        command.env("user", USER).env("script", script).env("expected", expected.to_string());
        let output = command.stderr(Stdio::piped()).output().unwrap();
        String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned()
    }

    /// A program of these packages, with the network, and with nothing of this machine's environment.
    pub fn program(&self, packages: &Path, name: &str) -> Command {
        let mut command = Command::new(Path::new(&self.prefix).join(format!("bin/python{}", self.version)));
        command.arg(packages.join("bin").join(name)).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1").env("HOME", &self.aside);
        command
    }

    /// Directory with these packages, installed once.
    pub fn packages(&self, packages: &[String]) -> PathBuf {
        self.cached(&packages.join("+").replace("==", "-"), |partial| {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
            output(pip.arg(partial).args(packages));
        })
    }

    /// A directory of this name, filled once.
    pub fn cached(&self, name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
        let clients = cache.join("modelcache-operator/clients").join(format!("python{}", self.version));
        let directory = clients.join(name);
        if !directory.exists() {
            fs::create_dir_all(&clients).unwrap();
            let partial = tempfile::tempdir_in(&clients).unwrap();
            fill(partial.path());
            make_readable(partial.path());
            // Another run may have been faster.
            let _ = fs::rename(partial.keep(), &directory);
        }
        directory
    }
}

fn make_readable(directory: &Path) {
    output(Command::new("chmod").args(["-R", "a+rX"]).arg(directory));
}

#[track_caller]
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
