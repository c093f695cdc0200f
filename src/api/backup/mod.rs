//! What of a cache is backed up, when, where to, and how long is it kept?

mod destination;
mod retention;
mod summary;

pub use self::destination::{ClaimDirectory, Destination, Place};
pub use self::retention::Retention;
pub use self::summary::BackupSummary;

use super::duration::duration_schema;
use super::schedule::schedule_schema;
use super::source::{SecretFile, SecretKeyRef};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Backups of a cache. Only content that the destination does not have is read and sent.
///
/// Of per-node volumes it covers what the sources put there, which is the same on every node; other files on them are
/// counted and reported. Of shared volumes and existing claims it covers every file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.schedule) || !(has(self.jitter) || has(self.startingDeadline) || has(self.suspend))")
        .message("`jitter`, `startingDeadline` and `suspend` must come with `schedule`"),
    validation = Rule::new("!has(self.format) || self.format != 'Archive' || !has(self.content) || self.content == 'Full'")
        .message("`content` must be `Full`, or be left out, with `format: Archive`: an archive is carried elsewhere, and holds every file")
)]
pub struct Backup {
    /// When, as five fields of cron in `timeZone`. Without it backups are made by hand only: by a ModelCacheBackup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schedule_schema")]
    pub schedule: Option<String>,

    /// The run begins up to this much later than `schedule` says: by how much is fixed for each cache, so that the backups
    /// of many do not begin together. At most a day counts. Not at all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub jitter: Option<String>,

    /// A run that could not begin for this long after its time is left out. `1h` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub starting_deadline: Option<String>,

    /// Begin no scheduled backup while true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,

    /// Names of the volumes to back up; all of the cache's when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub volumes: Vec<String>,

    /// Only files whose path on their volume matches one of these patterns, as Python's fnmatch reads them: `*` also crosses
    /// `/`, a pattern that ends in `/` takes the whole directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub include: Vec<String>,

    /// No file whose path on its volume matches one of these patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub exclude: Vec<String>,

    /// How much of a file is kept: `Manifest` its name and hash only, so that a restore fetches it again from its source;
    /// `Full` its bytes; `Auto` bytes for all but what needs no Secret and whose origin serves it by hash today. `Auto` when
    /// left out, `Full` with `format: Archive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BackupContent")]
    pub content: Option<BackupContent>,

    /// `Repository` keeps each content once, whatever the number of backups. `Archive` writes one dated `.tar.zst` for each
    /// run, with everything in it, to be carried elsewhere. `Repository` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BackupFormat")]
    pub format: Option<BackupFormat>,

    /// Where backups go. What belongs to one cache lies below `<namespace>/<cache>/` there.
    pub destination: Destination,

    /// Encrypts everything before it leaves the pod. Names of contents still tell who has the same files; see the
    /// documentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,

    /// Which backups are kept. All of them when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,

    /// How many records of finished runs stay in the cluster. The backups themselves are `retention`'s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
}

/// How much of each file a backup keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackupContent {
    /// Names and hashes: what a restore fetches again.
    Manifest,
    /// Bytes of what may not come again, names and hashes of what its origin serves today.
    #[default]
    Auto,
    /// Bytes of everything.
    Full,
}

/// What a backup looks like at its destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackupFormat {
    /// Each content once, and a snapshot for each run.
    #[default]
    Repository,
    /// One file for each run.
    Archive,
}

/// Encryption before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// The secret key of age, as `age-keygen` prints it (`AGE-SECRET-KEY-1…`), in a Secret of this namespace. Without a
    /// cluster `MODELCACHE_BACKUP_KEY` stands in for it. Nothing can be restored without it: keep a copy elsewhere.
    pub key_secret_ref: SecretKeyRef,
}

/// Records of finished runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Scheduled runs that succeeded. 3 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub successful: Option<i32>,
    /// Scheduled runs that failed. 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub failed: Option<i32>,
}

impl Encryption {
    /// Name of the key's file.
    pub const KEY: &'static str = "age-key";
    /// What stands in for the Secret without a cluster.
    pub const STAND_IN: &'static str = "MODELCACHE_BACKUP_KEY";

    /// The Secret that has the key.
    pub fn secret(&self) -> SecretFile<'_> {
        SecretFile { file: Self::KEY, reference: &self.key_secret_ref, stand_in: Self::STAND_IN }
    }
}

impl Backup {
    /// The format in effect.
    pub fn effective_format(&self) -> BackupFormat {
        self.format.unwrap_or_default()
    }

    /// The content in effect.
    pub fn effective_content(&self) -> BackupContent {
        let own = match self.effective_format() {
            BackupFormat::Archive => BackupContent::Full,
            BackupFormat::Repository => BackupContent::default(),
        };
        self.content.unwrap_or(own)
    }

    /// The starting deadline in effect.
    pub fn effective_starting_deadline(&self) -> &str {
        self.starting_deadline.as_deref().unwrap_or("1h")
    }

    /// Whether no scheduled run is to begin.
    pub fn suspended(&self) -> bool {
        self.suspend.unwrap_or_default()
    }

    /// Whether a volume is backed up.
    pub fn covers(&self, volume: &str) -> bool {
        self.volumes.is_empty() || self.volumes.iter().any(|it| it == volume)
    }

    /// Records of successful and of failed runs to keep.
    pub fn effective_history(&self) -> (i32, i32) {
        let history = self.history.unwrap_or_default();
        (history.successful.unwrap_or(3), history.failed.unwrap_or(1))
    }

    /// The Secrets that it names: files of one directory in the pod.
    pub fn secrets(&self) -> Vec<SecretFile<'_>> {
        let key = self.encryption.as_ref().map(Encryption::secret);
        self.destination.secrets().into_iter().chain(key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn backup(document: Value) -> Backup {
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn what_is_left_out_is_what_people_expect() {
        let plain = backup(json!({"destination": {"s3": {"bucket": "backups"}}}));
        assert_eq!((plain.effective_format(), plain.effective_content()), Default::default());
        assert_eq!(plain.effective_history(), (3, 1));
        assert!(plain.covers("anything") && plain.secrets().is_empty());
        let archive =
            backup(json!({"destination": {"s3": {"bucket": "backups"}}, "format": "Archive", "volumes": ["a"]}));
        assert_eq!(archive.effective_content(), BackupContent::Full);
        assert!(archive.covers("a") && !archive.covers("b"));
    }

    #[test]
    fn the_keys_of_destination_and_encryption_are_files_of_one_directory() {
        let keyed = backup(json!({
            "destination": {"s3": {
                "bucket": "backups",
                "accessKeyIdSecretRef": {"name": "s3", "key": "id"},
                "secretAccessKeySecretRef": {"name": "s3", "key": "secret"}
            }},
            "encryption": {"keySecretRef": {"name": "age", "key": "key"}}
        }));
        let files: Vec<&str> = keyed.secrets().iter().map(|it| it.file).collect();
        assert_eq!(files, ["access-key-id", "secret-access-key", "age-key"]);
    }
}
