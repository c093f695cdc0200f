//! What is behind a plain URL? One file: its SHA-256 is the pin, or its entity tag where no hash is given.

use super::super::failure::{Failure, reason};
use super::super::fetch::{Digest, Origin, unhex_array};
use super::Origins;
use super::access::Access;
use super::listing::{ListedFile, Listing};
use super::unpack::Unpack;
use crate::api::Reason;
use crate::api::source::Http;
use crate::contract::plan::Pin;
use url::Url;

/// Longest entity tag that is taken as a pin: it goes into a status and a plan.
const TAG_LIMIT: usize = 256;

/// Asks the server for size and tag of the file.
pub async fn resolve(origins: &Origins, http: &Http, access: &Access) -> Result<Listing, Failure> {
    let url = url(http)?;
    let origin = Origin { url: url.clone(), token: access.token.clone(), validator: None, authorizer: None };
    let probe = origins.client.probe(&shown(&url), &origin, &origins.options).await;
    let probe = probe.map_err(|error| Failure::new(reason(&error), error.to_string()))?;
    let revision = match &http.sha256 {
        Some(sha256) => format!("sha256:{}", sha256.to_ascii_lowercase()),
        None => format!("etag:{}", strong(probe.etag.as_deref(), &url)?),
    };
    // A pin of no bytes says nothing about the size: see `list`.
    listing(http, &revision, probe.size.filter(|size| *size > 0), access)
}

/// The file of a pin. Nobody is asked: the pin says everything, and the engine holds the server to it.
pub fn list(http: &Http, pin: &Pin, access: &Access) -> Result<Listing, Failure> {
    listing(http, &pin.revision, (pin.bytes > 0).then_some(pin.bytes), access)
}

fn listing(http: &Http, revision: &str, size: Option<u64>, access: &Access) -> Result<Listing, Failure> {
    let url = url(http)?;
    let path = http.effective_path().ok_or_else(|| {
        Failure::new(Reason::InvalidSpec, format!("{} ends in no file name: set `path`", shown(&url)))
    })?;
    let invalid =
        || Failure::new(Reason::InvalidSpec, format!("the pin `{revision}` is neither a SHA-256 nor an ETag"));
    let (digest, validator) = match revision.split_once(':') {
        Some(("sha256", hex)) => {
            let bytes = unhex_array(hex).ok_or_else(invalid)?;
            (Some(Digest::Sha256(bytes)), None)
        }
        Some(("etag", tag)) => (None, Some(tag.to_owned())),
        _ => return Err(invalid()),
    };
    let origin = shown(&url);
    let unpack = http.unpack.map(Unpack::whole);
    let file = ListedFile { path, size, digest, validator, git_oid: None, url, unpack };
    Listing::new(revision.to_owned(), vec![file], true, access.token.clone(), origin)
}

/// The tag without its quotes. Weak tags name what looks alike, not the same bytes.
pub(super) fn strong<'a>(tag: Option<&'a str>, url: &Url) -> Result<&'a str, Failure> {
    let what = match tag {
        Some(tag) if tag.starts_with("W/") => "only a weak ETag",
        Some(tag) if tag.len() > TAG_LIMIT || tag.chars().any(char::is_control) => "an unusable ETag",
        Some(tag) if !tag.trim_matches('"').is_empty() => return Ok(tag.trim_matches('"')),
        _ => "no ETag",
    };
    let message = format!(
        "{} gives {what}, so that nothing would tell its content from another: set `sha256` (the output of \
         `sha256sum` for the file)",
        shown(url)
    );
    Err(Failure::new(Reason::InvalidSpec, message))
}

fn url(http: &Http) -> Result<Url, Failure> {
    let usable =
        |url: &Url| matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    Url::parse(&http.url).ok().filter(usable).ok_or_else(|| {
        Failure::new(Reason::InvalidSpec, "`url` must be an http or https URL without user name and password")
    })
}

/// Without query, which may be a signature.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_strong_tag_can_be_a_pin() {
        let url = Url::parse("http://x.org/a?sig=secret").unwrap();
        assert_eq!(strong(Some("\"abc\""), &url).unwrap(), "abc");
        for (tag, word) in [(Some("W/\"abc\""), "weak"), (None, "no ETag"), (Some("\"\""), "no ETag")] {
            let failure = strong(tag, &url).unwrap_err();
            assert_eq!(failure.reason, Reason::InvalidSpec);
            assert!(failure.message.contains(word) && failure.message.contains("sha256"), "{failure}");
            assert!(!failure.message.contains("secret"), "{failure}");
        }
    }

    #[test]
    fn a_pin_lists_the_file_without_asking_anybody() {
        let http =
            Http { url: "http://x.org/a/b.bin".into(), sha256: None, path: None, unpack: None, expire_after: None };
        let access = Access::default();
        let resolved = listing(&http, "etag:abc", Some(7), &access).unwrap();
        let listed = list(&http, &resolved.pin(), &access).unwrap();
        assert_eq!(listed.files, resolved.files);
        assert_eq!(listed.files[0].path, "files/b.bin");
        assert_eq!(listed.files[0].validator.as_deref(), Some("abc"));
    }
}
