//! Where does the agent find things in its pod?

/// The volumes, each as a directory of its name.
pub const VOLUMES: &str = "/volumes";
/// The plan.
pub const PLAN: &str = "/etc/modelcache/plan.json";
/// Directory of the plan.
pub const PLAN_DIRECTORY: &str = "/etc/modelcache";
/// The ModelCache, for what works on a whole cache: backup, prune, restore, clean-up.
pub const CACHE: &str = "/etc/modelcache/cache.yaml";
/// Directory of the ModelCache where a plan is mounted beside it: in the Jobs that clean one copy.
pub const CACHE_DIRECTORY: &str = "/etc/modelcache-cache";
/// Key of the ModelCache in its `ConfigMap`: the name of the file.
pub const CACHE_FILE: &str = "cache.yaml";
/// Directory of the ModelCache whose backup a copy is made from, on a node of a cache that was restored.
pub const RESTORE_DIRECTORY: &str = "/etc/modelcache-restore";
/// That ModelCache.
pub const RESTORE: &str = "/etc/modelcache-restore/cache.yaml";
/// Secrets: `/secrets/<source>/<key>`. Mounted `optional`: a missing one is the agent's to report.
pub const SECRETS: &str = "/secrets";
/// The directory below [`SECRETS`] of what the backup's destination and encryption name. No source can be called so.
pub const BACKUP_SECRETS: &str = ".backup";
/// The claim that backups go to.
pub const BACKUP: &str = "/backup";
/// ConfigMaps that sources name: `/config/<source>/content`. Mounted `optional`, as Secrets are.
pub const CONFIG: &str = "/config";
/// Name of the file in a source's directory below [`CONFIG`].
pub const CONFIG_FILE: &str = "content";
/// Claims that sources take over: `/claims/<source>`, read-only.
pub const CLAIMS: &str = "/claims";
/// The private certificate authority, when the user names one.
pub const CA_BUNDLE: &str = "/etc/modelcache-ca/ca.crt";
/// Directory of [`CA_BUNDLE`].
pub const CA_BUNDLE_DIRECTORY: &str = "/etc/modelcache-ca";
/// The pool's directory on the node, in prepare and purge Jobs.
pub const POOL: &str = "/pool";
/// A directory on the kubelet's own file system, in prepare Jobs: an `emptyDir`.
pub const KUBELET: &str = "/kubelet";
/// Where the kubelet reads the termination message.
pub const TERMINATION_MESSAGE: &str = "/dev/termination-log";
