//! What did an agent do, and how does it know? The termination message of its pod.

use super::deeds::Deeds;
use super::plan::Pin;
use super::{ContractError, VERSION, packed, read};
use crate::api::Reason;
use crate::api::condition::truncate;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Kubernetes cuts a termination message at this many bytes
/// (<https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>).
pub const LIMIT: usize = 4096;

/// Bytes of the message, and where there is little room.
const MANY_WORDS: usize = 2048;
/// As above.
const FEW_WORDS: usize = 256;

/// What cannot be read, for an error's text.
const WHAT: &str = "the outcome";

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
    /// The same one by one, where that was asked for. Clean.
    #[serde(default, skip_serializing_if = "Deeds::is_empty")]
    pub deeds: Deeds,
    /// What was backed up. Backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// What was restored. Restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restored>,
    /// What sources are pinned to by what is on their volumes now, by name: all of them. Restore.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Pin>,
    /// The same where they are many: never beside them, and unpacked when it is read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub packed_pins: String,
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
    /// What is at the destination after this run, newest first, where it was looked through for the retention's sake: as much
    /// as fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
    /// Whether `kept` is all there is: what is not in it is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept_all: bool,
    /// Why no older one was removed, where a retention was to be kept to: what is said of them is as old as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_pruned: Option<NotPruned>,
}

/// Why a retention was not kept to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotPruned {
    /// Why.
    pub reason: Reason,
    /// What happened and what to do, at most 512 bytes.
    pub message: String,
}

/// A backup that stays at its destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Identity of the snapshot.
    pub snapshot: String,
    /// Why it stays.
    pub why: String,
    /// Whether everything that it needs was seen there, by its size.
    pub whole: bool,
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
            deeds: Deeds::default(),
            verify: None,
            backup: None,
            restore: None,
            pins: BTreeMap::new(),
            packed_pins: String::new(),
        }
    }

    /// A failure.
    pub fn failure(reason: Reason, message: impl Into<String>) -> Self {
        Self { succeeded: false, ..Self::success(reason, message) }
    }

    /// Reads a termination message.
    pub fn parse(text: &str) -> Result<Self, ContractError> {
        let mut outcome: Self = read(WHAT, text)?;
        if !outcome.packed_pins.is_empty() {
            let unpacked = packed::unpack(&std::mem::take(&mut outcome.packed_pins));
            outcome.pins = unpacked.map_err(|error| ContractError::Shape {
                what: WHAT,
                source: serde_json::Error::custom(format!("packedPins: {error}")),
            })?;
        }
        Ok(outcome)
    }

    /// The outcome as JSON that fits a termination message. Where a success does not, whatever is said in fewer words, it is a
    /// failure that says so: half of the pins would be taken for all.
    pub fn to_json(&self) -> String {
        self.in_a_message().unwrap_or_else(|| {
            let message = format!(
                "the pins of {} sources do not fit into what a pod can say at its end: use fewer sources in one ModelCache",
                self.pins.len()
            );
            Self::failure(Reason::InvalidSpec, message).text()
        })
    }

    /// Whether an outcome with these pins fits a termination message.
    pub fn has_room_for(pins: &BTreeMap<String, Pin>) -> bool {
        let restored = Restored {
            snapshot: "s".repeat(64),
            files: u64::MAX,
            bytes: u64::MAX,
            seconds: u64::MAX,
            manifest: "m".repeat(64),
        };
        let said = Self::success(Reason::Restored, "m".repeat(FEW_WORDS));
        Self { restore: Some(restored), pins: pins.clone(), ..said }.in_a_message().is_some()
    }

    fn in_a_message(&self) -> Option<String> {
        let in_words = |words: usize, it: &Self| Self { message: truncate(&it.message, words), ..it.clone() };
        let mut cut = self.clone();
        // The oldest are the first that nobody asks for.
        while in_words(FEW_WORDS, &cut).text().len() > LIMIT
            && let Some(backup) = cut.backup.as_mut().filter(|it| !it.kept.is_empty())
        {
            backup.kept.pop();
            backup.kept_all = false;
        }
        let fits = |it: &Self| Some(it.text()).filter(|text| text.len() <= LIMIT);
        let plain = in_words(MANY_WORDS, &cut);
        let packed = || Self { pins: BTreeMap::new(), packed_pins: packed::pack(&self.pins), ..plain.clone() };
        fits(&plain)
            .or_else(|| fits(&in_words(FEW_WORDS, &plain)))
            .or_else(|| fits(&packed()))
            .or_else(|| fits(&in_words(FEW_WORDS, &packed())))
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins of sources, each as random as a real one.
    fn pins(count: u64, revision: usize) -> BTreeMap<String, Pin> {
        let digits = |seed: u64, length: usize| -> String {
            let hash = |it: u64| crate::api::name::short_hash(&[&format!("{seed}-{it}")]);
            (0..).map(hash).take(length.div_ceil(8)).collect::<String>().chars().take(length).collect()
        };
        let pin = |it: u64| Pin {
            revision: digits(it, revision),
            files: 30 + it,
            bytes: 7_000_000_000 + it * 1_234_567,
            digest: digits(it + 1000, 64),
        };
        (0..count).map(|it| (format!("source-{it:02}"), pin(it))).collect()
    }

    #[test]
    fn the_pins_of_as_many_sources_as_a_cache_may_have_are_all_said() {
        for count in [1, 8, 20, 32] {
            let pins = pins(count, 40);
            assert!(Outcome::has_room_for(&pins));
            let outcome = Outcome { pins: pins.clone(), ..Outcome::success(Reason::Restored, "é".repeat(9000)) };
            let text = outcome.to_json();
            assert!(text.len() <= LIMIT, "{count}: {}", text.len());
            let read = Outcome::parse(&text).unwrap();
            assert!(read.succeeded, "{}", read.message);
            assert_eq!(read.pins, pins);
        }
    }

    #[test]
    fn a_restore_whose_pins_cannot_all_be_said_is_a_failure_and_never_half_of_them() {
        let pins = pins(32, 300);
        assert!(!Outcome::has_room_for(&pins));
        let outcome = Outcome { pins, ..Outcome::success(Reason::Restored, "done") };
        let read = Outcome::parse(&outcome.to_json()).unwrap();
        assert!(!read.succeeded && read.pins.is_empty());
        assert_eq!(read.reason, Reason::InvalidSpec);
        assert!(read.message.contains("32 sources"), "{}", read.message);
    }

    #[test]
    fn of_many_backups_the_newest_are_said_and_that_there_are_more() {
        let kept = |count: u32| -> Vec<Kept> {
            let one =
                |it| Kept { snapshot: format!("{it:032x}"), why: "among the last, daily, weekly".into(), whole: true };
            (0..count).map(one).collect()
        };
        for (count, all) in [(10, true), (500, false)] {
            let backup = Backup {
                snapshot: "s".repeat(32),
                files: 1,
                bytes: 1,
                new_bytes: 1,
                not_covered: 0,
                seconds: 1,
                manifest: "m".repeat(64),
                kept: kept(count),
                kept_all: true,
                not_pruned: None,
            };
            let outcome = Outcome { backup: Some(backup), ..Outcome::success(Reason::BackedUp, "w".repeat(3000)) };
            let text = outcome.to_json();
            assert!(text.len() <= LIMIT);
            let said = Outcome::parse(&text).unwrap().backup.unwrap();
            assert_eq!(said.kept_all, all);
            assert!(said.kept.len() >= 10 && kept(count).starts_with(&said.kept));
        }
    }

    #[test]
    fn packed_pins_that_are_none_are_an_error_and_not_no_pins() {
        let text = Outcome::success(Reason::Restored, "done").to_json().replace('}', r#","packedPins":"AAAA"}"#);
        assert!(Outcome::parse(&text).unwrap_err().to_string().contains("packedPins"));
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
        // A backup resolves nothing.
        backed_up.pin = None;
        backed_up.backup = Some(Backup {
            snapshot: "s".repeat(64),
            files: u64::MAX,
            bytes: u64::MAX,
            new_bytes: u64::MAX,
            not_covered: u64::MAX,
            seconds: u64::MAX,
            manifest: "m".repeat(64),
            kept: vec![],
            kept_all: false,
            not_pruned: Some(NotPruned { reason: Reason::DeletionRefused, message: "w".repeat(512) }),
        });
        for outcome in [cleaned, checked, backed_up] {
            assert!(outcome.to_json().len() < LIMIT - 512);
            assert!(Outcome::parse(&outcome.to_json()).is_ok());
        }
    }
}
