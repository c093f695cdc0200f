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

/// What becomes of a volume that was restored.
#[derive(Clone, Debug, PartialEq)]
pub struct Repinned {
    /// Name of the volume.
    pub volume: String,
    /// Whether each node makes its own copy.
    pub per_node: bool,
    /// Identity of the content that is wanted now.
    pub hash: String,
    /// The plan to be made, when it is not the one that counts already.
    pub plan: Option<ConfigMap>,
}

/// The volumes that have pins of the snapshot.
///
/// `restored` is the ConfigMap that the restore was begun with: a source whose spec has changed since gets no pin of it.
pub fn repinned(
    cache: &ModelCache,
    config_maps: Vec<ConfigMap>,
    restored: &ConfigMap,
    pins: &BTreeMap<String, Pin>,
) -> Vec<Repinned> {
    let observed = Observed { config_maps, ..Observed::default() };
    let Some(then) = document(restored) else { return vec![] };
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
        // Without a pin of the snapshot it is none of this restore's.
        if !sources.iter().any(|it| pins.get(&it.source.name) == Some(&it.pin)) {
            return None;
        }
        let plan =
            Plan { directories: volume.directories.clone(), sources, ..Plan::new(cache.name_any(), &volume.name) };
        let highest = plans(&observed, &volume.name).map(sequence).max().unwrap_or(0);
        let other = (current.as_ref() != Some(&plan)).then(|| plan_config_map(cache, &plan, highest + 1));
        let (name, per_node) = (volume.name.clone(), volume.per_node.is_some());
        Some(Repinned { volume: name, per_node, hash: plan.content_hash(), plan: other })
    };
    cache.spec.volumes.iter().filter_map(next).collect()
}

/// The ModelCache that a restore was begun with.
fn document(config_map: &ConfigMap) -> Option<ModelCache> {
    serde_json::from_str(config_map.data.as_ref()?.get(mount::CACHE_FILE)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::backup::build::config_map::data;
    use crate::operator::cluster::Removal;
    use crate::operator::modelcache::build::copies::{Copy, with_copies};
    use crate::operator::modelcache::build::fixtures::{pass, pin, second, shared_cache, stored_plan};
    use crate::operator::modelcache::build::restored::Restored;
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
        let made = repinned(&cache, vec![before.clone()], &restored(&cache), &pins());
        let plan = made[0].plan.clone().unwrap();
        assert_eq!((made.len(), sequence(&plan), made[0].per_node), (1, 5, false));
        let observed = Observed::empty().with_config_map(before).with_config_map(plan);
        let pass = pass(&cache, &observed, second(0));
        assert_eq!(pass.resolutions[0].state, ResolutionState::Pinned(pin("c")));
        assert!(pass.wanted.children.jobs.is_empty());
        let again = repinned(&cache, observed.config_maps, &restored(&cache), &pins());
        assert_eq!((again[0].plan.as_ref(), &again[0].hash), (None, &made[0].hash), "once");
    }

    #[test]
    fn a_source_whose_spec_changed_meanwhile_keeps_its_own_pin() {
        let mut cache = shared_cache();
        let begun = restored(&cache);
        cache.spec.sources[0].hugging_face.as_mut().unwrap().revision = Some("v2".into());
        let before = stored_plan(&cache, "models", &[(0, pin("a"))], 4);
        assert!(repinned(&cache, vec![before], &begun, &pins()).is_empty());
    }

    #[test]
    fn every_copy_of_a_per_node_volume_is_made_anew_out_of_the_backup_though_the_plan_is_the_one_it_holds() {
        let cache = crate::operator::modelcache::build::fixtures::cache();
        let before = stored_plan(&cache, "models", &[(0, pin("c"))], 4);
        let observed = Observed::empty().with_nodes(&["a", "b"]).with_config_map(before.clone());
        let observed = with_copies(&cache, observed, &[Copy::Holds, Copy::Holds]);
        let made = repinned(&cache, vec![before], &restored(&cache), &pins());
        assert_eq!((made[0].plan.as_ref(), made[0].per_node), (None, true));
        let from = Restored {
            by: "restore-uid".into(),
            plan: made[0].hash.clone(),
            document: "{}".into(),
            of: "ns/studio".into(),
            snapshot: "3f9c".into(),
        };
        let replicas = |it: &Observed| pass(&cache, it, second(0)).wanted.children.replicas;
        assert!(replicas(&observed).iter().all(|(wanted, _)| wanted.spec.restored.is_none()));
        let with = observed.with_config_map(from.config_map(&cache, "models"));
        let wanted = replicas(&with);
        assert_eq!(wanted.len(), 2);
        for (wanted, found) in wanted {
            assert_eq!(wanted.spec.restored.as_deref(), Some("restore-uid"));
            let holds = found.unwrap().status.unwrap().holds.unwrap();
            assert!(!wanted.spec.is_met_by(&holds), "what it holds is from before the restore");
        }
        let elsewhere = Restored { plan: "another".into(), ..from };
        let stale = Observed { config_maps: with.config_maps[..1].to_vec(), ..with };
        let stale = stale.with_config_map(elsewhere.config_map(&cache, "models"));
        let pass = pass(&cache, &stale, second(0));
        assert!(pass.wanted.children.replicas.iter().all(|(wanted, _)| wanted.spec.restored.is_none()));
        let gone =
            |it: &Removal| matches!(it, Removal::ConfigMap(it) if it.name_any().starts_with("studio-models-restored"));
        assert!(pass.wanted.children.removals.iter().any(gone), "a backup of another plan is of no use");
    }
}
