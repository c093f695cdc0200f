//! Which files does a process have open? Of those that can be seen: on this machine, never those of other pods.

use rustix::fs::stat;
use std::collections::HashMap;
use std::path::Path;

/// Files that processes have open or mapped, by device and inode, with one of the processes.
#[derive(Clone, Debug, Default)]
pub struct InUse {
    open: HashMap<(u64, u64), u32>,
}

impl InUse {
    /// What can be seen now, of files on a device. What may not be looked at is not seen.
    pub fn on(device: u64) -> Self {
        let mut open = HashMap::new();
        let me = std::process::id();
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes {
            let Some(id) = process.file_name().to_str().and_then(|it| it.parse::<u32>().ok()).filter(|it| *it != me)
            else {
                continue;
            };
            descriptors(&process.path(), device, |key| _ = open.entry(key).or_insert(id));
            mapped(&process.path(), device, |key| _ = open.entry(key).or_insert(id));
        }
        Self { open }
    }

    /// The process that has a file open, if one is seen.
    pub fn by(&self, device: u64, inode: u64) -> Option<u32> {
        self.open.get(&(device, inode)).copied()
    }
}

fn descriptors(process: &Path, device: u64, mut each: impl FnMut((u64, u64))) {
    for descriptor in std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
        if let Ok(stat) = stat(descriptor.path())
            && stat.st_dev == device
        {
            each((stat.st_dev, stat.st_ino));
        }
    }
}

/// Lines of `/proc/<pid>/maps` (`man 5 proc_pid_maps`): addresses, rights, offset, `major:minor` in hex, inode, path.
fn mapped(process: &Path, device: u64, mut each: impl FnMut((u64, u64))) {
    let text = std::fs::read_to_string(process.join("maps")).unwrap_or_default();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace().skip(3);
        let (Some(numbers), Some(inode)) = (fields.next(), fields.next()) else { continue };
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        let parts = numbers.split_once(':').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
        let (Some((major, minor)), Ok(inode)) = (parts, inode.parse::<u64>()) else { continue };
        if inode != 0 && rustix::fs::makedev(major, minor) == device {
            each((device, inode));
        }
    }
}
