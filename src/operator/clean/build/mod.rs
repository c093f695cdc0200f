//! What is made for clean-ups: one file, one builder, one snapshot each. Pure.

pub mod cron_job;
pub mod job;
