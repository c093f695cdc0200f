//! What have the CronJobs of a cache in common? Each is `<cache>-<what>`, with a ConfigMap of that name: the document that
//! its pods read. They fire while the operator is down.

pub mod build;
pub mod document;
pub mod jitter;
pub mod plan;
