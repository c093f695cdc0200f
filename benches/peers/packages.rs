//! Are the peers installed? Debian's packages by apt-get; Python's by pip and Go's by go, each into a directory of its own.

use crate::Trouble;
use modelcache::agent::fetch::{hex, sha256_of_file};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs, and the Debian packages that have them.
const PROGRAMS: [(&str, &str); 10] = [
    ("nginx", "nginx-light"),
    ("curl", "curl"),
    ("aria2c", "aria2"),
    ("openssl", "openssl"),
    ("time", "time"),
    ("setpriv", "util-linux"),
    ("timeout", "coreutils"),
    ("tar", "tar"),
    ("gzip", "gzip"),
    ("zstd", "zstd"),
];
/// Python packages, and nothing beside them.
pub const HF: &str = "huggingface_hub==2.4.0";
pub const HF_TRANSFER: &str = "hf_transfer==0.1.9";
/// Debian's is years behind. The version, and that of everything in it, is in `restic/go.mod`.
const RESTIC: &str = "github.com/restic/restic/cmd/restic";

/// Python, and where its packages are.
pub struct Python {
    /// The interpreter itself: a version manager's wrapper would be measured too.
    pub interpreter: PathBuf,
    pub hf: PathBuf,
    pub hf_transfer: PathBuf,
}

impl std::ops::Deref for Python {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.interpreter
    }
}

/// Installs what is missing.
pub fn install() -> Result<Python, Trouble> {
    let missing: Vec<&str> =
        PROGRAMS.into_iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| package).collect();
    if !missing.is_empty() {
        println!("installing {}", missing.join(" "));
        debian(&missing)?;
    }
    let asked = output(Command::new("python3").args(["-c", "import sys; print(sys.executable)"]))?;
    let interpreter = PathBuf::from(asked.trim());
    let version = output(Command::new(&interpreter).args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]))?;
    let peers = directory()?.join(format!("python{}", version.trim()));
    let hf = python(&interpreter, &peers, HF)?;
    let hf_transfer = python(&interpreter, &peers, HF_TRANSFER)?;
    Ok(Python { interpreter, hf, hf_transfer })
}

/// The restic that takes part, built where it is missing.
pub fn restic() -> Result<PathBuf, Trouble> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/restic");
    let trouble = |error: std::io::Error| format!("{}: {error}", source.display());
    let pinned = std::fs::File::open(source.join("go.sum")).map_err(trouble)?;
    let (_, sha256) = sha256_of_file(&pinned).map_err(trouble)?;
    let directory = installed(&directory()?, &format!("restic-{}", &hex(&sha256)[..16]), |partial| {
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]).arg(partial.join("restic"));
        output(go.arg(RESTIC).current_dir(&source)).map(drop)
    })?;
    Ok(directory.join("restic"))
}

/// Where the peers are that are not Debian's.
fn directory() -> Result<PathBuf, Trouble> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    Ok(cache.ok_or("neither XDG_CACHE_HOME nor HOME is set")?.join("modelcache-operator/peers"))
}

/// A program's path. Debian has some where users do not look.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let all = path.split(':').chain(["/usr/sbin", "/sbin"]);
    all.map(|directory| Path::new(directory).join(program)).find(|it| it.is_file())
}

fn debian(packages: &[&str]) -> Result<(), Trouble> {
    let root = rustix::process::getuid().is_root();
    let apt = |arguments: &[&str]| {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if !root {
            command.args(["-n", "apt-get"]);
        }
        output(command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    let install = [&["install", "-y", "-qq", "--no-install-recommends"], packages].concat();
    // A fresh machine has no package lists.
    apt(&install).or_else(|_| apt(&["update", "-qq"]).and_then(|_| apt(&install)))?;
    Ok(())
}

/// Directory with a Python package, installed once.
fn python(interpreter: &Path, peers: &Path, package: &str) -> Result<PathBuf, Trouble> {
    installed(peers, &package.replace("==", "-"), |partial| {
        let mut pip = Command::new(interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        output(pip.arg(partial).arg(package)).map(drop)
    })
}

/// A directory that is filled once. It has its name only when it is whole.
fn installed(peers: &Path, name: &str, fill: impl FnOnce(&Path) -> Result<(), Trouble>) -> Result<PathBuf, Trouble> {
    let directory = peers.join(name);
    if !directory.exists() {
        println!("installing {name}");
        let trouble = |error: std::io::Error| format!("{}: {error}", directory.display());
        std::fs::create_dir_all(peers).map_err(trouble)?;
        let partial = tempfile::tempdir_in(peers).map_err(trouble)?;
        fill(partial.path())?;
        std::fs::rename(partial.keep(), &directory).map_err(trouble)?;
    }
    Ok(directory)
}

/// What a command prints; its complaint when it fails.
pub fn output(command: &mut Command) -> Result<String, Trouble> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
