//! A program that serves for as long as the test's process lives. It goes with it, also when that is killed: a shell waits for
//! the end of a pipe that we hold.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server, with a directory of its own.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    pub directory: tempfile::TempDir,
    /// Its end takes the server down.
    _guard: Child,
}

impl Server {
    /// Starts a program with these arguments, made of its address and its directory, and waits until it listens.
    pub fn start(
        program: &OsStr,
        environment: &[(&str, &str)],
        arguments: impl FnOnce(SocketAddr, &std::path::Path) -> Vec<String>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let script =
            "d=$1; shift; cd \"$d\"; \"$@\" >\"$d.log\" 2>&1 & cat >/dev/null; kill -9 $!; rm -rf \"$d\" \"$d.log\"";
        // Its own process group, so that an interrupt for the test leaves the shell to do its work.
        let guard = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(directory.path())
            .arg(program)
            .args(arguments(address, directory.path()))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", directory.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let (started, log) = (Instant::now(), format!("{}.log", directory.path().display()));
        while TcpStream::connect(address).is_err() {
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(
                started.elapsed() < Duration::from_secs(240),
                "{} is not there after 240 s: {}",
                program.display(),
                log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { address, directory, _guard: guard }
    }
}
