//! The ModelCacheReplica of a volume in one place.

use super::metadata;
use crate::api::model_cache_replica::{PlanRef, ReplicaNode};
use crate::api::{ModelCache, ModelCacheReplica, ModelCacheReplicaSpec};
use crate::operator::modelcache::model::VolumeModel;
use kube::ResourceExt;

/// The Replica.
pub fn replica(
    cache: &ModelCache,
    name: &str,
    volume: &VolumeModel,
    node: Option<ReplicaNode>,
    plan: Option<PlanRef>,
) -> ModelCacheReplica {
    ModelCacheReplica {
        metadata: metadata(cache, name.to_owned(), Some(&volume.spec.name), true),
        spec: ModelCacheReplicaSpec {
            cache: cache.name_any(),
            volume: volume.spec.name.clone(),
            claim_name: volume.claim_name.clone(),
            claim_uid: volume.claim_uid.clone(),
            node,
            plan,
            restored: None,
        },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cache, volume};
    use super::*;

    #[test]
    fn a_replica_says_which_node_which_claim_and_which_plan() {
        let cache = cache();
        let node = ReplicaNode {
            name: "node-1".into(),
            uid: "node-uid".into(),
            hostname: "node-1".into(),
            pool: "gpu".into(),
        };
        let plan = PlanRef { config_map: "studio-models-plan-0".into(), hash: "h".repeat(64), files: 3, bytes: 9 };
        insta::assert_yaml_snapshot!(replica(&cache, "studio-models-0", &volume(&cache), Some(node), Some(plan)));
    }
}
