//! What is to be fetched: one piece of content, what it must hash to, and where it comes from.

use std::{fmt, sync::Arc};

use crate::agent::sha256::Sha256;
use base64::Engine as _;
use futures::future::BoxFuture;
use url::Url;

use super::{
    error::FetchError,
    hash::{hex, unhex},
};

/// One piece of content to bring onto the volume, once, whatever the number of paths that will show it.
#[derive(Clone, Debug)]
pub struct Content {
    /// What people call it: the path in its repository. Used in messages and progress only.
    pub label: String,
    /// Size in bytes, when the listing says it. Without it the first answer of the origin does.
    pub size: Option<u64>,
    /// What the bytes must hash to. Without it only length and validator can be held.
    pub digest: Option<Digest>,
    /// Where the bytes come from.
    pub origin: Origin,
}

/// A hash that the content must have.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-256 of the bytes: Hugging Face's large files, OCI blobs, published checksums.
    Sha256([u8; 32]),
    /// SHA-1 of `blob <length>\0` and the bytes: how git, and so Hugging Face, names its small files.
    GitBlob([u8; 20]),
    /// The beginning of a SHA-256, as the name of a checkpoint has it. It tells damage, and not one content from another:
    /// the validator is the pin.
    Sha256Prefix(HashPrefix),
}

/// The first digits of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashPrefix {
    bytes: [u8; 32],
    digits: usize,
}

impl HashPrefix {
    /// From one to 64 hex digits; `None` when they are not that.
    pub fn new(digits: &str) -> Option<Self> {
        let padded = format!("{digits:0<64}");
        let bytes = unhex(&padded)?.try_into().ok()?;
        (!digits.is_empty()).then_some(Self { bytes, digits: digits.len() })
    }

    /// Whether a SHA-256 begins with it.
    pub fn begins(&self, sha256: &[u8; 32]) -> bool {
        hex(sha256).get(..self.digits) == hex(&self.bytes).get(..self.digits)
    }
}

/// Where content comes from, and what is shown to get it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// http or https. Redirects are followed; the token is not sent to where they lead.
    pub url: Url,
    /// Sent as `Authorization` to the URL's own scheme, host and port, and to nobody else.
    pub token: Option<Secret>,
    /// The `ETag` that the content must still have: the pin of content without a digest.
    pub validator: Option<String>,
    /// Asked for a signed address, or a fresh token, before the origin is. What it gives may expire: it is asked again
    /// when it did.
    pub authorizer: Option<Arc<dyn Authorizer>>,
}

/// Gives access that does not last: signed addresses of an object store, tokens of a registry.
pub trait Authorizer: fmt::Debug + Send + Sync {
    /// Where to send a request for `url`, and the token to show there.
    ///
    /// # Errors
    /// Refusals as those of an origin, with `label` as the name of what is fetched.
    fn authorize<'a>(&'a self, label: &'a str, url: &'a Url) -> BoxFuture<'a, Result<Authorized, FetchError>>;
}

/// Access for a while.
#[derive(Clone, Debug)]
pub struct Authorized {
    /// Where to send the request.
    pub url: Url,
    /// Shown there, to its scheme, host and port only.
    pub token: Option<Secret>,
}

/// A credential. `Debug` prints nothing of it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    value: String,
    /// How it is shown in `Authorization`: `Bearer` or `Basic`.
    scheme: &'static str,
}

impl Secret {
    /// Wraps a credential; white space around it, as a mounted file has at its end, is dropped.
    pub fn new(value: &str) -> Self {
        Self { value: value.trim().to_owned(), scheme: "Bearer" }
    }

    /// User name and password, for origins that ask for them with each request (RFC 7617).
    pub fn basic(user: &str, password: &str) -> Self {
        let value = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Self { value, scheme: "Basic" }
    }

    /// The credential itself, for the places that put it into a request or a signature.
    pub(in crate::agent) fn reveal(&self) -> &str {
        &self.value
    }

    /// As the `Authorization` header has it.
    pub(super) fn authorization(&self) -> String {
        format!("{} {}", self.scheme, self.value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(bytes) => write!(f, "sha256:{}", hex(bytes)),
            Self::GitBlob(bytes) => write!(f, "git-blob:{}", hex(bytes)),
            Self::Sha256Prefix(prefix) => {
                write!(f, "sha256:{}…", hex(&prefix.bytes).get(..prefix.digits).unwrap_or_default())
            }
        }
    }
}

impl Content {
    /// The name of the partial in staging. Two contents of one name are the same bytes, so that an earlier run's
    /// partial is found again whatever path or repository it was fetched for.
    pub(super) fn name(&self) -> String {
        let key = match &self.digest {
            Some(Digest::Sha256(bytes)) => hex(bytes),
            Some(Digest::GitBlob(bytes)) => hex(bytes),
            None | Some(Digest::Sha256Prefix(_)) => {
                let mut hasher = Sha256::new();
                hasher.update(self.origin.url.as_str());
                hasher.update([0]);
                hasher.update(self.origin.validator.as_deref().unwrap_or_default());
                format!("url-{}", hex(&hasher.finalize()))
            }
        };
        match self.size {
            Some(size) => format!("{key}.{size}"),
            None => format!("{key}.unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(digest: Option<Digest>, validator: Option<&str>) -> Content {
        Content {
            label: "model.bin".into(),
            size: Some(3),
            digest,
            origin: Origin {
                url: Url::parse("http://hub/model.bin?sig=abc").unwrap(),
                token: Some(Secret::new("hf_very_secret\n")),
                validator: validator.map(str::to_owned),
                authorizer: None,
            },
        }
    }

    #[test]
    fn a_prefix_is_held_digit_by_digit() {
        let hash = Sha256::digest(b"x");
        for (digits, begins) in
            [("2d711642", true), ("2d711643", false), ("2d7116421", false), ("2", true), ("3", false)]
        {
            assert_eq!(HashPrefix::new(digits).unwrap().begins(&hash), begins, "{digits}");
        }
        for bad in ["", "xyz", &"0".repeat(65)] {
            assert!(HashPrefix::new(bad).is_none());
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        let content = content(None, None);
        assert!(!format!("{content:?}").contains("very_secret"));
        let token = content.origin.token.unwrap();
        assert_eq!(token.reveal(), "hf_very_secret");
        assert_eq!(token.authorization(), "Bearer hf_very_secret");
        assert_eq!(Secret::basic("Aladdin", "open sesame").authorization(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn a_partial_is_named_by_what_it_will_hold() {
        assert_eq!(content(Some(Digest::GitBlob([0xab; 20])), None).name(), format!("{}.3", "ab".repeat(20)));
        assert_ne!(content(None, Some("a")).name(), content(None, Some("b")).name());
        assert!(!content(None, None).name().contains("sig"));
    }
}
