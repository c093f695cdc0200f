//! How does what is written get to the disk while the rest is still read and hashed? The kernel is told as it comes: the sync at
//! the end then waits for little, and the page cache of a small container holds little that is dirty.

use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::num::NonZeroU64;

/// Bytes of a file between two words to the kernel. Less than that, and the next sync writes it soon enough.
const STEP: u64 = 8 << 20;
/// A file's end is worth a word of its own from so many bytes on.
const END: u64 = 1 << 20;

/// How far a file is that is written from its start to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteBehind {
    written: u64,
    told: u64,
}

impl WriteBehind {
    /// So many bytes more are written.
    pub fn wrote(&mut self, file: &File, bytes: u64) {
        self.written += bytes;
        if self.written - self.told >= STEP {
            self.tell(file);
        }
    }

    /// All of it is written.
    pub fn end(&mut self, file: &File) {
        if self.written - self.told >= END {
            self.tell(file);
        }
    }

    fn tell(&mut self, file: &File) {
        // Linux begins to write what is dirty in the range, waits for none of it, and keeps it: only pages that are clean by
        // now are dropped (https://man7.org/linux/man-pages/man2/posix_fadvise.2.html). Advice: a file system may not care.
        let _ = fadvise(file, self.told, NonZeroU64::new(self.written - self.told), Advice::DontNeed);
        self.told = self.written;
    }
}
