//! How does a command end when it cannot do what was asked? With one of the closed reasons, and words that say what to do.

use super::fetch::{FetchError, Reason as FetchReason};
use crate::api::Reason;

/// The end of a command, as its outcome and exit code carry it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Why, from the closed list.
    pub reason: Reason,
    /// What happened and what to do.
    pub message: String,
}

impl Failure {
    /// A failure.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// The same failure, said of a source.
    #[must_use]
    pub fn of_source(self, source: &str) -> Self {
        Self { message: format!("source `{source}`: {}", self.message), ..self }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::new(reason(&error), error.to_string())
    }
}

/// The reason of a failed fetch, as the API spells it.
pub fn reason(error: &FetchError) -> Reason {
    match error.reason() {
        FetchReason::Unauthorized => Reason::Unauthorized,
        FetchReason::Gated => Reason::Gated,
        FetchReason::NotFound => Reason::NotFound,
        FetchReason::RateLimited => Reason::RateLimited,
        FetchReason::Unreachable => Reason::Unreachable,
        FetchReason::ChecksumMismatch => Reason::ChecksumMismatch,
        FetchReason::InsufficientSpace => Reason::InsufficientSpace,
        FetchReason::Superseded => Reason::Superseded,
        FetchReason::Io => Reason::VolumeError,
    }
}
