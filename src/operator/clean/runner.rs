//! Who carries out the rules of a volume on schedule? Pure.

use crate::api::ModelCacheSpec;
use crate::api::cleanup::CleanupRule;
use crate::api::volume::{AccessMode, Volume};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

/// Who carries out the rules of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// The CronJob of the cache.
    CronJob,
    /// Jobs that the operator makes, one for each copy.
    Operator,
}

/// Who carries out the rules of a volume. Nobody when it has none, when there is no schedule, and while it is not known who
/// can mount the claim because there is none.
pub fn runner(spec: &ModelCacheSpec, volume: &Volume, claim: Option<&PersistentVolumeClaim>) -> Option<Runner> {
    let cleanup = spec.cleanup.as_ref().filter(|it| it.schedule.is_some())?;
    let of_volume = |it: &&CleanupRule| spec.volume_of_rule(it).is_some_and(|it| it.name == volume.name);
    let rules: Vec<&CleanupRule> = cleanup.rules.iter().filter(of_volume).collect();
    if rules.is_empty() {
        return None;
    }
    if volume.per_node.is_some() || rules.iter().any(|it| it.cache.is_some()) {
        return Some(Runner::Operator);
    }
    let modes = claim?.spec.as_ref()?.access_modes.as_ref()?;
    let by_many = modes.contains(&AccessMode::ReadWriteMany.as_str());
    Some(if by_many { Runner::CronJob } else { Runner::Operator })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_volume_has_one_cleaner_by_where_it_is_and_what_its_rules_need_to_know() {
        let (logs, cache) = (json!({"name": "l", "volume": "v", "paths": ["*"]}), json!({"name": "c", "volume": "v"}));
        let (mut logs, mut cache) = (logs, cache);
        logs["rotate"] = json!({"maxSize": "1Mi", "keep": 1});
        cache["cache"] = json!({});
        let shared = json!({"shared": {"size": "1Gi"}});
        let (rules, both) = (json!([logs]), json!([logs, cache]));
        for (place, rules, modes, expected) in [
            (shared.clone(), &rules, Some(&["ReadWriteMany"][..]), Some(Runner::CronJob)),
            (shared.clone(), &rules, Some(&["ReadWriteOnce", "ReadWriteMany"]), Some(Runner::CronJob)),
            (shared.clone(), &rules, Some(&["ReadWriteOnce"]), Some(Runner::Operator)),
            (shared.clone(), &rules, Some(&["ReadWriteOncePod"]), Some(Runner::Operator)),
            (shared.clone(), &rules, None, None),
            (shared.clone(), &both, Some(&["ReadWriteMany"]), Some(Runner::Operator)),
            (json!({"existingClaim": {"claimName": "x"}}), &rules, Some(&["ReadWriteMany"]), Some(Runner::CronJob)),
            (json!({"perNode": {"pool": "p", "size": "1Gi"}}), &rules, None, Some(Runner::Operator)),
            (json!({"perNode": {"pool": "p", "size": "1Gi"}}), &json!([]), None, None),
        ] {
            let mut place = place;
            place["name"] = json!("v");
            let mut spec: ModelCacheSpec = serde_json::from_value(json!({
                "volumes": [place, {"name": "other", "existingClaim": {"claimName": "y"}}],
                "cleanup": {"schedule": "0 3 * * *", "rules": rules}
            }))
            .unwrap();
            let claim = modes.map(|it| serde_json::from_value(json!({"spec": {"accessModes": it}})).unwrap());
            assert_eq!(runner(&spec, &spec.volumes[0], claim.as_ref()), expected, "{place} {rules} {modes:?}");
            assert_eq!(runner(&spec, &spec.volumes[1], claim.as_ref()), None, "it has no rule");
            spec.cleanup.as_mut().unwrap().schedule = None;
            assert_eq!(runner(&spec, &spec.volumes[0], claim.as_ref()), None, "nobody asked for a schedule");
        }
    }
}
