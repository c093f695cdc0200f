//! What is made for backups: one file, one builder, one snapshot each. Pure.

pub mod config_map;
pub mod cron_job;
pub mod job;
pub mod place;
pub mod pod;
