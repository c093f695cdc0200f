//! On what was it measured, and what can that do at best?

use crate::origin::Origin;
use crate::packages::{HF, HF_TRANSFER, Python, find, output};
use crate::scratch::Scratch;
use modelcache::agent::fetch::{over_cores, sha256_of_file};
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Lines of what and how much.
pub struct Machine(Vec<(&'static str, String)>);

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | |\n|---|---|")?;
        self.0.iter().try_for_each(|(what, value)| writeln!(f, "| {what} | {value} |"))
    }
}

/// Looks, asks and measures.
pub fn describe(scratch: &Scratch, origin: &Origin, python: &Python, restic: &Path) -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let processor = |key: &str| {
        let line = information.lines().find(|line| line.starts_with(key));
        line.and_then(|it| it.split(": ").nth(1)).unwrap_or_default().to_owned()
    };
    let sha = if processor("flags").split(' ').any(|it| it == "sha_ni") { ", SHA extensions" } else { "" };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo").lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let memory = memory.unwrap_or(0.0) / f64::from(1 << 20);
    let load = read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
    let line = |program: &str, arguments: &[&str]| {
        let path = find(program).unwrap_or_else(|| program.into());
        let output = Command::new(path).args(arguments).output();
        let text = output.map(|it| String::from_utf8_lossy(&[it.stdout, it.stderr].concat()).into_owned());
        let text = text.unwrap_or_default();
        text.lines().next().unwrap_or_default().to_owned()
    };
    let first =
        |program: &str, arguments: &[&str]| line(program, arguments).split(" (").next().unwrap_or_default().to_owned();
    let numbered = |name: &str, program: &str, arguments: &[&str]| {
        let text = line(program, arguments);
        let number = text.split(' ').map(|it| it.trim_start_matches('v').trim_end_matches(','));
        let number = number.filter(|it| it.contains('.')).find(|it| it.starts_with(|it: char| it.is_ascii_digit()));
        format!("{name} {}", number.unwrap_or_default())
    };
    let versions = [
        first("curl", &["--version"]),
        first("aria2c", &["--version"]),
        first("nginx", &["-v"]).replace("nginx version: ", ""),
        first("openssl", &["version"]),
        format!("Python {}", first(&python.interpreter.to_string_lossy(), &["-V"]).replace("Python ", "")),
        HF.replace("==", " "),
        HF_TRANSFER.replace("==", " "),
        numbered("restic", &restic.to_string_lossy(), &["version"]),
        numbered("tar", "tar", &["--version"]),
        numbered("gzip", "gzip", &["--version"]),
        numbered("zstd", "zstd", &["--version"]),
    ];
    let commit = output(Command::new("git").args(["describe", "--always", "--dirty"])).unwrap_or_default();
    Machine(vec![
        ("Processor", format!("{}, {cores} cores{sha}", processor("model name"))),
        ("Memory", format!("{memory:.0} GiB")),
        ("Kernel", first("uname", &["-sr"])),
        ("TCP", format!("{}, over the loopback", read("/proc/sys/net/ipv4/tcp_congestion_control").trim())),
        ("File systems", format!("{} in memory, {} on the disk", kind(&scratch.memory), kind(&scratch.disk))),
        ("Load before the run", load),
        ("modelcache", format!("{} {}, release build", env!("CARGO_PKG_VERSION"), commit.trim())),
        ("Others", versions.join(", ")),
        ("SHA-256, one core", format!("{:.2} GB/s", hash_rate(origin, "one"))),
        ("SHA-256, all cores", format!("{:.2} GB/s", hash_rate(origin, "four"))),
        ("Start of `hf` alone", format!("{:.2} s of each of its runs", start_of_hf(python))),
    ])
}

/// GB of a repository's files hashed in a second, from memory, by what the fetch engine and `verify` hash with.
fn hash_rate(origin: &Origin, repo: &str) -> f64 {
    let files = std::fs::read_dir(origin.lists.join(repo)).into_iter().flatten().flatten();
    let files: Vec<File> = files.filter_map(|it| File::open(it.path()).ok()).collect();
    let began = Instant::now();
    let bytes: u64 = over_cores(&files, |file| sha256_of_file(file).map_or(0, |(size, _)| size)).iter().sum();
    bytes as f64 / began.elapsed().as_secs_f64() / 1e9
}

/// Seconds, the least of three.
fn start_of_hf(python: &Python) -> f64 {
    let once = || {
        let began = Instant::now();
        let mut command = Command::new(&python.interpreter);
        command.arg(python.hf.join("bin/hf")).args(["download", "--help"]).env("PYTHONPATH", &python.hf);
        let _ = output(command.env("HF_HUB_OFFLINE", "1").env("HF_HUB_DISABLE_UPDATE_CHECK", "1"));
        began.elapsed().as_secs_f64()
    };
    (0..3).map(|_| once()).fold(f64::INFINITY, f64::min)
}

fn kind(path: &Path) -> String {
    let found = output(Command::new("stat").args(["-f", "-c", "%T"]).arg(path));
    match found.unwrap_or_default().trim() {
        "ext2/ext3" => "ext4".to_owned(),
        other => other.to_owned(),
    }
}
