//! Helm, and what checks its output: built once from the Go module proxy, and kept outside the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The chart.
pub const CHART: &str = "charts/modelcache-operator";

const TOOLS: [(&str, &str); 2] =
    [("helm", "helm.sh/helm/v4/cmd/helm"), ("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform")];

/// A built program. Several tests may ask at once: one builds, the others wait.
pub fn program(name: &str) -> PathBuf {
    let source = root().join("tests/servers/helm");
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    let directory = cache.join("modelcache-operator/servers").join(format!("helm-{}", key(&source)));
    let program = directory.join(name);
    fs::create_dir_all(&directory).unwrap();
    let lock = fs::File::create(directory.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    if !program.exists() {
        let (_, package) = TOOLS.iter().find(|it| it.0 == name).unwrap();
        let new = directory.join(format!("{name}.new"));
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]).arg(&new).arg(package);
        let built = go.current_dir(&source).env("CGO_ENABLED", "0").output();
        let built = built.unwrap_or_else(|error| panic!("go cannot be run ({error}): install Go 1.26 or newer"));
        assert!(built.status.success(), "{name} was not built: {}", String::from_utf8_lossy(&built.stderr));
        fs::rename(new, &program).unwrap();
    }
    program
}

/// Changes with the versions that are pinned.
fn key(source: &Path) -> String {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        hasher.update(fs::read(source.join(file)).unwrap());
    }
    modelcache::agent::fetch::hex(&hasher.finalize()[..8])
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs helm in the repository, with nothing of the user's own settings; what it printed, or what it said when it failed.
pub fn helm(arguments: &[&str]) -> Result<String, String> {
    let home = std::env::temp_dir().join(format!("modelcache-helm-{}", std::process::id()));
    let mut command = Command::new(program("helm"));
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    for (name, directory) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
    {
        command.env(name, home.join(directory));
    }
    let done = command.output().unwrap_or_else(|error| panic!("helm cannot be run: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
}

/// `helm template` with these values, in YAML, for the Kubernetes that the tests run.
pub fn template(namespace: &str, values: &str) -> Result<String, String> {
    template_for("1.36.0", namespace, values)
}

/// The same for a cluster of this version.
pub fn template_for(kubernetes: &str, namespace: &str, values: &str) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), values).unwrap();
    let values = file.path().to_str().unwrap().to_owned();
    helm(&["template", "cache", CHART, "--namespace", namespace, "--kube-version", kubernetes, "--values", &values])
}
