//! Since when does a copy have readers? The agent removes no revision that was replaced after that. Pure.

use crate::api::{JobRole, ModelCacheReplica, label};
use crate::operator::mounting_pod::MountingPod;
use jiff::Timestamp;
use kube::ResourceExt;

/// When the oldest pod that mounts the copy was made; where there is none, the time of the look: `looked`, before the pods
/// were listed. What is replaced after that is not removed either, so that an answer that waits for its Job is never too new.
///
/// A pod counts until it is over, whatever its node says. One that has no node yet has read nothing.
pub fn oldest(pods: &[MountingPod], replica: &ModelCacheReplica, looked: Timestamp) -> Timestamp {
    let made = |it: &MountingPod| it.metadata.creation_timestamp.as_ref().map(|it| it.0);
    let reading = pods.iter().filter(|it| reads(it, replica)).filter_map(made);
    reading.chain([looked]).min().unwrap_or(looked)
}

/// Names of the pods that mount the copy and are not over.
pub fn names(pods: &[MountingPod], replica: &ModelCacheReplica) -> Vec<String> {
    pods.iter().filter(|it| reads(it, replica)).map(ResourceExt::name_any).collect()
}

fn reads(pod: &MountingPod, replica: &ModelCacheReplica) -> bool {
    let here = match (&pod.spec.node_name, &replica.spec.node) {
        (Some(on), Some(node)) => *on == node.name,
        (Some(_), None) => true,
        (None, _) => false,
    };
    here && pod.mounts(&replica.spec.claim_name) && !pod.is_over() && !is_of(pod, replica)
}

/// Whether a pod is at work on the copy for us. A backup of ours, or another cache that copies from it, reads as anybody does.
fn is_of(pod: &MountingPod, replica: &ModelCacheReplica) -> bool {
    let work = pod.is(label::REPLICA, &replica.name_any()) || pod.is(label::JOB, JobRole::Clean.as_str());
    pod.is_ours() && work
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model_cache_replica::ReplicaNode;
    use crate::operator::modelcache::build::fixtures::{cache, shared_cache, volume};
    use crate::operator::modelcache::build::replica::replica as build;
    use serde_json::{Value, json};

    const LOOKED: &str = "2026-11-21T12:00:00Z";
    const MADE: &str = "2026-11-20T12:00:00Z";

    fn on_node() -> ModelCacheReplica {
        let cache = cache();
        let node = ReplicaNode { name: "a".into(), uid: "u".into(), hostname: "a".into(), pool: "gpu".into() };
        build(&cache, "studio-models-0", &volume(&cache), Some(node), None)
    }

    fn pod(change: &Value) -> MountingPod {
        let mut pod = json!({
            "metadata": {"name": "app", "creationTimestamp": MADE},
            "spec": {"nodeName": "a", "containers": [], "volumes": [
                {"name": "tmp", "emptyDir": {}}, {"name": "m", "persistentVolumeClaim": {"claimName": "studio-models"}}
            ]},
            "status": {"phase": "Running"}
        });
        for (path, value) in change.as_object().unwrap() {
            *pod.pointer_mut(path).unwrap() = value.clone();
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_pod_counts_from_its_making_until_it_is_over_on_the_node_that_it_is_on() {
        let ours = |role: &str, replica: &str| {
            let labels = json!({label::MANAGED_BY: label::MANAGER, label::JOB: role, label::REPLICA: replica});
            json!({"name": "app", "creationTimestamp": MADE, "labels": labels})
        };
        let other = json!([{"name": "m", "persistentVolumeClaim": {"claimName": "other"}}]);
        for (what, change, counts) in [
            ("a reader", json!({}), true),
            ("one that is being created", json!({"/status/phase": "Pending"}), true),
            ("one whose node does not answer", json!({"/status/phase": "Unknown"}), true),
            ("one that is over", json!({"/status/phase": "Succeeded"}), false),
            ("one that failed", json!({"/status/phase": "Failed"}), false),
            ("one on another node", json!({"/spec/nodeName": "b"}), false),
            ("one that has no node yet", json!({"/spec/nodeName": null}), false),
            ("one that mounts another claim", json!({"/spec/volumes": other}), false),
            ("a warm-up of this copy", json!({"/metadata": ours("warm-up", "studio-models-0")}), false),
            ("a warm-up that copies from it", json!({"/metadata": ours("warm-up", "other-0")}), true),
            ("a backup", json!({"/metadata": ours("backup", "")}), true),
            ("the CronJob of another cache on the claim", json!({"/metadata": ours("clean", "")}), false),
        ] {
            let oldest = oldest(&[pod(&change)], &on_node(), LOOKED.parse().unwrap()).to_string();
            assert_eq!(oldest, if counts { MADE } else { LOOKED }, "{what}");
        }
    }

    #[test]
    fn the_oldest_of_all_nodes_counts_for_a_shared_volume_and_nobody_is_the_time_of_the_look() {
        let cache = shared_cache();
        let shared = build(&cache, "studio-models-0", &volume(&cache), None, None);
        let younger = pod(&json!({"/spec/nodeName": "b", "/metadata/creationTimestamp": "2026-11-21T11:00:00Z"}));
        let looked = LOOKED.parse().unwrap();
        assert_eq!(oldest(&[younger.clone(), pod(&json!({}))], &shared, looked).to_string(), MADE);
        assert_eq!(oldest(&[younger], &shared, looked).to_string(), "2026-11-21T11:00:00Z");
        assert_eq!(oldest(&[], &shared, looked), looked);
    }
}
