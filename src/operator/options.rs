//! What can be set about the operator?

use super::scope::Scope;
use crate::api::pod_template::PodTemplate;
use clap::Args;
use std::net::SocketAddr;
use std::time::Duration;

/// Flags of `modelcache operator`. Every one has an environment variable.
#[derive(Clone, Debug, Args)]
pub struct OperatorOptions {
    /// Image of the agent's pods; the operator's own image.
    #[arg(long, env = "MODELCACHE_AGENT_IMAGE")]
    pub agent_image: String,

    /// Namespace of the prepare and purge Jobs, the only pods with a hostPath.
    #[arg(long, env = "MODELCACHE_NODE_JOBS_NAMESPACE", default_value = "modelcache-node-jobs")]
    pub node_jobs_namespace: String,

    /// Namespaces that are served, separated by commas; all when empty. Nothing else is asked for, watched or written, but what
    /// lies outside namespaces: nodes, pools, PersistentVolumes. A pool is used when it admits these namespaces only.
    #[arg(long, env = "MODELCACHE_NAMESPACES", default_value = "", hide_default_value = true, value_parser = Scope::parse)]
    pub namespaces: Scope,

    /// Namespace of the operator: its Lease is there.
    #[arg(long, env = "POD_NAMESPACE", default_value = "modelcache-system")]
    pub namespace: String,

    /// Name of this process in the Lease.
    /// No two may share it: each would take the other's Lease for its own.
    #[arg(long, env = "POD_NAME")]
    pub identity: String,

    /// Address of `/livez`, `/readyz` and `/metrics`.
    #[arg(long, env = "MODELCACHE_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Seconds before the first retry of a failure that passes by itself; doubled each time, with jitter.
    #[arg(long, env = "MODELCACHE_RETRY_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub retry_seconds: u32,

    /// Seconds between retries at most, and a quarter more of jitter.
    #[arg(long, env = "MODELCACHE_RETRY_MAX_SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..))]
    pub retry_max_seconds: u32,

    /// Seconds between retries of a failure that a person must mend (wrong token, no such repository).
    #[arg(long, env = "MODELCACHE_STALLED_RETRY_SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    pub stalled_retry_seconds: u32,

    /// Seconds that a deletion waits for nodes that do not answer. After that the object goes, and the PersistentVolume
    /// stays as a tombstone that is worked off when they return.
    #[arg(long, env = "MODELCACHE_UNREACHABLE_GRACE_SECONDS", default_value_t = 60)]
    pub unreachable_grace_seconds: u32,

    /// Say in `status.inUse` of each cache whether a pod mounts a volume of it. Costs a watch of all pods of the namespaces that
    /// are served, of which those are kept in memory that mount a claim, at about a kilobyte each.
    #[arg(long, env = "MODELCACHE_TRACK_USE")]
    pub track_use: bool,

    /// Label each node that holds a complete copy of a cache with `cached.modelcache.dev/<namespace>.<cache>: "true"`, for the
    /// affinity of pods. Takes the right to patch nodes (`config/policy/node-labels`). When it is off, labels that were left are
    /// taken off where that right is there.
    #[arg(long, env = "MODELCACHE_LABEL_NODES")]
    pub label_nodes: bool,

    /// Seconds that a Lease holds without renewal. At least 5.
    #[arg(long, env = "MODELCACHE_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u16).range(5..))]
    pub lease_seconds: u16,

    /// File with what an administrator says about the pods of all caches: the fields of `spec.podTemplate`, as JSON or YAML.
    /// What a cache says wins; lists are joined and maps merged.
    #[arg(long, env = "MODELCACHE_POD_TEMPLATE", value_name = "FILE", value_parser = super::pod_template::read)]
    pub pod_template: Option<PodTemplate>,

    /// Log as JSON.
    #[arg(long, env = "MODELCACHE_LOG_JSON")]
    pub log_json: bool,
}

/// What the pure rooms need of the options.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Image of the agent's pods.
    pub agent_image: String,
    /// Namespace of the prepare and purge Jobs.
    pub node_jobs_namespace: String,
    /// When failures are tried again.
    pub retry: super::retry::RetryPolicy,
    /// How long a deletion waits for nodes that do not answer.
    pub unreachable_grace: Duration,
    /// What every cache's `spec.podTemplate` is laid over.
    pub pod_template: PodTemplate,
    /// Whether `status.inUse` is kept.
    pub track_use: bool,
    /// Which namespaces are served.
    pub scope: Scope,
    /// Whether nodes are labelled with the caches that they hold.
    pub label_nodes: bool,
}

impl OperatorOptions {
    /// What the pure rooms need.
    pub fn settings(&self) -> Settings {
        let seconds = |it: u32| Duration::from_secs(u64::from(it));
        Settings {
            agent_image: self.agent_image.clone(),
            node_jobs_namespace: self.node_jobs_namespace.clone(),
            retry: super::retry::RetryPolicy {
                first: seconds(self.retry_seconds),
                most: seconds(self.retry_max_seconds),
                stalled: seconds(self.stalled_retry_seconds),
            },
            unreachable_grace: seconds(self.unreachable_grace_seconds),
            pod_template: self.pod_template.clone().unwrap_or_default(),
            track_use: self.track_use,
            scope: self.namespaces.clone(),
            label_nodes: self.label_nodes,
        }
    }
}
