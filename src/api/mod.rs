//! Every string and type the cluster sees: kinds, conditions, reasons, names, labels.
//!
//! One file per kind. This room imports nothing of ours, has no client, no clock, no async.

pub mod backup;
pub mod cleaning;
pub mod cleanup;
pub mod condition;
pub mod crds;
pub mod duration;
mod embedded;
pub mod expiry;
pub mod model_cache;
pub mod model_cache_backup;
pub mod model_cache_replica;
pub mod model_cache_restore;
pub mod name;
pub mod node_cache_pool;
pub mod object_store;
pub mod pod_template;
pub mod quantity;
pub mod reason;
pub mod request;
pub mod rollout;
pub mod schedule;
pub mod scheduled_run;
pub mod source;
pub mod timetable;
pub mod volume;

pub use condition::ConditionType;
pub use model_cache::{ModelCache, ModelCacheSpec, ModelCacheStatus};
pub use model_cache_backup::{ModelCacheBackup, ModelCacheBackupSpec, ModelCacheBackupStatus};
pub use model_cache_replica::{ModelCacheReplica, ModelCacheReplicaSpec, ModelCacheReplicaStatus};
pub use model_cache_restore::{ModelCacheRestore, ModelCacheRestoreSpec, ModelCacheRestoreStatus};
pub use node_cache_pool::{NodeCachePool, NodeCachePoolSpec, NodeCachePoolStatus};
pub use reason::{FailureClass, Reason};

/// API group of every kind of ours.
pub const GROUP: &str = "modelcache.dev";
/// The version that is served and stored.
pub const VERSION: &str = "v1alpha1";

/// Field manager of the server-side applies that write children.
pub const FIELD_MANAGER: &str = "modelcache-operator";
/// Field manager of the server-side applies that write the status subresource.
pub const STATUS_FIELD_MANAGER: &str = "modelcache-operator-status";

/// Finalizer on a `ModelCache`: its data is retained or removed as `deletionPolicy` says before the object goes.
pub const FINALIZER: &str = "modelcache.dev/data";

/// Labels, on every child.
pub mod label {
    /// Name of the `ModelCache`. Also on pods of users that ask for it: `config/policy/pods.yaml` gives them what they need.
    pub const CACHE: &str = "modelcache.dev/cache";
    /// Namespace of the `ModelCache`, on children outside it.
    pub const NAMESPACE: &str = "modelcache.dev/namespace";
    /// Name of the volume.
    pub const VOLUME: &str = "modelcache.dev/volume";
    /// Name of the source.
    pub const SOURCE: &str = "modelcache.dev/source";
    /// Name of the `ModelCacheReplica`.
    pub const REPLICA: &str = "modelcache.dev/replica";
    /// Name of the `NodeCachePool`.
    pub const POOL: &str = "modelcache.dev/pool";
    /// Name of the `ModelCacheBackup`, on the Jobs of one that was made by hand.
    pub const BACKUP: &str = "modelcache.dev/backup";
    /// Name of the `ModelCacheRestore`.
    pub const RESTORE: &str = "modelcache.dev/restore";
    /// On a purge Job: name of the PersistentVolume whose data it removes.
    pub const PURGED_VOLUME: &str = "modelcache.dev/persistent-volume";
    /// What a Job does: see [`super::JobRole`].
    pub const JOB: &str = "modelcache.dev/job";
    /// `true` on a `PersistentVolume` whose data is to be removed from the nodes it lists.
    pub const TOMBSTONE: &str = "modelcache.dev/tombstone";
    /// On a Node: what its label for a complete copy of a cache begins with, see [`super::name::node_label`]. A prefix of its own,
    /// so that a policy can tell these labels from all others.
    pub const CACHED: &str = "cached.modelcache.dev/";
    /// Standard label: the tool that manages the object.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// The value of [`MANAGED_BY`].
    pub const MANAGER: &str = "modelcache-operator";
}

/// Annotations, on children.
pub mod annotation {
    /// On a `PersistentVolume`: the nodes that hold a directory of it, as JSON.
    pub const NODES: &str = "modelcache.dev/nodes";
    /// On a resolve Job: hash of the spec of its source.
    pub const SPEC_HASH: &str = "modelcache.dev/spec-hash";
    /// On a plan `ConfigMap`: its place in the order of the plans of a volume; the highest is the memory of the pins.
    pub const SEQUENCE: &str = "modelcache.dev/sequence";
    /// On a `ModelCacheBackup` of a scheduled run: when it was due, RFC 3339.
    pub const SCHEDULED: &str = "modelcache.dev/scheduled-at";
    /// On the `ConfigMap` of a backup that per-node copies are restored from: UID of the `ModelCacheRestore`.
    pub const RESTORED_BY: &str = "modelcache.dev/restored-by";
    /// On the `ConfigMap` that a restore is begun with: whose backup it is, `NAMESPACE/CACHE`.
    pub const RESTORED_OF: &str = "modelcache.dev/restored-of";
    /// On the first: identity of the content that it is good for. With another plan it is of no use.
    pub const RESTORED_PLAN: &str = "modelcache.dev/restored-plan";
    /// On a user's pod with [`super::label::CACHE`]: the volumes of the cache that it gets, separated by commas; those that
    /// sources fill when left out.
    pub const POD_VOLUMES: &str = "modelcache.dev/volumes";
    /// On such a pod: the containers that get them, separated by commas; all when left out.
    pub const POD_CONTAINERS: &str = "modelcache.dev/containers";
    /// On such a pod: where they are mounted besides, a path or `<volume>=<path>,…`.
    pub const POD_MOUNT_PATH: &str = "modelcache.dev/mount-path";
    /// On such a pod: `false` when it does not wait for a complete copy.
    pub const POD_WAIT: &str = "modelcache.dev/wait";
    /// On such a pod, by the policy: name of the cache whose volumes it was given.
    pub const POD_INJECTED: &str = "modelcache.dev/injected";
    /// On a `ModelCache`: `true` lets it be deleted while it is in use, where a policy guards that.
    pub const ALLOW_DELETE: &str = "modelcache.dev/allow-delete";
    /// On a Job that a `CronJob` made, by Kubernetes: when it was due, RFC 3339
    /// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#batch-kubernetes-io-cronjob-scheduled-timestamp>).
    pub const CRON_JOB_SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
}

/// What a Job of ours does: the value of [`label::JOB`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobRole {
    /// Asks the origin of one source for its revision, files and bytes.
    Resolve,
    /// Makes the directory of a volume on a node.
    Prepare,
    /// Asks the origin of one source whether it has something newer.
    Refresh,
    /// Puts the content on the volume.
    WarmUp,
    /// Checks what is on the volume against what was put there.
    Verify,
    /// Removes the directory of a volume from a node.
    Purge,
    /// Sends what is on the volumes to the place of the backups.
    Backup,
    /// Puts what was backed up onto volumes.
    Restore,
    /// Rotates, deletes and mends on volumes what the rules of the clean-up say.
    Clean,
}

impl JobRole {
    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Prepare => "prepare",
            Self::Refresh => "refresh",
            Self::WarmUp => "warm-up",
            Self::Verify => "verify",
            Self::Purge => "purge",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Clean => "clean",
        }
    }
}
