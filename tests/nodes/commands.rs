//! How are commands run, and how is a busy API server asked?

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command; panics with what it said when it fails.
pub fn run(program: &Path, arguments: &[&str], input: Option<&str>) -> String {
    attempt(program, arguments, input).unwrap_or_else(|said| panic!("{} {arguments:?}: {said}", program.display()))
}

/// Runs a command; what it printed, or what it said when it failed.
pub fn attempt(program: &Path, arguments: &[&str], input: Option<&str>) -> Result<String, String> {
    use std::io::Write;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.unwrap_or_default().as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// What kubectl says when the API server has no time: nothing about the request.
const BUSY: [&str; 11] = [
    "etcdserver:",
    "connection refused",
    "connection reset",
    "client connection lost",
    "TLS handshake timeout",
    "i/o timeout",
    "unexpected EOF",
    "(Timeout)",
    "(InternalError)",
    "(TooManyRequests)",
    "(ServiceUnavailable)",
];
/// How often a busy API server is asked again, a second apart.
const PATIENCE: usize = 60;

/// Runs kubectl. An API server that is only busy is asked again.
pub fn kubectl(program: &Path, arguments: &[&str], input: Option<&str>) -> String {
    for _ in 0..PATIENCE {
        match attempt(program, arguments, input) {
            Ok(printed) => return printed,
            Err(said) if BUSY.iter().any(|it| said.contains(it)) => println!("asked again: {}", said.trim()),
            Err(said) => panic!("kubectl {arguments:?}: {said}"),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    panic!("kubectl {arguments:?}: the API server does not answer")
}

/// An answer of the API server. One that is only busy is asked again.
pub async fn answered<T, F>(mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = kube::Result<T>>,
{
    for _ in 0..PATIENCE {
        match ask().await {
            Ok(answer) => return answer,
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => panic!("{status:?}"),
            Err(error) => println!("asked again: {error}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("the API server does not answer")
}

/// Runs the launcher.
pub fn cluster(arguments: &[&str]) -> String {
    run(&launcher(), arguments, None)
}

/// What starts, changes and removes clusters.
pub fn launcher() -> PathBuf {
    root().join("tests/cluster/cluster")
}
