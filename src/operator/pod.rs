//! What do all our Jobs and pods have in common?
//!
//! In a user's namespace they pass Pod Security "restricted"; none holds an API token.

use super::options::Settings;
use super::pod_template;
use crate::api::pod_template::PodTemplate;
use crate::api::{JobRole, label};
use crate::contract::mount;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, EnvVar, KeyToPath, NodeAffinity,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements,
    SeccompProfile, SecurityContext, Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use std::collections::BTreeMap;

/// Name of the container in every pod of ours.
pub const CONTAINER: &str = "modelcache";

/// What differs between our Jobs in a user's namespace.
#[derive(Debug, Default)]
pub struct AgentJob {
    /// Name of the Job.
    pub name: String,
    /// Namespace of the Job.
    pub namespace: String,
    /// Labels beside the common ones.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Job.
    pub annotations: BTreeMap<String, String>,
    /// Arguments of `modelcache`.
    pub args: Vec<String>,
    /// Environment beside the template's.
    pub env: Vec<EnvVar>,
    /// Volumes of the pod, beside the certificate bundle.
    pub volumes: Vec<Volume>,
    /// Mounts of the container, beside the certificate bundle.
    pub mounts: Vec<VolumeMount>,
    /// Where the pod must run.
    pub affinity: Option<NodeAffinity>,
    /// Tolerations beside the template's.
    pub tolerations: Vec<Toleration>,
    /// Seconds that the Job may run.
    pub deadline_seconds: i64,
    /// The object that the Job belongs to.
    pub owner: Option<OwnerReference>,
    /// Whether the kubelet gives the volume to the group. Not for per-node volumes: their directory is made with its owner.
    pub give_volume_to_group: bool,
}

/// An object as the controller of what is made for it, which is gone before the object is.
pub fn owner<K: Resource<DynamicType = ()>>(object: &K) -> Option<OwnerReference> {
    object.controller_owner_ref(&()).map(|it| OwnerReference { block_owner_deletion: Some(true), ..it })
}

/// A Job of the agent in a user's namespace.
pub fn agent_job(job: AgentJob, role: JobRole, template: &PodTemplate, settings: &Settings) -> Job {
    let AgentJob {
        name,
        namespace,
        labels,
        annotations,
        args,
        env,
        volumes,
        mounts,
        affinity,
        tolerations,
        deadline_seconds,
        owner,
        give_volume_to_group,
    } = job;
    let labels = common_labels(labels, role);
    let template = &pod_template::over(template, &settings.pod_template);
    let (ca_volume, ca_mount, ca_env) = ca_bundle(template);
    let container = Container {
        name: CONTAINER.into(),
        image: Some(settings.agent_image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        args: Some(args),
        env: non_empty([arenas()].into_iter().chain(template.env.iter().cloned()).chain(env).chain(ca_env).collect()),
        resources: Some(template.resources.clone().unwrap_or_else(default_resources)),
        security_context: Some(restricted_container()),
        termination_message_path: Some(mount::TERMINATION_MESSAGE.into()),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        volume_mounts: non_empty(mounts.into_iter().chain(ca_mount).collect()),
        ..Container::default()
    };
    let security = template.security_context.clone().unwrap_or_default();
    let pod = PodSpec {
        containers: vec![container],
        volumes: non_empty(volumes.into_iter().chain(ca_volume).collect()),
        affinity: affinity.map(|it| Affinity { node_affinity: Some(it), ..Affinity::default() }),
        tolerations: non_empty(template.tolerations.iter().cloned().chain(tolerations).collect()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(template.user()),
            run_as_group: Some(template.group()),
            fs_group: give_volume_to_group.then(|| security.fs_group.unwrap_or_else(|| template.group())),
            // A recursive chown of half a terabyte takes minutes.
            fs_group_change_policy: give_volume_to_group.then(|| "OnRootMismatch".into()),
            se_linux_options: security.se_linux_options,
            seccomp_profile: Some(runtime_default()),
            ..PodSecurityContext::default()
        }),
        priority_class_name: template.priority_class_name.clone(),
        runtime_class_name: template.runtime_class_name.clone(),
        image_pull_secrets: non_empty(template.image_pull_secrets.clone()),
        service_account_name: template.service_account_name.clone(),
        ..base_pod()
    };
    let pod_labels = template.labels.clone().into_iter().chain(labels.clone()).collect();
    let pod_annotations = undisturbed(template.annotations.clone());
    job_of(name, namespace, labels, annotations, owner, deadline_seconds, (pod_labels, pod_annotations, pod))
}

/// What our pods have in common in every namespace.
pub fn base_pod() -> PodSpec {
    PodSpec {
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(15),
        ..PodSpec::default()
    }
}

/// A Job around a pod. `backoffLimit: 0`: a retry is the next attempt, and ours to begin. `podReplacementPolicy: Failed`:
/// never two writers.
pub fn job_of(
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    owner: Option<OwnerReference>,
    deadline_seconds: i64,
    (pod_labels, pod_annotations, pod): (BTreeMap<String, String>, BTreeMap<String, String>, PodSpec),
) -> Job {
    Job {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            labels: Some(labels),
            annotations: (!annotations.is_empty()).then_some(annotations),
            owner_references: owner.map(|it| vec![it]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            pod_replacement_policy: Some("Failed".into()),
            active_deadline_seconds: Some(deadline_seconds),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels),
                    annotations: Some(pod_annotations),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// The labels of every child.
pub fn common_labels(labels: BTreeMap<String, String>, role: JobRole) -> BTreeMap<String, String> {
    labels
        .into_iter()
        .chain([
            (label::JOB.to_owned(), role.as_str().to_owned()),
            (label::MANAGED_BY.to_owned(), label::MANAGER.to_owned()),
        ])
        .collect()
}

/// Autoscalers leave the pod alone while it works; its Job's deadline bounds that.
pub fn undisturbed(annotations: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let own = [("karpenter.sh/do-not-disrupt", "true"), ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false")];
    own.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).chain(annotations).collect()
}

/// Every privilege dropped, and a root file system that cannot be written to.
pub fn restricted_container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
        ..SecurityContext::default()
    }
}

/// The container runtime's default seccomp profile.
pub fn runtime_default() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }
}

/// The agent needs little, whatever it moves; the limit leaves room for the page cache that counts against it.
pub fn default_resources() -> ResourceRequirements {
    let quantities = |pairs: &[(&str, &str)]| {
        Some(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), Quantity((*value).to_owned())))
                .collect::<BTreeMap<_, _>>(),
        )
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", "100m"), ("memory", "128Mi")]),
        limits: quantities(&[("memory", "1Gi")]),
        claims: None,
    }
}

/// The allocator keeps what its threads gave back, an arena each: with sixteen connections that is most of the memory.
fn arenas() -> EnvVar {
    EnvVar { name: "MALLOC_ARENA_MAX".into(), value: Some("2".into()), value_from: None }
}

fn ca_bundle(template: &PodTemplate) -> (Option<Volume>, Option<VolumeMount>, Option<EnvVar>) {
    let Some(reference) = &template.ca_bundle_config_map else { return (None, None, None) };
    let volume = Volume {
        name: "ca-bundle".into(),
        config_map: Some(ConfigMapVolumeSource {
            name: reference.name.clone(),
            items: Some(vec![KeyToPath { key: reference.key.clone(), path: "ca.crt".into(), mode: None }]),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mount = VolumeMount {
        name: "ca-bundle".into(),
        mount_path: mount::CA_BUNDLE_DIRECTORY.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let env = EnvVar { name: "MODELCACHE_CA_BUNDLE".into(), value: Some(mount::CA_BUNDLE.into()), value_from: None };
    (Some(volume), Some(mount), Some(env))
}

/// A claim at `/volumes/<name>`.
pub fn claim(name: &str, claim_name: &str, read_only: bool) -> (Volume, VolumeMount) {
    mounted_claim(&format!("volume-{name}"), claim_name, format!("{}/{name}", mount::VOLUMES), read_only)
}

/// A claim in a pod. Read only where it is mounted, not where it is attached: other pods may write to it.
pub fn mounted_claim(name: &str, claim_name: &str, path: String, read_only: bool) -> (Volume, VolumeMount) {
    let source = PersistentVolumeClaimVolumeSource { claim_name: claim_name.to_owned(), read_only: None };
    // Labels of volumes in a pod end at 63 characters, as those of ours do before something stands in front of them.
    let name = crate::api::name::label_value(name);
    let volume = Volume { name: name.clone(), persistent_volume_claim: Some(source), ..Volume::default() };
    (volume, VolumeMount { name, mount_path: path, read_only: read_only.then_some(true), ..VolumeMount::default() })
}

/// `None` for an empty list: an absent field is not applied.
pub fn non_empty<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}
