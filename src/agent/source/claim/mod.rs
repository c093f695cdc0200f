//! What is on a claim, and what does it hash to?
//!
//! ```text
//! walk (which files, links followed on the claim only) ──► hash (all cores) ──► listing ──► copies from here, held to the hash
//! ```
//!
//! There is nobody to ask what the files should be: what they are when the source is resolved is the pin. What can be told from
//! its name is held against it: a blob of the hub's cache is called by its hash, so that damage is not adopted as content.

pub mod links;
mod walk;

use super::super::failure::Failure;
use super::super::fetch::{Digest, git_blob_of_file, hex, over_cores, sha256_of_file, unhex};
use super::super::layout::LayoutError;
use super::super::layout::safe_path::Root;
use super::super::verify::hub::KINDS;
use super::access::Access;
use super::listing::{ListedFile, Listing};
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use crate::api::source::Claim;
use links::{Led, follow};
use rustix::fs::fstat;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use walk::Found;

/// How often a file is read that changes meanwhile.
const READS: u32 = 3;

/// Files that are copied, not fetched.
#[derive(Debug)]
pub struct Held {
    root: Root,
    claim: Claim,
}

impl Held {
    /// The file that belongs at a path of the volume.
    pub fn open(&self, path: &str) -> Result<File, Failure> {
        let to = self.claim.effective_path();
        let rest = if to == "." { Some(path) } else { path.strip_prefix(to).and_then(|it| it.strip_prefix('/')) };
        let rest = rest.ok_or_else(|| Failure::new(Reason::InternalError, format!("{path} is not below {to}")))?;
        let real = match follow(&self.root, &below(self.claim.effective_directory(), rest)).map_err(trouble)? {
            Led::To(real) => real,
            Led::Out | Led::Nowhere => return Err(self.changed(path)),
        };
        self.root.file(&real).map_err(trouble)?.ok_or_else(|| self.changed(path))
    }

    /// Whether the claim is this volume, and the files are where they are wanted.
    pub fn is_in(&self, volume: &Root) -> bool {
        let identity = |root: &Root| {
            let stat = root.directory("").ok().and_then(|it| fstat(&it).ok());
            stat.map(|it| (it.st_dev, it.st_ino))
        };
        let same = identity(&self.root).is_some_and(|it| Some(it) == identity(volume));
        same && self.claim.effective_directory() == self.claim.effective_path()
    }

    /// What is said of a file that is not what was resolved.
    pub fn changed(&self, path: &str) -> Failure {
        let message = format!(
            "{path} is not on claim `{}` as it was when the source was resolved: the claim changed; nothing of it was put in \
             place; resolve it again when nothing writes there",
            self.claim.claim_name
        );
        Failure::new(Reason::ListingMismatch, message)
    }
}

/// Reads the claim: for the pin, and on each copy again, which must give the same.
///
/// # Errors
/// `VolumePending` when there is no such claim here, `NotFound` without the directory, `NoFiles` when nothing is in it,
/// `InvalidSpec` for what cannot be taken over, `ChecksumMismatch` for a damaged blob, `VolumeError` for what cannot be
/// read or does not hold still.
pub async fn resolve(claim: &Claim, access: &Access) -> Result<Listing, Failure> {
    let Some(directory) = access.claim.clone() else {
        let message = format!(
            "claim `{}` is not mounted: without a cluster, name with --claims-dir the directory that has it as `{}`",
            claim.claim_name, claim.claim_name
        );
        return Err(Failure::new(Reason::InvalidSpec, message));
    };
    let claim = claim.clone();
    // Hashing takes as long as reading: signals are still heard.
    let reading = tokio::task::spawn_blocking(move || read(&claim, &directory));
    reading.await.map_err(|error| Failure::new(Reason::InternalError, error.to_string()))?
}

fn read(claim: &Claim, directory: &Path) -> Result<Listing, Failure> {
    if !directory.is_dir() {
        let message = format!("there is no claim `{}`: {} is no directory", claim.claim_name, directory.display());
        return Err(Failure::new(Reason::VolumePending, message));
    }
    let root = Root::open(directory).map_err(trouble)?;
    let found = walk::walk(&root, claim)?;
    if found.is_empty() {
        let place = claim.effective_directory();
        let hint = if claim.include.is_empty() && claim.exclude.is_empty() {
            "fill it first, or correct `directory`"
        } else {
            "it is empty, or `include` and `exclude` leave nothing"
        };
        let message = format!("claim `{}` has no file to take in `{place}`: {hint}", claim.claim_name);
        return Err(Failure::new(Reason::NoFiles, message));
    }
    let mut files = Vec::with_capacity(found.len());
    for (found, hashed) in found.iter().zip(over_cores(&found, |it| hash(&root, claim, it))) {
        let (size, sha256) = hashed?;
        let path = below(claim.effective_path(), &found.path);
        // Shown in messages; nobody is asked there.
        let mut url = Url::parse(&format!("claim://{}/", claim.claim_name))
            .map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?;
        url.set_path(&found.path);
        let digest = Some(Digest::Sha256(sha256));
        files.push(ListedFile { path, size: Some(size), digest, validator: None, git_oid: None, url, unpack: None });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let complete = claim.include.is_empty() && claim.exclude.is_empty();
    let origin = format!("claim `{}`", claim.claim_name);
    let listing = Listing::new(format!("sha256:{}", hex(&fingerprint(&files))), files, complete, None, origin)?;
    Ok(Listing { held: Some(Arc::new(Held { root, claim: claim.clone() })), ..listing })
}

/// What the content is called: SHA-256 over the names, sizes and hashes.
fn fingerprint(files: &[ListedFile]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for file in files {
        let digest = file.digest.map(|it| it.to_string()).unwrap_or_default();
        hasher.update(format!("{}\0{}\0{digest}\0", file.path, file.size.unwrap_or_default()));
    }
    hasher.finalize()
}

/// Size and SHA-256 of a file that holds still, and is what its name says.
fn hash(root: &Root, claim: &Claim, found: &Found) -> Result<(u64, [u8; 32]), Failure> {
    let unreadable = |error: io::Error| trouble(LayoutError::new(root.shown(&found.real), error));
    for read in 1..=READS {
        if let Some(file) = root.file(&found.real).map_err(trouble)? {
            let state = |file: &File| {
                let stat = fstat(file).map_err(|error| unreadable(error.into()))?;
                Ok::<_, Failure>((stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec))
            };
            let before = state(&file)?;
            let (size, sha256) = sha256_of_file(&file).map_err(unreadable)?;
            let right = is_what_it_is_called(&found.real, &file, sha256).map_err(unreadable)?;
            if before == state(&file)? && i64::try_from(size) == Ok(before.0) {
                return if right { Ok((size, sha256)) } else { Err(damaged(claim, &found.path, sha256)) };
            }
        }
        std::thread::sleep(Duration::from_secs(u64::from(read)));
    }
    let message = format!(
        "{} on claim `{}` changed each time that it was read: it is read again later, and taken when nothing writes to it",
        found.path, claim.claim_name
    );
    Err(Failure::new(Reason::VolumeError, message))
}

/// A blob of the hub's cache is called by the hash of its bytes, SHA-256 or git's; any other file may be anything.
fn is_what_it_is_called(path: &str, file: &File, sha256: [u8; 32]) -> io::Result<bool> {
    let Some((repository, name)) = path.rsplit_once("/blobs/") else { return Ok(true) };
    let repository = repository.rsplit('/').next().unwrap_or_default();
    if !KINDS.iter().any(|kind| repository.starts_with(kind)) {
        return Ok(true);
    }
    match unhex(name).as_deref() {
        Some(expected) if expected.len() == 32 => Ok(expected == sha256),
        Some(expected) if expected.len() == 20 => Ok(expected == git_blob_of_file(file)?),
        _ => Ok(true),
    }
}

fn damaged(claim: &Claim, path: &str, sha256: [u8; 32]) -> Failure {
    let message = format!(
        "{path} on claim `{}` is damaged: the hub's cache calls it by another hash than its bytes have (sha256:{}): remove it \
         there, or leave it out with `exclude`",
        claim.claim_name,
        hex(&sha256)
    );
    Failure::new(Reason::ChecksumMismatch, message)
}

/// What cannot be taken over from a claim.
fn refused(claim: &Claim, path: &str, what: &str) -> Failure {
    let message = format!(
        "`{path}` on claim `{}` {what}, and is not taken over: leave it out with `exclude`, or mend it",
        claim.claim_name
    );
    Failure::new(Reason::InvalidSpec, message)
}

/// An error of the claim's file system.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` gives it away")]
fn trouble(error: LayoutError) -> Failure {
    let denied = matches!(&error, LayoutError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied);
    let mut failure = Failure::new(Reason::VolumeError, error.to_string());
    if denied {
        failure.message = format!(
            "{} (user {}): files on a claim are read as they are: set `podTemplate.securityContext.runAsUser` to their owner, \
             or make them readable",
            failure.message,
            rustix::process::getuid().as_raw()
        );
    }
    failure
}

/// A path in a directory, `.` and nothing for the root.
fn below(directory: &str, path: &str) -> String {
    if directory.is_empty() || directory == "." { path.to_owned() } else { format!("{directory}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claim() -> Claim {
        serde_json::from_value(json!({"claimName": "home", "path": "old"})).unwrap()
    }

    #[test]
    fn a_claim_is_listed_by_what_is_in_it_and_gives_its_files_by_their_paths_on_the_volume() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("a")).unwrap();
        std::fs::write(directory.path().join("a/b"), "one").unwrap();
        let one = read(&claim(), directory.path()).unwrap();
        assert_eq!((one.files[0].path.as_str(), one.files[0].size), ("old/a/b", Some(3)));
        assert!(one.held.as_ref().unwrap().open("old/a/b").is_ok());
        assert_eq!(one.pin(), read(&claim(), directory.path()).unwrap().pin());
        std::fs::write(directory.path().join("a/b"), "two").unwrap();
        let two = read(&claim(), directory.path()).unwrap().pin();
        assert!(one.pin().revision != two.revision && one.pin().digest != two.digest);
        std::fs::remove_file(directory.path().join("a/b")).unwrap();
        assert_eq!(one.held.unwrap().open("old/a/b").unwrap_err().reason, Reason::ListingMismatch);
        assert_eq!(read(&claim(), directory.path()).unwrap_err().reason, Reason::NoFiles);
        assert_eq!(read(&claim(), &directory.path().join("gone")).unwrap_err().reason, Reason::VolumePending);
    }

    #[test]
    fn a_blob_whose_bytes_are_not_its_name_is_damage_and_no_content() {
        let sha256: [u8; 32] = Sha256::digest(b"hello");
        let (good, git) = (hex(&sha256), "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
        for (path, reason) in [
            (format!("hub/models--o--n/blobs/{good}"), None),
            (format!("hub/models--o--n/blobs/{git}"), None),
            (format!("hub/datasets--o--n/blobs/{}", "a".repeat(64)), Some(Reason::ChecksumMismatch)),
            (format!("hub/models--o--n/blobs/{}", "a".repeat(40)), Some(Reason::ChecksumMismatch)),
            ("hub/models--o--n/blobs/weights".to_owned(), None),
            (format!("elsewhere/blobs/{}", "a".repeat(40)), None),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join(&path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "hello").unwrap();
            assert_eq!(read(&claim(), directory.path()).err().map(|it| it.reason), reason, "{path}");
        }
    }
}
