//! Do the copies fit? Asked before the first byte of them is written.

use super::super::failure::Failure;
use super::super::inspect::known::File;
use super::super::layout::held;
use super::super::layout::safe_path::Root;
use super::{LayoutError, create};
use crate::api::Reason;
use crate::api::quantity::human;
use rustix::fs::{fstat, ioctl_ficlone};

/// Holds what has to be copied against what the file system of the trees has left. Links take no room; nor do copies on a file
/// system that lets files share their bytes, which only an attempt tells. `aside` is the directory that is being filled.
///
/// # Errors
/// `InsufficientSpace`, with both numbers.
pub(super) fn check(volume: &Root, to: &Root, aside: &str, files: &[File<'_>], copy: bool) -> Result<(), Failure> {
    let top = to.directory("")?;
    let device = fstat(&top).map_err(|error| to.failure("", error))?.st_dev;
    let (mut needed, mut here, mut elsewhere) = (0_u64, None, false);
    for file in files {
        // What is missing is told by who comes to copy it.
        let Some(found) = held::stat(volume, &file.content)? else { continue };
        let same = found.st_dev == device;
        if copy || !same {
            needed = needed.saturating_add(file.size);
        }
        elsewhere |= !same;
        if same && file.size > 0 {
            here = Some(file);
        }
    }
    let free = to.free_bytes()?;
    if needed <= free || (!elsewhere && here.is_some_and(|file| is_shared(volume, to, aside, file).unwrap_or(false))) {
        return Ok(());
    }
    let message = format!(
        "{} are to be copied to {}, and its disk has {} left: free some space there, or name another directory with --to; \
         nothing was copied",
        human(needed),
        to.shown("").display(),
        human(free)
    );
    Err(Failure::new(Reason::InsufficientSpace, message))
}

/// Whether the file system lets a copy share the bytes of this file.
fn is_shared(volume: &Root, to: &Root, aside: &str, file: &File<'_>) -> Result<bool, LayoutError> {
    let content = held::target(volume, &file.content)?.unwrap_or_else(|| file.content.clone());
    let Some(from) = volume.file(&content)? else { return Ok(false) };
    let attempt = format!("{aside}/.shared");
    let shared = ioctl_ficlone(create(to, &attempt)?, &from).is_ok();
    to.remove(&attempt)?;
    Ok(shared)
}
