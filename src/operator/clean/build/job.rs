//! The Job that carries out the rules of a volume on one copy. It needs no network and no Secret.

use super::cron_job::DEADLINE_SECONDS;
use crate::api::{JobRole, ModelCache, ModelCacheReplica, NodeCachePool, label, name};
use crate::contract::mount;
use crate::operator::cron_job::document;
use crate::operator::options::Settings;
use crate::operator::placement;
use crate::operator::pod::{AgentJob, agent_job, owner};
use crate::operator::replica::build::labels;
use crate::operator::replica::build::warm_up_job::{Beside, affinity, volume_and_plan};
use crate::operator::replica::cleaning_on_request::open_request;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

/// The clean-up Job of an attempt: by schedule, or as the Replica's status says that it was asked for. `oldest_pod`: see [`super::super::readers::oldest`].
pub fn clean_job(
    replica: &ModelCacheReplica,
    attempt: u64,
    cache: &ModelCache,
    pool: Option<&NodeCachePool>,
    beside: &Beside,
    oldest_pod: Timestamp,
    settings: &Settings,
) -> Job {
    let (volumes, mut mounts) = volume_and_plan(replica);
    let asked = open_request(replica).filter(|it| u64::try_from(it.attempt) == Ok(attempt));
    let dry_run = asked.is_some_and(|it| it.dry_run);
    mounts[0].read_only = dry_run.then_some(true);
    let (document, document_mount) = document::mounted(name::clean(&cache.name_any()), mount::CACHE_DIRECTORY);
    let mut labels = labels(replica);
    labels.extend(pool.map(|it| (label::POOL.to_owned(), it.name_any())));
    let job = AgentJob {
        name: name::clean_job(&replica.name_any(), attempt),
        namespace: replica.namespace().unwrap_or_default(),
        labels,
        args: arguments(replica, attempt, oldest_pod)
            .into_iter()
            .chain(asked.map(|_| "--deeds".to_owned()))
            .chain(dry_run.then(|| "--dry-run".to_owned()))
            .collect(),
        volumes: volumes.into_iter().chain([document]).collect(),
        mounts: mounts.into_iter().chain([document_mount]).collect(),
        affinity: affinity(replica, cache, beside),
        tolerations: pool.map(|it| placement::tolerations(&it.spec)).unwrap_or_default(),
        deadline_seconds: DEADLINE_SECONDS,
        owner: owner(replica),
        give_volume_to_group: replica.spec.node.is_none(),
        ..AgentJob::default()
    };
    agent_job(job, JobRole::Clean, &cache.spec.effective_pod_template(), settings)
}

fn arguments(replica: &ModelCacheReplica, attempt: u64, oldest_pod: Timestamp) -> Vec<String> {
    let document = format!("{}/{}", mount::CACHE_DIRECTORY, mount::CACHE_FILE);
    let own = ["clean", "-f", &document, "--volumes-dir", mount::VOLUMES, "--plan", mount::PLAN];
    let told = [
        format!("--volume={}", replica.spec.volume),
        format!("--oldest-pod={oldest_pod}"),
        format!("--owner={}", replica.uid().unwrap_or_default()),
        format!("--attempt={attempt}"),
    ];
    own.into_iter().map(str::to_owned).chain(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model_cache_replica::{PlanRef, ReplicaNode};
    use crate::operator::modelcache::build::fixtures::{cache, pool, settings, shared_cache, volume};
    use crate::operator::modelcache::build::replica::replica as build;

    fn replica(cache: &ModelCache, node: Option<ReplicaNode>) -> ModelCacheReplica {
        let plan = PlanRef { config_map: "studio-models-plan-0".into(), hash: "h".repeat(64), files: 3, bytes: 9 };
        let mut replica = build(cache, "studio-models-0", &volume(cache), node, Some(plan));
        replica.metadata.uid = Some("replica-uid".into());
        replica
    }

    #[test]
    fn a_clean_up_of_a_copy_on_a_node_is_told_the_plan_and_how_old_the_oldest_reader_is() {
        let cache = cache();
        let (name, uid) = ("node-1".to_owned(), "node-uid".to_owned());
        let node = ReplicaNode { hostname: name.clone(), name, uid, pool: "gpu".into() };
        let (replica, pool) = (replica(&cache, Some(node)), pool());
        let oldest = "2026-11-20T12:00:00Z".parse().unwrap();
        let job = clean_job(&replica, 3, &cache, Some(&pool), &Beside::Anywhere, oldest, &settings());
        insta::assert_yaml_snapshot!(job);
    }

    #[test]
    fn a_clean_up_of_a_claim_that_one_node_has_mounted_runs_there() {
        let cache = shared_cache();
        let (beside, oldest) = (Beside::Node("node-7".into()), "2026-11-20T12:00:00Z".parse().unwrap());
        let job = clean_job(&replica(&cache, None), 1, &cache, None, &beside, oldest, &settings());
        insta::assert_yaml_snapshot!(job.spec.map(|it| it.template));
    }

    #[test]
    fn a_clean_up_that_was_asked_for_says_what_it_does_and_a_dry_run_cannot_write() {
        use crate::api::cleaning::RequestedCleanup;
        let cache = shared_cache();
        let mut replica = replica(&cache, None);
        let asked = |dry_run| RequestedCleanup { request: "now".into(), dry_run, attempt: 3, ..Default::default() };
        let pod = |replica: &ModelCacheReplica, attempt| {
            let oldest = "2026-11-20T12:00:00Z".parse().unwrap();
            let job = clean_job(replica, attempt, &cache, None, &Beside::Anywhere, oldest, &settings());
            let mut pod = job.spec.unwrap().template.spec.unwrap();
            let container = pod.containers.remove(0);
            (container.args.unwrap().join(" "), container.volume_mounts.unwrap()[0].read_only)
        };
        replica.status =
            Some(crate::api::ModelCacheReplicaStatus { requested_cleanup: Some(asked(true)), ..Default::default() });
        let (args, read_only) = pod(&replica, 3);
        assert!(args.ends_with("--deeds --dry-run") && read_only == Some(true), "{args}");
        let (args, read_only) = pod(&replica, 4);
        assert!(!args.contains("--dry-run") && read_only.is_none(), "another attempt is no answer to it: {args}");
        replica.status.as_mut().unwrap().requested_cleanup = Some(asked(false));
        let (args, read_only) = pod(&replica, 3);
        assert!(args.ends_with("--deeds") && read_only.is_none(), "{args}");
    }
}
