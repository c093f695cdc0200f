//! Where does a test put what it writes anew a hundred times, and never has to be found after the machine was switched off?

use std::path::Path;

/// Bytes that must be free there.
const ROOM: u64 = 1 << 30;

/// A directory in memory, where the machine has one with room; else on its disk. For tests that kill processes: what those have
/// written is there for the next one either way, and waiting for a disk adds nothing but time.
pub fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).is_ok_and(|it| it.f_bavail * it.f_frsize > ROOM);
    let made = if room { tempfile::tempdir_in(memory).ok() } else { None };
    made.unwrap_or_else(|| tempfile::tempdir().unwrap())
}
