//! Clean-up on schedule: who does it, and what is said of it?
//!
//! | Volume | Cleaned by | Why |
//! |---|---|---|
//! | many nodes can write to it, and no rule is of the kind `cache` | the CronJob `<cache>-clean` | fires while the operator is down: logs fill disks |
//! | it has a `cache` rule | a Job of its Replica | which pods may still read what was replaced only the operator knows, at the moment it begins |
//! | one node at a time can mount it | a Job of its Replica | it must run where the claim is mounted: a CronJob cannot look |
//! | on the nodes | a Job of each Replica | thousands of CronJobs would fire at once, past all limits |
//!
//! A volume has one cleaner for all of its rules. Two would begin at the same minute, and the right to write is one's.
//!
//! The Replica's part is [`super::replica::cleaning`].

pub mod build;
pub mod plan;
pub mod readers;
pub mod record;
pub mod runner;
pub mod summary;
