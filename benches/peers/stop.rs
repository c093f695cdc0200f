//! How does everything end that was started? On success, failure, Ctrl-C and SIGTERM alike.

use rustix::process::{Pid, Signal, kill_process_group};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// What there is to end and to remove.
struct Started {
    groups: Vec<Pid>,
    cgroups: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    /// From now on nothing may start.
    over: bool,
}

static STARTED: Mutex<Started> =
    Mutex::new(Started { groups: vec![], cgroups: vec![], directories: vec![], over: false });

/// Ends everything when it is dropped, also by a panic.
pub struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        everything();
    }
}

/// Listens for signals from now on.
pub fn on_signals() -> Guard {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).unwrap();
            let mut terminate = signal(SignalKind::terminate()).unwrap();
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        everything();
        eprintln!("bench: stopped");
        std::process::exit(130);
    });
    Guard
}

/// A child that leads a process group of its own. It is killed at the end, with all of its group.
pub fn group(child: &Child) -> Pid {
    let pid = Pid::from_child(child);
    let mut started = started();
    started.groups.push(pid);
    if started.over {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    pid
}

/// The group has ended, or is to end now. To be called before its leader is waited for, or right after.
pub fn end_group(pid: Pid) {
    let _ = kill_process_group(pid, Signal::KILL);
    started().groups.retain(|it| *it != pid);
}

/// A directory to remove at the end, with what is in it.
pub fn directory(path: PathBuf) {
    started().directories.push(path);
}

/// A control group to remove at the end.
pub fn cgroup(path: PathBuf) {
    started().cgroups.push(path);
}

fn started() -> std::sync::MutexGuard<'static, Started> {
    STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn everything() {
    let mut started = started();
    started.over = true;
    for pid in started.groups.drain(..) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    for path in started.cgroups.drain(..) {
        // Busy for as long as the kernel still ends the processes in it.
        let deadline = Instant::now() + Duration::from_secs(10);
        while path.exists() && std::fs::remove_dir(&path).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        if path.exists() {
            eprintln!("bench: {} could not be removed", path.display());
        }
    }
    for path in started.directories.drain(..) {
        // What was killed a moment ago may still make a file.
        let deadline = Instant::now() + Duration::from_secs(10);
        while path.exists() && std::fs::remove_dir_all(&path).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
