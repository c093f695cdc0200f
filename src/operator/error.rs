//! What can go wrong in a reconcile, and who is to blame?

use crate::api::Reason;
use std::time::Duration;

/// A reconcile that could not be finished. "Not ready yet" is no error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A read from the API server failed.
    #[error("failed to read {what}: {}", said(source))]
    Read {
        /// What was read.
        what: String,
        /// The API server's answer.
        source: Box<kube::Error>,
    },
    /// A write to the API server failed.
    #[error("failed to write {what}: {}", said(source))]
    Write {
        /// What was written.
        what: String,
        /// The API server's answer.
        source: Box<kube::Error>,
    },
}

/// What the API server said, without the structure around it.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Who is to blame, for the metric and the pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Somebody else wrote first: looked at again at once.
    Conflict,
    /// A permission is missing.
    Permission,
    /// A quota of the namespace is used up.
    Quota,
    /// The API server refuses what we built: a defect of ours, or a policy of the cluster.
    Rejected,
    /// Passes by itself.
    Transient,
}

impl ErrorClass {
    /// As a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Permission => "permission",
            Self::Quota => "quota",
            Self::Rejected => "rejected",
            Self::Transient => "transient",
        }
    }
}

impl Error {
    fn source(&self) -> &kube::Error {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => source,
        }
    }

    /// Who is to blame.
    pub fn class(&self) -> ErrorClass {
        match self.source() {
            kube::Error::Api(status) if status.is_conflict() => ErrorClass::Conflict,
            kube::Error::Api(status) if status.is_forbidden() && status.message.contains("exceeded quota") => {
                ErrorClass::Quota
            }
            // What goes with a namespace that is being deleted.
            kube::Error::Api(status) if status.message.contains("being terminated") => ErrorClass::Transient,
            kube::Error::Api(status) if status.is_forbidden() || status.code == 401 => ErrorClass::Permission,
            kube::Error::Api(status) if status.code == 422 || status.code == 400 => ErrorClass::Rejected,
            _ => ErrorClass::Transient,
        }
    }

    /// Why, as conditions and logs say it.
    pub fn reason(&self) -> Reason {
        match self.class() {
            ErrorClass::Permission => Reason::MissingPermission,
            ErrorClass::Quota => Reason::PodRejected,
            // Somebody else wrote first: looked at again at once.
            ErrorClass::Conflict => Reason::Pending,
            ErrorClass::Rejected | ErrorClass::Transient => Reason::InternalError,
        }
    }

    /// The pause before the next try, after `count` errors in a row.
    pub fn pause(&self, count: u32) -> Duration {
        let first = match self.class() {
            ErrorClass::Conflict => return Duration::from_millis(200),
            ErrorClass::Permission | ErrorClass::Quota | ErrorClass::Rejected => Duration::from_secs(5),
            ErrorClass::Transient => Duration::from_secs(1),
        };
        first.saturating_mul(1 << count.min(6)).min(Duration::from_secs(60))
    }
}
