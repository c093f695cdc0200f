//! The Jobs that make and remove the directory of a volume on a node: the only pods with a hostPath.
//!
//! They run in a namespace of their own, as root, and take nothing but validated names.

use crate::api::pod_template::PodTemplate;
use crate::api::{JobRole, label};
use crate::contract::mount;
use crate::operator::options::Settings;
use crate::operator::placement;
use crate::operator::pod::{self, CONTAINER};
use crate::operator::pod_template;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, EmptyDirVolumeSource, HostPathVolumeSource, PodSecurityContext, PodSpec,
    SecurityContext, Toleration, Volume, VolumeMount,
};
use std::collections::BTreeMap;

/// Seconds that the kubelet and we have for a directory.
const PREPARE_DEADLINE_SECONDS: i64 = 600;
/// Seconds for removing a directory: large trees on slow disks.
const PURGE_DEADLINE_SECONDS: i64 = 3600;

/// A directory on a node.
#[derive(Clone, Debug)]
pub struct NodeDirectory<'a> {
    /// Name of the Job.
    pub job: String,
    /// Labels of the Job.
    pub labels: BTreeMap<String, String>,
    /// Name of the pool.
    pub pool: &'a str,
    /// The pool's path on the node.
    pub pool_path: &'a str,
    /// Name of the directory below it.
    pub directory: &'a str,
    /// Value of the node's hostname label.
    pub hostname: &'a str,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
}

/// The Job that makes the directory, for the user of the cache's pods.
pub fn prepare_job(
    directory: NodeDirectory,
    template: &PodTemplate,
    allow_root_filesystem: bool,
    settings: &Settings,
) -> Job {
    let template = pod_template::over(template, &settings.pod_template);
    let mut args = vec![
        "prepare-directory".to_owned(),
        "--root".to_owned(),
        mount::POOL.to_owned(),
        "--name".to_owned(),
        directory.directory.to_owned(),
        "--uid".to_owned(),
        template.user().to_string(),
        "--gid".to_owned(),
        template.group().to_string(),
        "--kubelet-directory".to_owned(),
        mount::KUBELET.to_owned(),
    ];
    if allow_root_filesystem {
        args.push("--allow-root-filesystem".to_owned());
    }
    // An emptyDir lies on the kubelet's own file system: what the pool's path is compared with.
    let kubelet =
        Volume { name: "kubelet".into(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() };
    let kubelet_mount =
        VolumeMount { name: "kubelet".into(), mount_path: mount::KUBELET.into(), ..VolumeMount::default() };
    node_job(directory, JobRole::Prepare, args, PREPARE_DEADLINE_SECONDS, Some((kubelet, kubelet_mount)), settings)
}

/// The Job that removes the directory.
pub fn purge_job(directory: NodeDirectory, settings: &Settings) -> Job {
    let args = ["purge-directory", "--root", mount::POOL, "--name", directory.directory].map(str::to_owned).to_vec();
    node_job(directory, JobRole::Purge, args, PURGE_DEADLINE_SECONDS, None, settings)
}

fn node_job(
    directory: NodeDirectory,
    role: JobRole,
    args: Vec<String>,
    deadline_seconds: i64,
    more: Option<(Volume, VolumeMount)>,
    settings: &Settings,
) -> Job {
    let all = &settings.pod_template;
    let mut labels = pod::common_labels(directory.labels, role);
    labels.insert(label::POOL.into(), directory.pool.to_owned());
    let (more_volume, more_mount) = more.unzip();
    let pool = Volume {
        name: "pool".into(),
        host_path: Some(HostPathVolumeSource {
            path: directory.pool_path.to_owned(),
            // A purge that made the directory would succeed over a disk that is not mounted.
            type_: Some(if role == JobRole::Purge { "Directory" } else { "DirectoryOrCreate" }.into()),
        }),
        ..Volume::default()
    };
    let pool_mount = VolumeMount { name: "pool".into(), mount_path: mount::POOL.into(), ..VolumeMount::default() };
    let container = Container {
        name: CONTAINER.into(),
        image: Some(settings.agent_image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        args: Some(args),
        resources: Some(pod::default_resources()),
        security_context: Some(SecurityContext {
            // Root, with what making, giving away and removing a directory takes.
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                add: Some(["CHOWN", "DAC_OVERRIDE", "FOWNER"].map(str::to_owned).to_vec()),
            }),
            ..pod::restricted_container()
        }),
        termination_message_path: Some(mount::TERMINATION_MESSAGE.into()),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        volume_mounts: Some([pool_mount].into_iter().chain(more_mount).collect()),
        ..Container::default()
    };
    let spec = PodSpec {
        containers: vec![container],
        volumes: Some([pool].into_iter().chain(more_volume).collect()),
        affinity: Some(Affinity {
            node_affinity: Some(placement::pinned_to(directory.hostname)),
            ..Affinity::default()
        }),
        // Of what holds for all caches only what decides whether the pod starts. It has neither network nor user code.
        tolerations: pod::non_empty(all.tolerations.iter().cloned().chain(directory.tolerations).collect()),
        priority_class_name: all.priority_class_name.clone(),
        image_pull_secrets: pod::non_empty(all.image_pull_secrets.clone()),
        security_context: Some(PodSecurityContext {
            run_as_user: Some(0),
            run_as_group: Some(0),
            seccomp_profile: Some(pod::runtime_default()),
            ..PodSecurityContext::default()
        }),
        ..pod::base_pod()
    };
    let parts = (labels.clone(), pod::undisturbed(BTreeMap::new()), spec);
    pod::job_of(
        directory.job,
        settings.node_jobs_namespace.clone(),
        labels,
        BTreeMap::new(),
        None,
        deadline_seconds,
        parts,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::modelcache::build::fixtures::settings;

    fn directory() -> NodeDirectory<'static> {
        NodeDirectory {
            job: "studio-models-0-p1".into(),
            labels: BTreeMap::new(),
            pool: "gpu",
            pool_path: "/mnt/nvme/modelcache",
            directory: "ns-uid_studio_models",
            hostname: "node-1",
            tolerations: vec![],
        }
    }

    #[test]
    fn a_prepare_job_mounts_the_pool_and_compares_it_with_the_kubelets_file_system() {
        insta::assert_yaml_snapshot!(prepare_job(directory(), &PodTemplate::default(), false, &settings()));
    }

    #[test]
    fn what_holds_for_all_caches_decides_whose_the_directory_is_and_whether_the_pod_starts() {
        let all = serde_json::json!({
            "securityContext": {"runAsUser": 1000},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "imagePullSecrets": [{"name": "registry"}],
            "priorityClassName": "low"
        });
        let settings = Settings { pod_template: serde_json::from_value(all).unwrap(), ..settings() };
        let own = serde_json::from_value(serde_json::json!({"securityContext": {"runAsGroup": 7}})).unwrap();
        let pod = prepare_job(directory(), &own, false, &settings).spec.unwrap().template.spec.unwrap();
        let args = pod.containers[0].args.clone().unwrap().join(" ");
        assert!(args.contains("--uid 1000 --gid 7"), "{args}");
        assert_eq!(pod.tolerations.unwrap().len(), 1);
        assert_eq!(pod.image_pull_secrets.unwrap()[0].name, "registry");
        assert_eq!(pod.priority_class_name.as_deref(), Some("low"));
    }

    #[test]
    fn a_purge_job_is_given_one_name_below_the_pool() {
        insta::assert_yaml_snapshot!(purge_job(directory(), &settings()));
    }
}
