//! Which plan is complete on a volume? One line, that `wait` and people read.

use super::publish::Publisher;
use super::safe_path::Root;
use super::{LayoutError, state};

/// Longest marker that is read, in bytes.
const LIMIT: u64 = 256;

/// Content hash of the plan that is complete for a cache. `None` when none is.
pub fn read(root: &Root, cache: &str) -> Result<Option<String>, LayoutError> {
    let bytes = root.read(&path(cache), LIMIT)?;
    let text = bytes.and_then(|it| String::from_utf8(it).ok()).map(|it| it.trim().to_owned());
    Ok(text.filter(|it| it.len() == 64 && it.bytes().all(|byte| byte.is_ascii_hexdigit())))
}

/// Says that a plan is complete. All of its content is on the disk before this is called.
pub fn write(publisher: &mut Publisher<'_>, cache: &str, hash: &str) -> Result<(), LayoutError> {
    publisher.file(&path(cache), format!("{hash}\n").as_bytes())?;
    publisher.sync()
}

/// Takes the word back, before what it was said of is changed.
pub fn remove(root: &Root, cache: &str) -> Result<(), LayoutError> {
    root.remove(&path(cache))
}

fn path(cache: &str) -> String {
    format!("{}/current", state(cache))
}
