//! The Jobs that ask one source's origin: they mount what that source names and nothing else.

use super::{labels, owner};
use crate::api::{JobRole, ModelCache, annotation, label, name};
use crate::operator::modelcache::resolution::Resolution;
use crate::operator::options::Settings;
use crate::operator::pod::{AgentJob, agent_job};
use crate::operator::replica::build::inputs::input_volumes;
use crate::operator::replica::build::warm_up_job::Beside;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{EnvVar, Toleration};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Seconds that an origin has to answer.
const DEADLINE_SECONDS: i64 = 600;

/// Seconds that reading a whole claim may take: a day, as a warm-up may, which reads it as well.
const READING_SECONDS: i64 = 86_400;

/// The resolve Job of the next attempt.
pub fn resolve_job(
    cache: &ModelCache,
    resolution: &Resolution,
    tolerations: Vec<Toleration>,
    beside: &Beside,
    settings: &Settings,
) -> Job {
    let attempt = resolution.attempt + 1;
    let name = name::resolve_job(&cache.name_any(), &resolution.source.name, &resolution.spec_hash, attempt);
    asking(JobRole::Resolve, name, cache, resolution, tolerations, beside, settings)
}

/// The Job that asks, for this time, whether the origin moved.
pub fn refresh_job(
    cache: &ModelCache,
    resolution: &Resolution,
    number: u64,
    tolerations: Vec<Toleration>,
    beside: &Beside,
    settings: &Settings,
) -> Job {
    let name = name::refresh_job(&cache.name_any(), &resolution.source.name, &resolution.spec_hash, number);
    asking(JobRole::Refresh, name, cache, resolution, tolerations, beside, settings)
}

fn asking(
    role: JobRole,
    name: String,
    cache: &ModelCache,
    resolution: &Resolution,
    tolerations: Vec<Toleration>,
    beside: &Beside,
    settings: &Settings,
) -> Job {
    let source = &resolution.source;
    let mut labels = labels(cache, None);
    labels.insert(label::SOURCE.into(), source.name.clone());
    let (volumes, mounts) = input_volumes(source).into_iter().unzip();
    let job = AgentJob {
        name,
        namespace: cache.namespace().unwrap_or_default(),
        labels,
        annotations: BTreeMap::from([(annotation::SPEC_HASH.into(), resolution.spec_hash.clone())]),
        args: vec!["resolve".into()],
        env: vec![EnvVar {
            name: "MODELCACHE_SOURCE".into(),
            value: serde_json::to_string(source).ok(),
            value_from: None,
        }],
        volumes,
        mounts,
        tolerations,
        affinity: beside.affinity(),
        deadline_seconds: if source.claim.is_some() { READING_SECONDS } else { DEADLINE_SECONDS },
        owner: Some(owner(cache)),
        ..AgentJob::default()
    };
    agent_job(job, role, &cache.spec.effective_pod_template(), settings)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cache, settings};
    use super::*;
    use crate::operator::modelcache::resolution::ResolutionState;

    #[test]
    fn a_resolve_job_is_restricted_and_mounts_only_its_sources_secret() {
        let cache = cache();
        let source = cache.spec.sources[0].clone();
        let resolution = Resolution {
            spec_hash: source.spec_hash(),
            source,
            attempt: 0,
            recorded: 0,
            failure: None,
            request: None,
            state: ResolutionState::Due,
        };
        insta::assert_yaml_snapshot!(resolve_job(&cache, &resolution, vec![], &Beside::Anywhere, &settings()));
    }

    #[test]
    fn the_keys_of_a_bucket_are_files_of_one_directory_and_the_pod_has_the_caches_identity() {
        let mut cache = cache();
        cache.spec.sources = super::super::fixtures::bucket();
        cache.spec.pod_template =
            serde_json::from_value(serde_json::json!({"serviceAccountName": "model-reader"})).ok();
        let source = cache.spec.sources[0].clone();
        let resolution = Resolution {
            spec_hash: source.spec_hash(),
            source,
            attempt: 0,
            recorded: 0,
            failure: None,
            request: None,
            state: ResolutionState::Due,
        };
        insta::assert_yaml_snapshot!(
            resolve_job(&cache, &resolution, vec![], &Beside::Anywhere, &settings()).spec.map(|it| it.template)
        );
    }

    #[test]
    fn a_claim_is_read_on_the_node_that_has_it_for_as_long_as_it_takes() {
        let mut cache = cache();
        cache.spec.sources =
            serde_json::from_value(serde_json::json!([{"name": "old", "claim": {"claimName": "notebook"}}])).unwrap();
        let source = cache.spec.sources[0].clone();
        let resolution = Resolution {
            spec_hash: source.spec_hash(),
            source,
            attempt: 0,
            recorded: 0,
            failure: None,
            request: None,
            state: ResolutionState::Due,
        };
        let job = resolve_job(&cache, &resolution, vec![], &Beside::Node("node-7".into()), &settings());
        insta::assert_yaml_snapshot!(job.spec);
    }
}
