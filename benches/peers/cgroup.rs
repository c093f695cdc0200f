//! How does a program get a memory limit, as a pod has one? A control group of our own, version 1 or 2.

use crate::Trouble;
use crate::stop;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A control group; removed when it is dropped.
pub struct Cgroup {
    path: PathBuf,
    /// File that counts kills for want of memory.
    counter: &'static str,
}

impl Cgroup {
    /// A group that may hold so many bytes, page cache included, and no swap.
    pub fn new(limit: u64) -> Result<Self, Trouble> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounts: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
        let first = mounts.iter().find(|it| it[2] == "cgroup" && it[3].split(',').any(|option| option == "memory"));
        let second = mounts.iter().find(|it| {
            let controllers = Path::new(it[1]).join("cgroup.subtree_control");
            it[2] == "cgroup2" && std::fs::read_to_string(controllers).is_ok_and(|it| it.contains("memory"))
        });
        let name = format!("modelcache-bench-{}", std::process::id());
        let (root, files, counter): (_, &[(&str, String)], _) = match (first, second) {
            (Some(mount), _) => (mount[1], &[("memory.limit_in_bytes", limit.to_string())], "memory.oom_control"),
            (None, Some(mount)) => {
                (mount[1], &[("memory.max", limit.to_string()), ("memory.swap.max", "0".to_owned())], "memory.events")
            }
            (None, None) => return Err("no control group with a memory controller is mounted".to_owned()),
        };
        let path = Path::new(root).join(name);
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}; this needs root", path.display()))?;
        stop::cgroup(path.clone());
        for (file, value) in files {
            let file = path.join(file);
            // Without swap there is no file for it.
            if file.exists() {
                std::fs::write(&file, value).map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
        Ok(Self { path, counter })
    }

    /// Where a process writes its number to come in.
    pub fn processes(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Processes that the kernel has killed for want of memory.
    pub fn out_of_memory(&self) -> u64 {
        let text = std::fs::read_to_string(self.path.join(self.counter)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|it| it.trim().parse().ok()).unwrap_or_default()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::fs::remove_dir(&self.path).is_err() && self.path.exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
