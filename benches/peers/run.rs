//! What did one program take for its work once?

use crate::Trouble;
use crate::nginx::{Nginx, Served};
use crate::packages::Python;
use crate::program::Program;
use crate::scenario::Bench;
use crate::stop;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Seconds that a run may take before it counts as hung.
const PATIENCE: &str = "240";

/// What a run took.
#[derive(Clone, Debug)]
pub struct Run {
    pub seconds: f64,
    /// Seconds that processors worked for it, in the kernel too. What the kernel writes to the disk later is not in it.
    pub processor_seconds: f64,
    /// Largest resident set of one of its processes, in bytes, as `wait4` tells it.
    pub peak_memory: u64,
    pub status: ExitStatus,
    /// What it asked of nginx.
    pub served: Served,
    /// Requests to the hub itself.
    pub hub_requests: u64,
    /// Bytes of files that the hub itself sent.
    pub hub_bytes: u64,
    /// What it printed.
    pub said: String,
}

/// A program that is at work.
pub struct Running<'a> {
    bench: &'a Bench<'a>,
    server: &'a Nginx,
    child: Child,
    group: Pid,
    began: Instant,
    /// Where GNU time and the program itself write.
    notes: PathBuf,
}

/// Starts a program in a directory. `before`: shell to run first, in the same process.
pub fn start<'a>(
    bench: &'a Bench<'a>,
    program: &Program,
    repo: &str,
    directory: &Path,
    server: &'a Nginx,
    before: &str,
) -> Result<Running<'a>, Trouble> {
    server.forget()?;
    bench.origin.hub.state.lock().counters = crate::hub::state::Counters::default();
    let notes = bench.scratch.memory.join("notes");
    std::fs::create_dir_all(&notes).map_err(|error| error.to_string())?;
    let said = File::create(notes.join("said")).map_err(|error| error.to_string())?;
    let also = said.try_clone().map_err(|error| error.to_string())?;
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", PATIENCE, "/usr/bin/time", "-q", "-f", "%M %U %S", "-o"]).arg(notes.join("taken"));
    command.args(["sh", "-c", &format!("{before}{}", program.script)]);
    command.current_dir(directory).env_clear().envs(environment(bench, repo, directory));
    command.stdin(Stdio::null()).stdout(said).stderr(also).process_group(0);
    let began = Instant::now();
    let child = command.spawn().map_err(|error| format!("{}: {error}", program.name))?;
    let group = stop::group(&child);
    Ok(Running { bench, server, child, group, began, notes })
}

impl Running<'_> {
    /// Kills it when so many bytes have come over the loopback. Returns whether it was still at work.
    pub fn kill_after(&mut self, bytes: u64) -> Result<bool, Trouble> {
        let start = loopback_bytes()?;
        while loopback_bytes()? - start < bytes {
            if self.child.try_wait().map_err(|error| error.to_string())?.is_some() {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        kill_process_group(self.group, Signal::KILL).map_err(|error| error.to_string())?;
        Ok(true)
    }

    /// Waits for its end.
    pub fn end(mut self) -> Result<Run, Trouble> {
        let status = self.child.wait().map_err(|error| error.to_string())?;
        let seconds = self.began.elapsed().as_secs_f64();
        stop::end_group(self.group);
        let read = |name: &str| std::fs::read_to_string(self.notes.join(name)).unwrap_or_default();
        let taken = read("taken");
        let mut taken = taken.split_whitespace();
        let kib: u64 = taken.next().and_then(|it| it.parse().ok()).unwrap_or_default();
        let processor_seconds = taken.filter_map(|it| it.parse::<f64>().ok()).sum();
        let served = self.server.served()?;
        let counters = self.bench.origin.hub.counters();
        Ok(Run {
            seconds,
            processor_seconds,
            peak_memory: kib * 1024,
            status,
            served,
            hub_requests: counters.requests.values().sum(),
            hub_bytes: counters.bytes_sent,
            said: read("said"),
        })
    }
}

impl Run {
    /// Fails when the program did.
    pub fn finished(self, program: &Program) -> Result<Self, Trouble> {
        if self.status.success() {
            return Ok(self);
        }
        let end = self.status.signal().map_or_else(|| self.status.to_string(), |it| format!("killed by signal {it}"));
        let lines: Vec<&str> = self.said.trim().lines().rev().take(5).collect();
        let last: Vec<&str> = lines.into_iter().rev().collect();
        Err(format!("{} failed ({end}): {}", program.name, last.join(" | ")))
    }

    /// Requests to hub and nginx.
    pub fn requests(&self) -> u64 {
        self.served.requests + self.hub_requests
    }

    /// Bytes of files that were sent.
    pub fn bytes(&self) -> u64 {
        self.served.bytes + self.hub_bytes
    }
}

/// Nothing of this machine's own settings.
fn environment(bench: &Bench<'_>, repo: &str, directory: &Path) -> Vec<(&'static str, PathBuf)> {
    let Python { interpreter, hf, hf_transfer } = bench.python;
    let text = |it: &str| PathBuf::from(it);
    let data = bench.scratch.disk.join("data");
    vec![
        ("PATH", text("/usr/local/bin:/usr/bin:/bin")),
        ("HOME", directory.to_owned()),
        ("LC_ALL", text("C.UTF-8")),
        ("REPO", text(repo)),
        ("LISTS", bench.origin.lists.clone()),
        ("DATA", data.join("volumes/files")),
        ("CACHE", data.join("cache.yaml")),
        ("VOLUMES", data.join("volumes")),
        ("RESTIC", bench.restic.to_owned()),
        ("MODELCACHE", text(env!("CARGO_BIN_EXE_modelcache"))),
        ("PYTHON", interpreter.clone()),
        ("PYTHONPATH", hf.clone()),
        ("HF", hf.clone()),
        ("HF_TRANSFER", hf_transfer.clone()),
        ("HF_ENDPOINT", text(&bench.origin.hub.url)),
        ("HF_HOME", directory.join("hf")),
        ("HF_HUB_DISABLE_XET", text("1")),
        ("HF_HUB_DISABLE_TELEMETRY", text("1")),
        ("HF_HUB_DISABLE_UPDATE_CHECK", text("1")),
        ("HF_HUB_DISABLE_PROGRESS_BARS", text("1")),
    ]
}

fn loopback_bytes() -> Result<u64, Trouble> {
    let path = "/sys/class/net/lo/statistics/rx_bytes";
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    text.trim().parse().map_err(|error| format!("{path}: {error}"))
}
