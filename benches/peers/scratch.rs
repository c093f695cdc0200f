//! Where do the files of a run live, and is there room for them?

use crate::Trouble;
use crate::arguments::Arguments;
use crate::stop;
use std::path::{Path, PathBuf};

/// `TMPFS_MAGIC` of linux/magic.h.
const TMPFS: i64 = 0x0102_1994;
/// Names of our directories: this, and the number of the process that made them.
const PREFIX: &str = "modelcache-bench-";

/// Directories that are removed at the end.
pub struct Scratch {
    /// On a tmpfs.
    pub memory: PathBuf,
    /// On a disk.
    pub disk: PathBuf,
}

impl Scratch {
    pub fn new(arguments: &Arguments) -> Result<Self, Trouble> {
        let file = arguments.file_size();
        // The server has four files; the largest targets are four files more.
        let memory = make(&arguments.tmpfs, true, 9 * file)?;
        // What is kept, three backups of it, and one that is restored, each a file and a fifth.
        let disk = make(&arguments.disk, false, 7 * file)?;
        Ok(Self { memory, disk })
    }
}

fn make(parent: &Path, in_memory: bool, bytes: u64) -> Result<PathBuf, Trouble> {
    let trouble = |error: &dyn std::fmt::Display| format!("{}: {error}", parent.display());
    std::fs::create_dir_all(parent).map_err(|error| trouble(&error))?;
    remove_left_behind(parent);
    let kind = rustix::fs::statfs(parent).map_err(|error| trouble(&error))?.f_type;
    if (kind == TMPFS) != in_memory {
        let (wanted, option) = if in_memory { ("a tmpfs", "--tmpfs") } else { ("a disk", "--disk") };
        return Err(trouble(&format!("is not on {wanted}: name another directory with {option}")));
    }
    let space = rustix::fs::statvfs(parent).map_err(|error| trouble(&error))?;
    let free = space.f_bavail * space.f_frsize;
    let free = if in_memory { free.min(memory_available()) } else { free };
    if free < bytes {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let short =
            format!("has {:.1} GiB free, and {:.1} GiB are needed; --small needs an eighth", gib(free), gib(bytes));
        return Err(trouble(&short));
    }
    let path = parent.join(format!("{PREFIX}{}", std::process::id()));
    std::fs::create_dir(&path).map_err(|error| trouble(&error))?;
    stop::directory(path.clone());
    Ok(path)
}

/// Bytes that processes may still take, as the kernel estimates it.
fn memory_available() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib * 1024)
}

/// What a killed run has left. A killed benchmark cannot clean up; the next one does.
fn remove_left_behind(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|it| it.strip_prefix(PREFIX)) else { continue };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// An empty directory in the place of what was there.
pub fn emptied(path: &Path) -> Result<(), Trouble> {
    let trouble = |error: std::io::Error| format!("{}: {error}", path.display());
    if path.exists() {
        std::fs::remove_dir_all(path).map_err(trouble)?;
    }
    std::fs::create_dir_all(path).map_err(trouble)
}

/// Sizes of the regular files below a directory.
pub fn sizes(directory: &Path) -> Vec<u64> {
    let (mut found, mut open) = (vec![], vec![directory.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.path().symlink_metadata() {
                Ok(it) if it.is_dir() => open.push(entry.path()),
                Ok(it) if it.is_file() => found.push(it.len()),
                _ => {}
            }
        }
    }
    found
}
