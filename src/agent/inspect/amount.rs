//! How much is it?

use rustix::fs::{FileType, Stat};
use serde::Serialize;
use std::ops::AddAssign;

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// Files and links; directories do not count.
    pub files: u64,
    /// Bytes on the disk: what would be free without it.
    pub disk_bytes: u64,
    /// Bytes that a reader sees.
    pub apparent_bytes: u64,
}

impl Amount {
    /// One thing on the disk.
    pub fn of(stat: &Stat) -> Self {
        // In blocks of 512 bytes, whatever the file system's own are (POSIX leaves it open, Linux does not).
        let disk_bytes = u64::try_from(stat.st_blocks).unwrap_or_default() * 512;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Self { files: 0, disk_bytes, apparent_bytes: 0 };
        }
        Self { files: 1, disk_bytes, apparent_bytes: u64::try_from(stat.st_size).unwrap_or_default() }
    }

    /// Whether it is nothing at all.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.disk_bytes += other.disk_bytes;
        self.apparent_bytes += other.apparent_bytes;
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, it| {
            sum += it;
            sum
        })
    }
}
