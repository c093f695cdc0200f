//! Which files is a source made of, and what is the digest of that list?

use super::super::failure::Failure;
use super::super::fetch::{Authorizer, Content, Digest, Origin, Secret};
use super::claim::Held;
use super::name;
use super::unpack::Unpack;
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use crate::api::name::hex;
use crate::contract::plan::Pin;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use url::Url;

/// A source at a revision.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The commit, `sha256:<hex>` or `etag:<value>`.
    pub revision: String,
    /// Its files, sorted by path.
    pub files: Vec<ListedFile>,
    /// Whether these are all files of that revision: nothing was left out by `include` and `exclude`.
    pub complete: bool,
    /// What the origin gets to see.
    pub token: Option<Secret>,
    /// The scheme, host and port that the token is for, where files may lie elsewhere too.
    pub token_for: Option<url::Origin>,
    /// Gives access that does not last, where the origin asks for that.
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// What people would call the origin: shown in manifests.
    pub origin: String,
    /// Path on the volume and bytes of the file that makes the source visible to its clients, once all else is there.
    pub last: Option<(String, Vec<u8>)>,
    /// The claim that its files are copied from, where they are not fetched.
    pub held: Option<Arc<Held>>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Path in the repository, or on the volume for a source that is one file.
    pub path: String,
    /// Size in bytes, when the origin says it.
    pub size: Option<u64>,
    /// What its bytes must hash to, when the origin says it.
    pub digest: Option<Digest>,
    /// The entity tag that it must still have: the pin of a file without a digest.
    pub validator: Option<String>,
    /// What git calls it in the tree: for a large file the name of its pointer, not of its content.
    pub git_oid: Option<String>,
    /// Where to get it.
    pub url: Url,
    /// It is an archive whose content is wanted: `path` is then the directory on the volume, which several may share.
    pub unpack: Option<Unpack>,
}

impl Listing {
    /// A listing whose names were checked.
    ///
    /// # Errors
    /// `NoFiles` when there is none: success over nothing does not exist. `ListingMismatch` when a name would leave its
    /// directory, comes twice, or is a file and a directory at once: such a listing lies.
    pub fn new(
        revision: String,
        mut files: Vec<ListedFile>,
        complete: bool,
        token: Option<Secret>,
        origin: String,
    ) -> Result<Self, Failure> {
        if files.is_empty() {
            let hint = if complete { "the repository is empty" } else { "`include` and `exclude` leave nothing" };
            return Err(Failure::new(Reason::NoFiles, format!("{origin} has no file at {revision}: {hint}")));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let lies = |what: String| {
            Failure::new(Reason::ListingMismatch, format!("{origin} lists {what}; nothing was taken from it"))
        };
        for file in &files {
            name::check(&file.path).map_err(|bad| lies(format!("the file name {:?}, which {bad}", file.path)))?;
        }
        let plain = || files.iter().filter(|it| it.unpack.is_none());
        let paths: BTreeSet<&str> = plain().map(|file| file.path.as_str()).collect();
        if paths.len() != plain().count() {
            return Err(lies("a file twice".into()));
        }
        let parents = files.iter().flat_map(|it| it.path.match_indices('/').filter_map(|(at, _)| it.path.get(..at)));
        let directories = files.iter().filter(|it| it.unpack.is_some()).map(|it| it.path.as_str());
        if let Some(both) = parents.into_iter().chain(directories).find(|parent| paths.contains(parent)) {
            return Err(lies(format!("{both:?} as a file and as a directory")));
        }
        Ok(Self { revision, files, complete, token, token_for: None, authorizer: None, origin, last: None, held: None })
    }

    /// Bytes of all files whose size is known.
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| file.size).fold(0, u64::saturating_add)
    }

    /// What the whole fleet is held to.
    pub fn pin(&self) -> Pin {
        Pin {
            revision: self.revision.clone(),
            files: self.files.len() as u64,
            bytes: self.bytes(),
            digest: self.digest(),
        }
    }

    /// What the engine fetches for one of its files.
    pub fn content(&self, file: &ListedFile) -> Content {
        let origin = Origin {
            url: file.url.clone(),
            token: self.token.clone().filter(|_| self.token_for.as_ref().is_none_or(|it| *it == file.url.origin())),
            validator: file.validator.clone(),
            authorizer: self.authorizer.clone(),
        };
        Content { label: file.path.clone(), size: file.size, digest: file.digest, origin }
    }

    /// SHA-256 over path, size and digest of every file in the order of paths. Where they come from is no part of it, so
    /// that a mirror gives the same.
    fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for file in &self.files {
            let size = file.size.map_or_else(|| "?".to_owned(), |it| it.to_string());
            let digest =
                file.digest.map(|it| it.to_string()).or_else(|| file.validator.as_ref().map(|it| format!("etag:{it}")));
            let unpack = file.unpack.as_ref().map(|it| json!(it).to_string());
            for part in [file.path.as_str(), &size, &digest.unwrap_or_default()].into_iter().chain(unpack.as_deref()) {
                hasher.update(part.as_bytes());
                hasher.update([0]);
            }
        }
        hex(&hasher.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> ListedFile {
        let url = Url::parse("http://hub/x").unwrap();
        let digest = Some(Digest::GitBlob([1; 20]));
        ListedFile { path: path.into(), size: Some(3), digest, validator: None, git_oid: None, url, unpack: None }
    }

    fn listing(paths: &[&str]) -> Result<Listing, Failure> {
        Listing::new("c".repeat(40), paths.iter().map(|it| file(it)).collect(), true, None, "http://hub/org/x".into())
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order_or_the_mirror() {
        let one = listing(&["b", "a"]).unwrap();
        let mut other = listing(&["a", "b"]).unwrap();
        other.files.iter_mut().for_each(|file| file.url = Url::parse("https://mirror/y").unwrap());
        assert_eq!(one.pin(), other.pin());
        other.files[0].size = Some(4);
        assert_ne!(one.pin().digest, other.pin().digest);
    }

    #[test]
    fn the_digest_is_golden_so_that_an_upgrade_never_refuses_the_pins_of_a_fleet() {
        let digest = listing(&["a", "b/c"]).unwrap().pin().digest;
        assert_eq!(digest, "296e08ad7b0ef9e436087de197f460ad6f7acbd3935e39b79526d59204905b72");
    }

    #[test]
    fn a_listing_that_lies_is_refused_whole() {
        for (paths, word) in [
            (vec!["a", "../b"], "`..`"),
            (vec!["a", "a"], "twice"),
            (vec!["a", "a/b"], "as a directory"),
            (vec!["/etc/passwd"], "absolute"),
        ] {
            let failure = listing(&paths).unwrap_err();
            assert_eq!(failure.reason, Reason::ListingMismatch);
            assert!(failure.message.contains(word), "{failure}");
        }
        assert_eq!(listing(&[]).unwrap_err().reason, Reason::NoFiles);
    }
}
