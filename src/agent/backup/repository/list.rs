//! What is in a list of files? One line of JSON for each, in the order of the walk: by directory, by name.

use super::super::super::failure::Failure;
use super::Repository;
use super::seal::Form;
use crate::api::Reason;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Largest piece of a list, in plain bytes.
pub const CHUNK_LIMIT: u64 = 64 << 20;

/// A piece of a list: a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// SHA-256 of its plain bytes.
    pub sha256: String,
    /// How it is kept.
    #[serde(default)]
    pub form: Form,
    /// Bytes that it takes in the store.
    pub stored: u64,
    /// Entries in it.
    pub entries: u64,
}

/// Something on a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Path, relative to the volume's root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum What {
    /// A directory.
    Directory,
    /// A link.
    Link {
        /// Where it points.
        target: String,
    },
    /// A file.
    File(File),
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// What the file system said of it when it was read: while that stays, it is not read again.
    #[serde(default, skip_serializing_if = "Stamp::is_unknown")]
    pub stamp: Stamp,
    /// Where its bytes are.
    pub at: At,
}

/// What a file system says of a file that changes with its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Time of modification, in nanoseconds since 1970.
    pub mtime: i64,
    /// Time of change, in nanoseconds since 1970.
    pub ctime: i64,
    /// Number of the inode.
    pub inode: u64,
}

/// Where the bytes of a file are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum At {
    /// There are none.
    Empty,
    /// In a blob of its own, called by the file's hash.
    Blob {
        /// How it is kept.
        #[serde(default)]
        form: Form,
        /// Bytes that it takes in the store.
        stored: u64,
    },
    /// In a block of a pack, among other small files.
    Pack {
        /// Name of the pack.
        pack: String,
        /// Where the block begins in the pack.
        offset: u64,
        /// Bytes of the block in the pack.
        length: u64,
        /// How the block is kept.
        #[serde(default)]
        form: Form,
        /// Where the file begins in the plain bytes of the block.
        start: u64,
    },
    /// Nowhere in the repository: the source of this name fetches it again, at the snapshot's pin.
    Origin {
        /// Name of the source.
        source: String,
    },
}

impl Stamp {
    /// Whether nothing is known, so that the file is read again.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

impl Entry {
    /// The file that it is.
    pub fn file(&self) -> Option<&File> {
        match &self.what {
            What::File(file) => Some(file),
            _ => None,
        }
    }
}

/// The order of a list: that of a walk which takes the names of each directory in order.
pub fn order(one: &str, other: &str) -> Ordering {
    one.split('/').cmp(other.split('/'))
}

impl Repository {
    /// The entries of a piece of a list, proven by its hash.
    pub async fn entries(&self, chunk: &Chunk) -> Result<Vec<Entry>, Failure> {
        let plain = self.blob(&chunk.sha256, chunk.form, CHUNK_LIMIT).await?;
        let lines = plain.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let entries: Result<Vec<Entry>, _> = lines.map(serde_json::from_slice).collect();
        entries.map_err(|error| {
            let message = format!("the list of files {} is not understood: {error}", chunk.sha256);
            Failure::new(Reason::ChecksumMismatch, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_as_it_was_written() {
        let pack = At::Pack { pack: "ab".into(), offset: 1, length: 2, form: Form::default(), start: 3 };
        for at in
            [At::Blob { form: Form { zstd: true, age: false }, stored: 9 }, pack, At::Origin { source: "s".into() }]
        {
            let file = File { size: 3, sha256: "00".repeat(32), stamp: Stamp { mtime: 1, ctime: 2, inode: 3 }, at };
            let entry = Entry { path: "a/b".into(), mode: 0o644, what: What::File(file) };
            let line = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry, "{line}");
        }
    }

    #[test]
    fn the_order_is_that_of_a_walk_and_not_that_of_bytes() {
        assert_eq!(order("a/z", "a-b"), Ordering::Less);
        assert_eq!("a/z".cmp("a-b"), Ordering::Greater);
        assert_eq!(order("a", "a/b"), Ordering::Less);
    }
}
