//! A real registry (the CNCF's Distribution) on the loopback, with every kind of access that registries have.
//!
//! It goes when the test process does, also when that is killed: a shell waits for the end of a pipe that we hold.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::pedantic,
    reason = "test code: a panic is a failed test"
)]

pub mod blobs;
pub mod program;
pub mod push;
pub mod tokens;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokens::TokenServer;

/// Whom the registries know.
pub const USER: &str = "me";
pub const PASSWORD: &str = "open sesame";
/// The user and bcrypt of the password, as `htpasswd -B` writes them.
const HTPASSWD: &str = "me:$2a$04$04O.nE3p9PKaRkNrwIwMCOdWVt0i1fB2xnWYCZSiSv9EAvqM00J7S\n";

const DEADLINE: Duration = Duration::from_secs(240);

/// What a registry asks of its users.
pub enum Access<'a> {
    Open,
    Password,
    Token(&'a TokenServer),
    /// Open, and blobs are at this other host.
    Elsewhere(&'a str),
    /// As with a token, and blobs are at this other host.
    TokenElsewhere(&'a TokenServer, &'a str),
}

/// A running registry.
pub struct Registry {
    /// Host and port.
    pub host: String,
    directory: tempfile::TempDir,
    guard: Child,
}

impl Registry {
    pub fn start(access: &Access<'_>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (config, log) = (directory.path().join("config.yaml"), directory.path().join("log"));
        fs::write(directory.path().join("htpasswd"), HTPASSWD).unwrap();
        let mut settings = json!({
            "version": "0.1",
            "log": {"level": "info", "formatter": "json"},
            "storage": {"filesystem": {"rootdirectory": directory.path().join("data")}, "maintenance": {"uploadpurging": {"enabled": false}}},
            "http": {"addr": "127.0.0.1:0", "secret": "of one registry only"},
        });
        match access {
            Access::Open | Access::Elsewhere(_) => {}
            Access::Password => {
                settings["auth"] = json!({"htpasswd": {"realm": "test", "path": directory.path().join("htpasswd")}});
            }
            Access::Token(server) | Access::TokenElsewhere(server, _) => {
                let keys = directory.path().join("jwks.json");
                fs::write(&keys, server.keys.to_string()).unwrap();
                settings["auth"] = json!({"token": {
                    "realm": server.url, "service": tokens::SERVICE, "issuer": tokens::ISSUER, "jwks": keys
                }});
            }
        }
        if let Access::Elsewhere(url) | Access::TokenElsewhere(_, url) = access {
            settings["middleware"] = json!({"storage": [{"name": "redirect", "options": {"baseurl": url}}]});
        }
        fs::write(&config, settings.to_string()).unwrap();
        // Its own process group, so that an interrupt for the test leaves the shell to do its work.
        let guard = Command::new("sh")
            .args(["-c", "\"$0\" serve \"$1\" >\"$2\" 2>&1 </dev/null & cat >/dev/null; kill $!; wait"])
            .arg(program::program("registry"))
            .args([&config, &log])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut registry = Self { host: String::new(), directory, guard };
        registry.host = registry.listening(&log);
        registry
    }

    /// Where it listens, once it does.
    fn listening(&self, log: &PathBuf) -> String {
        let started = Instant::now();
        loop {
            let text = fs::read_to_string(log).unwrap_or_default();
            if let Some((_, rest)) = text.split_once("listening on ") {
                return rest.chars().take_while(|it| it.is_ascii_digit() || matches!(it, '.' | ':')).collect();
            }
            assert!(started.elapsed() < DEADLINE, "the registry does not listen: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The file that holds a blob.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.data().join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }

    /// The directory of everything.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A source of it.
    pub fn source(&self, name: &str, artifact: &str, more: &Value) -> Value {
        let mut oci = json!({"reference": format!("{}/{artifact}", self.host), "plainHttp": true});
        oci.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"name": name, "oci": oci})
    }

    /// A docker config with a login for it.
    pub fn docker_config(&self, user: &str, password: &str) -> String {
        json!({"auths": {&self.host: {"username": user, "password": password}}}).to_string()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
