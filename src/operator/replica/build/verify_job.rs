//! The Job that checks what is on a volume against what was put there. It needs no network and no Secret.

use super::labels;
use super::warm_up_job::{Beside, affinity, volume_and_plan};
use crate::api::model_cache_replica::AttemptStage;
use crate::api::{JobRole, ModelCache, ModelCacheReplica, NodeCachePool, label, name};
use crate::contract::mount;
use crate::operator::options::Settings;
use crate::operator::placement;
use crate::operator::pod::{AgentJob, agent_job, owner};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

/// Seconds that a check may run: half a terabyte on a slow disk takes hours.
const DEADLINE_SECONDS: i64 = 86_400;

/// The verification Job of an attempt. The volume is mounted to be written: what is damaged is marked for the next warm-up.
pub fn verify_job(
    replica: &ModelCacheReplica,
    attempt: u64,
    stage: AttemptStage,
    cache: &ModelCache,
    pool: Option<&NodeCachePool>,
    beside: &Beside,
    settings: &Settings,
) -> Job {
    let (volumes, mounts) = volume_and_plan(replica);
    let depth = if stage == AttemptStage::DeepVerify { "--deep" } else { "--quick" };
    let args = ["verify", "--plan", mount::PLAN, "--volumes-dir", mount::VOLUMES, depth];
    let mut labels = labels(replica);
    labels.extend(pool.map(|it| (label::POOL.to_owned(), it.name_any())));
    let job = AgentJob {
        name: name::verify_job(&replica.name_any(), attempt),
        namespace: replica.namespace().unwrap_or_default(),
        labels,
        args: args.map(str::to_owned).to_vec(),
        volumes: volumes.into(),
        mounts: mounts.into(),
        affinity: affinity(replica, cache, beside),
        tolerations: pool.map(|it| placement::tolerations(&it.spec)).unwrap_or_default(),
        deadline_seconds: DEADLINE_SECONDS,
        owner: owner(replica),
        give_volume_to_group: replica.spec.node.is_none(),
        ..AgentJob::default()
    };
    agent_job(job, JobRole::Verify, &cache.spec.effective_pod_template(), settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model_cache_replica::{PlanRef, ReplicaNode};
    use crate::operator::modelcache::build::fixtures::{cache, pool, settings, volume};
    use crate::operator::modelcache::build::replica::replica;

    #[test]
    fn a_check_on_a_node_mounts_the_volume_and_the_plan_and_no_secret() {
        let cache = cache();
        let (name, uid) = ("node-1".to_owned(), "node-uid".to_owned());
        let node = ReplicaNode { hostname: name.clone(), name, uid, pool: "gpu".into() };
        let plan = PlanRef { config_map: "studio-models-plan-0".into(), hash: "h".repeat(64), files: 3, bytes: 9 };
        let mut replica = replica(&cache, "studio-models-0", &volume(&cache), Some(node), Some(plan));
        replica.metadata.uid = Some("replica-uid".into());
        let (stage, beside) = (AttemptStage::DeepVerify, Beside::Anywhere);
        insta::assert_yaml_snapshot!(verify_job(&replica, 3, stage, &cache, Some(&pool()), &beside, &settings()));
    }
}
