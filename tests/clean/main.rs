//! Clean-up as its users run it: the built binary on real directories, killed, raced and lied to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is test code; the lint knows only marked functions")]
#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::format_collect,
    reason = "names are those that we give, and a test may allocate"
)]

#[path = "../agent/bench.rs"]
#[allow(dead_code, reason = "shared with the tests of the agent, which use all of it")]
mod bench;
#[path = "../support/hub/mod.rs"]
#[allow(dead_code, reason = "shared with the tests of the agent, which use all of it")]
mod hub;
#[path = "../support/killing.rs"]
mod killing;
#[path = "../support/memory.rs"]
mod memory;
#[path = "../support/samples.rs"]
#[allow(dead_code, reason = "shared with the tests of the samples, which use all of it")]
mod samples;

mod desk;

mod cache;
mod cache_caps;
mod cache_foreign;
mod files;
mod guides;
mod hostile;
mod killed;
mod logs;
mod many;
mod permissions;
mod trash;
