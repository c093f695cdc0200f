//! The plan of a volume as an immutable ConfigMap: the memory of the pins, kept when the cache goes.

use super::metadata;
use crate::api::model_cache_replica::PlanRef;
use crate::api::quantity::signed;
use crate::api::{ModelCache, annotation, name};
use crate::contract::plan::{FILE, Plan};
use k8s_openapi::api::core::v1::ConfigMap;
use std::collections::BTreeMap;

/// The ConfigMap of a plan.
pub fn plan_config_map(cache: &ModelCache, plan: &Plan, sequence: u64) -> ConfigMap {
    let mut metadata = metadata(cache, name_of(plan), Some(&plan.volume), false);
    metadata.annotations = Some(BTreeMap::from([(annotation::SEQUENCE.into(), sequence.to_string())]));
    ConfigMap {
        metadata,
        data: Some(BTreeMap::from([(FILE.into(), plan.to_json())])),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

/// How a Replica refers to a plan.
pub fn reference(plan: &Plan) -> PlanRef {
    PlanRef {
        config_map: name_of(plan),
        hash: plan.content_hash(),
        files: signed(plan.files()),
        bytes: signed(plan.bytes()),
    }
}

fn name_of(plan: &Plan) -> String {
    name::plan(&plan.cache, &plan.volume, &plan.data_hash())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::cache;
    use super::*;

    #[test]
    fn a_plan_is_immutable_and_belongs_to_nobody() {
        let plan = Plan { directories: vec!["out".into()], ..Plan::new("studio", "models") };
        insta::assert_yaml_snapshot!(plan_config_map(&cache(), &plan, 7));
    }
}
