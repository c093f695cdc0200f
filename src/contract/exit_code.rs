//! What does an exit code mean? Scripts rely on it, so a number is never given a second meaning.

use crate::api::Reason;

/// Everything asked for was done.
pub const SUCCESS: u8 = 0;
/// A defect of ours, or a failure with no code of its own.
pub const FAILURE: u8 = 1;
/// The command line or the YAML is wrong.
pub const USAGE: u8 = 2;

/// The exit code of a reason. The table is in `docs/reasons.md`.
pub const fn of(reason: Reason) -> u8 {
    match reason {
        Reason::InvalidSpec => USAGE,
        Reason::Unauthorized => 10,
        Reason::Gated => 11,
        Reason::NotFound => 12,
        Reason::SecretNotFound => 13,
        Reason::RateLimited => 20,
        Reason::Unreachable => 21,
        Reason::ChecksumMismatch => 30,
        Reason::ListingMismatch => 31,
        Reason::NoFiles => 32,
        Reason::Damaged => 33,
        Reason::InsufficientSpace => 40,
        Reason::VolumeError => 41,
        Reason::Superseded => 50,
        Reason::DeadlineExceeded => 51,
        Reason::PoolPathForbidden => 60,
        Reason::ForeignBackup => 70,
        Reason::RepositoryInUse => 71,
        Reason::MassDeletion => 72,
        _ => FAILURE,
    }
}
