//! Wrong schedules and policies.

use super::{CACHES, Change, FINE, cache, check_creates};
use serde_json::{Value, json};

fn case(
    what: &'static str,
    field: &'static str,
    value: Value,
    answer: super::Answer,
) -> (&'static str, Vec<Change>, super::Answer) {
    (what, vec![Change(field, value)], answer)
}

#[tokio::test]
async fn a_wrong_time_zone_schedule_or_policy_is_refused() {
    let (zone, verify, refresh) = ("/spec/timeZone", "/spec/verify", "/spec/refresh");
    check_creates(
        CACHES,
        &cache(),
        vec![
            case("a zone", zone, json!("America/Argentina/Buenos_Aires"), FINE),
            case("a zone that depends on the machine", zone, json!("Local"),
             &["spec.timeZone: Invalid value: \"Local\": must be a name of the IANA time zone database, such as Europe/Istanbul or UTC"]),
            case("a zone with a way out", zone, json!("../etc/passwd"),
             &["spec.timeZone: Invalid value: \"../etc/passwd\": must be a name of the IANA time zone database, such as Europe/Istanbul or UTC"]),
            case("both depths", verify, json!({"quick": "0 4 * * *", "deep": "*/30 4-6 1,15 jan sun"}), FINE),
            case("no depth", verify, json!({}),
             &["spec.verify: Invalid value: `verify` must have `quick`, `deep` or both"]),
            case("four fields", verify, json!({"quick": "0 4 * *"}),
             &["spec.verify.quick: Invalid value: \"0 4 * *\": must be five fields of cron (minute, hour, day of month, month, day of week) with one space between them, such as `0 2 * * *`"]),
            case("a zone in the schedule", verify, json!({"deep": "TZ=UTC 0 4 * * 0"}),
             &["spec.verify.deep: Invalid value: \"TZ=UTC 0 4 * * 0\": must be five fields of cron (minute, hour, day of month, month, day of week) with one space between them, such as `0 2 * * *`"]),
            case("a nickname", refresh, json!({"policy": "Notify", "schedule": "@daily"}),
             &["spec.refresh.schedule: Invalid value: \"@daily\": must be five fields of cron (minute, hour, day of month, month, day of week) with one space between them, such as `0 2 * * *`"]),
            case("a policy", refresh, json!({"policy": "Update", "schedule": "0 5 * * 1"}), FINE),
            case("a policy of never needs no schedule", refresh, json!({"policy": "Never"}), FINE),
            case("a policy without a schedule", refresh, json!({"policy": "Notify"}),
             &["spec.refresh: Invalid value: `schedule` must be set when `policy` is Notify or Update"]),
            case("a schedule without a policy", refresh, json!({"schedule": "0 5 * * 1"}),
             &["spec.refresh.policy: Required value"]),
            case("an unknown policy", refresh, json!({"policy": "Always", "schedule": "0 5 * * 1"}),
             &["spec.refresh.policy: Unsupported value: \"Always\": supported values: \"Never\", \"Notify\", \"Update\""]),
        ],
    )
    .await;
}
