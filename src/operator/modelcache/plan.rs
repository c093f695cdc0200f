//! What is to be written? Model, pins and observation to children.

use super::build::{self, restored::Restored};
use super::model::{Model, PerNodePlace, Place, VolumeModel};
use super::observe::Observed;
use super::refresh::{self, Freshness};
use super::resolution::{
    Resolution, ResolutionState, attempt_of, current_plan, is_about, place_in_order, plans, sequence,
};
use crate::api::model_cache_replica::{PlanRef, ReplicaNode};
use crate::api::{ModelCache, ModelCacheReplica, Reason, annotation, label, name, quantity};
use crate::contract::plan::{Plan, PlannedSource};
use crate::operator::backup::{self, plan::Planned};
use crate::operator::clean;
use crate::operator::cluster::{Children, Removal};
use crate::operator::job::Problem;
use crate::operator::options::Settings;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use std::collections::BTreeSet;

/// What is to be written, and what the status needs to know of it.
#[derive(Debug, Default)]
pub struct Wanted {
    /// The children.
    pub children: Children,
    /// Per volume, in the order of the spec.
    pub volumes: Vec<WantedVolume>,
    /// What the backups are to be, when there are to be any.
    pub backup: Option<Planned>,
    /// What the clean-ups are to be, when there is a schedule.
    pub clean: Option<clean::plan::Planned>,
    /// An object of a wanted name, outside the volumes, that belongs to somebody else.
    pub conflict: Option<Problem>,
}

/// The content wanted on a volume.
#[derive(Debug)]
pub struct WantedVolume {
    /// The plan, once there is one.
    pub plan: Option<PlanRef>,
    /// Why the plan cannot be put there.
    pub problem: Option<Problem>,
    /// Names of the Replicas wanted.
    pub replicas: Vec<String>,
}

/// Decides what is to be written.
pub fn plan(
    cache: &ModelCache,
    model: &Model,
    resolutions: &[Resolution],
    freshness: &[Freshness],
    observed: &Observed,
    settings: &Settings,
) -> Wanted {
    let mut wanted = Wanted::default();
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for volume in &model.volumes {
        let next = next_plan(cache, volume, resolutions, observed);
        let problem = next.as_ref().and_then(|(plan, _)| too_large(volume, plan));
        let reference = next.as_ref().map(|(plan, _)| build::plan_config_map::reference(plan));
        if let Some((plan, sequence)) = &next {
            let config_map = build::plan_config_map::plan_config_map(cache, plan, *sequence);
            let found = observed.config_maps.iter().find(|it| it.name_any() == config_map.name_any()).cloned();
            wanted.children.config_maps.push((config_map, found));
        }
        let applied = reference.clone().filter(|_| problem.is_none());
        let replicas = match &volume.place {
            Ok(place) => place_children(cache, volume, place, applied, observed, &mut wanted.children),
            // What is there stays as it is until the problem is mended.
            Err(_) => replicas_of(observed, &volume.spec.name).map(ResourceExt::name_any).collect(),
        };
        kept.extend(replicas.iter().cloned());
        wanted.volumes.push(WantedVolume { plan: reference, problem, replicas });
    }
    wanted.conflict = environment(cache, observed, &mut wanted.children).err();
    wanted.backup = backup::plan::plan(cache, observed, settings, &mut wanted.children);
    wanted.clean = clean::plan::plan(cache, observed, settings, &mut wanted.children);
    wanted.children.jobs = resolve_jobs(cache, model, resolutions, observed, settings);
    let again = refresh::jobs(cache, resolutions, freshness, observed, &pool_tolerations(model), settings);
    wanted.children.jobs.extend(again);
    tidy(cache, observed, &kept, resolutions, &mut wanted);
    let answered = refresh::over(observed, resolutions, freshness);
    wanted.children.removals.extend(answered.map(|it| Removal::Job(it.job.clone())));
    wanted
}

/// The plan of a volume: every source that has a pin; a source whose spec changed keeps its old pin until the new one is
/// known. Nothing while none of its sources has one yet.
fn next_plan(
    cache: &ModelCache,
    volume: &VolumeModel,
    resolutions: &[Resolution],
    observed: &Observed,
) -> Option<(Plan, u64)> {
    let (stored, current) = current_plan(observed, &volume.spec.name).unzip();
    let on_volume = |it: &&Resolution| cache.spec.volume_of(&it.source).is_some_and(|it| it.name == volume.spec.name);
    let sources: Vec<&Resolution> = resolutions.iter().filter(on_volume).collect();
    let planned: Vec<PlannedSource> = sources
        .iter()
        .filter_map(|it| match &it.state {
            ResolutionState::Pinned(pin) => Some(PlannedSource { source: it.source.clone(), pin: pin.clone() }),
            _ => current
                .as_ref()
                .and_then(|plan| plan.sources.iter().find(|old| old.source.name == it.source.name))
                .cloned(),
        })
        .collect();
    if planned.is_empty() && !sources.is_empty() {
        return None;
    }
    let plan = Plan {
        directories: volume.spec.directories.clone(),
        sources: planned,
        ..Plan::new(cache.name_any(), &volume.spec.name)
    };
    let highest = plans(observed, &volume.spec.name).map(sequence).max().unwrap_or(0);
    // The highest may be one that we cannot read, of a newer version: then ours must rise above it to count.
    let unchanged = current.is_some_and(|current| current == plan) && stored == Some(highest);
    Some((plan, if unchanged { highest } else { highest + 1 }))
}

/// Checked before anything is fetched.
fn too_large(volume: &VolumeModel, plan: &Plan) -> Option<Problem> {
    let size = quantity::bytes(volume.spec.size()?).ok()?;
    (plan.bytes() > size).then(|| {
        let message = format!(
            "the sources of volume `{}` are {}, more than its size of {}: raise `size`, or leave files out with `exclude`",
            volume.spec.name,
            quantity::human(plan.bytes()),
            quantity::human(size)
        );
        Problem::new(Reason::InsufficientSpace, message)
    })
}

/// The children of a volume that has its place; the names of its Replicas.
fn place_children(
    cache: &ModelCache,
    volume: &VolumeModel,
    place: &Place,
    plan: Option<PlanRef>,
    observed: &Observed,
    children: &mut Children,
) -> Vec<String> {
    // A plan that cannot be put there now leaves the one before it wanted, also on a node that joins.
    let plan = plan.or_else(|| plan_in_use(observed, &volume.spec.name));
    match place {
        Place::PerNode(place) => {
            let wanted = persistent_volume(cache, volume, place, observed, children);
            if !observed.claims.contains_key(&volume.claim_name) {
                children.claims.push(build::claim::per_node(cache, &volume.spec, &wanted));
            }
            let pool = place.pool.name_any();
            let node = |it: &super::model::NodeModel| ReplicaNode {
                name: it.name.clone(),
                uid: it.uid.clone(),
                hostname: it.hostname.clone(),
                pool: pool.clone(),
            };
            place
                .nodes
                .iter()
                .map(|it| replica(cache, volume, Some(node(it)), plan.clone(), observed, children))
                .collect()
        }
        Place::Shared => {
            match observed.claims.get(&volume.claim_name) {
                None => children.claims.extend(build::claim::shared(cache, &volume.spec)),
                Some(claim) => children.grown.extend(larger(volume, claim).map(|size| (claim.clone(), size))),
            }
            vec![replica(cache, volume, None, plan, observed, children)]
        }
        Place::Existing => vec![replica(cache, volume, None, plan, observed, children)],
    }
}

/// The size that a claim is to grow to: its request is smaller than what the spec asks for now.
fn larger(volume: &VolumeModel, claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let wanted = volume.spec.size()?;
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    let asked = quantity::bytes(requests.get("storage")?).ok()?;
    quantity::bytes(wanted).is_ok_and(|bytes| bytes > asked).then(|| wanted.clone())
}

fn persistent_volume(
    cache: &ModelCache,
    volume: &VolumeModel,
    place: &PerNodePlace,
    observed: &Observed,
    children: &mut Children,
) -> PersistentVolume {
    let found = observed.persistent_volumes.iter().find(|it| it.name_any() == place.persistent_volume);
    let wanted = build::persistent_volume::persistent_volume(
        cache,
        &volume.spec,
        place,
        &volume.claim_name,
        found,
        &observed.nodes,
    );
    children.persistent_volumes.push((wanted.clone(), found.cloned()));
    let released = found.filter(|it| it.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Released"));
    // Bound to a claim that is gone: adopted by the claim of the same name.
    let stale = released.filter(|it| {
        let uid = it.spec.as_ref().and_then(|it| it.claim_ref.as_ref()).and_then(|it| it.uid.clone());
        uid.is_some() && uid != volume.claim_uid
    });
    children.rebound.extend(stale.cloned());
    wanted
}

fn replica(
    cache: &ModelCache,
    volume: &VolumeModel,
    node: Option<ReplicaNode>,
    plan: Option<PlanRef>,
    observed: &Observed,
    children: &mut Children,
) -> String {
    let name = name::replica(
        &cache.name_any(),
        &volume.spec.name,
        node.as_ref().map(|it| (it.name.as_str(), it.uid.as_str())),
    );
    let found = observed.replicas.iter().find(|it| it.name_any() == name).cloned();
    let mut wanted = build::replica::replica(cache, &name, volume, node, plan);
    // A shared volume is written to by the restore itself.
    let hash = wanted.spec.plan.as_ref().filter(|_| wanted.spec.node.is_some()).map(|it| it.hash.clone());
    let of_volume = |it: &ConfigMap| it.labels().get(label::VOLUME) == Some(&volume.spec.name);
    let good = restored(observed).find(|(config_map, it)| of_volume(config_map) && Some(&it.plan) == hash.as_ref());
    wanted.spec.restored = good.map(|(_, it)| it.by);
    children.replicas.push((wanted, found));
    name
}

/// The backups that copies are made from, and their ConfigMaps.
fn restored(observed: &Observed) -> impl Iterator<Item = (&ConfigMap, Restored)> {
    observed.config_maps.iter().filter_map(|it| Some((it, Restored::read(it)?)))
}

/// The newest plan that Replicas of a volume are given and that is still there.
fn plan_in_use(observed: &Observed, volume: &str) -> Option<PlanRef> {
    let place = |it: &&PlanRef| plans(observed, volume).find(|plan| plan.name_any() == it.config_map).map(sequence);
    replicas_of(observed, volume).filter_map(|it| it.spec.plan.as_ref()).max_by_key(place).cloned()
}

fn replicas_of<'a>(observed: &'a Observed, volume: &'a str) -> impl Iterator<Item = &'a ModelCacheReplica> {
    observed.replicas.iter().filter(move |it| it.spec.volume == volume)
}

/// The environment for pods, unless the ConfigMap of that name is somebody else's.
fn environment(cache: &ModelCache, observed: &Observed, children: &mut Children) -> Result<(), Problem> {
    let wanted = build::environment::environment(cache);
    let name = wanted.name_any();
    let found = observed.config_maps.iter().find(|it| it.name_any() == name).cloned();
    if found.as_ref().is_some_and(|it| !build::is_of(it, cache)) {
        let message = format!(
            "ConfigMap `{name}` belongs to somebody else, and pods would read their environment from it: delete it, or rename this cache"
        );
        return Err(Problem::new(Reason::ClaimConflict, message));
    }
    children.config_maps.push((wanted, found));
    Ok(())
}

/// Jobs for the sources that are due, unless the cache is suspended.
fn resolve_jobs(
    cache: &ModelCache,
    model: &Model,
    resolutions: &[Resolution],
    observed: &Observed,
    settings: &Settings,
) -> Vec<Job> {
    let due = resolutions.iter().filter(|it| it.state == ResolutionState::Due && !cache.spec.suspended());
    due.map(|it| {
        let beside = observed.beside_of(&it.source);
        build::resolve_job::resolve_job(cache, it, pool_tolerations(model), &beside, settings)
    })
    .collect()
}

/// A cluster may have no nodes but those of the pools: what asks the origin must be able to run there.
fn pool_tolerations(model: &Model) -> Vec<Toleration> {
    let places = model.volumes.iter().filter_map(|it| it.place.as_ref().ok());
    let pools = places.filter_map(|it| if let Place::PerNode(it) = it { Some(&it.pool) } else { None });
    let mut all: Vec<Toleration> = vec![];
    for toleration in pools.flat_map(|it| crate::operator::placement::tolerations(&it.spec)) {
        if !all.contains(&toleration) {
            all.push(toleration);
        }
    }
    all
}

/// Deletes what is no longer wanted: Replicas of nodes that left, Jobs of Replicas that are gone, resolve Jobs whose result
/// is kept elsewhere or that nobody asks for any more, plans that nothing uses.
fn tidy(
    cache: &ModelCache,
    observed: &Observed,
    kept: &BTreeSet<String>,
    resolutions: &[Resolution],
    wanted: &mut Wanted,
) {
    let replicas = observed.replicas.iter().filter(|it| !kept.contains(&it.name_any()));
    let orphan = |it: &&Job| it.labels().get(label::REPLICA).is_some_and(|replica| !kept.contains(replica));
    let node_jobs = observed.node_jobs.iter().filter(orphan);
    let resolve_jobs = observed.resolve_jobs.iter().filter(|job| {
        let asked = resolutions.iter().find(|it| is_about(job, &it.source, &it.spec_hash));
        asked.is_none_or(|it| attempt_of(job) <= it.recorded || pin_is_stored(cache, observed, it))
    });
    let removals = &mut wanted.children.removals;
    removals.extend(replicas.cloned().map(Removal::Replica));
    removals.extend(node_jobs.cloned().map(Removal::Job));
    removals.extend(resolve_jobs.map(|it| Removal::Job(it.job.clone())));

    let given = observed.replicas.iter().filter_map(|it| it.spec.plan.as_ref());
    let used: BTreeSet<&str> =
        given.chain(wanted.volumes.iter().filter_map(|it| it.plan.as_ref())).map(|it| it.config_map.as_str()).collect();
    let superseded = |it: &&ConfigMap| {
        let volume = it.labels().get(label::VOLUME).cloned().unwrap_or_default();
        let newest = plans(observed, &volume).max_by_key(|it| place_in_order(it)).map(ResourceExt::name_any);
        let name = it.name_any();
        it.annotations().contains_key(annotation::SEQUENCE)
            && newest.as_ref() != Some(&name)
            && !used.contains(name.as_str())
    };
    removals.extend(observed.config_maps.iter().filter(superseded).cloned().map(Removal::ConfigMap));

    // A backup is good for one plan: what the copies are given, or are about to be.
    let given = observed.replicas.iter().filter_map(|it| it.spec.plan.as_ref());
    let wanted_now = wanted.volumes.iter().filter_map(|it| it.plan.as_ref());
    let hashes: BTreeSet<&str> = given.chain(wanted_now).map(|it| it.hash.as_str()).collect();
    let useless = restored(observed).filter(|(_, it)| !hashes.contains(it.plan.as_str()));
    removals.extend(useless.map(|(it, _)| Removal::ConfigMap(it.clone())));
}

/// Whether the pin of a source is in the plan that is remembered: then its Job has nothing left to say.
fn pin_is_stored(cache: &ModelCache, observed: &Observed, resolution: &Resolution) -> bool {
    let volume = cache.spec.volume_of(&resolution.source);
    let plan = volume.and_then(|it| current_plan(observed, &it.name));
    plan.is_some_and(|(_, plan)| plan.sources.iter().any(|it| it.source == resolution.source))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "convergence_tests.rs"]
mod convergence;
