//! Which nodes does a pool mean, and what tolerations does it take to run there?
//!
//! Labels only: a PersistentVolume's node affinity knows nothing else.

use crate::api::ModelCacheReplica;
use crate::api::node_cache_pool::{Gpu, NodeCachePoolSpec};
use crate::api::{ModelCache, NodeCachePool};
use k8s_openapi::api::core::v1::{
    Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// The label that Jobs are pinned by.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// What Kubernetes' own operators put on a vendor's nodes
/// (<https://github.com/NVIDIA/gpu-operator>, <https://github.com/ROCm/k8s-device-plugin>,
/// <https://github.com/intel/intel-device-plugins-for-kubernetes>): the label, its value if one is meant, the taint's key.
const fn vendor(gpu: Gpu) -> &'static [(&'static str, Option<&'static str>, &'static str)] {
    const NVIDIA: (&str, Option<&str>, &str) = ("nvidia.com/gpu.present", Some("true"), "nvidia.com/gpu");
    const AMD: (&str, Option<&str>, &str) = ("amd.com/gpu.family", None, "amd.com/gpu");
    const INTEL: (&str, Option<&str>, &str) = ("gpu.intel.com/product", None, "gpu.intel.com/i915");
    match gpu {
        Gpu::NVIDIA => &[NVIDIA],
        Gpu::AMD => &[AMD],
        Gpu::Intel => &[INTEL],
        Gpu::Any => &[NVIDIA, AMD, INTEL],
    }
}

/// The nodes of a pool, narrowed by a cache's placement: what the PersistentVolume's affinity says, and what decides who
/// gets a Replica.
pub fn node_selector(pool: &NodeCachePoolSpec, placement: Option<&BTreeMap<String, String>>) -> NodeSelector {
    let mut common = pool.node_selector.as_ref().map(requirements).unwrap_or_default();
    common
        .extend(placement.into_iter().flatten().map(|(key, value)| requirement(key, "In", Some(vec![value.clone()]))));
    let term = |expressions| NodeSelectorTerm { match_expressions: Some(expressions), match_fields: None };
    let terms = match pool.gpu {
        None => vec![term(common)],
        Some(gpu) => vendor(gpu)
            .iter()
            .map(|(key, value, _)| {
                let gpu = value.map_or_else(
                    || requirement(key, "Exists", None),
                    |value| requirement(key, "In", Some(vec![value.to_owned()])),
                );
                term(common.iter().cloned().chain([gpu]).collect())
            })
            .collect(),
    };
    NodeSelector { node_selector_terms: terms }
}

fn requirement(key: &str, operator: &str, values: Option<Vec<String>>) -> NodeSelectorRequirement {
    NodeSelectorRequirement { key: key.to_owned(), operator: operator.to_owned(), values }
}

fn requirements(selector: &LabelSelector) -> Vec<NodeSelectorRequirement> {
    let labels = selector.match_labels.iter().flatten();
    let expressions = selector.match_expressions.iter().flatten();
    labels
        .map(|(key, value)| requirement(key, "In", Some(vec![value.clone()])))
        .chain(
            expressions
                .map(|it| requirement(&it.key, &it.operator, it.values.clone().filter(|values| !values.is_empty()))),
        )
        .collect()
}

/// Whether labels satisfy a node selector. An empty selector matches nothing, as the scheduler reads it.
pub fn matches(selector: &NodeSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.node_selector_terms.iter().any(|term| {
        let expressions = term.match_expressions.as_deref().unwrap_or_default();
        !expressions.is_empty() && expressions.iter().all(|it| holds(it, labels))
    })
}

/// Whether labels satisfy a label selector. An empty one matches everything.
pub fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    requirements(selector).iter().all(|it| holds(it, labels))
}

fn holds(requirement: &NodeSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    let listed = |value: &String| requirement.values.iter().flatten().any(|it| it == value);
    let number = |text: &String| text.parse::<i64>().ok();
    let bound = || requirement.values.iter().flatten().next().and_then(number);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => value.and_then(number).zip(bound()).is_some_and(|(value, bound)| value > bound),
        "Lt" => value.and_then(number).zip(bound()).is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

/// Tolerations for a pool's nodes: the pool's own and, for a GPU preset, the vendor's usual taint.
pub fn tolerations(pool: &NodeCachePoolSpec) -> Vec<Toleration> {
    let exists =
        |key: &str| Toleration { key: Some(key.to_owned()), operator: Some("Exists".into()), ..Toleration::default() };
    let preset = pool.gpu.map(vendor).unwrap_or_default().iter().map(|(_, _, taint)| exists(taint));
    pool.tolerations.iter().cloned().chain(preset).collect()
}

/// Tolerations for the nodes of all pools of a cache: a cluster may have no other nodes.
pub fn pool_tolerations<'a>(cache: &ModelCache, pools: impl Iterator<Item = &'a NodeCachePool>) -> Vec<Toleration> {
    let named = |it: &&NodeCachePool| {
        let per_node = cache.spec.volumes.iter().filter_map(|it| it.per_node.as_ref());
        per_node.into_iter().any(|per_node| per_node.pool == it.name_any())
    };
    let mut all: Vec<Toleration> = vec![];
    for toleration in pools.filter(named).flat_map(|it| tolerations(&it.spec)) {
        if !all.contains(&toleration) {
            all.push(toleration);
        }
    }
    all
}

/// Required affinity to one node, by the value of its hostname label; never `spec.nodeName`, which skips the scheduler
/// and leaves WaitForFirstConsumer claims pending.
pub fn pinned_to(hostname: &str) -> NodeAffinity {
    on_one_of(vec![hostname.to_owned()])
}

/// Required affinity to one of several nodes, by the values of their hostname labels.
pub fn on_one_of(hostnames: Vec<String>) -> NodeAffinity {
    required(NodeSelector {
        node_selector_terms: vec![NodeSelectorTerm {
            match_expressions: Some(vec![requirement(HOSTNAME, "In", Some(hostnames))]),
            match_fields: None,
        }],
    })
}

/// Required affinity to nodes with these labels; none when there are none.
pub fn labelled(labels: &BTreeMap<String, String>) -> Option<NodeAffinity> {
    let expressions: Vec<_> =
        labels.iter().map(|(key, value)| requirement(key, "In", Some(vec![value.clone()]))).collect();
    let term = NodeSelectorTerm { match_expressions: Some(expressions), match_fields: None };
    (!labels.is_empty()).then(|| required(NodeSelector { node_selector_terms: vec![term] }))
}

/// Required affinity to the node of that name, for a claim that one node has mounted.
pub fn beside(node_name: &str) -> NodeAffinity {
    required(NodeSelector {
        node_selector_terms: vec![NodeSelectorTerm {
            match_fields: Some(vec![requirement("metadata.name", "In", Some(vec![node_name.to_owned()]))]),
            match_expressions: None,
        }],
    })
}

fn required(selector: NodeSelector) -> NodeAffinity {
    NodeAffinity { required_during_scheduling_ignored_during_execution: Some(selector), ..NodeAffinity::default() }
}

/// Which copy a Replica is, for messages.
pub fn copy_of(replica: &ModelCacheReplica) -> String {
    let on =
        replica.spec.node.as_ref().map_or_else(|| "the shared copy".to_owned(), |it| format!("node `{}`", it.name));
    format!("volume `{}` on {on}", replica.spec.volume)
}

/// How a node is, as far as we act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Reports Ready.
    Ready,
    /// Takes no new pods.
    Cordoned,
    /// Does not report to the API server, or reports that it is not ready.
    NotReady,
}

/// The state of a node.
pub fn node_state(node: &Node) -> NodeState {
    let conditions = node.status.as_ref().and_then(|it| it.conditions.as_ref());
    let ready = conditions.into_iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True");
    let cordoned = node.spec.as_ref().and_then(|it| it.unschedulable).unwrap_or(false);
    match (ready, cordoned) {
        (false, _) => NodeState::NotReady,
        (true, true) => NodeState::Cordoned,
        (true, false) => NodeState::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{NodeCondition, NodeSpec, NodeStatus};
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    fn pool(gpu: Option<Gpu>, labels: &[(&str, &str)]) -> NodeCachePoolSpec {
        let labels: BTreeMap<_, _> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        NodeCachePoolSpec {
            node_selector: (!labels.is_empty())
                .then(|| LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }),
            gpu,
            path: "/var/lib/modelcache".into(),
            capacity: Quantity("1Ti".into()),
            min_free: None,
            namespaces: None,
            tolerations: vec![],
            max_parallel: None,
            allow_root_filesystem: None,
        }
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_pool_and_a_placement_must_both_hold() {
        let narrowed = labels(&[("zone", "a")]);
        let selector = node_selector(&pool(Some(Gpu::NVIDIA), &[("disk", "nvme")]), Some(&narrowed));
        for (node, expected) in [
            (vec![("nvidia.com/gpu.present", "true"), ("disk", "nvme"), ("zone", "a")], true),
            (vec![("nvidia.com/gpu.present", "false"), ("disk", "nvme"), ("zone", "a")], false),
            (vec![("nvidia.com/gpu.present", "true"), ("zone", "a")], false),
            (vec![("nvidia.com/gpu.present", "true"), ("disk", "nvme"), ("zone", "b")], false),
        ] {
            assert_eq!(matches(&selector, &labels(&node)), expected, "{node:?}");
        }
    }

    #[test]
    fn any_gpu_means_any_vendors_label_and_all_their_taints() {
        let pool = pool(Some(Gpu::Any), &[]);
        let selector = node_selector(&pool, None);
        for node in [("nvidia.com/gpu.present", "true"), ("amd.com/gpu.family", "NV"), ("gpu.intel.com/product", "Max")]
        {
            assert!(matches(&selector, &labels(&[node])), "{node:?}");
        }
        assert!(!matches(&selector, &labels(&[("kubernetes.io/os", "linux")])));
        assert_eq!(tolerations(&pool).len(), 3);
    }

    #[test]
    fn a_node_is_cordoned_only_while_it_is_ready() {
        let node = |ready: &str, cordoned| Node {
            spec: Some(NodeSpec { unschedulable: Some(cordoned), ..NodeSpec::default() }),
            status: Some(NodeStatus {
                conditions: Some(vec![NodeCondition {
                    type_: "Ready".into(),
                    status: ready.into(),
                    ..NodeCondition::default()
                }]),
                ..NodeStatus::default()
            }),
            ..Node::default()
        };
        assert_eq!(node_state(&node("True", false)), NodeState::Ready);
        assert_eq!(node_state(&node("True", true)), NodeState::Cordoned);
        assert_eq!(node_state(&node("Unknown", true)), NodeState::NotReady);
        assert_eq!(node_state(&Node::default()), NodeState::NotReady);
    }
}
