//! Why is a condition as it is? The closed list, and which of them are worth a quick retry.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every reason that a condition, an Event or an outcome of ours can carry.
///
/// The list is API: a reason is added, never changed. `docs/reasons.md` says of each what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Reason {
    /// Everything wanted is there and verified.
    Warmed,
    /// Warm-up Jobs are at work.
    Warming,
    /// Waits for its turn under `rollout.maxParallel` or the pool's limit.
    Queued,
    /// The directory on the node is being made.
    Preparing,
    /// The origin is being asked what the sources are.
    Resolving,
    /// Every source has a pin.
    Resolved,
    /// Every volume has its claim.
    Provisioned,
    /// Every copy was found as it was published.
    Verified,
    /// What is pinned is what the origins have.
    UpToDate,
    /// An origin has something newer than what is pinned.
    Outdated,
    /// Nothing has been looked at yet.
    Pending,
    /// `spec.suspend` is true: nothing new is started.
    Suspended,
    /// The object is being deleted.
    Deleting,
    /// Deletion waits, or a reset was refused: a pod mounts a volume.
    InUse,
    /// Deletion waits for a node that cannot be reached.
    PurgePending,
    /// The origin refused the token, or asks for one.
    Unauthorized,
    /// The repository asks its users to accept terms first.
    Gated,
    /// The origin has no such repository, revision or file.
    NotFound,
    /// The origin asked for fewer requests for longer than was waited.
    RateLimited,
    /// The origin did not answer, or not sensibly.
    Unreachable,
    /// The bytes received are not the bytes promised.
    ChecksumMismatch,
    /// The files at the pin are not the files that were resolved.
    ListingMismatch,
    /// A source resolves to no file at all.
    NoFiles,
    /// The content is larger than the volume, the pool or the disk can take.
    InsufficientSpace,
    /// A claim is not bound yet.
    VolumePending,
    /// No node matches the pool and the placement.
    NoMatchingNodes,
    /// There is no `NodeCachePool` of that name.
    PoolNotFound,
    /// The `NodeCachePool` does not admit this namespace, or admits some that this operator does not serve.
    PoolForbidden,
    /// The pool's directory lies on the kubelet's own file system and the pool does not allow it.
    PoolPathForbidden,
    /// An object of the wanted name belongs to somebody else.
    ClaimConflict,
    /// A Secret or a key in it is missing.
    SecretNotFound,
    /// The pod was not admitted: quota, limit range or Pod Security.
    PodRejected,
    /// No node takes the pod.
    Unschedulable,
    /// The image could not be pulled.
    ImagePullFailed,
    /// The pod used more memory than its limit.
    OutOfMemory,
    /// The pod was evicted or preempted; does not count as a failure.
    Evicted,
    /// The Job ran longer than it may.
    DeadlineExceeded,
    /// A higher attempt has taken the volume over.
    Superseded,
    /// The node is cordoned.
    NodeCordoned,
    /// The node does not report to the API server.
    NodeNotReady,
    /// Too many copies failed: see `rollout.maxFailures`.
    TooManyFailures,
    /// A file is damaged or missing on the volume.
    Damaged,
    /// A backup is complete at its destination.
    BackedUp,
    /// A backup is being made.
    BackingUp,
    /// What was backed up is being put in its place.
    Restoring,
    /// The place of the backups holds those of another cache, or something that is not understood.
    ForeignBackup,
    /// Volumes hold again what a backup has of them.
    Restored,
    /// Volumes hold again what they held before a restore.
    RolledBack,
    /// What retention does not keep is removed.
    Pruned,
    /// A backup or a prune is at work on the same repository.
    RepositoryInUse,
    /// Everything that the rules of the clean-up ask for is done.
    Cleaned,
    /// A run would delete more at once than it may: see `maxDeletePercent`.
    DeletionRefused,
    /// The spec cannot be acted on.
    InvalidSpec,
    /// A permission or a kind is missing in the cluster.
    MissingPermission,
    /// The pod ended without saying what it did.
    NoEvidence,
    /// The disk or the file system returned an error.
    VolumeError,
    /// A defect of ours.
    InternalError,
}

/// Who has to act on a failure, and so how soon it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// A person must change something: retried slowly, `Stalled` meanwhile.
    User,
    /// Passes by itself: retried with capped exponential backoff.
    Transient,
    /// Not a failure of the work: retried soon, does not count.
    Disruption,
}

impl Reason {
    /// The class decides the retry; see [`FailureClass`].
    pub const fn class(self) -> FailureClass {
        match self {
            Self::Unauthorized
            | Self::Gated
            | Self::NotFound
            | Self::ChecksumMismatch
            | Self::ListingMismatch
            | Self::NoFiles
            | Self::InsufficientSpace
            | Self::PoolNotFound
            | Self::PoolForbidden
            | Self::PoolPathForbidden
            | Self::ClaimConflict
            | Self::SecretNotFound
            | Self::ForeignBackup
            | Self::DeletionRefused
            | Self::InvalidSpec => FailureClass::User,
            Self::Evicted | Self::Superseded => FailureClass::Disruption,
            _ => FailureClass::Transient,
        }
    }

    /// The name as conditions carry it.
    pub fn as_str(self) -> String {
        format!("{self:?}")
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, formatter)
    }
}
