//! Wrong backups and restores.

use super::{Change, FINE, check_creates, check_updates};
use serde_json::{Value, json};

const BACKUPS: &str = "/apis/modelcache.dev/v1alpha1/namespaces/default/modelcachebackups";
const RESTORES: &str = "/apis/modelcache.dev/v1alpha1/namespaces/default/modelcacherestores";

fn backup() -> Value {
    json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheBackup", "metadata": {"name": "good"},
        "spec": {"cache": "studio", "content": "Full", "volumes": ["models"]}
    })
}

fn restore() -> Value {
    json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheRestore", "metadata": {"name": "good"},
        "spec": {"from": {"latest": {"cache": "studio"}}, "to": {"cache": "other"}, "include": ["images/*"], "keepGoing": true}
    })
}

#[tokio::test]
async fn a_wrong_backup_is_refused_with_a_message_that_says_what_must_hold() {
    check_creates(
        BACKUPS,
        &backup(),
        vec![
            ("the backup as it stands", vec![], FINE),
            ("no more than whose", vec![Change("/spec", json!({"cache": "studio"}))], FINE),
            ("of nobody", vec![Change("/spec/cache", Value::Null)], &["spec.cache: Required value"]),
            (
                "content of no kind",
                vec![Change("/spec/content", json!("Some"))],
                &["spec.content: Unsupported value: \"Some\": supported values: \"Manifest\", \"Auto\", \"Full\""],
            ),
            (
                "a name of 129 characters",
                vec![Change("/metadata/name", json!("a".repeat(129)))],
                &["<nil>: Invalid value: the name of a ModelCacheBackup must have at most 128 characters"],
            ),
        ],
    )
    .await;
    let immutable = &[
        "spec: Invalid value: `spec` is immutable but for `pin`: a backup is of one time; make another ModelCacheBackup",
    ];
    check_updates(
        BACKUPS,
        &backup(),
        "stays-as-it-is",
        vec![
            ("nothing", vec![], FINE),
            ("a label", vec![Change("/metadata/labels", json!({"a": "b"}))], FINE),
            ("a pin", vec![Change("/spec/pin", json!(true))], FINE),
            ("another cache", vec![Change("/spec/cache", json!("other"))], immutable),
            ("less content", vec![Change("/spec/content", json!("Auto"))], immutable),
            ("no volumes any more", vec![Change("/spec/volumes", Value::Null)], immutable),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_restore_is_refused_with_a_message_that_says_what_must_hold() {
    let one = &["spec.from: Invalid value: exactly one of `backup`, `latest` and `location` must be set"];
    let whose = &["spec: Invalid value: `from.latest.cache` must say whose backup, unless `to.cache` does"];
    let location =
        || json!({"location": {"destination": {"s3": {"bucket": "backups"}}, "namespace": "old", "cache": "studio"}});
    let where_to = &["spec: Invalid value: a restore from a `location` must say in `to` where to: a cache, or a claim"];
    check_creates(
        RESTORES,
        &restore(),
        vec![
            ("the restore as it stands", vec![], FINE),
            ("to where it came from", vec![Change("/spec/to", Value::Null)], FINE),
            ("from a backup", vec![Change("/spec/from", json!({"backup": "studio-202611210200"}))], FINE),
            ("from a location", vec![Change("/spec/from", location())], FINE),
            (
                "from a location to a claim",
                vec![Change("/spec/from", location()), Change("/spec/to", json!({"claim": {"claimName": "nas"}}))],
                FINE,
            ),
            ("to a claim", vec![Change("/spec/to", json!({"claim": {"claimName": "nas", "path": "old/studio"}}))], FINE),
            ("at a time", vec![Change("/spec/from/latest/asOf", json!("2026-11-20T18:00:00+03:00"))], FINE),
            ("from nothing", vec![Change("/spec/from", json!({}))], one),
            ("from two", vec![Change("/spec/from/backup", json!("x"))], one),
            ("the latest of nobody", vec![Change("/spec/from", json!({"latest": {}})), Change("/spec/to", Value::Null)], whose),
            ("the latest of the target", vec![Change("/spec/from", json!({"latest": {}}))], FINE),
            ("a location to nowhere", vec![Change("/spec/from", location()), Change("/spec/to", Value::Null)], where_to),
            (
                "to two",
                vec![Change("/spec/to/claim", json!({"claimName": "nas"}))],
                &["spec.to: Invalid value: exactly one of `cache` and `claim` must be set"],
            ),
            (
                "a way out",
                vec![Change("/spec/to", json!({"claim": {"claimName": "nas", "path": "../x"}}))],
                &["spec.to.claim.path: Invalid value: \"../x\": `path` must be a relative path of letters, digits, dots, dashes and underscores, without `.`, `..`, empty parts or `.modelcache`"],
            ),
            (
                "a time of nowhere",
                vec![Change("/spec/from/latest/asOf", json!("2026-11-20T18:00:00"))],
                &["spec.from.latest.asOf: Invalid value: \"2026-11-20T18:00:00\": `asOf` must be a time with its offset, such as 2026-11-20T18:00:00Z or 2026-11-20T18:00:00+03:00"],
            ),
        ],
    )
    .await;
    check_updates(
        RESTORES,
        &restore(),
        "happens-once",
        vec![(
            "another cache",
            vec![Change("/spec/to/cache", json!("third"))],
            &["spec: Invalid value: `spec` is immutable: a restore happens once; make another ModelCacheRestore"],
        )],
    )
    .await;
}
