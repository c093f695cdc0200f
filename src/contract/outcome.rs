//! What did an agent do, and how does it know? The termination message of its pod.

use super::plan::Pin;
use super::{ContractError, VERSION, read};
use crate::api::Reason;
use crate::api::condition::truncate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Kubernetes cuts a termination message at this many bytes
/// (<https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>).
pub const LIMIT: usize = 4096;

/// The result of an agent's run. Without one there is no success, whatever the exit code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Version of the document.
    pub version: u32,
    /// Whether everything asked for was done.
    pub succeeded: bool,
    /// Why.
    pub reason: Reason,
    /// What happened and what to do.
    pub message: String,
    /// What is on the volume now. Warm-up and verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What was checked, and what was found. Verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyEvidence>,
    /// What the source resolved to. Resolve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// What was cleaned. Clean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<Cleaned>,
    /// What was backed up. Backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// What was restored. Restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restored>,
    /// What sources are pinned to by what is on their volumes now, by name: as many as fit. Restore.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Pin>,
}

/// What a clean-up did, over all rules and volumes of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cleaned {
    /// Version of this part.
    pub version: u32,
    /// Whether nothing was done, only said.
    pub dry_run: bool,
    /// Rules that were carried out, or tried.
    pub rules: u64,
    /// Rules that failed, wholly or for some files.
    pub failed_rules: u64,
    /// Files, revisions and leftovers that were deleted, at once or into the trash.
    pub deleted: u64,
    /// Logs that were rotated.
    pub rotated: u64,
    /// Rotated logs that were compressed.
    pub compressed: u64,
    /// Files and directories whose mode or owner was mended.
    pub mended: u64,
    /// Bytes on the disk that nothing names any more.
    pub freed_bytes: u64,
    /// Bytes on the disk that went to the trash, and are free after its grace time.
    pub trashed_bytes: u64,
    /// Bytes that the file systems have free more than before: less than `freedBytes` while a process has a deleted file open.
    pub gained_bytes: u64,
}

impl std::ops::AddAssign for Cleaned {
    fn add_assign(&mut self, other: Self) {
        self.version = self.version.max(other.version);
        self.dry_run |= other.dry_run;
        self.rules += other.rules;
        self.failed_rules += other.failed_rules;
        self.deleted += other.deleted;
        self.rotated += other.rotated;
        self.compressed += other.compressed;
        self.mended += other.mended;
        self.freed_bytes += other.freed_bytes;
        self.trashed_bytes += other.trashed_bytes;
        self.gained_bytes += other.gained_bytes;
    }
}

/// A backup that is complete at its destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Identity of the snapshot, or name of the archive.
    pub snapshot: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that this run wrote to the destination.
    pub new_bytes: u64,
    /// Files on the volumes that it does not cover.
    pub not_covered: u64,
    /// Seconds that it took.
    pub seconds: u64,
    /// SHA-256 over the lists of files.
    pub manifest: String,
}

/// What was found on the volume after the work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Content hash of the plan that is complete.
    pub plan: String,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that came over the network in this run.
    pub fetched_bytes: u64,
    /// Files whose hash was computed from the bytes, in this run or in the run that published them.
    pub hashed_files: u64,
    /// Files that the plan lists and that are gone because they have expired, as the spec asks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub expired_files: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a check looked at, and what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyEvidence {
    /// Files that are as they were published.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// Files and links that are not.
    pub damaged: u64,
    /// Whether the bytes of every file were hashed.
    pub deep: bool,
}

/// A volume that holds again what a snapshot has of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Identity of the snapshot, or name of the archive.
    pub snapshot: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Seconds that it took.
    pub seconds: u64,
    /// SHA-256 over the lists of files; empty for an archive.
    pub manifest: String,
}

impl Outcome {
    /// A success.
    pub fn success(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            succeeded: true,
            reason,
            message: message.into(),
            evidence: None,
            pin: None,
            clean: None,
            verify: None,
            backup: None,
            restore: None,
            pins: BTreeMap::new(),
        }
    }

    /// A failure.
    pub fn failure(reason: Reason, message: impl Into<String>) -> Self {
        Self { succeeded: false, ..Self::success(reason, message) }
    }

    /// Reads a termination message.
    pub fn parse(text: &str) -> Result<Self, ContractError> {
        read("the outcome", text)
    }

    /// The outcome as JSON that fits a termination message.
    pub fn to_json(&self) -> String {
        let mut cut = Self { message: truncate(&self.message, 2048), ..self.clone() };
        loop {
            let text = serde_json::to_string(&cut).unwrap_or_default();
            // A source without its pin is resolved as it was before; a message that is cut off says nothing at all.
            if text.len() <= LIMIT || cut.pins.pop_last().is_none() {
                return text;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_that_do_not_fit_are_left_out_and_the_rest_is_read() {
        let pin = Pin { revision: "r".repeat(64), files: u64::MAX, bytes: u64::MAX, digest: "d".repeat(64) };
        let mut outcome = Outcome::success(Reason::Restored, "done");
        outcome.pins = (0..32).map(|it| (format!("source-{it:02}"), pin.clone())).collect();
        let text = outcome.to_json();
        assert!(text.len() <= LIMIT);
        let read = Outcome::parse(&text).unwrap();
        assert!(read.succeeded && (8..32).contains(&read.pins.len()), "{}", read.pins.len());
    }

    #[test]
    fn an_outcome_fits_the_termination_message_with_room_to_spare() {
        let mut outcome = Outcome::failure(Reason::NotFound, "é".repeat(9000));
        outcome.pin = Some(Pin { revision: "r".repeat(512), files: u64::MAX, bytes: u64::MAX, digest: "d".repeat(64) });
        outcome.evidence = Some(Evidence {
            plan: "p".repeat(64),
            files: u64::MAX,
            bytes: u64::MAX,
            fetched_bytes: u64::MAX,
            hashed_files: u64::MAX,
            expired_files: u64::MAX,
        });
        let most = u64::MAX;
        // What no one command says together.
        let [mut cleaned, mut checked, mut backed_up] = [outcome.clone(), outcome.clone(), outcome];
        cleaned.clean = Some(Cleaned {
            version: u32::MAX,
            dry_run: true,
            rules: most,
            failed_rules: most,
            deleted: most,
            rotated: most,
            compressed: most,
            mended: most,
            freed_bytes: most,
            trashed_bytes: most,
            gained_bytes: most,
        });
        checked.verify = Some(VerifyEvidence { files: u64::MAX, bytes: u64::MAX, damaged: u64::MAX, deep: true });
        backed_up.backup = Some(Backup {
            snapshot: "s".repeat(64),
            files: u64::MAX,
            bytes: u64::MAX,
            new_bytes: u64::MAX,
            not_covered: u64::MAX,
            seconds: u64::MAX,
            manifest: "m".repeat(64),
        });
        for outcome in [cleaned, checked, backed_up] {
            assert!(outcome.to_json().len() < LIMIT - 512);
            assert!(Outcome::parse(&outcome.to_json()).is_ok());
        }
    }
}
