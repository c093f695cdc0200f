//! What is to be written? Model, pins and observation to children.

use super::build;
use super::model::{Model, PerNodePlace, Place, VolumeModel};
use super::observe::Observed;
use super::resolution::{Resolution, ResolutionState, attempt_of, current_plan, jobs_of, plans, sequence};
use crate::api::model_cache_replica::{PlanRef, ReplicaNode};
use crate::api::{ModelCache, ModelCacheReplica, Reason, name, quantity};
use crate::contract::plan::{Plan, PlannedSource};
use crate::operator::cluster::{Children, Removal};
use crate::operator::job::Problem;
use crate::operator::options::Settings;
use k8s_openapi::api::core::v1::Toleration;
use kube::ResourceExt;
use std::collections::BTreeSet;

/// What is to be written, and what the status needs to know of it.
#[derive(Debug, Default)]
pub struct Wanted {
    /// The children.
    pub children: Children,
    /// Per volume, in the order of the spec.
    pub volumes: Vec<WantedVolume>,
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
    environment(cache, observed, &mut wanted.children);
    resolve(cache, model, resolutions, observed, settings, &mut wanted.children);
    tidy(observed, &kept, resolutions, &mut wanted);
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
    let current = current_plan(observed, &volume.spec.name).map(|(_, plan)| plan);
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
    let unchanged = current.is_some_and(|current| current == plan);
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
    match place {
        Place::PerNode(place) => {
            persistent_volume(cache, volume, place, observed, children);
            if !observed.claims.contains_key(&volume.claim_name) {
                children.claims.push(build::claim::per_node(cache, &volume.spec, &place.persistent_volume));
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
            if !observed.claims.contains_key(&volume.claim_name) {
                children.claims.extend(build::claim::shared(cache, &volume.spec));
            }
            vec![replica(cache, volume, None, plan, observed, children)]
        }
        Place::Existing => vec![replica(cache, volume, None, plan, observed, children)],
    }
}

fn persistent_volume(
    cache: &ModelCache,
    volume: &VolumeModel,
    place: &PerNodePlace,
    observed: &Observed,
    children: &mut Children,
) {
    let found = observed.persistent_volumes.iter().find(|it| it.name_any() == place.persistent_volume);
    let wanted = build::persistent_volume::persistent_volume(
        cache,
        &volume.spec,
        place,
        &volume.claim_name,
        found,
        &observed.nodes,
    );
    children.persistent_volumes.push((wanted, found.cloned()));
    let released = found.filter(|it| it.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Released"));
    // Bound to a claim that is gone: adopted by the claim of the same name.
    let stale = released.filter(|it| {
        let uid = it.spec.as_ref().and_then(|it| it.claim_ref.as_ref()).and_then(|it| it.uid.clone());
        uid.is_some() && uid != volume.claim_uid
    });
    children.rebound.extend(stale.cloned());
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
    // A plan that cannot be put there now leaves the one before it wanted.
    let plan = plan.or_else(|| found.as_ref().and_then(|it| it.spec.plan.clone()));
    let wanted = build::replica::replica(cache, &name, volume, node, plan);
    children.replicas.push((wanted, found));
    name
}

fn replicas_of<'a>(observed: &'a Observed, volume: &'a str) -> impl Iterator<Item = &'a ModelCacheReplica> {
    observed.replicas.iter().filter(move |it| it.spec.volume == volume)
}

fn environment(cache: &ModelCache, observed: &Observed, children: &mut Children) {
    let wanted = build::environment::environment(cache);
    let found = observed.config_maps.iter().find(|it| it.name_any() == wanted.name_any()).cloned();
    let foreign = found.as_ref().is_some_and(|it| !build::is_of(it, cache));
    if !foreign {
        children.config_maps.push((wanted, found));
    }
}

/// Jobs for the sources that are due, unless the cache is suspended.
fn resolve(
    cache: &ModelCache,
    model: &Model,
    resolutions: &[Resolution],
    observed: &Observed,
    settings: &Settings,
    children: &mut Children,
) {
    for resolution in resolutions {
        if resolution.state == ResolutionState::Due && !cache.spec.suspended() {
            children.jobs.push(build::resolve_job::resolve_job(cache, resolution, pool_tolerations(model), settings));
        }
        for job in jobs_of(observed, &resolution.source, &resolution.spec_hash) {
            if attempt_of(job) <= resolution.recorded {
                children.removals.push(Removal::Job(job.job.clone()));
            }
        }
    }
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

/// Deletes what is no longer wanted: Replicas of nodes that left, Jobs of Replicas that are gone, plans that nothing uses,
/// resolve Jobs of specs that are no more or whose pin is in a plan.
fn tidy(observed: &Observed, kept: &BTreeSet<String>, resolutions: &[Resolution], wanted: &mut Wanted) {
    let removals = &mut wanted.children.removals;
    removals
        .extend(observed.replicas.iter().filter(|it| !kept.contains(&it.name_any())).cloned().map(Removal::Replica));
    let orphan = |it: &&k8s_openapi::api::batch::v1::Job| {
        it.labels().get(crate::api::label::REPLICA).is_some_and(|replica| !kept.contains(replica))
    };
    removals.extend(observed.node_jobs.iter().filter(orphan).cloned().map(Removal::Job));
    for job in &observed.resolve_jobs {
        let wanted_spec = resolutions
            .iter()
            .find(|it| jobs_of(observed, &it.source, &it.spec_hash).iter().any(|it| it.name() == job.name()));
        let pinned =
            wanted_spec.is_some_and(|it| matches!(it.state, ResolutionState::Pinned(_)) && recorded(observed, it));
        if wanted_spec.is_none() || pinned {
            removals.push(Removal::Job(job.job.clone()));
        }
    }
    let used: BTreeSet<&str> =
        observed.replicas.iter().filter_map(|it| it.spec.plan.as_ref()).map(|it| it.config_map.as_str()).collect();
    let current: BTreeSet<&str> =
        wanted.volumes.iter().filter_map(|it| it.plan.as_ref()).map(|it| it.config_map.as_str()).collect();
    let old = observed.config_maps.iter().filter(|it| it.annotations().contains_key(crate::api::annotation::SEQUENCE));
    let old = old.filter(|it| {
        let name = it.name_any();
        let volume = it.labels().get(crate::api::label::VOLUME).cloned().unwrap_or_default();
        let superseded = current_plan_name(observed, &volume).is_some_and(|highest| highest != name);
        superseded && !used.contains(name.as_str()) && !current.contains(name.as_str())
    });
    removals.extend(old.cloned().map(Removal::ConfigMap));
}

/// Whether the pin of a resolution is in a plan that is stored.
fn recorded(observed: &Observed, resolution: &Resolution) -> bool {
    observed
        .config_maps
        .iter()
        .filter_map(|it| it.data.as_ref()?.get(crate::contract::plan::FILE))
        .any(|text| Plan::parse(text).is_ok_and(|plan| plan.sources.iter().any(|it| it.source == resolution.source)))
}

fn current_plan_name(observed: &Observed, volume: &str) -> Option<String> {
    plans(observed, volume).max_by_key(|it| sequence(it)).map(ResourceExt::name_any)
}
