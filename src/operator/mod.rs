//! The controller: what it does with a `ModelCache`, room by room.
//!
//! - [`modelcache`]: a cache to volumes, pins, plans and Replicas.
//! - [`pod_template`]: what an administrator says about the pods of all caches.
//! - [`replica`]: a Replica to attempts: prepare, warm up, check, record.
//! - [`due`]: when work on schedule is due.
//! - [`cron_job`]: what the CronJobs of a cache have in common.
//! - [`backup`]: one backup, by hand or on schedule, to its record.
//! - [`clean`]: who cleans what on schedule, and what is said of it.
//! - [`restore`]: what was backed up, back onto volumes.
//! - [`mounting_pod`]: which claims a pod mounts.
//! - [`pool`]: what a pool has and gives.
//! - [`node_label`]: which nodes say that they hold a cache.
//! - [`tombstone`]: data that is to be removed from nodes, as they answer.
//! - [`scope`]: which namespaces are served.
//! - [`cluster`]: the only room that writes to the API server.
//! - [`runtime`]: watches, leadership, health, metrics.

pub mod backup;
pub mod clean;
pub mod cluster;
pub mod cron_job;
pub mod due;
pub mod error;
pub mod job;
pub mod modelcache;
pub mod mounting_pod;
pub mod node_label;
pub mod options;
pub mod placement;
pub mod pod;
pub mod pod_template;
pub mod pool;
pub mod replica;
pub mod restore;
pub mod retry;
pub mod run;
pub mod runtime;
pub mod scope;
pub mod tombstone;

pub use options::OperatorOptions;
pub use runtime::run;
