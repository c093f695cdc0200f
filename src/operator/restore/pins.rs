//! What do the plans of a cache say after a restore? The pins of the snapshot: so that no warm-up takes what was restored for
//! something else and undoes it. They hold until the spec of their source changes, as every pin does.

use crate::api::ModelCache;
use crate::contract::mount;
use crate::contract::plan::{Pin, Plan, PlannedSource};
use crate::operator::modelcache::build::plan_config_map::plan_config_map;
use crate::operator::modelcache::observe::Observed;
use crate::operator::modelcache::resolution::{current_plan, plans, sequence};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// The plans to be made: one for each volume whose pins are others by now.
///
/// `restored` is the ConfigMap that the restore was begun with: a source whose spec has changed since gets no pin of it.
pub fn plans_with(
    cache: &ModelCache,
    config_maps: Vec<ConfigMap>,
    restored: &ConfigMap,
    pins: &BTreeMap<String, Pin>,
) -> Vec<ConfigMap> {
    let observed = Observed { config_maps, ..Observed::default() };
    let Some(then) = document(restored) else { return vec![] };
    let shared = cache.spec.volumes.iter().filter(|it| it.per_node.is_none());
    let next = |volume: &crate::api::volume::Volume| {
        let current = current_plan(&observed, &volume.name).map(|(_, plan)| plan);
        let on_volume =
            cache.spec.sources.iter().filter(|it| cache.spec.volume_of(it).is_some_and(|it| it.name == volume.name));
        let sources: Vec<PlannedSource> = on_volume
            .filter_map(|source| {
                let same =
                    then.spec.sources.iter().any(|it| it.name == source.name && it.spec_hash() == source.spec_hash());
                let pin = pins.get(&source.name).filter(|_| same).cloned();
                let kept = || current.as_ref()?.sources.iter().find(|it| it.source.name == source.name).cloned();
                pin.map(|pin| PlannedSource { source: source.clone(), pin }).or_else(kept)
            })
            .collect();
        if sources.is_empty() {
            return None;
        }
        let plan =
            Plan { directories: volume.directories.clone(), sources, ..Plan::new(cache.name_any(), &volume.name) };
        let highest = plans(&observed, &volume.name).map(sequence).max().unwrap_or(0);
        (current.as_ref() != Some(&plan)).then(|| plan_config_map(cache, &plan, highest + 1))
    };
    shared.filter_map(next).collect()
}

/// The ModelCache that a restore was begun with.
fn document(config_map: &ConfigMap) -> Option<ModelCache> {
    serde_json::from_str(config_map.data.as_ref()?.get(mount::CACHE_FILE)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::backup::build::config_map::data;
    use crate::operator::modelcache::build::fixtures::{pass, pin, second, shared_cache, stored_plan};
    use crate::operator::modelcache::resolution::ResolutionState;

    fn restored(cache: &ModelCache) -> ConfigMap {
        let backup = serde_json::from_value(serde_json::json!({"destination": {"s3": {"bucket": "backups"}}})).unwrap();
        ConfigMap { data: Some(data(cache, &backup)), ..ConfigMap::default() }
    }

    fn pins() -> BTreeMap<String, Pin> {
        BTreeMap::from([("sana".to_owned(), pin("c"))])
    }

    #[test]
    fn the_snapshots_pins_become_the_plans_and_the_next_pass_keeps_them_and_asks_nobody() {
        let cache = shared_cache();
        let before = stored_plan(&cache, "models", &[(0, pin("a"))], 4);
        let made = plans_with(&cache, vec![before.clone()], &restored(&cache), &pins());
        assert_eq!(made.iter().map(sequence).collect::<Vec<_>>(), [5]);
        let observed = Observed::empty().with_config_map(before).with_config_map(made[0].clone());
        let pass = pass(&cache, &observed, second(0));
        assert_eq!(pass.resolutions[0].state, ResolutionState::Pinned(pin("c")));
        assert!(pass.wanted.children.jobs.is_empty());
        assert!(plans_with(&cache, observed.config_maps, &restored(&cache), &pins()).is_empty(), "once");
    }

    #[test]
    fn a_source_whose_spec_changed_meanwhile_keeps_its_own_pin() {
        let mut cache = shared_cache();
        let begun = restored(&cache);
        cache.spec.sources[0].hugging_face.as_mut().unwrap().revision = Some("v2".into());
        let before = stored_plan(&cache, "models", &[(0, pin("a"))], 4);
        assert!(plans_with(&cache, vec![before], &begun, &pins()).is_empty());
    }
}
