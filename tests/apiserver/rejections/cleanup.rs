//! Wrong rules of a clean-up.

use super::{Answer, CACHES, Change, FINE, cache, check_creates};
use serde_json::{Value, json};

/// The cache with a clean-up of one rule, of the volume `logs`.
fn rule(rule: Value) -> Vec<Change> {
    let mut rule = rule;
    if rule.get("name").is_none() {
        rule["name"] = json!("r");
    }
    if rule.get("volume").is_none() {
        rule["volume"] = json!("logs");
    }
    vec![Change("/spec/cleanup", json!({"schedule": "0 3 * * *", "rules": [rule]}))]
}

fn case(what: &'static str, it: Value, answer: Answer) -> (&'static str, Vec<Change>, Answer) {
    (what, rule(it), answer)
}

#[tokio::test]
async fn a_wrong_clean_up_is_refused() {
    let logs = json!({"maxSize": "100Mi", "keep": 7, "compress": "Zstd"});
    let old = json!({"olderThan": "30d"});
    let paths = json!(["**/*.log"]);
    check_creates(
        CACHES,
        &cache(),
        vec![
            case("logs", json!({"paths": paths, "rotate": logs, "deleteAfter": "7d"}), FINE),
            case("files", json!({"paths": paths, "exclude": ["keep/**"], "delete": old, "trash": false, "maxDeletePercent": 100}), FINE),
            case("a cache", json!({"cache": {"match": ["Superseded"], "maxUsed": "1Gi", "reserved": "1Mi"}}), FINE),
            case("modes", json!({"paths": paths, "permissions": {"fileMode": "0644", "user": 1000}}), FINE),
            case("no deed", json!({"paths": paths}),
             &["spec.cleanup.rules[0]: Invalid value: exactly one of `rotate`, `delete`, `cache` and `permissions` must be set"]),
            case("two deeds", json!({"paths": paths, "rotate": logs, "delete": old}),
             &["spec.cleanup.rules[0]: Invalid value: exactly one of `rotate`, `delete`, `cache` and `permissions` must be set"]),
            case("no paths", json!({"delete": old}),
             &["spec.cleanup.rules[0]: Invalid value: `paths` must say which files; only a `cache` rule has none, because the cache knows its own"]),
            case("paths of a cache", json!({"paths": paths, "cache": {}}),
             &["spec.cleanup.rules[0]: Invalid value: `paths` must say which files; only a `cache` rule has none, because the cache knows its own"]),
            case("a way out", json!({"paths": ["../*"], "delete": old}),
             &["spec.cleanup.rules[0].paths: Invalid value: `paths` must be relative globs without `.`, `..`, empty parts or `.modelcache`"]),
            case("our own state", json!({"paths": paths, "exclude": [".modelcache/*"], "delete": old}),
             &["spec.cleanup.rules[0].exclude: Invalid value: `exclude` must be relative globs without `.`, `..`, empty parts or `.modelcache`"]),
            case("a rotation without an end", json!({"paths": paths, "rotate": {"maxSize": "1Gi"}}),
             &["spec.cleanup.rules[0]: Invalid value: `rotate` must have `keep`, or `deleteAfter` beside it: rotated files would stay for ever"]),
            case("a rotation without a beginning", json!({"paths": paths, "rotate": {"keep": 7}}),
             &["spec.cleanup.rules[0].rotate: Invalid value: at least one of `maxSize` and `maxAge` must say when a log is rotated"]),
            case("age in two places", json!({"paths": paths, "delete": old, "deleteAfter": "7d"}),
             &["spec.cleanup.rules[0]: Invalid value: `deleteAfter` must stand beside `rotate`; to delete files by age alone, use `delete: {olderThan: …}`"]),
            case("only a floor", json!({"paths": paths, "delete": {"keepNewest": 3}}),
             &["spec.cleanup.rules[0].delete: Invalid value: at least one of `olderThan`, `maxTotalSize` and `maxFiles` must say what is too much: `keepNewest` and `emptyDirectories` alone delete no file"]),
            case("only the floor of a cache", json!({"cache": {"reserved": "1Gi"}}),
             &["spec.cleanup.rules[0].cache: Invalid value: `reserved` is a floor: `maxUsed` or `minFree` must say when anything is removed"]),
            case("a week in words", json!({"paths": paths, "delete": {"olderThan": "1 week"}}),
             &["spec.cleanup.rules[0].delete.olderThan: Invalid value: \"1 week\": must be a duration greater than zero: a number and one of s, m, h, d, w, such as 90s, 12h or 7d"]),
            case("a mode that sets a user", json!({"paths": paths, "permissions": {"fileMode": "4755"}}),
             &["spec.cleanup.rules[0].permissions.fileMode: Invalid value: \"4755\": must be a mode of four octal digits in quotes that begins with 0, such as \"0644\""]),
            case("no permission at all", json!({"paths": paths, "permissions": {}}),
             &["spec.cleanup.rules[0].permissions: Invalid value: at least one of `fileMode`, `directoryMode`, `user` and `group` must be set"]),
            case("trash of a cache", json!({"cache": {}, "trash": true}),
             &["spec.cleanup.rules[0]: Invalid value: `trash` must stand beside `rotate` or `delete`"]),
            case("a volume that is not there", json!({"volume": "other", "cache": {}}),
             &["spec: Invalid value: every rule of `cleanup` must name one of `volumes`; `volume` may be left out only when there is one volume"]),
            ("a pause of nothing", vec![Change("/spec/cleanup", json!({"suspend": true, "rules": [{"name": "r", "volume": "logs", "cache": {}}]}))],
             &["spec.cleanup: Invalid value: `suspend` must come with `schedule`"]),
            case("a percentage of nothing", json!({"paths": paths, "delete": old, "maxDeletePercent": 0}),
             &["spec.cleanup.rules[0].maxDeletePercent: Invalid value: 0: spec.cleanup.rules[0].maxDeletePercent in body should be greater than or equal to 1"]),
        ],
    )
    .await;
}
