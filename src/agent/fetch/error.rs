//! Why a fetch ended without its content, in words that say what to do, and in a class that a program can act on.

use std::{io, time::Duration};

use url::Url;

/// What kind of failure it is; maps one to one to the reasons in a `ModelCache`'s conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The origin wants another token, or one at all.
    Unauthorized,
    /// The repository's terms have not been accepted for this token.
    Gated,
    /// The origin has no such thing.
    NotFound,
    /// The origin kept saying "too many requests".
    RateLimited,
    /// The origin could not be reached, or gave no usable answer.
    Unreachable,
    /// The bytes are not the ones that were promised.
    ChecksumMismatch,
    /// The volume, its budget or its quota is too small.
    InsufficientSpace,
    /// A later attempt writes to this volume now.
    Superseded,
    /// A local failure: a file system error, or a bug.
    Io,
}

/// Which limit the space ran out at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceLimit {
    /// The file system has too little left, what must stay free taken off.
    FileSystem,
    /// The volume's own budget.
    Budget,
}

/// Why a fetch ended. URLs are shown without their query: a signed one is a credential.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// 401, or 403 without a gate.
    #[error("{label}: {url} refused the request with {status}{detail}: {}", token_hint(*.with_token))]
    Unauthorized {
        /// Which content.
        label: String,
        /// What was asked, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the origin said about it, or nothing.
        detail: String,
        /// Whether a token was sent.
        with_token: bool,
        /// What the origin asks for, as its `WWW-Authenticate` says.
        challenge: Option<String>,
    },
    /// The hub's `GatedRepo`.
    #[error(
        "{label}: {url} is gated: accept its terms on the hub with the account of the token{}",
        if *.with_token { "" } else { ", and give that token" }
    )]
    Gated {
        /// Which content.
        label: String,
        /// What was asked, without its query.
        url: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// 404, or the hub's `RepoNotFound`, `RevisionNotFound`, `EntryNotFound`.
    #[error("{label}: {url} was not found{detail}")]
    NotFound {
        /// Which content.
        label: String,
        /// What was asked, without its query.
        url: String,
        /// What exactly is missing, or nothing.
        detail: String,
    },
    /// 429 beyond patience.
    #[error("{label}: {host} limits the rate: {cause}; give a token, or fewer nodes at a time")]
    RateLimited {
        /// Which content.
        label: String,
        /// Who limits.
        host: String,
        /// The last answer.
        cause: String,
    },
    /// Transient faults beyond patience, or an answer that makes no sense.
    #[error("{label}: no progress from {host} for {} s; last: {cause}", .patience.as_secs())]
    Unreachable {
        /// Which content.
        label: String,
        /// Who was asked.
        host: String,
        /// How long it was ridden out.
        patience: Duration,
        /// The last fault.
        cause: String,
    },
    /// The origin answers, and no retry will change what it says.
    #[error("{label}: {cause}")]
    Refused {
        /// Which content.
        label: String,
        /// What it said.
        cause: String,
    },
    /// Complete, and not what was promised, twice.
    #[error("{label}: the origin's bytes hash to {actual}, {expected} was promised; nothing was published")]
    ChecksumMismatch {
        /// Which content.
        label: String,
        /// What the listing or the spec says.
        expected: String,
        /// What arrived.
        actual: String,
    },
    /// The origin has other content than was pinned, or cannot keep to one while it is read.
    #[error("{label}: {cause}; nothing was published")]
    Changed {
        /// Which content.
        label: String,
        /// What differs.
        cause: String,
    },
    /// Refused before the first byte, or stopped by a full disk.
    #[error("{needed} bytes are needed and {available} are available {}", space_hint(*.limit))]
    InsufficientSpace {
        /// Bytes that the run still has to write.
        needed: u64,
        /// Bytes that it may.
        available: u64,
        /// Who says so.
        limit: SpaceLimit,
    },
    /// A later attempt owns the staging directory.
    #[error("a later attempt ({by}) writes to this volume; attempt {ours} stopped before publishing")]
    Superseded {
        /// The attempt of this run.
        ours: u64,
        /// Who took over.
        by: String,
    },
    /// A file system error.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's error.
        source: io::Error,
    },
    /// The caller could not take a finished content.
    #[error("{label} is complete but could not be published: {source}")]
    Publish {
        /// Which content.
        label: String,
        /// The caller's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl FetchError {
    /// The class of this failure.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unauthorized { .. } => Reason::Unauthorized,
            Self::Gated { .. } => Reason::Gated,
            Self::NotFound { .. } => Reason::NotFound,
            Self::RateLimited { .. } => Reason::RateLimited,
            Self::Unreachable { .. } | Self::Refused { .. } => Reason::Unreachable,
            Self::ChecksumMismatch { .. } | Self::Changed { .. } => Reason::ChecksumMismatch,
            Self::InsufficientSpace { .. } => Reason::InsufficientSpace,
            Self::Superseded { .. } => Reason::Superseded,
            Self::Io { .. } | Self::Publish { .. } => Reason::Io,
        }
    }

    /// A file system error: a full disk or quota is a matter of space, everything else is `Io`.
    pub(super) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::InsufficientSpace { needed: 1, available: 0, limit: SpaceLimit::FileSystem };
        }
        Self::Io { what: what.into(), source }
    }
}

fn token_hint(with_token: bool) -> &'static str {
    if with_token { "the token is wrong, expired or lacks the right to read this" } else { "a token is needed" }
}

fn space_hint(limit: SpaceLimit) -> &'static str {
    match limit {
        SpaceLimit::FileSystem => "on the file system: free some, or use a larger volume",
        SpaceLimit::Budget => "within the volume's size: raise it, or list fewer files",
    }
}

/// A URL as messages may show it: without query, fragment or user information.
pub(super) fn shown(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), host_of(url), url.path())
}

/// Host and port of a URL, which is what pauses and messages go by.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_url_is_shown_without_its_signature() {
        let url = Url::parse("https://user:pw@cdn.example:8443/blob/1?X-Amz-Signature=abc#f").unwrap();
        assert_eq!(shown(&url), "https://cdn.example:8443/blob/1");
    }

    #[test]
    fn a_full_disk_is_a_matter_of_space_and_not_of_io() {
        assert_eq!(FetchError::io("write", rustix::io::Errno::NOSPC).reason(), Reason::InsufficientSpace);
        assert_eq!(FetchError::io("write", rustix::io::Errno::DQUOT).reason(), Reason::InsufficientSpace);
        assert_eq!(FetchError::io("write", rustix::io::Errno::IO).reason(), Reason::Io);
    }
}
