//! Can the rules be carried out? What the API server checks by the CRD's rules, checked where there is none.

use super::globs::Globs;
use super::work::{duration_of, quantity_of};
use crate::api::ModelCacheSpec;
use crate::api::cleanup::{Cleanup, Deed};
use crate::api::name::is_label;
use std::collections::BTreeSet;

/// The first rule that cannot, and why.
pub fn check(spec: &ModelCacheSpec, cleanup: &Cleanup) -> Result<(), String> {
    cleanup.effective_trash_grace().map_err(|error| format!("`cleanup.trashGrace`: {error}"))?;
    if cleanup.rules.is_empty() || cleanup.rules.len() > 16 {
        return Err("`cleanup` has 1 to 16 `rules`".into());
    }
    let mut seen = BTreeSet::new();
    for rule in &cleanup.rules {
        let bad = |what: &str| Err(format!("rule `{}`: {what}", rule.name));
        if !is_label(&rule.name) {
            return Err(format!(
                "the name of a rule must be a DNS label of at most 63 characters, not {:?}",
                rule.name
            ));
        }
        if !seen.insert(&rule.name) {
            return Err(format!("two rules are called {:?}", rule.name));
        }
        if spec.volume_of_rule(rule).is_none() {
            return bad("must name one of `volumes`; `volume` may be left out only when there is one volume");
        }
        let Some(deed) = rule.deed() else {
            return bad("exactly one of `rotate`, `delete`, `cache` and `permissions` must be set");
        };
        let is_cache = matches!(deed, Deed::Cache(_));
        if is_cache != rule.paths.is_empty() || (is_cache && !rule.exclude.is_empty()) {
            return bad("`paths` must say which files; only a `cache` rule has none, because the cache knows its own");
        }
        let deletes = matches!(deed, Deed::Rotate(_) | Deed::Delete(_));
        if !deletes && (rule.trash.is_some() || rule.max_delete_percent.is_some()) {
            return bad("`trash` and `maxDeletePercent` must stand beside `rotate` or `delete`");
        }
        if rule.delete_after.is_some() && rule.rotate.is_none() {
            return bad(
                "`deleteAfter` must stand beside `rotate`; to delete files by age alone, use `delete: {olderThan: …}`",
            );
        }
        if ![&cleanup.max_delete_percent, &rule.max_delete_percent]
            .iter()
            .all(|it| it.is_none_or(|it| (1..=100).contains(&it)))
        {
            return bad("`maxDeletePercent` must be from 1 to 100");
        }
        let durations = [
            rule.delete_after.as_ref(),
            rule.rotate.as_ref().and_then(|it| it.max_age.as_ref()),
            rule.delete.as_ref().and_then(|it| it.older_than.as_ref()),
            rule.cache.as_ref().and_then(|it| it.keep_duration.as_ref()),
        ];
        let cache = rule.cache.as_ref();
        let quantities = [
            rule.rotate.as_ref().and_then(|it| it.max_size.as_ref()),
            rule.delete.as_ref().and_then(|it| it.max_total_size.as_ref()),
            cache.and_then(|it| it.max_used.as_ref()),
            cache.and_then(|it| it.min_free.as_ref()),
            cache.and_then(|it| it.reserved.as_ref()),
        ];
        for duration in durations {
            duration_of(rule, duration.map(String::as_str)).map_err(|failure| failure.message)?;
        }
        for quantity in quantities {
            quantity_of(rule, quantity).map_err(|failure| failure.message)?;
        }
        Globs::of(rule).map_err(|failure| failure.message)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn checked(rule: Value) -> Result<(), String> {
        let mut rule = rule;
        rule["name"] = rule.get("name").cloned().unwrap_or(json!("r"));
        let volumes = json!([{"name": "logs", "existingClaim": {"claimName": "logs"}}]);
        let spec = json!({"volumes": volumes, "cleanup": {"rules": [rule]}});
        let spec: ModelCacheSpec = serde_json::from_value(spec).unwrap();
        check(&spec, spec.cleanup.as_ref().unwrap())
    }

    #[test]
    fn what_the_api_server_would_refuse_is_refused_with_the_rules_name() {
        let logs = json!({"maxSize": "1Mi", "keep": 3});
        let paths = json!(["*.log"]);
        assert_eq!(checked(json!({"paths": paths, "rotate": logs, "deleteAfter": "7d"})), Ok(()));
        assert_eq!(checked(json!({"cache": {}})), Ok(()));
        for (rule, word) in [
            (json!({"paths": paths}), "exactly one of"),
            (json!({"paths": paths, "rotate": logs, "cache": {}}), "exactly one of"),
            (json!({"rotate": logs}), "`paths` must say"),
            (json!({"paths": paths, "cache": {}}), "`paths` must say"),
            (json!({"paths": ["../x"], "rotate": logs}), "relative glob"),
            (json!({"paths": ["a["], "rotate": logs}), "rule `r`"),
            (json!({"paths": paths, "rotate": {"maxSize": "much", "keep": 1}}), "quantity"),
            (json!({"paths": paths, "delete": {"olderThan": "a week"}}), "duration"),
            (json!({"paths": paths, "delete": {"olderThan": "1d"}, "deleteAfter": "7d"}), "beside `rotate`"),
            (json!({"paths": paths, "delete": {"olderThan": "1d"}, "volume": "other"}), "must name one of"),
            (json!({"paths": paths, "delete": {"olderThan": "1d"}, "maxDeletePercent": 0}), "1 to 100"),
            (json!({"cache": {}, "trash": true}), "beside `rotate` or `delete`"),
            (json!({"name": "../x", "cache": {}}), "DNS label"),
        ] {
            let refused = checked(rule.clone()).unwrap_err();
            assert!(refused.contains(word), "{rule}: {refused}");
        }
    }
}
