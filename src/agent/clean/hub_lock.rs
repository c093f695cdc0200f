//! Is a client of the hub at work on a blob? It holds `<hub>/.locks/<repository>/<name>.lock` by `flock`
//! (`huggingface_hub/file_download.py`).

use super::super::failure::Failure;
use super::super::layout::safe_path::{Root, split};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;

/// The lock of a blob, held until it is dropped; nothing where the client never made one.
#[derive(Debug)]
pub struct HubLock {
    _file: Option<File>,
}

impl HubLock {
    /// Takes the lock of a blob or of its interrupted download. `None` when somebody else has it. The lock's file stays: who
    /// waits for it has it open.
    pub fn take(root: &Root, blob: &str) -> Result<Option<Self>, Failure> {
        let (blobs, name) = split(blob);
        let repository = split(blobs).0;
        let (hub, repository) = split(repository);
        // `<hash>.incomplete`, or `<hash>.<anything>.incomplete`.
        let hash = name.split('.').next().unwrap_or(name);
        let Some(file) = root.file(&format!("{hub}/.locks/{repository}/{hash}.lock"))? else {
            return Ok(Some(Self { _file: None }));
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::BADF) => {
                Ok(Some(Self { _file: Some(file) }))
            }
            Err(_) => Ok(None),
        }
    }
}
