//! Do `pip` and `uv` install from the wheelhouse, with the environment that pods get and nothing else?

use crate::hub::Hub;
use crate::{prefetched, python, spec};
use modelcache::agent::layout::environment::environment;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Write as _;

/// Installs what the lock file names with the real clients, and runs what was installed. A package that is not in the
/// wheelhouse is not looked for elsewhere.
const INSTALL: &str = r#"
import json, os, subprocess, sys, tempfile
expected = json.loads(sys.argv[1])
work = tempfile.mkdtemp()
lock = os.path.join(work, "requirements.txt")
open(lock, "w").write(expected["lock"])
uv = os.path.join(os.environ["PYTHONPATH"], "bin", "uv")
clients = {
    "pip": [sys.executable, "-m", "pip", "install", "--no-cache-dir"],
    "uv": [uv, "pip", "install", "--no-cache", "--python", sys.executable],
}
for name, command in clients.items():
    target = os.path.join(work, name)
    done = subprocess.run(command + ["--require-hashes", "--target", target, "-r", lock], capture_output=True, text=True)
    assert done.returncode == 0, (name, done.stderr)
    ran = subprocess.run([sys.executable, "-c", "import demo_app; print(demo_app.answer())"],
                         capture_output=True, text=True, env={**os.environ, "PYTHONPATH": target})
    assert ran.stdout == "42\n", (name, ran.stderr)
    more = subprocess.run(command + ["--target", target, "six"], capture_output=True, text=True)
    assert more.returncode != 0, (name, "took a package from nowhere")
print("pip and uv: all of it")
"#;

/// A wheel of one module; its bytes are the same each time.
fn wheel(name: &str, requires: &str, code: &str) -> Vec<u8> {
    let info = format!("{name}-1.0.dist-info");
    let requires = if requires.is_empty() { String::new() } else { format!("Requires-Dist: {requires}\n") };
    let files = [
        (format!("{name}.py"), code.to_owned()),
        (
            format!("{info}/METADATA"),
            format!("Metadata-Version: 2.1\nName: {}\nVersion: 1.0\n{requires}", name.replace('_', "-")),
        ),
        (
            format!("{info}/WHEEL"),
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned(),
        ),
    ];
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut record = String::new();
    for (path, content) in &files {
        writer.start_file(path, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
        writeln!(record, "{path},,").unwrap();
    }
    writer.start_file(format!("{info}/RECORD"), zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(format!("{record}{info}/RECORD,,\n").as_bytes()).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn pip_and_uv_install_the_locked_packages_offline_as_another_user_and_nothing_else() {
    let (directory, hub) = (tempfile::tempdir().unwrap(), Hub::start());
    let mut lock = String::new();
    for (name, requires, code) in [
        ("demo_app", "demo-lib==1.0", "import demo_lib\ndef answer():\n    return demo_lib.HALF * 2\n"),
        ("demo_lib", "", "HALF = 21\n"),
    ] {
        let (bytes, package) = (wheel(name, requires, code), name.replace('_', "-"));
        let file = format!("{name}-1.0-py3-none-any.whl");
        let hash = modelcache::agent::fetch::hex(&Sha256::digest(&bytes));
        writeln!(lock, "{package}==1.0 --hash=sha256:{hash}").unwrap();
        hub.put(&format!("simple/{package}"), format!("<a href=\"../../wheels/{file}#sha256={hash}\">{file}</a>"));
        hub.put(&format!("wheels/{file}"), bytes);
    }
    let endpoint = format!("{}/files/simple", hub.url);
    let source = json!({"name": "w", "pip": {"requirements": lock, "endpoint": endpoint}});
    let spec = prefetched(directory.path(), &spec(directory.path(), &[source]));
    let environment = environment(&spec);
    assert_eq!(environment.get("PIP_NO_INDEX").map(String::as_str), Some("1"));
    let packages = ["pip==25.2".to_owned(), "uv==0.13.9".to_owned()];
    let said = python(directory.path()).run(&packages, INSTALL, &environment, &json!({"lock": lock}));
    assert!(said.ends_with("pip and uv: all of it\n"), "{said}");
}
