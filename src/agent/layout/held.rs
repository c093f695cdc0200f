//! Which file holds a content that we published? The one of its path; or, where a client of the hub has moved it to its
//! shared store, the one that a link in its place leads to.
//!
//! From 1.32 on `huggingface_hub` keeps `<hub>/blobs/<2 hex>/<hash>` for all repositories and makes a repository's blob a
//! relative link to it (`huggingface_hub/utils/_shared_blobs.py`). One such link is followed, and only to a plain file of the
//! same volume that is not our own state.

use super::safe_path::{Root, split};
use super::{LayoutError, OWN};
use rustix::fs::{FileType, Stat};
use std::fs::File;

/// The file, for reading. `None` when there is none on this volume.
pub fn file(root: &Root, path: &str) -> Result<Option<File>, LayoutError> {
    match target(root, path)? {
        Some(target) => root.file(&target),
        None => root.file(path),
    }
}

/// What the file is. `None` when there is none on this volume.
pub fn stat(root: &Root, path: &str) -> Result<Option<Stat>, LayoutError> {
    let plain = |it: &Stat| FileType::from_raw_mode(it.st_mode) == FileType::RegularFile;
    let Some(stat) = root.stat(path)? else { return Ok(None) };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        return Ok(Some(stat).filter(plain));
    }
    match target(root, path)? {
        Some(target) => Ok(root.stat(&target)?.filter(plain)),
        None => Ok(None),
    }
}

/// Size of the file in bytes. `None` when there is none on this volume.
pub fn size(root: &Root, path: &str) -> Result<Option<u64>, LayoutError> {
    Ok(stat(root, path)?.and_then(|it| u64::try_from(it.st_size).ok()))
}

/// Where the link at a path leads on this volume. `None` when there is no link, or it leaves the volume.
pub fn target(root: &Root, path: &str) -> Result<Option<String>, LayoutError> {
    Ok(root.link(path)?.and_then(|link| resolved(path, &link)))
}

/// Where a link that stands at `path` leads, from the volume's root. No directory on the way is a link, since none is
/// followed: so the text alone says it.
pub fn resolved(path: &str, link: &str) -> Option<String> {
    if link.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = split(path).0.split('/').filter(|it| !it.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    let inside = parts.first().is_some_and(|first| *first != OWN);
    inside.then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_leads_somewhere_only_inside_the_volume() {
        for (path, link, found) in [
            ("hub/m/blobs/x", "../../blobs/ab/y", Some("hub/blobs/ab/y")),
            ("hub/m/blobs/x", "y", Some("hub/m/blobs/y")),
            ("hub/m/blobs/x", "/etc/passwd", None),
            ("hub/m/blobs/x", "../../../../etc/passwd", None),
            ("hub/m/blobs/x", "../../../.modelcache/c/current", None),
            ("x", ".", None),
        ] {
            assert_eq!(resolved(path, link).as_deref(), found, "{path} -> {link}");
        }
    }

    #[test]
    fn one_link_is_followed_and_no_second_one() {
        let volume = tempfile::tempdir().unwrap();
        let at = |name: &str| volume.path().join(name);
        std::fs::create_dir(at("d")).unwrap();
        std::fs::write(at("d/content"), "12345").unwrap();
        symlink("d/content", at("one")).unwrap();
        symlink("one", at("two")).unwrap();
        symlink("d", at("directory")).unwrap();
        let root = Root::open(volume.path()).unwrap();
        assert_eq!(size(&root, "d/content").unwrap(), Some(5));
        assert_eq!(size(&root, "one").unwrap(), Some(5));
        assert!(file(&root, "one").unwrap().is_some());
        for path in ["two", "directory", "missing"] {
            assert_eq!(size(&root, path).unwrap(), None, "{path}");
            assert!(file(&root, path).unwrap().is_none(), "{path}");
        }
    }
}
