//! What `pip download` left on a claim: adopted by its hashes, and installed from with no index.

use crate::python::output;
use crate::{MOUNT, python, spec};
use serde_json::json;
use std::process::Command;

const INSTALL: &str = "
import subprocess, sys, tempfile
target = tempfile.mkdtemp()
subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', target, 'six'], check=True)
sys.path.insert(0, target)
import six
print('installed', six.__version__)
";

#[test]
fn what_pip_downloaded_into_a_claim_installs_offline_from_the_copy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let wheels = path.join("claims/pip-downloads/wheels");
    std::fs::create_dir_all(&wheels).unwrap();
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "six==1.17.0", "--dest"]);
    output(pip.arg(&wheels));
    let claim = json!({"name": "wheels", "claim": {"claimName": "pip-downloads", "directory": "wheels"}});
    let cache = json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "x"}, "spec": spec(path, &[claim])
    });
    std::fs::write(path.join("cache.yaml"), cache.to_string()).unwrap();
    let mut prefetch = Command::new(env!("CARGO_BIN_EXE_modelcache"));
    prefetch.arg("prefetch").arg("-f").arg(path.join("cache.yaml")).arg("--volumes-dir").arg(path.join("volumes"));
    output(prefetch.arg("--claims-dir").arg(path.join("claims")));
    std::fs::remove_dir_all(path.join("claims")).unwrap();

    let links = path.join("aside").join(MOUNT).join("wheels").display().to_string();
    let environment = [("PIP_NO_INDEX".to_owned(), "1".to_owned()), ("PIP_FIND_LINKS".to_owned(), links)].into();
    let said = python(path).run(&["pip==25.3".to_owned()], INSTALL, &environment, &json!({}));
    assert!(said.ends_with("installed 1.17.0\n"), "{said}");
}
