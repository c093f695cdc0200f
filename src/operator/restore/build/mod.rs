//! What is made for a restore: one builder. Pure.

pub mod job;
