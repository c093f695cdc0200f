//! Wrong backups.

use super::{CACHES, Change, FINE, cache, check_creates, with};
use serde_json::{Value, json};

const BACKUP: &str = "/spec/backup";
const DESTINATION: &str = "/spec/backup/destination";

fn one(pointer: &'static str, value: Value) -> Vec<Change> {
    vec![Change(pointer, value)]
}

/// The cache that is accepted, with a backup.
fn good() -> Value {
    let backup = json!({
        "schedule": "0 2 * * *", "jitter": "30m", "volumes": ["models", "assets"], "content": "Auto",
        "destination": {"s3": {"bucket": "backups"}, "prefix": "production/a"},
        "encryption": {"keySecretRef": {"name": "age", "key": "key"}},
        "retention": {"keepLast": 3, "minGood": 2}
    });
    with(&cache(), &[Change(BACKUP, backup)])
}

#[tokio::test]
async fn a_wrong_backup_is_refused() {
    check_creates(
        CACHES,
        &good(),
        vec![
            ("the cache as it stands", vec![], FINE),
            ("no schedule: by hand only", one(BACKUP, json!({"destination": {"volume": {"claimName": "nas"}}})), FINE),
            ("jitter of no schedule", one("/spec/backup/schedule", Value::Null),
             &["spec.backup: Invalid value: `jitter`, `startingDeadline` and `suspend` must come with `schedule`"]),
            ("a volume that is none", one("/spec/backup/volumes", json!(["models", "other"])),
             &["spec: Invalid value: every name in `backup.volumes` must be one of `volumes`"]),
            ("an archive of names only", vec![Change("/spec/backup/format", json!("Archive")), Change("/spec/backup/content", json!("Manifest"))],
             &["spec.backup: Invalid value: `content` must be `Full`, or be left out, with `format: Archive`: an archive is carried elsewhere, and holds every file"]),
            ("no place", one(DESTINATION, json!({})),
             &["spec.backup.destination: Invalid value: exactly one of `s3`, `gcs`, `azure` and `volume` must be set"]),
            ("two places", one(DESTINATION, json!({"s3": {"bucket": "backups"}, "volume": {"claimName": "nas"}})),
             &["spec.backup.destination: Invalid value: exactly one of `s3`, `gcs`, `azure` and `volume` must be set"]),
            ("a prefix of a claim", one(DESTINATION, json!({"volume": {"claimName": "nas"}, "prefix": "a"})),
             &["spec.backup.destination: Invalid value: `prefix` must not be set beside `volume`, which has `path`"]),
            ("a bucket that is open to all", one(DESTINATION, json!({"s3": {"bucket": "backups", "anonymous": true}})),
             &["spec.backup.destination: Invalid value: `anonymous` must not be true: nobody may write to a place of backups without showing who it is"]),
            ("a prefix with a way out", one("/spec/backup/destination/prefix", json!("a/../b")),
             &["spec.backup.destination.prefix: Invalid value: \"a/../b\": `prefix` must be a directory in the bucket: a relative path of letters, digits, dots, dashes and underscores, without `.`, `..` and empty parts"]),
            ("a path with a way out", one(DESTINATION, json!({"volume": {"claimName": "nas", "path": "../x"}})),
             &["spec.backup.destination.volume.path: Invalid value: \"../x\": `path` must be a relative path of letters, digits, dots, dashes and underscores, without `.`, `..`, empty parts or `.modelcache`"]),
            ("the claim that is backed up", one(DESTINATION, json!({"volume": {"claimName": "studio-logs"}})),
             &["spec: Invalid value: the claim of `backup.destination.volume` must not be one of `volumes`: a backup beside what it is of is lost with it"]),
            ("retention that keeps nothing", one("/spec/backup/retention", json!({"minGood": 2})),
             &["spec.backup.retention: Invalid value: at least one of `keepLast`, `keepHourly`, `keepDaily`, `keepWeekly`, `keepMonthly`, `keepYearly` and `keepWithin` must be set; leave `retention` out to keep every backup"]),
        ],
    )
    .await;
}
