//! A stand-in for a container, where there is no container tool: a root of its own with the mounts that it is given, its user, and
//! no privileges but those that it is given. Needs root. What is not as in Docker: programs other than ours are those of this
//! machine.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Where our binary is in its root: what the image has as its entry point.
const OURS: &str = "/modelcache";

/// What is to be run, as `docker run` and Compose take it.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "they are the switches of `docker run`")]
pub struct Container {
    /// `uid:gid`; the image's own user when empty.
    pub user: String,
    pub read_only: bool,
    pub ours: bool,
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub mounts: Vec<Mount>,
    pub offline: bool,
    pub all_capabilities_dropped: bool,
    pub capabilities: Vec<String>,
}

#[derive(Debug)]
pub struct Mount {
    pub source: PathBuf,
    pub target: String,
    pub read_only: bool,
}

impl Container {
    /// Runs it to its end.
    pub fn run(&self) -> Output {
        let root = tempfile::tempdir().unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        if self.offline {
            command.arg("--net");
        }
        command.args(["sh", "-euc", &self.script(), "sh"]).arg(root.path());
        if self.ours {
            command.arg(OURS);
        }
        command.args(&self.command).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(&self.environment);
        command.output().unwrap_or_else(|error| panic!("unshare: {error}"))
    }

    /// Runs it; it must succeed. What it said.
    pub fn succeed(&self) -> String {
        let output = self.run();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}: {self:#?}\n{text}", output.status);
        text
    }

    fn script(&self) -> String {
        let mut script = String::from(
            "root=$1; shift\n\
             mount -t tmpfs -o mode=755 tmpfs \"$root\"; cd \"$root\"\n\
             mkdir usr etc dev proc tmp; chmod 1777 tmp\n\
             for it in bin sbin lib lib64; do if [ -L /$it ]; then ln -s usr/$it $it; \
             elif [ -d /$it ]; then mkdir $it; mount --bind /$it $it; fi; done\n\
             mount --bind /usr usr; mount -o remount,bind,ro usr\n\
             for it in ssl alternatives; do if [ -d /etc/$it ]; then mkdir etc/$it; mount --bind /etc/$it etc/$it; fi; done\n\
             cp /etc/passwd /etc/group /etc/ld.so.cache etc/\n\
             for it in dev proc; do mount --rbind /$it $it; done\n",
        );
        if self.ours {
            let _ = writeln!(script, "touch .{OURS}; mount --bind '{}' .{OURS}", env!("CARGO_BIN_EXE_modelcache"));
        }
        for Mount { source, target, read_only } in &self.mounts {
            let (source, make) = (source.display(), if source.is_dir() { "mkdir -p" } else { "touch" });
            let _ = writeln!(script, "mkdir -p \"$(dirname '.{target}')\"; {make} '.{target}'");
            let _ = writeln!(script, "mount --bind '{source}' '.{target}'");
            if *read_only {
                let _ = writeln!(script, "mount -o remount,bind,ro '.{target}'");
            }
        }
        if self.read_only {
            script.push_str("mount -o remount,ro .\n");
        }
        let user = if self.user.is_empty() { "65532:65532" } else { &self.user };
        let (uid, gid) = user.split_once(':').unwrap_or((user, user));
        let kept = self.capabilities.iter().fold(String::new(), |all, it| all + ",+" + &it.to_lowercase());
        let bounds = if self.all_capabilities_dropped { format!("--bounding-set=-all{kept}") } else { String::new() };
        let _ = writeln!(
            script,
            "exec chroot . setpriv --reuid={uid} --regid={gid} --clear-groups --no-new-privs --inh-caps=-all {bounds} \"$@\""
        );
        script
    }

    /// A service of a Compose file, as the reader prints it; `volume` says where a named volume is on this machine.
    pub fn of(service: &Value, volume: &dyn Fn(&str) -> PathBuf) -> Self {
        let text = |key: &str| service[key].as_str().unwrap_or_default().to_owned();
        let list = |key: &str| -> Vec<String> {
            let list = service[key].as_array().into_iter().flatten();
            list.map(|it| it.as_str().unwrap().to_owned()).collect()
        };
        let environment = service["environment"].as_object().into_iter().flatten();
        let mounts = service["volumes"].as_array().into_iter().flatten().map(|it| {
            let source = it["source"].as_str().unwrap();
            Mount {
                source: if it["type"] == "volume" { volume(source) } else { PathBuf::from(source) },
                target: it["target"].as_str().unwrap().to_owned(),
                read_only: it["read_only"] == true,
            }
        });
        Self {
            user: text("user"),
            read_only: service["read_only"] == true,
            ours: text("image").contains("/modelcache"),
            command: list("command"),
            // What has no value in the shell that Compose is run in is not set.
            environment: environment.filter_map(|(name, it)| Some((name.clone(), it.as_str()?.to_owned()))).collect(),
            mounts: mounts.collect(),
            offline: text("network_mode") == "none",
            all_capabilities_dropped: list("cap_drop") == ["ALL"],
            capabilities: list("cap_add"),
        }
    }
}
